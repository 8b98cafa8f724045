"""python -m evaluators.run RUN [RUN ...]: scores runs by every metric that applies to them, as one record.

Runs of one recipe are an arm, its training seeds are crossed with the captions. Beside the arms stand the real
clips, other real clips, and floors (real clips judged by wrong captions, and by captions in swapped order), and the
differences of the arms.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from rich.progress import Progress

from casim import cli, devices, plugins, record
from casim.features import FeatureSpec
from evaluators.arms import find_runs, settled, warn_unfinished
from evaluators.protocol import PRESETS, Protocol

Preset = Literal["quick", "standard", "mdm", "paper"]


@dataclass(frozen=True)
class Changes:
    """Changes to the preset; what is left out stays as in the preset."""

    splits: tuple[str, ...] | None = None
    """Dataset splits; choose settings on "validation", never on the others."""
    samples: int | None = None
    """Captions per split."""
    repeats: int | None = None
    """Motions per caption."""
    guidance: float | None = None
    """Guidance scale of all runs."""
    sampler: Literal["ddpm", "ddim"] | None = None
    """Sampler of all runs."""
    steps: int | None = None
    """Sampling steps of all runs."""
    length_source: Literal["true", "own"] | None = None
    """own: autoregressive models end by themselves."""
    counterfactuals: bool = False
    """Also score mirror consistency and paraphrase stability; makes four more motions of each caption."""
    seed: int | None = None
    """Seed of noise and choice of captions."""

    def apply(self, protocol: Protocol) -> Protocol:
        """The protocol with these changes, named as changed if there are any."""
        changed = {name: value for name, value in vars(self).items() if value is not None and value is not False}
        return replace(protocol, name=f"{protocol.name}, changed", **changed) if changed else protocol


def main(
    runs: tuple[str, ...] = (),
    /,
    *,
    protocol: Preset = "standard",
    embedder: Annotated[tuple[str, ...], cli.APPEND] = (),
    out: Path | None = None,
    items: bool = True,
    changes: Annotated[Changes, cli.FLAT] = Changes(),
    device: str = "cpu",
) -> None:
    """Scores runs of one dataset.

    Args:
        runs: folders or names of runs; none: the pair that comes with the package.
        protocol: quick (60 captions per split), standard (all captions, one motion each), mdm (1,000 captions, 20
            motions each) or paper (all captions, 20 motions each).
        embedder: folder or name of a network that python -m evaluators.train wrote, for scores of whole sets; may
            be given several times. Default: the ones that come with the package, where they can read the data.
        out: folder of the record; default runs/evaluate_PROTOCOL.
        items: also write the value of every clip and the variances by source, as tables beside the record.
        changes: changes to the protocol.
        device: where motions are generated: auto (the accelerator if there is one), cpu, cuda, ...
    """
    from evaluators.evaluation import (
        evaluate,  # take seconds to import, which --help and mistakes need not wait for
    )
    from evaluators.judges import find_judges
    from evaluators.tables import show

    place = str(devices.named(device))
    found = find_runs(runs)
    chosen = settled(changes.apply(PRESETS[protocol]), found)
    judges = find_judges(embedder, found[0].dataset, plugins.restore(FeatureSpec, found[0].config["spec"]))
    warn_unfinished(run.folder for run in found)
    folder = out or Path("runs") / f"evaluate_{protocol}"
    with Progress(transient=True) as progress:
        written = evaluate(found, judges, chosen, folder, device=place, progress=progress, with_items=items)
    show(written, chosen)
    roots = (Path("runs").resolve(), Path("results").resolve())
    is_found = any(folder.resolve().is_relative_to(root) for root in roots)
    print(f"as a page: python -m reports.build{'' if is_found else f' {folder}'}")
    print(f"record: {folder / record.FILE}")


if __name__ == "__main__":
    cli.main_exit(main)
