"""Numbers of the attention probe: the entries of its record, from captured maps.

What each key means is written in `analysis.attention_probe`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from analysis import statistics as s
from analysis.attention_capture import Captured
from casim.data._captions import COUNTS, SPEEDS
from casim.record import Measure
from evaluators.intervals import Estimate, Resampling, mean_interval

SWAPS = 99
"""Random swaps of prompts: the smallest p is 1 / 100."""
WORDS = {
    "side": {"left", "right"},
    "speed": {word for words in SPEEDS.values() for word in words},
    "count": {word for counts in COUNTS.values() for count in counts for word in count.split()},
}
"""Kinds of content words; every other one names an action."""
NULLS = ("untrained", "position", "template", "time reversal", "prompt swap")


@dataclass(frozen=True)
class Evidence:
    """Everything the numbers are made of: the maps of every run and of its untrained twin, on the same clips."""

    arm: str
    runs: Mapping[str, Captured]
    untrained: Mapping[str, Captured]
    spans: s.Spans
    kinds: tuple[str, ...]
    is_reversed: Bool[np.ndarray, " clips"]
    protocol: str
    """What holds for every number: split, clips, noise, layers and heads."""
    how: Resampling = field(default_factory=Resampling)
    seed: int = 0
    swaps: int = SWAPS
    """Random swaps of prompts."""

    @property
    def groups(self) -> dict[str, Bool[np.ndarray, " clips"]]:
        """Clips by name of group; "" is all of them. Groups without clips are left out."""
        kinds = np.array(self.kinds)
        found = {"": np.ones(len(kinds), bool), "natural": ~self.is_reversed, "reversed": self.is_reversed}
        found |= {kind: kinds == kind for kind in ("pair", "triple")}
        return {name: rows for name, rows in found.items() if rows.any()}

    @cached_property
    def auc(self) -> Float[np.ndarray, "runs clips"]:
        """AUC of every clip under every run."""
        return np.stack([s.clip_auc(run.maps, self.spans) for run in self.runs.values()])

    @cached_property
    def null_auc(self) -> dict[str, Float[np.ndarray, "runs clips"]]:
        """The same with the map of each null, by name of null; of the swapped prompts the mean over draws."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in NULLS}
        for name, run in self.runs.items():
            maps = run.maps
            found["untrained"].append(s.clip_auc(self.untrained[name].maps, self.spans))
            found["position"].append(s.clip_auc(s.position_maps(maps, self.spans), self.spans))
            found["template"].append(s.clip_auc(s.template_maps(maps, self.spans), self.spans))
            found["time reversal"].append(s.clip_auc(s.reverse_time(maps, self.spans), self.spans))
            found["prompt swap"].append(self.swapped[name].mean(0))
        return {name: np.stack(values) for name, values in found.items()}

    @cached_property
    def swapped(self) -> dict[str, Float[np.ndarray, "draws clips"]]:
        """AUC of every clip under every random swap of prompts, by run."""
        random = np.random.default_rng(self.seed)
        return {
            name: np.stack(
                [s.clip_auc(s.swap_prompts(run.maps, self.spans, random), self.spans) for _ in range(self.swaps)]
            )
            for name, run in self.runs.items()
        }

    @cached_property
    def is_pair(self) -> Bool[np.ndarray, " clips"]:
        """Clips with a boundary to track."""
        return ~np.isnan(self.spans.boundary)

    @cached_property
    def true_boundary(self) -> Float[np.ndarray, " pairs"]:
        """Share of the clip at which the second action takes over."""
        return self.spans.boundary[self.is_pair]

    def found_boundary(self, captured: Mapping[str, Captured]) -> Float[np.ndarray, "steps runs pairs"]:
        """Share of the clip at which attention switches, by noise step and run."""
        found = [
            [s.found_boundary(run.by_step[:, i], self.spans)[self.is_pair] for run in captured.values()]
            for i in range(len(self.steps))
        ]
        return np.array(found)

    @property
    def steps(self) -> tuple[int, ...]:
        """Noise steps captured."""
        return next(iter(self.runs.values())).steps


def measures(e: Evidence) -> dict[str, Measure]:
    """All entries but the gates and the verdict."""
    found = dict(_auc(e))
    found |= dict(_auc_parts(e))
    found |= dict(_auc_words(e))
    found |= dict(_boundary(e))
    found |= dict(_mass(e))
    return found


