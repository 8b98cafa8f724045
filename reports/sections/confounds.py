"""Is it the tokens? The gain of CASIM's released configuration taken apart into the four things it changes."""

from collections.abc import Mapping, Sequence

from casim.record import Measure
from reports import words
from reports.charts import Dot, DotChart, DotSeries
from reports.pages import Absence, Block, Cell, Column, Group, Prose, Section, Table
from reports.stored import Stored, of_kind

TITLE = "Is it the tokens?"
LEAD = (
    "CASIM's released model differs from its baseline in four things at once; only the first is CASIM's idea. Here "
    "they are four switches of one model, and each number says what a switch does on average over the others."
)
PROBE = "confound_probe"
COMMAND = "python -m analysis.confound_probe --runs runs/confounds"
SUITE = "python -m casim.suite confounds"
METRIC = "exact_prompt"
FACTORS = {
    "tokens": "every token, not one vector",
    "window": "77 text tokens, not 22",
    "mask": "padded frames hidden, not shown",
    "norm": "LayerNorm closes the decoder",
}
GROUPS = {name: words.GROUPS[name] for name in ("all", "pair", "pair_reversed")} | {"cut": "cut by the window"}


def section(records: Sequence[Stored]) -> Section | None:
    """The ablation that says most: sentence, main effects, interactions, cells; others folded."""
    found = list(of_kind(records, "probe", PROBE))
    if not found:
        absence = Absence(
            "The four-factor ablation", "there is no finished record of its probe", f"{SUITE} && {COMMAND}"
        )
        return Section("confounds", TITLE, LEAD, (absence,), rank=15)
    found.sort(key=lambda r: (not _has_effects(r.record.results), -len(r.record.results), r.id))
    blocks = _probe(found[0], 0)
    for number, item in enumerate(found[1:], start=1):
        blocks.append(Group(f"Another ablation: {item.id}", tuple(_probe(item, number)), is_folded=True))
    return Section("confounds", TITLE, LEAD, tuple(blocks), rank=15)


def _has_effects(results: Mapping[str, Measure]) -> bool:
    return any(key.startswith("gain/") for key in results)


def _probe(item: Stored, number: int) -> list[Block]:
    results, name = item.record.results, f"confounds{number}"
    blocks: list[Block] = []
    if _has_effects(results):
        blocks.append(Prose(" ".join(_sentence(results, split) for split in _splits(results))))
        blocks += [_chart(results, name).figure(), _effects(results, name)]
    else:
        missing = item.record.config.get("missing", [])
        cells = words.listed([str(cell) for cell in missing]) if isinstance(missing, list) else "cells"
        blocks.append(Absence("Main effects", f"{item.id} lacks {cells}", SUITE))
    if told := _window(results):
        blocks.append(Prose(told))
    if _has_effects(results):
        blocks.append(Group("Interactions", (_interactions(results, name),), is_folded=True))
    blocks.append(Group("Every cell", (_cells(results, name),), is_folded=True))
    blocks.append(Group(f"How {item.id} measured this", (Prose(_protocol(item)),), is_folded=True))
    return blocks


def _places(results: Mapping[str, Measure]) -> list[tuple[str, str]]:
    """Splits and kinds of caption that were measured, in the order of the report."""
    found = {tuple(key.split("/")[2:]) for key in results if key.count("/") == 3}
    return [(split, group) for split in words.SPLITS for group in GROUPS if (split, group) in found]


def _splits(results: Mapping[str, Measure]) -> list[str]:
    return list(dict.fromkeys(split for split, _ in _places(results)))


def _sentence(results: Mapping[str, Measure], split: str) -> str:
    gain, effect, share = (
        results.get(f"{what}/{METRIC}/{split}/all") for what in ("gain", "effect tokens", "share tokens")
    )
    if gain is None or effect is None:
        return ""
    where = f"On {words.SPLITS[split]}, of the gain of {_told(gain)} from MDM's configuration to CASIM's"
    if share is None:
        return f"{where}, which is not clear of 0, {_told(effect)} belongs to tokens."
    part = _percent(share)
    return f"{where}, {_told(effect)} belongs to tokens: {part.text}" + (f" ({part.note})." if part.note else ".")


def _told(measure: Measure) -> str:
    return f"{words.signed(measure.value)} ({words.span(measure.interval, is_signed=True)})"


def _chart(results: Mapping[str, Measure], name: str) -> DotChart:
    rows = {f"effect {factor}": label for factor, label in FACTORS.items()} | {"gain": "all four at once"}
    series = []
    for style, split in enumerate(_splits(results)):
        found = [results.get(f"{key}/{METRIC}/{split}/all") for key in rows]
        dots = tuple(m and Dot(m.value, m.interval) for m in found)
        series.append(DotSeries(words.SPLITS[split], dots, style))
    return DotChart(
        f"{name}-effects",
        "What each of the four changes does",
        tuple(rows.values()),
        tuple(series),
        "effect on the share of captions that come out exactly",
        reference=0.0,
        caption="Dot and bar: main effect with its 95 % interval (captions × training seeds resampled). Dashed: no "
        "effect.",
    )


