"""Which text encoder keeps the distinctions that motion needs? Similarity of minimal pairs, and linear probes.

`python -m analysis.encoder_probe --pairs left_right` compares captions that differ in one thing (`analysis.pairs`)
beside the same caption with a synonym and with an unrelated word, layer by layer, and asks whether a linear layer
can read the difference. How vectors are taken: `analysis.encoder_states`; corrections of the cosine:
`analysis.similarity`; probes, their controls and their null: `analysis.linear_readout`.

What a cosine can and cannot show: two vectors that are close by a raw cosine may still differ in a direction that a
linear layer reads without error, since the cosine is made by what all states of the encoder share. So closeness is
no evidence that a distinction is lost; that a probe fails, though it finds a planted one of a percent of the
variance, is.

Record (`kind="probe"`, `name="encoder_probe"`). `WHERE` is ENCODER/SET/READOUT (token: the words that differ;
pooled: the encoder's own summary) of the layer that a motion model gets; with `@LAYER` behind READOUT of another
one.

- `WHERE/{opposite|synonym|random}/{raw|centred|standardised|top removed|rank}`: mean cosine of the anchor with
  each.
- `WHERE/closer/CORRECTION`: how much closer the opposite lies than the synonym (synonym's cosine less opposite's;
  above 0 the encoder tells opposites further apart than synonyms), interval over templates;
  `.../closer_p/CORRECTION`: sign flips over templates, Benjamini-Hochberg over all encoders, sets and readouts of
  the record.
- `WHERE/probe`, `/control`, `/selectivity`, `/chance`, `/planted`: accuracies (`analysis.linear_readout`).
- `verdict/ENCODER/SET/{kept|lost|undetermined}`; `protocol` is the sentence with the rule.
- `side_accuracy/ENCODER`: of trained models that read this encoder, from records given with `--records`.

`pairs.csv` holds one row per encoder, set, readout and pair with every cosine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from rich.progress import Progress

from analysis import background, minimal_pairs
from analysis.encoder_states import OUTPUT, Place, States, background_of, states_of
from analysis.encoder_verdicts import corrected, show, side_accuracy, verdicts
from analysis.linear_readout import Task, planted, probe
from analysis.minimal_pairs import Pair
from analysis.similarity import corrections, cosine, sign_flip_p
from casim import checkpoint, cli, plugins, record, terminal
from casim.record import Measure
from casim.types import TextEncoder
from evaluators.intervals import Estimate, Resampling, mean_interval

NAME = "encoder_probe"
PAIRS = "pairs.csv"
DEFAULT = ("hashed", "minilm", "clip", "bert", "t5")
CORRECTIONS = ("raw", "centred", "standardised", "top removed", "rank")
OTHERS = {"opposite": "second", "synonym": "synonym", "random": "random"}


@dataclass(frozen=True)
class Config:
    """What to compare."""

    encoders: tuple[str, ...] = DEFAULT
    """Encoders by name, or NAME=FOLDER with weights of its kind; of the default those that are at hand."""
    pairs: tuple[str, ...] = ("left_right",)
    """Sets of minimal pairs (left_right, hand_foot, order, count, negation, speed; all: every one), or CSV or JSON
    files of your own with the columns first and second."""
    records: tuple[Path, ...] = ()
    """Evaluation records: the side accuracy of models trained with each encoder is put beside."""
    background: int = 600
    """Captions on which the corrections of the cosine are fitted."""
    resamples: int = 2000
    """Bootstrap replicates over templates."""
    seed: int = 0
    """Seed of controls, nulls and intervals."""
    quick: bool = False
    """200 background captions, 500 replicates, and only the layer that a motion model gets."""
    runs: Annotated[tuple[str, ...], cli.POSITIONAL] = ()
    """Runs whose text encoders are probed, in place of the default ones."""
    out: Path | None = None
    """Folder of the record; default runs/encoder_probe."""

    def settled(self) -> "Config":
        """The config with `quick` spelled out.

        Raises:
            ValueError: a number out of range.
        """
        for name, least in (("background", 20), ("resamples", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.quick:
            return self
        return replace(self, background=min(self.background, 200), resamples=min(self.resamples, 500))


@dataclass
class Found:
    """What is measured while encoders are gone through."""

    results: dict[str, Measure] = field(default_factory=dict)
    rows: list[pd.DataFrame] = field(default_factory=list)
    p: dict[str, float] = field(default_factory=dict)
    """Uncorrected, by key."""


def main(config: Annotated[Config, cli.FLAT] = Config()) -> None:
    """Compares text encoders on minimal pairs of captions, by similarity and by linear probes."""
    console = terminal.console()
    with Progress(console=console, transient=True) as progress:
        written = run(config, progress)
    show(written, console)
    console.print(f"record: {_folder(config) / record.FILE}", highlight=False, soft_wrap=True)


def run(config: Config, progress: Progress | None = None) -> record.RunRecord:
    """Measures and writes the record; gives it.

    Raises:
        FileNotFoundError: a pair file or a record that is not there.
        ValueError: an unknown encoder or set, or pairs that could answer nothing.
    """
    config, folder = config.settled(), _folder(config)
    sets = {name: pairs for wanted in config.pairs for name, pairs in _sets(wanted)}
    encoders, missing = find_encoders(config.encoders, config.runs)
    scored = side_accuracy(config.records)
    if (folder / record.FILE).exists() and (name := record.load(folder).name) != NAME:
        raise ValueError(f"{folder} holds the record of {name}; give --out another folder")
    settings = {
        "encoders": {name: plugins.describe(encoder.config) for name, encoder in encoders.items()},
        "pairs": {name: len(pairs) for name, pairs in sets.items()},
        "missing": missing,
        "protocol": {"background": config.background, "resamples": config.resamples, "seed": config.seed},
    }
    written = record.begin("probe", NAME, settings, seed=config.seed, threads=torch.get_num_threads())
    for path in config.runs:
        weights = checkpoint.find_run(path) / checkpoint.WEIGHTS
        source = record.Source(run=record.relative(weights.parent), sha256=record.sha256(weights))
        written.inputs[source.run] = source
    with record.opened(written, folder):
        found = gather(encoders, sets, config, progress)
        found.results |= corrected(found.p)
        found.results |= verdicts(found.results, encoders, sets)
        found.results |= {f"side_accuracy/{name}": measure for name, measure in scored.items() if name in encoders}
        written.results = found.results
        table = pd.concat(found.rows, ignore_index=True)
        record.write_atomic(folder / PAIRS, table.to_csv(index=False, float_format="%.4g").encode())
        record.attach(written, folder, folder / PAIRS)
    return written


def _sets(name: str) -> Iterator[tuple[str, tuple[Pair, ...]]]:
    if name == "all":
        yield from ((one, minimal_pairs.load(one)) for one in minimal_pairs.names())
    elif Path(name).suffix:
        yield Path(name).stem, minimal_pairs.read(Path(name))
    else:
        yield name, minimal_pairs.load(name)


def find_encoders(wanted: Sequence[str], runs: Sequence[str] = ()) -> tuple[dict[str, TextEncoder], dict[str, str]]:
    """The encoders by name, and of the default ones those that are not at hand, with the command that gets them.

    Raises:
        FileNotFoundError: weights of an encoder that was named are not there.
        ValueError: no such encoder, or none at hand.
    """
    found: dict[str, TextEncoder] = {}
    missing: dict[str, str] = {}
    for word in () if runs and tuple(wanted) == DEFAULT else wanted:
        name, _, weights = word.partition("=")
        kind: Any = plugins.load(TextEncoder, "casim.text", name)
        config = replace(kind.Config(), weights=weights) if weights else kind.Config()
        try:
            encoder = kind(config)
            encoder.encode(["a person walks"])
        except (FileNotFoundError, ImportError, OSError) as error:
            if tuple(wanted) != DEFAULT:
                raise
            missing[name] = str(error).splitlines()[0]  # which says how to get it
            continue
        found[word.replace("/", "_")] = encoder
    for run in runs:
        from casim.text_to_motion import TextToMotion

        model = TextToMotion.load(run)
        found.setdefault(plugins.plugin_name(model.setup.text), model.encoder)
    if not found:
        raise ValueError(f"no encoder is at hand: {'; '.join(missing.values())}")
    return found, missing


def gather(
    encoders: Mapping[str, TextEncoder],
    sets: Mapping[str, Sequence[Pair]],
    config: Config,
    progress: Progress | None = None,
) -> Found:
    """Every number of every encoder on every set."""
    found, about = Found(), background.captions(config.background, config.seed)
    texts = sum(len({text for pair in pairs for text in pair.texts}) for pairs in sets.values())
    task = progress.add_task("encoding", total=len(encoders) * (len(about) + texts)) if progress else None

    def advance(count: int) -> None:
        if progress is not None and task is not None:
            progress.advance(task, count)

    for name, encoder in encoders.items():
        known = background_of(encoder, about, advance)
        for label, pairs in sets.items():
            states = states_of(encoder, pairs, advance)
            places = [p for p in states.at if p.layer == OUTPUT or not config.quick]
            for place in places:
                fixes = corrections(known[place])
                where = f"{name}/{label}/{place.readout}{'' if place.layer == OUTPUT else f'@{place.layer}'}"
                _similar(found, where, states, place, pairs, fixes, config)
                _probed(found, where, states, place, pairs, config)
    return found


def _similar(
    found: Found,
    where: str,
    states: States,
    place: Place,
    pairs: Sequence[Pair],
    fixes: Mapping[str, Any],
    config: Config,
) -> None:
    """Cosines with opposite, synonym and random word, and how much closer the opposite lies."""
    roles, how = states.at[place], Resampling(config.resamples, seed=config.seed)
    rows: dict[str, Any] = {"where": where, "first": [p.first for p in pairs], "second": [p.second for p in pairs]}
    for name, fix in fixes.items():
        anchor = fix(roles["first"])
        near = {other: cosine(anchor, fix(roles[role])) for other, role in OTHERS.items()}
        rows |= {f"{other}, {name}": values for other, values in near.items()}
        for other, values in near.items():
            words = f"cosine ({name}) of the anchor with the {other}, {_readout(place)}"
            _enter(found, f"{where}/{other}/{name}", by_template(values, pairs), words, how, "cosine", None)
        gap = by_template(near["synonym"] - near["opposite"], pairs)
        words = f"cosine ({name}) with the synonym less with the opposite, {_readout(place)}"
        _enter(found, f"{where}/closer/{name}", gap, words, how, "cosine", True)
        if place.layer == OUTPUT and not np.isnan(gap).all():
            found.p[f"{where}/closer_p/{name}"] = sign_flip_p(gap, config.seed)
    if place.layer == OUTPUT:
        found.rows.append(pd.DataFrame(rows))


def _probed(found: Found, where: str, states: States, place: Place, pairs: Sequence[Pair], config: Config) -> None:
    """Accuracies of a linear probe, of its control task and its null, and with a planted direction."""
    task = task_of(pairs)
    if task.templates < 2:
        return
    roles, how = states.at[place], Resampling(config.resamples, seed=config.seed)
    vectors = np.stack([roles["first"], roles["second"]], 1).reshape(-1, roles["first"].shape[1])
    told, sure = probe(vectors, task, config.seed), planted(vectors, task, config.seed)
    words = f"of a linear probe on held-out templates, {_readout(place)}"
    accuracies = {
        "probe": (told.accuracy, f"accuracy {words}", True),
        "control": (told.control, f"accuracy on control tasks {words}", None),
        "selectivity": (told.accuracy - told.control, f"accuracy less that on control tasks {words}", True),
        "planted": (sure, f"accuracy once a direction with 1% of the variance says the answer {words}", None),
    }
    for name, (values, said, better) in accuracies.items():
        _enter(found, f"{where}/{name}", values, said, how, "share", better)
    low, high = np.percentile(told.flipped, [2.5, 97.5])
    chance = Estimate(float(told.flipped.mean()), (float(low), float(high)), len(told.flipped))
    found.results[f"{where}/chance"] = chance.measure(
        f"accuracy after answers of pairs were exchanged at random {words}", higher_is_better=None
    )


def task_of(pairs: Sequence[Pair]) -> Task:
    """The question of a set of pairs: which of its two classes a caption has."""
    classes = sorted({name for pair in pairs for name in pair.classes})
    patterns = [pair.template or pair.first for pair in pairs]
    contexts = [pair.context for pair in pairs]
    answer = np.array([[1 if told == classes[1] else -1 for told in pair.classes] for pair in pairs]).ravel()
    numbers = [np.unique(values, return_inverse=True)[1].repeat(2) for values in (patterns, contexts)]
    return Task(answer, numbers[0], numbers[1])


def by_template(values: Float[np.ndarray, " pairs"], pairs: Sequence[Pair]) -> Float[np.ndarray, " templates"]:
    """Means over the pairs of each template: pairs of one template are no independent draws."""
    patterns = [pair.template or pair.first for pair in pairs]
    return np.array([values[[other == one for other in patterns]].mean() for one in dict.fromkeys(patterns)])


def _readout(place: Place) -> str:
    what = "state of the words that differ" if place.readout == "token" else "pooled vector"
    return f"{what}, {place.layer}"


def _enter(
    found: Found,
    key: str,
    values: Float[np.ndarray, " templates"],
    words: str,
    how: Resampling,
    unit: str,
    better: bool | None,
) -> None:
    estimate = mean_interval(values[None], how, is_share=unit == "share")
    if estimate is not None:
        protocol = f"{words}; mean over templates, 95% bootstrap interval over them"
        found.results[key] = estimate.measure(protocol, higher_is_better=better, unit=unit)


def _folder(config: Config) -> Path:
    return config.out or Path("runs") / NAME


if __name__ == "__main__":
    cli.main_exit(main)