def _entry(e: Evidence, estimate: Estimate | None, words: str, better: bool | None = True, unit: str = ""):
    """The measure of an estimate with the protocol in words; None where there is nothing to estimate."""
    if estimate is None:
        return None
    return estimate.measure(f"{words}; {e.protocol}", higher_is_better=better, unit=unit)


def _known(pairs: Iterator[tuple[str, Measure | None]]) -> Iterator[tuple[str, Measure]]:
    return ((key, measure) for key, measure in pairs if measure is not None)


def _auc(e: Evidence) -> Iterator[tuple[str, Measure]]:
    return _known(pair for group, rows in e.groups.items() for pair in _auc_group(e, group, rows))


def _auc_group(e: Evidence, group: str, rows: np.ndarray) -> Iterator[tuple[str, Measure | None]]:
    tail = f"auc/{group}" if group else "auc"
    about = f"word-to-frame AUC, {group or 'all'} clips"
    auc = e.auc[:, rows]
    for name, one in zip(e.runs, auc, strict=True):
        yield f"{name}/{tail}", _entry(e, mean_interval(one[None], e.how), f"{about}, this training seed alone")
    yield f"{e.arm}/{tail}", _entry(e, mean_interval(auc, e.how), f"{about}, mean over training seeds")
    for null, values in e.null_auc.items():
        estimate = mean_interval(values[:, rows], e.how)
        yield f"null {null}/{tail}", _entry(e, estimate, f"{about}, {NULL_WORDS[null]}", None)
    for null in ("untrained", "position", "template", "prompt swap"):
        values = e.null_auc[null][:, rows]
        both = np.isnan(auc) | np.isnan(values)
        estimate = mean_interval(np.where(both, np.nan, auc - np.where(both, 0, values)), e.how)
        words = f"{about}: trained map less {null} null, paired by clip and training seed"
        yield f"{e.arm} - null {null}/{tail}", _entry(e, estimate, words)


NULL_WORDS = {
    "untrained": "null: the same model with fresh random weights",
    "position": "null: the map that word position alone predicts (mean over relative time of the maps of all other "
    "captions with equally many words; clips without such captions left out)",
    "template": "null: mean over relative time of the attention to the same clause in all other captions that name "
    "as many actions in the same order, whatever these are",
    "time reversal": "null: the trained map with its frames in reverse order (on two actions nearly 1 - AUC)",
    "prompt swap": f"null: the map of one random other caption with equally many words, mean of {SWAPS} draws",
}


def _auc_parts(e: Evidence) -> Iterator[tuple[str, Measure]]:
    """AUC by noise step and by layer, and the p of the prompt swap."""
    runs = list(e.runs.values())
    parts = {f"t{t}": [r.by_step[:, i] for r in runs] for i, t in enumerate(e.steps)}
    layers = runs[0].by_layer.shape[1]
    parts |= {f"layer{k}": [r.by_layer[:, k] for r in runs] for k in range(layers)}
    for name, maps in parts.items():
        auc = np.stack([s.clip_auc(m, e.spans) for m in maps])
        words = f"word-to-frame AUC, all clips, {name} alone, mean over training seeds"
        if (entry := _entry(e, mean_interval(auc, e.how), words)) is not None:
            yield f"{e.arm}/auc/{name}", entry
    draws = np.nanmean(np.stack(list(e.swapped.values())), axis=(0, 2))
    if not np.isnan(draws).any():
        has_partner = ~np.isnan(e.null_auc["prompt swap"])
        observed = float(np.nanmean(np.where(has_partner, e.auc, np.nan)))
        words = f"one-sided p of the mean AUC against {e.swaps} swaps of prompts of equal length; "
        words += f"at least 1/{e.swaps + 1}"
        measure = Measure(value=s.permutation_p(observed, draws), n=len(draws), unit="p", higher_is_better=False)
        yield f"{e.arm}/auc/swap_p", measure.model_copy(update={"protocol": f"{words}; {e.protocol}"})


def _auc_words(e: Evidence) -> Iterator[tuple[str, Measure]]:
    """AUC by kind of word."""
    for kind, rows in word_kinds(e.spans).items():
        auc = [s.mean_over_words(np.where(rows, s.word_auc(r.maps, e.spans), np.nan)) for r in e.runs.values()]
        words = f"word-to-frame AUC of {kind} words alone, all clips, mean over training seeds"
        if (entry := _entry(e, mean_interval(np.stack(auc), e.how), words)) is not None:
            yield f"{e.arm}/auc/{kind} words", entry


