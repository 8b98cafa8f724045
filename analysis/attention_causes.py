"""Causal tests of attention: what a motion loses when its attention to some words is changed while it is sampled.

Pair clips ("A, then B") of one length; the same noise for every intervention, so that each motion is compared with
its own unchanged twin. The oracle says which actions a motion shows. Each clip has a target, the action told first
or second in turn, and the other action. Weights alone prove nothing (Jain and Wallace 2019): if attention to words
carries their content, blocking the target's words costs the target and not the other, moving as much attention
between the other words does not, and rows taken from captions that tell in the same order cost nothing although
these tell of other actions.

Interventions: see `INTERVENTIONS`. Entries of the record, with `drop` = unchanged less changed, paired:

- `cause/unchanged/{target|other|order}`: share of motions that show it; order: both, in the order told of.
- `cause/NAME/{target|other|order}`: the drop under intervention NAME, two-way bootstrap over clips x seeds.
- `cause/NAME/specificity`: drop of the target less drop of the other; `.../p`: sign-flip permutation over clips,
  Benjamini-Hochberg over the interventions.
- `cause/NAME/moved`: how much attention was moved (total variation distance, mean over rows).
- `cause/words replaced/new`: how often the action that was written in place of the target is shown, less how
  often it is shown anyway.
- `cause/heads {best|worst|random} {share}/{target|other|order}`: the drop when that share of the heads, by their
  word-to-frame AUC, looks at all words alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from statsmodels.stats.multitest import multipletests

from analysis.alignment import Layout
from analysis.attention_capture import BATCH, Choice, capture
from analysis.interventions import Head, Intervention, blocked, exchanged, partners, shuffled, text_modules, uniform
from analysis.statistics import Spans, clip_auc
from casim.record import Measure
from casim.text_to_motion import TextToMotion
from casim.types import Alignment, MotionBatch
from evaluators.embed.oracle import Oracle
from evaluators.intervals import Resampling, mean_interval

INTERVENTIONS = {
    "words deleted": "the words about the target are left out of the caption",
    "words replaced": "the words about the target are replaced by those of another caption about another action",
    "keys blocked": "no attention to the words about the target",
    "others shuffled": "as much attention moved, between the other words",
    "uniform": "every word gets the same attention",
    "rows exchanged, same order": "attention of a caption with as many words that tells in the same order",
    "rows exchanged, other order": "attention of a caption with as many words that tells in the other order",
}
SHARES = (0.25, 0.5, 0.75)
"""Of the heads, made blind together."""
OUTCOMES = ("target", "other", "order")
FLIPS = 9_999

Outcome = Float[np.ndarray, "outcomes clips"]


@dataclass(frozen=True)
class Trial:
    """The clips, and what is asked of each."""

    clips: MotionBatch
    alignment: tuple[Alignment, ...]
    frames: int
    """Length of every motion."""
    target: np.ndarray
    """Segment (order of time) of the target: 0 or 1."""
    seed: int

    @staticmethod
    def of(clips: MotionBatch, seed: int, most: int) -> "Trial":
        """The first `most` pair clips of a batch; targets are told first and second in turn.

        Raises:
            ValueError: fewer than four pair clips.
        """
        rows = [i for i, a in enumerate(clips.alignment or ()) if a.kind == "pair"][:most]
        if len(rows) < 4:
            raise ValueError(f"causal tests need at least 4 clips of two actions, the choice has {len(rows)}")
        alignment = tuple((clips.alignment or ())[i] for i in rows)
        part = MotionBatch(
            clips.motion[rows], clips.mask[rows], tuple(clips.texts[i] for i in rows),
            tuple(clips.ids[i] for i in rows), alignment,
        )  # fmt: skip
        counts: dict[bool, int] = {}
        target = []
        for a in alignment:  # first and second in turn within natural and reversed captions
            number = counts.get(a.is_reversed, 0)
            counts[a.is_reversed] = number + 1
            target.append(number % 2)
        return Trial(part, alignment, int(np.median(part.lengths.numpy())), np.array(target), seed)

    def __len__(self) -> int:
        return len(self.alignment)

    def about(self, clip: int) -> list[int]:
        """Places of the words about the target."""
        return [span.word for span in self.alignment[clip].spans if span.segment == self.target[clip]]

    def donors(self) -> list[int]:
        """For each clip another whose first or second action is neither of its own two."""
        actions = [[a.action for a in alignment.actions] for alignment in self.alignment]
        found = []
        for clip, own in enumerate(actions):
            others = [(clip + k) % len(self) for k in range(1, len(self))]
            found.append(next((d for d in others if actions[d][self.target[d]] not in own), clip))
        return found

    def edited(self, *, is_replaced: bool) -> tuple[str, ...]:
        """The captions without the words about the target, or with those of the donor in their place."""
        donors, texts = self.donors(), []
        for clip, alignment in enumerate(self.alignment):
            about = self.about(clip)
            donor = donors[clip]
            new = [self.alignment[donor].words[i] for i in self.about(donor)] if is_replaced else []
            words = list(alignment.words)
            texts.append(" ".join(words[: about[0]] + new + words[about[-1] + 1 :]))
        return tuple(texts)


Sampler = Callable[[Sequence[str], Callable[[slice], Intervention | None]], list[set[str]]]


class Experiment:
    """One model under every intervention."""

    def __init__(self, model: TextToMotion, oracle: Oracle, trial: Trial, tick: Callable[[], None]) -> None:
        self.model, self.oracle, self.trial, self.tick = model, oracle, trial, tick
        text = model.encode(trial.clips.texts)
        owner = np.full(text.mask.shape, -1)
        for clip, words in enumerate(text.words):
            owner[clip, : len(words.token_word)] = words.token_word
        self.real = text.mask
        hits = [np.isin(row, trial.about(clip)) & (row >= 0) for clip, row in enumerate(owner)]
        self.about = torch.as_tensor(np.array(hits), device=self.real.device)
        self.moved: dict[str, float] = {}

    def run(self, heads: Mapping[str, Sequence[frozenset[Head]]]) -> dict[str, Outcome]:
        """Outcomes by name of the intervention, "unchanged" first; heads: sets whose outcomes are averaged."""
        trial, found = self.trial, {}
        found["unchanged"] = self._outcome(self.sample("unchanged"))
        found["words deleted"] = self._outcome(self.sample("words deleted", trial.edited(is_replaced=False)))
        replaced = self.sample("words replaced", trial.edited(is_replaced=True))
        found["words replaced"] = self._outcome(replaced)
        found["new"] = self._new(replaced)
        found["new anyway"] = self._new(self.unchanged)
        random = torch.Generator().manual_seed(trial.seed)
        changes = {
            "keys blocked": blocked(self.about),
            "others shuffled": shuffled(self.about, self.real, random),
            "uniform": uniform(self.real),
        }
        for name, change in changes.items():
            found[name] = self._outcome(self.sample(name, change=change))
        counts = self.real.sum(1).tolist()
        for name, is_same in (("same", True), ("other", False)):
            found[f"rows exchanged, {name} order"] = self._exchanged(f"{name} order", counts, is_same, random)
        for name, sets in heads.items():
            change = uniform(self.real)
            found[name] = np.mean([self._outcome(self.sample(name, change=change, heads=s)) for s in sets], 0)
        return found

    def _exchanged(self, name: str, counts: list[int], is_same: bool, random: torch.Generator) -> Outcome:
        """Outcomes with the rows of a partner; NaN for clips that have none."""
        flags = [a.is_reversed for a in self.trial.alignment]
        partner = partners(list(zip(counts, flags, strict=True)), random) if is_same else _crossed(counts, flags)
        name = f"rows exchanged, {name}"
        found = self._outcome(self.sample(name, change=exchanged(partner.to(self.real.device))))
        return np.where(partner.numpy() == np.arange(len(partner)), np.nan, found)

    def sample(
        self,
        name: str,
        texts: Sequence[str] = (),
        change: Callable[..., torch.Tensor] | None = None,
        heads: frozenset[Head] | None = None,
    ) -> list[set[str]]:
        """The actions that each motion shows."""
        model, trial = self.model, self.trial
        texts, lengths = texts or trial.clips.texts, [trial.frames] * len(trial)
        if change is None:
            motion = model.sample(texts, lengths, seed=trial.seed)
        else:
            canvas = model.canvas(trial.frames)
            patch = getattr(model.backbone, "config").patch
            intervention = Intervention(change, heads)
            with intervention.applied(model.backbone, len(trial), Layout(self.real.shape[1], canvas, patch)):
                motion = model.sample(texts, lengths, seed=trial.seed)
            self.moved[name] = float(np.mean(intervention.moved))
        self.tick()
        features = (motion * model.std + model.mean).cpu()
        mask = torch.ones(features.shape[:2], dtype=torch.bool)
        self.spans = self.oracle.recognise(features, mask)
        shown = [{span.action for span in spans} for spans in self.spans]
        if name == "unchanged":
            self.unchanged = shown
        return shown

    def _outcome(self, shown: list[set[str]]) -> Outcome:
        found = np.zeros((len(OUTCOMES), len(self.trial)))
        for clip, (alignment, actions) in enumerate(zip(self.trial.alignment, shown, strict=True)):
            first, second = (a.action for a in alignment.actions)
            target = self.trial.target[clip]
            found[:2, clip] = [alignment.actions[i].action in actions for i in (target, 1 - target)]
            starts = {a: min((s.start for s in self.spans[clip] if s.action == a), default=-1) for a in (first, second)}
            found[2, clip] = {first, second} <= actions and starts[first] < starts[second]
        return found

    def _new(self, shown: list[set[str]]) -> Outcome:
        donors = self.trial.donors()
        names = [self.trial.alignment[d].actions[self.trial.target[d]].action for d in donors]
        return np.array([[name in actions for name, actions in zip(names, shown, strict=True)]], float)


def _crossed(counts: Sequence[int], flags: Sequence[bool]) -> torch.Tensor:
    """For each item one with as many tokens that tells in the other order; itself where there is none."""
    found = torch.arange(len(counts))
    for clip, (count, flag) in enumerate(zip(counts, flags, strict=True)):
        others = [i for i, pair in enumerate(zip(counts, flags, strict=True)) if pair == (count, not flag)]
        if others:
            found[clip] = others[clip % len(others)]
    return found


def head_sets(model: TextToMotion, clips: MotionBatch, choice: Choice, seed: int) -> dict[str, list[frozenset[Head]]]:
    """The heads to make blind: best, worst and (three draws) random ones by word-to-frame AUC, in each share."""
    modules = text_modules(model.backbone)
    spans = Spans.of(clips.alignment or (), clips.lengths.numpy())
    scores: dict[Head, float] = {}
    for head in range(max(modules.values())):
        one = Choice(choice.steps, head=head)
        by_layer = capture(model, clips, one, seed).by_layer
        for layer, name in enumerate(modules):
            scores[name, head] = float(np.nanmean(clip_auc(by_layer[:, layer], spans)))
    ranked = sorted(scores, key=lambda head: -scores[head])
    random = np.random.default_rng(seed)
    found: dict[str, list[frozenset[Head]]] = {}
    for share in SHARES:
        count = max(1, round(share * len(ranked)))
        draws = [random.permutation(len(ranked))[:count] for _ in range(3)]
        found[f"heads best {share:.0%}"] = [frozenset(ranked[:count])]
        found[f"heads worst {share:.0%}"] = [frozenset(ranked[-count:])]
        found[f"heads random {share:.0%}"] = [frozenset(ranked[i] for i in draw) for draw in draws]
    return found


def measures(
    runs: Sequence[Mapping[str, Outcome]], moved: Sequence[Mapping[str, float]], protocol: str, how: Resampling
) -> dict[str, Measure]:
    """The entries `cause/...` from the outcomes of every training seed."""
    return dict(_measures({name: np.stack([run[name] for run in runs]) for name in runs[0]}, moved, protocol, how))


def _measures(
    found: Mapping[str, np.ndarray], moved: Sequence[Mapping[str, float]], protocol: str, how: Resampling
) -> Iterator[tuple[str, Measure]]:
    base = found["unchanged"]  # seeds outcomes clips

    def entry(key: str, values: np.ndarray, words: str, better: bool | None = None) -> Iterator[tuple[str, Measure]]:
        if (estimate := mean_interval(values, how)) is not None:
            yield key, estimate.measure(f"{words}; {protocol}", higher_is_better=better)

    for i, outcome in enumerate(OUTCOMES):
        yield from entry(f"cause/unchanged/{outcome}", base[:, i], f"share that shows it: {outcome}", True)
    specific, p = {}, {}
    for name in (n for n in found if n in INTERVENTIONS or n.startswith("heads ")):
        drop = base - found[name]
        words = INTERVENTIONS.get(name, "these heads look at all words alike")
        for i, outcome in enumerate(OUTCOMES):
            yield from entry(f"cause/{name}/{outcome}", drop[:, i], f"drop of {outcome}: {words}")
        if name in INTERVENTIONS:
            specific[name] = drop[:, 0] - drop[:, 1]
            p[name] = sign_flip_p(np.nanmean(specific[name], 0), how.seed)
    adjusted = dict(zip(p, multipletests(list(p.values()), method="fdr_bh")[1], strict=True))
    for name, values in specific.items():
        yield from entry(f"cause/{name}/specificity", values, f"drop of target less drop of other: {INTERVENTIONS[name]}")
        words = f"two-sided sign flips over clips, at least 1/{FLIPS + 1}; Benjamini-Hochberg over {len(p)} tests"
        yield f"cause/{name}/p", Measure(value=float(adjusted[name]), n=values.shape[1], unit="p", protocol=words)
    yield from entry(
        "cause/words replaced/new", (found["new"] - found["new anyway"])[:, 0],
        "how often the action written in place of the target is shown, less how often it is anyway", True,
    )  # fmt: skip
    for name in moved[0]:
        value = float(np.mean([run[name] for run in moved]))
        words = "attention moved: total variation distance, mean over rows, steps and heads acted on"
        yield f"cause/{name}/moved", Measure(value=value, unit="share", protocol=words)


def sign_flip_p(values: Float[np.ndarray, " clips"], seed: int) -> float:
    """Two-sided p of a mean of paired differences, NaN left out; at least 1 / (FLIPS + 1)."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 1.0
    signs = np.random.default_rng(seed).integers(0, 2, (FLIPS, len(known)), dtype=np.int8) * 2 - 1
    null = np.abs(signs @ known)
    return float((1 + (null >= abs(known.sum()) - 1e-9).sum()) / (1 + FLIPS))


def causes(
    models: Sequence[TextToMotion], oracle: Oracle, trial: Trial, protocol: str, how: Resampling,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Measure]:  # fmt: skip
    """Every entry `cause/...` of the training seeds of one arm."""
    outcomes, moved = [], []
    for model in models:
        experiment = Experiment(model, oracle, trial, tick)
        heads = head_sets(model, trial.clips, Choice(), trial.seed)
        outcomes.append(experiment.run(heads))
        moved.append(experiment.moved)
    return measures(outcomes, moved, protocol, how)
