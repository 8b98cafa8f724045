"""The experiment of the causal tests: clips with a target, and what one model shows under every intervention."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from analysis.alignment import Layout
from analysis.attention_study import Study
from analysis.interventions import Head, Intervention, blocked, exchanged, partners, shuffled, text_modules, uniform
from analysis.statistics import Spans, clip_auc
from casim.text_to_motion import TextToMotion
from casim.types import Alignment, MotionBatch
from evaluators.embed.oracle import Oracle

SHARES = (0.25, 0.5, 0.75)
"""Of the heads, made blind together."""
RANDOM_DRAWS = 3
"""Of random heads, for each share."""
OUTCOMES = ("target", "other", "order")

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


class Experiment:
    """One model under every intervention."""

    def __init__(self, model: TextToMotion, oracle: Oracle, trial: Trial, tick: Callable[[], Any]) -> None:
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
            patch = getattr(model.setup.backbone, "patch", 1)
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
            starts = {
                a: min((s.start for s in self.spans[clip] if s.action == a), default=-1) for a in (first, second)
            }
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


def head_sets(study: Study, model: TextToMotion, trial: Trial) -> dict[str, list[frozenset[Head]]]:
    """The heads to make blind: best, worst and (three draws) random ones by word-to-frame AUC, in each share."""
    modules = text_modules(model.backbone)
    spans = Spans.of(trial.alignment, trial.clips.lengths.numpy())
    scores: dict[Head, float] = {}
    for head in range(max(modules.values())):
        by_layer = study.capture(model, trial.clips, head=head).by_layer
        for layer, name in enumerate(modules):
            scores[name, head] = float(np.nanmean(clip_auc(by_layer[:, layer], spans)))
    ranked = sorted(scores, key=lambda head: -scores[head])
    random = np.random.default_rng(trial.seed)
    found: dict[str, list[frozenset[Head]]] = {}
    for share in SHARES:
        count = max(1, round(share * len(ranked)))
        draws = [random.permutation(len(ranked))[:count] for _ in range(RANDOM_DRAWS)]
        found[f"heads best {share:.0%}"] = [frozenset(ranked[:count])]
        found[f"heads worst {share:.0%}"] = [frozenset(ranked[-count:])]
        found[f"heads random {share:.0%}"] = [frozenset(ranked[i] for i in draw) for draw in draws]
    return found