def _effects(results: Mapping[str, Measure], name: str) -> Table:
    places, splits = _places(results), _splits(results)
    rows = []
    for factor, label in FACTORS.items():
        shares = [_percent(results.get(f"share {factor}/{METRIC}/{split}/all")) for split in splits]
        rows.append((Cell(factor, label), *_row(results, f"effect {factor}", places, is_signed=True), *shares))
    whole = _row(results, "gain", places, is_signed=True)
    rows.append((Cell("all four", "CASIM's configuration less MDM's"), *whole, *("100 %" for _ in splits)))
    shares = [Column("Share of the gain", words.SPLITS[split], is_number=True) for split in splits]
    return Table(
        f"{name}-main",
        "Main effects on exact prompt: share of captions, higher is better",
        (Column("Factor"), *_columns(results, places), *shares),
        tuple(rows),
        "In the half fraction a main effect includes one interaction of the three other factors.",
    )


def _columns(results: Mapping[str, Measure], places: Sequence[tuple[str, str]]) -> list[Column]:
    made = []
    for split, group in places:
        counts = [m.n or 0 for key, m in results.items() if key.endswith(f"/{METRIC}/{split}/{group}")]
        label = f"{words.SPLITS[split]}, {GROUPS[group]}"
        made.append(Column(label, f"N = {max(counts, default=0)}", is_number=True))
    return made


def _row(
    results: Mapping[str, Measure], key: str, places: Sequence[tuple[str, str]], *, is_signed: bool = False
) -> list[Cell]:
    """The measures of one name at all places."""
    write, cells = words.signed if is_signed else words.number, []
    for split, group in places:
        measure = results.get(f"{key}/{METRIC}/{split}/{group}")
        note = words.span(measure.interval, is_signed=is_signed) if measure else "not measured"
        cells.append(Cell(write(measure.value, 3) if measure else "–", note))
    return cells


def _percent(share: Measure | None) -> Cell:
    if share is None:
        return Cell("–", "gain not clear of 0")
    ends = [words.number(100 * end, 0) for end in share.interval or ()]
    return Cell(f"{words.number(100 * share.value, 0)} %", f"{' to '.join(ends)} %" if ends else "")


def _interactions(results: Mapping[str, Measure], name: str) -> Table:
    places = _places(results)
    keys = dict.fromkeys(key.split("/")[0] for key in results if key.startswith("interaction "))
    rows = tuple(
        (
            key.removeprefix("interaction ").replace(":", " × "),
            *_row(results, key, places, is_signed=True),
        )
        for key in keys
    )
    return Table(
        f"{name}-interactions",
        "Two-factor interactions on exact prompt",
        (Column("Interaction"), *_columns(results, places)),
        rows,
        "Those joined by + cannot be told apart by the cells that were trained: the number is their sum.",
    )


def _cells(results: Mapping[str, Measure], name: str) -> Table:
    places = _places(results)
    trained = dict.fromkeys(key.split("/")[0] for key in results if "@seed" in key)
    rows = []
    for cell in dict.fromkeys(run.partition("@")[0] for run in trained):
        seeds = sum(run.startswith(f"{cell}@") for run in trained)
        rows.append((Cell(cell, f"{seeds} training{'s' if seeds != 1 else ''}"), *_row(results, cell, places)))
    columns = (Column("Cell"), *_columns(results, places))
    return Table(f"{name}-cells", "Exact prompt of every cell: share of captions", columns, tuple(rows))


def _window(results: Mapping[str, Measure]) -> str:
    """How much there is for the long window to win."""
    names = {"train": "training"} | words.SPLITS
    shares = {key.partition("/")[2]: m.value for key, m in results.items() if key.startswith("cut/")}
    told = [f"{100 * shares[split]:.1f} % ({label})" for split, label in names.items() if split in shares]
    if not told:
        return ""
    return (
        f"Of the captions the 22-token window cuts {words.listed(told)}: a longer window can win on these, and by "
        "what is learned from them. Where captions are longer its effect may be another."
    )


def _protocol(item: Stored) -> str:
    notes, protocol = item.record.config.get("notes"), item.record.config.get("protocol")
    told = [protocol.get("text", "")] if isinstance(protocol, dict) else []
    told += notes if isinstance(notes, list) else []
    return " ".join(f"{text[0].upper()}{text[1:].rstrip('.')}." for text in map(str, told) if text)
