"""The results of an evaluation record, looked up by arm, metric, split and kind of caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from casim.record import Measure
from reports import words
from reports.stored import Stored, of_kind

TOKEN, POOLED = "casim", "fixed"
"""The two arms of the pair, as `words.short` names them; every other trained arm is a control."""
CONTROLS = ("fixed_strong", "fixed_long")
"""Controls that a verdict wants beside the pair."""


@dataclass(frozen=True)
class Place:
    """What is measured on which captions."""

    metric: str
    split: str
    group: str

    @property
    def label(self) -> str:
        """In words."""
        metric = words.METRICS.get(self.metric, words.spaced(self.metric))
        split = words.SPLITS.get(self.split, words.spaced(self.split))
        return f"{metric}, {split}, {words.GROUPS.get(self.group, words.spaced(self.group))}"


HEADLINE = Place("exact_prompt", "held_out", "pair")
REVERSED = Place("order_accuracy", "held_out", "pair_reversed")
OVERVIEW = (
    Place("exact_prompt", "test", "all"),
    Place("exact_prompt", "held_out", "all"),
    HEADLINE,
    Place("exact_prompt", "held_out", "pair_reversed"),
    Place("order_accuracy", "test", "pair_reversed"),
    REVERSED,
)
"""The scores that the figures show."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation record."""

    stored: Stored

    @cached_property
    def _table(self) -> dict[tuple[str, Place], Measure]:
        return {
            (arm, Place(*place)): measure
            for key, measure in self.stored.record.results.items()
            for arm, *place in [key.rsplit("/", 3)]
            if len(place) == 3
        }

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Everything measured, by metric, then split, in the order of `words.GROUPS`."""
        groups = list(words.GROUPS)
        rank = {metric: i for i, metric in enumerate(words.METRICS)}

        def key(p: Place) -> tuple[int, str, bool, int, str]:
            group = groups.index(p.group) if p.group in groups else len(groups)
            return rank.get(p.metric, len(rank)), p.metric, p.split != "test", group, p.group

        return tuple(sorted({place for _, place in self._table}, key=key))

    @cached_property
    def trained(self) -> tuple[str, ...]:
        """Arms that were trained: the token-level one, the pooled one, then controls."""
        arms = {arm.rpartition("@")[0] for arm, _ in self._table if "@seed" in arm and " - " not in arm}
        first = {TOKEN: 0, POOLED: 1}
        return tuple(sorted(arms, key=lambda arm: (first.get(words.short(arm), 2), arm)))

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The real row, then the floors."""
        others = {a for a, _ in self._table if "@seed" not in a and " - " not in a and a not in self.trained}
        return tuple(sorted(others, key=lambda arm: (arm != "real", arm)))

    def arm(self, name: str) -> str | None:
        """The full name of the arm whose short name is this, or else of the only one that ends in it: in records of
        other backbones `casim` stands for `choreography_t2m_gpt_casim`."""
        exact = [arm for arm in self.trained if words.short(arm) == name]
        ending = [arm for arm in self.trained if arm.endswith(f"_{name}")]
        return exact[0] if exact else ending[0] if len(ending) == 1 else None

    @property
    def controls(self) -> tuple[str, ...]:
        """Trained arms that are not of the pair."""
        return tuple(arm for arm in self.trained if words.short(arm) not in (TOKEN, POOLED))

    def get(self, arm: str, place: Place) -> Measure | None:
        """A score of an arm, or None where it was not measured."""
        return self._table.get((arm, place))

    def seeds(self, arm: str) -> tuple[int, ...]:
        """Training seeds of an arm."""
        found = {a.rpartition("@seed")[2] for a, _ in self._table if a.startswith(f"{arm}@seed")}
        return tuple(sorted(int(seed) for seed in found if seed.isdigit()))

    def per_seed(self, arm: str, place: Place) -> dict[int, float]:
        """The score of every training seed."""
        found = {seed: self.get(f"{arm}@seed{seed}", place) for seed in self.seeds(arm)}
        return {seed: measure.value for seed, measure in found.items() if measure is not None}

    def difference(self, a: str, b: str, place: Place) -> Measure | None:
        """a less b with its paired interval, whichever way round the record holds it."""
        if forward := self.get(f"{a} - {b}", place):
            return forward
        if not (backward := self.get(f"{b} - {a}", place)):
            return None
        interval = backward.interval and (-backward.interval[1], -backward.interval[0])
        return backward.model_copy(update={"value": -backward.value, "interval": interval})

    def differences_by_seed(self, a: str, b: str, place: Place) -> dict[int, float]:
        """a less b for the training seeds that both arms have."""
        left, right = self.per_seed(a, place), self.per_seed(b, place)
        return {seed: left[seed] - right[seed] for seed in left if seed in right}

    @property
    def has_pair(self) -> bool:
        """Whether both arms of the pair were scored."""
        return self.arm(TOKEN) is not None and self.arm(POOLED) is not None

    @property
    def weight(self) -> tuple[int, int, int]:
        """How much an evaluation can say: 1 for both arms, 2 with their difference on held-out pairs, 3 if they are
        the demo pair; fewest training seeds of the pair; captions."""
        token, pooled = self.arm(TOKEN), self.arm(POOLED)
        pair = 0
        if token is not None and pooled is not None:
            is_measured = self.difference(token, pooled, HEADLINE) is not None
            pair = 1 + is_measured + (is_measured and (words.short(token), words.short(pooled)) == (TOKEN, POOLED))
        seeds = [len(self.seeds(arm)) for arm in (token, pooled) if arm is not None]
        counts = [measure.n or 0 for (_, place), measure in self._table.items() if place.group == "all"]
        return pair, min(seeds, default=0), max(counts, default=0)


def evaluations(records: Sequence[Stored]) -> tuple[Evaluation, ...]:
    """All finished evaluations, the one that can say most first."""
    found = [Evaluation(item) for item in of_kind(records, "evaluate")]
    return tuple(sorted(found, key=lambda e: (*(-int(w) for w in e.weight), e.stored.id)))
