"""The first question and its answer: does token-level injection help on this benchmark?

The evaluation that can say most (both arms, most training seeds, most captions) is put before the gates of
`reports.verdicts`; every other evaluation of the pair is listed beside it with its own answer.
"""

from collections.abc import Sequence

from reports import words
from reports.charts import Dot, DotChart, DotSeries
from reports.pages import Absence, Block, Cell, Column, Section, Table
from reports.scores import OVERVIEW, POOLED, TOKEN, Evaluation, evaluations
from reports.stored import Stored
from reports.verdicts import does_it_help

LEAD = (
    "One backbone, one trainer, one protocol; the arms differ only in how the caption enters: every token, or one "
    "pooled vector. One rule decides for every record."
)


def section(records: Sequence[Stored]) -> Section | None:
    """Verdict, paired effects, and the other evaluations of the pair."""
    found = [evaluation for evaluation in evaluations(records) if evaluation.has_pair]
    if not found:
        return Section("verdict", "Does it help?", LEAD, (_absence(),), rank=0)
    blocks: list[Block] = [does_it_help(found[0])]
    chart = _effects(found[0])
    if chart is not None:
        blocks.append(chart.figure())
    if len(found) > 1:
        blocks.append(_others(found))
    return Section("verdict", "Does it help?", LEAD, tuple(blocks), rank=0)


def _absence() -> Absence:
    return Absence(
        "The verdict on the pair",
        "no finished evaluation holds both arms, casim and fixed",
        "python -m evaluators.run",
    )


def _effects(evaluation: Evaluation) -> DotChart | None:
    token, pooled = evaluation.arm(TOKEN), evaluation.arm(POOLED)
    if token is None or pooled is None:
        return None
    rows, dots = [], []
    for place in OVERVIEW:
        measure = evaluation.difference(token, pooled, place)
        if measure is not None:
            points = tuple(evaluation.differences_by_seed(token, pooled, place).values())
            rows.append(f"{place.label}")
            dots.append(Dot(measure.value, measure.interval, points))
    if not rows:
        return None
    return DotChart(
        "effects",
        "What every token adds over one pooled vector",
        tuple(rows),
        (DotSeries(f"{words.short(token)} − {words.short(pooled)}", tuple(dots)),),
        "difference in share of captions",
        reference=0.0,
        caption="Dot and bar: mean difference with its 95 % interval (captions × training seeds resampled). Ticks: "
        "the single training seeds, paired by number. Dashed: no difference.",
    )


def _others(found: Sequence[Evaluation]) -> Table:
    rows = []
    for number, evaluation in enumerate(found):
        verdict = does_it_help(evaluation)
        effect = verdict.effects[0] if verdict.effects else None
        difference = (
            Cell(words.signed(effect.value), words.span(effect.interval, is_signed=True))
            if effect
            else "not measured"
        )
        seeds = len(evaluation.seeds(evaluation.arm(TOKEN) or ""))
        captions = str(evaluation.weight[2])
        shown = Cell(evaluation.stored.id, "the verdict above" if number == 0 else "", "code")
        rows.append((shown, str(seeds), captions, difference, verdict.word))
    columns = (
        Column("Record"),
        Column("Training seeds", is_number=True),
        Column("Captions", "largest split", is_number=True),
        Column("Difference", "exact, held-out pairs", is_number=True),
        Column("Verdict"),
    )
    return Table("verdict-records", "The same question put to every evaluation found", columns, tuple(rows))
