"""How often each statistic of the attention probe finds something where there is nothing.

Maps without meaning are made from the model's own: what captions with equally many words share (for the gain over
the template: what captions told alike share in each clause), plus noise with the spectrum over time of what is
left, in random phase. Such maps drift and hang together over time as the model's do, but have no tie to when a
clip's actions happen beyond where its words stand. Every statistic is taken on them as on the real maps; the share
of simulations in which it would be called a finding at the 5 % level is its false-positive rate. Why not simpler
nulls: shuffling frames or words calls almost every drifting map a finding (Harris 2020, bioRxiv 2020.11.29.402719).

Entries of the record: `calibration/STATISTIC`; above `LIMIT` a statistic must not be reported as evidence by
itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest

from analysis import attention_results, stimuli
from analysis import statistics as s
from analysis.alignment import resample, stretch
from analysis.attention_capture import Captured
from analysis.attention_designs import MARGIN, PAIRS, clause_centres, contrasts, equivalence
from analysis.attention_inference import fitted, swap_p, word_table
from analysis.attention_results import Evidence
from analysis.attention_study import Study
from analysis.attention_verdict import SMALLEST_EFFECT
from casim.data.choreography import ChoreographyClips
from casim.record import Measure
from evaluators.intervals import Estimate, Resampling, mean_interval

LIMIT = 0.07
FEWEST = 5
"""Clips with equally many words whose mean map is what position predicts; fewer: each word has its own level."""
CLIPS = 80
"""Clips of each simulation, at most; the mixed model has `MIXED`."""
MIXED = 30
HOW = Resampling(resamples=300)
SMALLEST_MOVE = 0.1
"""A movement of the centre of attention below a tenth of the distance of the actions is none that matters:
templates put the words of an action at slightly different places."""
SWAPS = 19
"""Swaps of prompts in each simulation: the smallest p is 1/20."""
WORDS = {
    "swap p": "p of the mean AUC against swapped prompts",
    "gain over prompt swap": "interval of the gain over swapped prompts above 0",
    "gain over prompt swap, reversed": "the same on reversed captions",
    "gain over position, reversed": "interval of the gain over the position null above 0, reversed captions",
    "gain over template, reversed": "interval of the gain over the template null above 0, reversed captions",
    "semantic gain": "the gate of the verdict",
    "boundary rho": "interval of the boundary correlation above 0",
    "boundary rise": "interval of the rise of the boundary correlation above 0",
    "head": "p of one map of one run against swapped prompts, before correction",
    "content": "interval of the difference between two sets of captions above 0",
    "equivalence": "equivalence claimed of a difference that is just at the margin",
    "square": f"interval of the movement with time above {SMALLEST_MOVE}",
    "mixed": "Wald test of the mixed model",
}


@dataclass(frozen=True)
class Surrogates:
    """Makes maps without meaning like those of one run."""

    base: Float[np.ndarray, "clips words points"]
    amplitude: Float[np.ndarray, "clips words frequencies"]
    lengths: np.ndarray
    frames: int

    @staticmethod
    def of(maps: s.Maps, spans: s.Spans, *, is_template: bool = False) -> "Surrogates":
        """From a run's maps. What clips of a group share is the mean over all of them, the clip itself included:
        left out, it would tie the other clips of its group to its truth."""
        relative = resample(maps, spans.lengths, s.GRID)
        if is_template:
            base = s.clause_means(relative, spans)
        else:
            group, count = np.unique(spans.words, return_inverse=True, return_counts=True)[1:]
            shared = np.stack([relative[group == k].mean(0) for k in range(len(count))])[group]
            is_few = (count < FEWEST)[group][:, None, None]  # the mean of a few clips would hold their truth
            base = np.where(is_few, relative.mean(-1, keepdims=True), shared)
        return Surrogates(base, np.abs(np.fft.rfft(relative - base)), spans.lengths, maps.shape[-1])

    def draw(self, random: np.random.Generator) -> s.Maps:
        """One set of maps."""
        phase = np.exp(2j * np.pi * random.random(self.amplitude.shape))
        phase[..., 0] = np.sign(random.random(phase.shape[:-1]) - 0.5)
        relative = self.base + np.fft.irfft(self.amplitude * phase, n=s.GRID)
        return stretch(np.maximum(relative, 1e-6), self.lengths, self.frames)


@dataclass(frozen=True)
class Null:
    """The surrogates of every run, on the clips and on the squares of two actions."""

    study: Study
    spans: s.Spans
    position: Sequence[Surrogates]
    template: Sequence[Surrogates]
    square_spans: s.Spans
    squares: Sequence[Surrogates]
    square_ids: Sequence[str]

    @staticmethod
    def of(study: Study, split: ChoreographyClips) -> "Null":
        """Captures what the surrogates are made like."""
        study = replace(study, clips=study.clips.rows(0, CLIPS))
        spans = s.Spans.of(study.clips.alignment or (), study.clips.lengths.numpy())
        square = stimuli.squares(split, PAIRS, study.seed).clips
        square_spans = s.Spans.of(square.alignment or (), square.lengths.numpy())
        position, template, squares = [], [], []
        for model in study.models.values():
            maps = study.capture(model, study.clips).maps
            position.append(Surrogates.of(maps, spans))
            template.append(Surrogates.of(maps, spans, is_template=True))
            maps = study.capture(model, square).maps
            squares.append(Surrogates.of(maps, square_spans))
        return Null(study, spans, position, template, square_spans, squares, square.ids)

    def evidence(self, sources: Sequence[Surrogates], random: np.random.Generator) -> Evidence:
        """Evidence as the probe gathers it, of maps without meaning at two noise steps."""

        def runs() -> dict[str, Captured]:
            return {
                name: _captured([source.draw(random) for _ in range(2)])
                for name, source in zip(self.study.models, sources, strict=True)
            }

        alignment = self.study.clips.alignment or ()
        flags, kinds = np.array([a.is_reversed for a in alignment]), tuple(a.kind for a in alignment)
        seed = int(random.integers(1 << 30))
        return Evidence("null", runs(), runs(), self.spans, kinds, flags, "simulated", HOW, seed, SWAPS)


def _captured(steps: Sequence[s.Maps]) -> Captured:
    by_step = np.stack(steps, 1)
    zero = np.zeros((len(by_step), by_step.shape[-1]))
    return Captured((900, 10), by_step, by_step.mean(1, keepdims=True), zero, zero[:, 0])


def measures(study: Study, simulations: int) -> dict[str, Measure]:
    """Every entry `calibration/...`; empty for data without exact intervals."""
    if not isinstance(study.split, ChoreographyClips):
        return {}
    null = Null.of(study, study.split)
    hits: dict[str, list[bool]] = {name: [] for name in WORDS}
    for number in range(simulations):
        random = np.random.default_rng((study.seed, number))
        for name, is_hit in simulate(null, random).items():
            hits[name].append(is_hit)
        study.tick()
    return {f"calibration/{name}": _rate(study, name, found) for name, found in hits.items()}


def captures(study: Study, simulations: int) -> int:
    """How often `measures` ticks."""
    return 2 * len(study.models) + simulations


def _rate(study: Study, name: str, hits: Sequence[bool]) -> Measure:
    test = binomtest(sum(hits), len(hits))
    interval = test.proportion_ci(method="wilson")
    words = (
        f"false-positive rate in {len(hits)} simulations at the 5% level: {WORDS[name]}; not evidence by itself "
    )
    return Measure(
        value=float(test.statistic),
        interval=(float(interval.low), float(interval.high)),
        n=len(hits),
        unit="share",
        higher_is_better=False,
        protocol=f"{words}above {LIMIT}; {study.protocol}",
    )


def simulate(null: Null, random: np.random.Generator) -> dict[str, bool]:
    """Which statistics call one set of maps without meaning a finding."""
    e = null.evidence(null.position, random)
    e_template = null.evidence(null.template, random)
    swapped = np.stack(list(e.swapped.values()))
    found = {"swap p": swap_p(e.auc, swapped) <= 0.05, "head": swap_p(e.auc[:1], swapped[:1]) <= 0.05}
    for group, tail in (("", ""), ("reversed", ", reversed")):
        found[f"gain over prompt swap{tail}"] = _is_above(_gain(e, "prompt swap", group))
    found["gain over position, reversed"] = _is_above(_gain(e, "position", "reversed"))
    found["gain over template, reversed"] = _is_above(_gain(e_template, "template", "reversed"))
    found["semantic gain"] = _gate(e)
    rho = [attention_results.rho_replicates(e, e.found_boundary(e.runs)[i]) for i in range(2)]
    found["boundary rho"] = _is_above(s.estimate(0.0, rho[1], 0, HOW))
    found["boundary rise"] = _is_above(s.estimate(0.0, rho[1] - rho[0], 0, HOW))
    return found | _designs(null, e, random)


def _designs(null: Null, e: Evidence, random: np.random.Generator) -> dict[str, bool]:
    other = np.stack([s.clip_auc(r.maps, e.spans) for r in null.evidence(null.position, random).runs.values()])
    at_margin = other - np.nanmean(other - e.auc) + MARGIN
    squares = np.stack([clause_centres(source.draw(random), null.square_spans) for source in null.squares])
    flags = [name.endswith("reversed") for name in null.square_ids]
    time = mean_interval(contrasts(squares, null.square_spans, flags)["time"], HOW)
    part = e.spans.first(MIXED)
    maps = [run.maps[:MIXED] for run in e.runs.values()]
    table = word_table(maps, part, e.is_reversed[:MIXED].tolist(), e.seed)
    return {
        "content": _is_above(mean_interval(e.auc - other, HOW)),
        "equivalence": equivalence(at_margin, e.auc).value <= 0.05,
        "square": _is_above(time, SMALLEST_MOVE),
        "mixed": float(fitted(table).loc["is_own", "p"]) <= 0.05,
    }


def _gain(e: Evidence, null: str, group: str) -> Estimate | None:
    rows = e.groups.get(group)
    return None if rows is None else mean_interval((e.auc - e.null_auc[null])[:, rows], HOW)


def _gate(e: Evidence) -> bool:
    swap, position = (_gain(e, name, "reversed") for name in ("prompt swap", "position"))
    auc = mean_interval(e.auc[:, e.is_reversed], HOW)
    if not (swap and position and auc and swap.interval and position.interval and auc.interval):
        return False
    lows = swap.interval[0], position.interval[0], auc.interval[0] - 0.5
    return swap.value >= SMALLEST_EFFECT and min(lows) > 0


def _is_above(one: Estimate | None, least: float = 0.0) -> bool:
    return one is not None and one.interval is not None and one.interval[0] > least