def word_kinds(spans: s.Spans) -> dict[str, Bool[np.ndarray, "clips words"]]:
    """Which content words name an action, its side, speed or count."""
    found = {kind: np.zeros(spans.starts.shape, bool) for kind in ("action", *WORDS)}
    for clip, text in enumerate(spans.texts):
        for place, word in enumerate(text):
            kind = next((name for name, words in WORDS.items() if word in words), "action")
            found[kind][clip, place] = spans.is_content[clip, place]
    return found


def rho_replicates(e: Evidence, found: Float[np.ndarray, "runs pairs"]) -> Float[np.ndarray, " resamples"]:
    """Replicates of the mean correlation of found with true boundaries."""
    return s.rank_correlation_replicates(e.true_boundary, found, e.how)


def _rho(e: Evidence, found: Float[np.ndarray, "runs pairs"]) -> Estimate:
    value = np.mean([s.rank_correlation(e.true_boundary, run) for run in found])
    return s.estimate(float(value), rho_replicates(e, found), found.shape[1], e.how)


def _boundary(e: Evidence) -> Iterator[tuple[str, Measure]]:
    if e.is_pair.sum() < 3:
        return
    found, null = e.found_boundary(e.runs), e.found_boundary(e.untrained)
    about = "Spearman correlation over pair clips of where attention switches between the words of the two actions"
    about += " (best step, least squares) and where the motion does"
    for i, step in enumerate(e.steps):
        for name, run in zip(e.runs, found[i], strict=True):
            yield f"{name}/boundary_rho/t{step}", _must(e, _rho(e, run[None]), f"{about}, noise step {step}")
        yield f"{e.arm}/boundary_rho/t{step}", _must(e, _rho(e, found[i]), f"{about}, mean over training seeds")
        words = f"{about}, null: the same model with fresh random weights"
        yield f"null untrained/boundary_rho/t{step}", _must(e, _rho(e, null[i]), words, None)
        error = np.abs(found[i] - e.true_boundary)
        words = f"mean distance of the attention's switch from the true boundary, noise step {step}"
        estimate = mean_interval(error, e.how)
        yield f"{e.arm}/boundary_error/t{step}", _must(e, estimate, words, False, "of the clip")
    constant = np.abs(e.true_boundary - np.median(e.true_boundary))[None]
    words = "the same distance for always answering the median boundary"
    yield "null constant/boundary_error", _must(e, mean_interval(constant, e.how), words, None, "of the clip")
    yield f"{e.arm}/boundary_rho/rise", _must(e, rise(e, found), f"{about}: lowest noise step less highest")


def rise(e: Evidence, found: Float[np.ndarray, "steps runs pairs"]) -> Estimate:
    """How much better the boundary is tracked at the lowest noise step than at the highest, paired."""
    low, high = (found[e.steps.index(pick(e.steps))] for pick in (min, max))
    value = _rho(e, low).value - _rho(e, high).value
    return s.estimate(value, rho_replicates(e, low) - rho_replicates(e, high), found.shape[2], e.how)


def _must(
    e: Evidence, estimate: Estimate | None, words: str, better: bool | None = True, unit: str = ""
) -> Measure:
    entry = _entry(e, estimate, words, better, unit)
    if entry is None:
        raise ValueError(f"nothing to estimate: {words}")
    return entry


def _mass(e: Evidence) -> Iterator[tuple[str, Measure]]:
    """Shares of attention: on the right words, on special tokens, on text."""
    runs = list(e.runs.values())
    real = np.arange(runs[0].sink.shape[1]) < e.spans.lengths[:, None]
    uniform = s.share(np.ones_like(runs[0].maps), e.spans)[None]
    sink = np.stack([(r.sink * real).sum(1) / e.spans.lengths for r in runs])
    entries = (
        (f"{e.arm}/share", np.stack([s.share(r.maps, e.spans) for r in runs]), SHARE, True),
        ("null uniform/share", uniform, f"{SHARE}, if all words got the same", None),
        (f"{e.arm}/sink", sink, "share of attention to text that is on special tokens", None),
        (f"{e.arm}/text_mass", np.stack([r.text_mass for r in runs]), "share of attention that is on text", None),
    )
    return _known((key, _entry(e, mean_interval(v, e.how), words, better)) for key, v, words, better in entries)


SHARE = "share of attention to content words that goes to words of the action under way"
