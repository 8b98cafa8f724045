"""The parts of the attention probe beyond the maps: each is kept when done, so that a stopped probe goes on."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter
from rich.progress import Progress

from analysis import attention_calibration as calibration
from analysis import attention_causes as causes
from analysis import attention_designs as designs
from analysis import attention_inference as inference
from analysis import attention_persistence as persistence
from analysis import attention_weightings as weightings
from analysis.attention_study import Study
from casim import checkpoint, cli, record
from casim.record import Measure
from evaluators.embed import oracle

FOLDER = "parts"
PARTS = ("designs", "weightings", "inference", "persistence", "causes")
"""In the order in which they are made."""
MEASURES = TypeAdapter(dict[str, Measure])


class Ticker:
    """What a study calls after each of its steps: moves the bar of the part that is being made."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress, self.task = progress, None

    def start(self, name: str, total: int) -> None:
        """A new bar."""
        self.task = self.progress.add_task(name, total=total) if self.progress else None

    def __call__(self) -> None:
        """One step more."""
        if self.progress is not None and self.task is not None:
            self.progress.advance(self.task)


Part = tuple[Callable[[], dict[str, Measure]], int]
"""Makes the entries, and how often it ticks."""


def measures(
    study: Study,
    chosen: Sequence[str],
    folder: Path,
    key: Mapping[str, object],
    *,
    clips: int,
    with_heads: bool,
    simulations: int,
    ticker: Ticker,
) -> dict[str, Measure]:
    """The entries of the chosen parts, in `folder/parts` from before where `key` (all they depend on) is the same.

    Args:
        study: models and clips.
        chosen: names of `PARTS`.
        folder: of the record.
        key: settings and weights that the entries depend on.
        clips: pair clips of the causal tests.
        with_heads: make heads blind too.
        simulations: of the calibration; 0: none.
        ticker: what the study ticks.
    """
    parts = _parts(study, clips, with_heads)
    wanted = {name: parts[name] for name in PARTS if name in chosen}
    if simulations:
        made = (lambda: calibration.measures(study, simulations)), calibration.captures(study, simulations)
        wanted["calibration"] = made
    found: dict[str, Measure] = {}
    key = {**key, "oracle": record.sha256(oracle.BUNDLED / checkpoint.WEIGHTS)}
    for name, (make, ticks) in wanted.items():
        digest = hashlib.sha256(json.dumps({**key, "part": name}, sort_keys=True, default=str).encode()).hexdigest()
        file = folder / FOLDER / f"{name}_{digest[:16]}.json"
        if not file.exists():
            ticker.start(name, ticks)
            with cli.if_stopped(cli.GOES_ON):
                record.write_atomic(file, MEASURES.dump_json(make()))
        found |= MEASURES.validate_json(file.read_bytes())
    return found


def _parts(study: Study, clips: int, with_heads: bool) -> dict[str, Part]:
    return {
        "designs": (lambda: designs.measures(study), designs.captures(study)),
        "weightings": (lambda: weightings.measures(study), weightings.captures(study)),
        "inference": (lambda: inference.measures(study), inference.captures(study)),
        "persistence": (lambda: persistence.measures(study), persistence.captures(study)),
        "causes": (
            lambda: causes.measures(study, oracle.bundled(), clips, with_heads=with_heads),
            causes.captures(study, with_heads=with_heads),
        ),
    }
