"""Does attention follow the words in time? Word-to-frame attention against exact intervals, beside its nulls.

`python -m analysis.attention_probe [RUN ...]` measures the token-level runs of one recipe (their training
seeds) on clips whose word intervals are known exactly; `--run RUN --prompt TEXT` instead draws the map of any
prompt on any run. What is captured, and how: `analysis.attention_capture`. Every statistic:
`analysis.statistics`.

A run with fixed-length conditioning has one memory token: its attention is the constant 1, so that there is no
map to measure. Such runs are refused with that reason; the comparison of the two injections is behaviour
(`evaluators.run`).

Record (`kind="probe"`, `name="attention_probe"`). `RUN` is the name of a run's folder, `ARM` the recipe without
its dataset prefix (`casim` for `choreography_casim`), whose values are means over its runs with a two-way
bootstrap interval (clips x training seeds). Every `Measure.protocol` says in words what was averaged. Keys of
`results`:

- `{RUN|ARM}/auc`, `.../auc/natural`, `.../auc/reversed`, `.../auc/pair`, `.../auc/triple`: word-to-frame AUC of
  the map averaged over noise steps, layers and heads; all pair and triple clips, or those of one group.
- `ARM/auc/t{step}`, `ARM/auc/layer{k}`: the same from one noise step, from one layer.
- `ARM/auc/{action|side|speed|count} words`: the same of one kind of content word.
- `ARM/auc/swap_p`: one-sided p of the mean AUC against random swaps of prompts.
- `null untrained/auc[/GROUP]`, likewise `null position`, `null template`, `null time reversal`, `null prompt
  swap`: what the same statistic gives with the null's map; GROUP: natural, reversed, pair, triple.
- `ARM - null position/auc[/GROUP]`, likewise `null template`, `null prompt swap` and `null untrained`: paired
  differences.
- `{RUN|ARM}/boundary_rho/t{step}`: Spearman correlation over pair clips of where attention switches from the
  words of the first action to those of the second, and where the motion does; `null
  untrained/boundary_rho/t{step}` beside it.
- `ARM/boundary_rho/rise`: that at the lowest noise step less that at the highest, with interval.
- `ARM/boundary_error/t{step}`: mean distance of the two, as a share of the clip; `null
  constant/boundary_error`: the same when the median boundary is always answered.
- `ARM/share`, `null uniform/share`: share of attention to content words that goes to words of the action under
  way.
- `ARM/sink`: attention on special tokens; `ARM/text_mass`: attention of motion on text (1 for cross-attention).
- `design/...`, `weighting/...`, `mixed/...` and `head/...`, `persistence/...`, `cause/...`, `calibration/...`: of
  the parts, explained in `analysis.attention_{designs,weightings,inference,persistence,causes,calibration}`.
- `gate/semantic gain`, `gate/beyond the template`, `gate/boundary tracking`, `gate/untrained is null`: 1 passed, 0
  failed; `protocol` holds the rule and what was measured. `verdict/WORD` with WORD one of semantic, positional,
  mixed, undetermined: the one that holds; `protocol` is the sentence to print.

`config`: `{"protocol": {"text", "split", "steps", "samples", "seed", ...}, "runs": {RUN: its config}, "arm": ARM,
"notes": [...]}`.

`arrays.npz` (about 10 examples, `i` from 0; `steps` are the captured noise steps, high to low):

- `examples` int: their number; `steps` int [steps]; `fps` float.
- `example{i}/prompt`, `/id`, `/kind` str; `/is_reversed` bool; `/words` str [words].
- `example{i}/starts`, `/ends`, `/segments` int [words] (frames; segment -1: no single action); `/is_content`
  bool [words].
- `example{i}/map` float16 [words, frames]: mean over steps, layers, heads, from the real clip noised; a frame's
  column sums to 1 less `example{i}/sink` float16 [frames].
- `example{i}/map_steps` float16 [steps, words, frames]; `example{i}/position_map` float16 [words, frames]: the
  null's map.
- `tracks/run`, `tracks/arm` str [tracks], `tracks/seed` int [tracks]: the runs that generate the examples, the
  measured ones first, then those given with `--pooled`.
- `example{i}/real` float16 [frames, joints, 3], `example{i}/motions` float16 [tracks, frames, joints, 3]: metres;
  every run starts from the same noise.
- `example{i}/heads` uint8 [runs, layers, heads, words, frames]: attention of every measured run on its own motion,
  noised in the same way; times `example{i}/heads_unit` float32 it is a share.
- `clips/id` str [clips], `clips/kind` str, `clips/is_reversed` bool, `clips/auc`, `clips/auc_position`,
  `clips/auc_untrained` float32 [clips] (mean over runs; NaN where a clip has no word that the statistic can use).
- `boundary/true` float32 [pairs] share of the clip, `boundary/found` float32 [steps, pairs],
  `boundary/is_reversed` bool [pairs]: of the first run.

The record of a drawn map (`--prompt`; `kind="probe"`, `name="attention_map"`): results `sink`, `text_mass`;
artifacts `map.png`, `map.npz` (`map`, `map_steps`, `steps`, `words`, `prompt`, `sink`, `fps`, `generated`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from rich.progress import Progress

from analysis import attention_parts, event_signals
from analysis.attention_arrays import arrays, choose_examples
from analysis.attention_capture import Captured, Choice, batches, capture
from analysis.attention_clips import Examples
from analysis.attention_map import Drawing, draw
from analysis.attention_parts import PARTS, Ticker
from analysis.attention_results import Evidence, measures
from analysis.attention_runs import KINDS, arm_of, choose, find_pooled, find_runs
from analysis.attention_study import Study
from analysis.attention_tables import show
from analysis.attention_verdict import real_verdict, verdict
from analysis.statistics import Spans
from casim import checkpoint, cli, devices, plugins, record, terminal
from casim.data.choreography import ChoreographyClips
from casim.record import Measure
from casim.text_to_motion import TextToMotion
from casim.types import MotionBatch
from evaluators.arms import warn_unfinished
from evaluators.intervals import Resampling

NAME = "attention_probe"
NOTHING = Drawing()
ARRAYS = "arrays.npz"
NOTES = (
    "Attention is taken from the conditional pass alone, after the softmax, with every special token kept: words "
    "and the sink add up to one in every frame.",
    "A text layer in front of the motion model mixes words, so that attention to a token is attention to that word "
    "in its context.",
    "Runs with fixed-length conditioning have one memory token and so no map; the two injections are compared by "
    "behaviour.",
    "Attention shows where a model looks, which is correlation; what it does is tested by the entries `cause/...`.",
)


@dataclass(frozen=True)
class Config:
    """What to measure."""

    runs: Annotated[tuple[str, ...], cli.POSITIONAL] = ()
    """Folders or names of token-level runs of one recipe; none: the bundled ones."""
    pooled: tuple[str, ...] = ()
    """Fixed-length runs whose motions are shown beside those of `runs`; none: the bundled ones, if `runs` is
    empty."""
    split: str = "held_out"
    """Dataset split: held_out (pairs of actions never seen together) or test (seen pairs)."""
    samples: int = 300
    """Clips with two or three actions in sequence, drawn from the split; all if it has fewer."""
    steps: tuple[int, ...] = (900, 700, 400, 100, 10)
    """Noise steps of the training schedule: 0 is clean, the last (999) pure noise."""
    parts: tuple[str, ...] = PARTS
    """What is made beside the maps: designs (prompts that pull place and meaning apart), weightings (value norms,
    rollout), inference (mixed model, all heads), persistence, causes (interventions while sampling: minutes). Real
    clips have persistence alone."""
    causes: int = 80
    """Pair clips of the causal tests, from 4."""
    calibrate: int = 0
    """Simulations of every statistic's false-positive rate on maps without meaning, about 1 second each; 0:
    none."""
    examples: int = 10
    """Clips kept with their maps and motions for figures and players."""
    seed: int = 0
    """Seed of noise, of the untrained models and of the choice of clips."""
    resamples: int = 2000
    """Bootstrap replicates of every interval."""
    quick: bool = False
    """At most 80 clips and 500 replicates, 12 of them for the causal tests, which leave single heads out."""
    out: Path | None = None
    """Folder of the record; default runs/attention_probe."""
    device: str = "cpu"
    """Where the models run."""

    def settled(self) -> "Config":
        """The config with `quick` spelled out.

        Raises:
            ValueError: a number out of range.
        """
        leasts = (("samples", 2), ("examples", 0), ("resamples", 1), ("causes", 4), ("calibrate", 0))
        for name, least in leasts:
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if unknown := sorted(set(self.parts) - set(PARTS)):
            raise ValueError(plugins.closest("part", unknown[0], PARTS))
        if not self.quick:
            return self
        samples, resamples = min(self.samples, 80), min(self.resamples, 500)
        return replace(self, samples=samples, resamples=resamples, causes=min(self.causes, 12))


def main(
    config: Annotated[Config, cli.FLAT] = Config(),
    drawing: Annotated[Drawing, cli.FLAT] = NOTHING,
) -> None:
    """Measures whether attention follows the words in time, or draws the map of one prompt (--run, --prompt)."""
    console, config = terminal.console(), replace(config, device=str(devices.named(config.device)))
    if drawing.prompt is not None or drawing.run is not None:
        draw(drawing, config.seed, config.out, config.device, console)
        return
    with Progress(console=console, transient=True) as progress:
        written = run(config, progress)
    show(written, console)
    console.print(f"record: {_folder(config) / record.FILE}", highlight=False, soft_wrap=True)


def run(config: Config, progress: Progress | None = None) -> record.RunRecord:
    """Measures and writes the record; gives it.

    Raises:
        ValueError: unknown, unequal or unsuitable runs, an unknown split, or steps that the model does not have.
    """
    config, folder = config.settled(), _folder(config)
    runs = find_runs(config.runs)
    beside = find_pooled(config.pooled, config.runs)
    models, pooled = (
        {name: TextToMotion.load(path, config.device) for name, path in named.items()} for named in (runs, beside)
    )
    warn_unfinished((*runs.values(), *beside.values()))
    arm = arm_of(models, config.steps)
    if (folder / record.FILE).exists() and (name := record.load(folder).name) != NAME:
        raise ValueError(f"{folder} holds the record of {name}; give --out another folder")
    split = next(iter(models.values())).dataset().split(config.split)
    items, clips = choose(split, config.samples, config.seed)
    protocol = _protocol(config, clips)
    written = record.begin(
        "probe",
        NAME,
        {"protocol": protocol, "runs": {n: m.config for n, m in models.items()}, "arm": arm, "notes": NOTES},
        seed=config.seed,
        device=config.device,
        threads=torch.get_num_threads(),
    )
    for path in (*runs.values(), *beside.values()):
        weights = record.sha256(path / checkpoint.WEIGHTS)
        written.inputs[record.relative(path)] = record.Source(run=record.relative(path), sha256=weights)
    ticker = Ticker(progress)
    how = Resampling(resamples=config.resamples)
    study = Study(models, split, items, clips, Choice(config.steps), protocol["text"], how, config.seed, ticker)
    with record.opened(written, folder):
        evidence = gather(study, arm, progress)
        key = {"protocol": protocol, "weights": {name: source.sha256 for name, source in written.inputs.items()}}
        written.results = _results(study, evidence, config, folder, key, ticker)
        chosen = choose_examples(evidence.kinds, evidence.is_reversed, config.examples)
        made = Examples(models, pooled, split, items, clips, chosen)
        with cli.if_stopped(cli.GOES_ON):
            record.write_atomic(folder / ARRAYS, arrays(evidence, made, study.choice, config.seed))
        record.attach(written, folder, folder / ARRAYS)
    return written


def _results(
    study: Study, evidence: Evidence, config: Config, folder: Path, key: Mapping[str, Any], ticker: Ticker
) -> dict[str, Measure]:
    """Every entry, verdict last."""
    is_exact, arm = isinstance(study.split, ChoreographyClips), evidence.arm
    settings = {
        "clips": config.causes,
        "with_heads": not config.quick,
        "simulations": config.calibrate if is_exact else 0,
    }
    writes = any(model.is_autoregressive for model in study.models.values())
    left_out = {"causes"} if writes else set()  # interventions act on denoising steps
    chosen = [part for part in config.parts if part not in left_out and (is_exact or part == "persistence")]
    if is_exact:
        found = measures(evidence)
    else:
        ticker.start("events", event_signals.captures(study))
        found = event_signals.measures(study, arm)
    found |= attention_parts.measures(study, chosen, folder, key, ticker=ticker, **settings)
    return found | (verdict if is_exact else real_verdict)(found, arm)


def gather(study: Study, arm: str, progress: Progress | None = None) -> Evidence:
    """Maps of every run and of its untrained twin on the same noisy clips."""
    total = 2 * len(study.models) * batches(len(study.clips), study.choice)
    task = progress.add_task("attention", total=total) if progress else None

    def take(model: TextToMotion, words: str) -> Captured:
        def advance() -> None:
            if progress is not None and task is not None:
                progress.update(task, advance=1, description=words)

        return capture(model, study.clips, study.choice, study.seed, advance)

    runs, untrained = {}, {}
    for number, (name, model) in enumerate(study.models.items()):
        runs[name] = take(model, name)
        untrained[name] = take(model.untrained(study.seed + number), f"{name}, untrained")
    alignment = study.clips.alignment or ()
    return Evidence(
        arm=arm,
        runs=runs,
        untrained=untrained,
        spans=Spans.of(alignment, study.clips.lengths.numpy()),
        kinds=tuple(a.kind for a in alignment),
        is_reversed=np.array([a.is_reversed for a in alignment]),
        protocol=study.protocol,
        how=study.how,
        seed=study.seed,
    )


def _protocol(config: Config, clips: MotionBatch) -> dict[str, Any]:
    kinds = "pair and triple clips" if any(a.kind in KINDS for a in clips.alignment or ()) else "clips"
    text = (
        f"{len(clips)} {kinds} of split {config.split}, real motion noised by the forward process, "
        f"{Choice(config.steps).in_words()} unless one is named, conditional pass only, the same noise for every "
        f"model (seed {config.seed}); 95% intervals from {config.resamples} two-way bootstrap replicates over "
        "clips x training seeds"
    )
    settings = {
        name: value for name, value in asdict(config).items() if name not in ("runs", "pooled", "out", "device")
    }
    return {"text": text, **settings, "clips": len(clips)}


def _folder(config: Config) -> Path:
    return config.out or Path("runs") / NAME


if __name__ == "__main__":
    cli.main_exit(main)
