"""Which text encoder keeps the distinctions that motion needs: similarity of minimal pairs, and linear probes."""

from collections.abc import Mapping, Sequence

from casim.record import Measure
from reports import words
from reports.charts import Dot, DotChart, DotSeries
from reports.pages import (
    Absence,
    Block,
    Cell,
    Column,
    Effect,
    Figure,
    Gate,
    Group,
    Prose,
    Section,
    Table,
    Verdict,
    Word,
)
from reports.stored import Stored, of_kind

LEAD = (
    "Captions that differ in one thing, compared by the encoder's vectors. A high cosine is made by what all "
    "vectors share and does not show that a distinction is lost; whether a linear layer can read it does."
)
COMMAND = "python -m analysis.encoder_probe --pairs all"
MAIN = "left_right"
CORRECTIONS = ("raw", "centred", "standardised", "top removed")
READOUTS = {"token": "the token itself", "pooled": "pooled vector"}


def section(records: Sequence[Stored]) -> Section | None:
    """A verdict for each encoder, and every set in one table."""
    found = of_kind(records, "probe", "encoder_probe")
    if not found:
        absence = Absence("The encoder probe", "there is no finished record of it", COMMAND)
        return Section("encoders", "Which encoder?", LEAD, (absence,), rank=30)
    item = max(found, key=lambda stored: (len(stored.record.results), stored.id))
    results = item.record.results
    encoders = list(dict.fromkeys(key.split("/")[1] for key in results if key.startswith("verdict/")))
    blocks: list[Block] = [
        verdict for encoder in encoders if encoder != "hashed" and (verdict := _verdict(results, encoder))
    ]
    blocks += [_triplets(results, encoder) for encoder in encoders if encoder != "hashed"]
    blocks.append(_table(results))
    missing = item.record.config.get("missing", {})
    if isinstance(missing, dict):
        blocks += [
            Absence(f"The encoder {name}", str(why).partition(";")[0], COMMAND) for name, why in missing.items()
        ]
    blocks.append(Group(f"How {item.id} measured this", (Prose(_protocol(results)),), is_folded=True))
    return Section("encoders", "Which encoder?", LEAD, tuple(blocks), rank=30)


def _verdict(results: Mapping[str, Measure], encoder: str) -> Verdict | None:
    start = f"verdict/{encoder}/{MAIN}/"
    key = next((key for key in results if key.startswith(start)), None)
    if key is None:
        return None
    known: dict[str, Word] = {"kept": "kept", "lost": "lost"}
    rule, _, told = results[key].protocol.partition("; measured: ")
    pooled, token = (results.get(f"{encoder}/{MAIN}/{readout}/probe") for readout in ("pooled", "token"))
    claim = f"A linear probe reads left or right off the token with {_accuracy(token)}"
    claim += f" and off the pooled vector with {_accuracy(pooled)}."
    effects = [
        Effect(f"raw cosine of left and right, {label}", m.value, m.interval)
        for readout, label in READOUTS.items()
        if (m := results.get(f"{encoder}/{MAIN}/{readout}/opposite/raw"))
    ]
    word = known.get(key.removeprefix(start), "undetermined")
    return Verdict(
        id=f"verdict-encoder-{encoder}",
        question=f"Does {encoder} keep left and right apart?",
        word=word,
        claim=claim,
        effects=tuple(effects),
        gates=(
            Gate(
                "Readable from the token",
                rule.removeprefix("rule: "),
                told,
                "passed" if word == "kept" else "failed",
            ),
        ),
        change="Other templates or words; a probe that is not linear; another layer.",
        scope="Captions made from templates, every one judged by a probe that saw none of its template.",
    )


def _accuracy(measure: Measure | None) -> str:
    if measure is None:
        return "an accuracy that was not measured"
    return f"{words.number(measure.value)}" + (f" ({words.span(measure.interval)})" if measure.interval else "")


def _triplets(results: Mapping[str, Measure], encoder: str) -> Figure:
    """Cosines of left or right with its opposite, a synonym and an unrelated word, before and after corrections."""
    rows = [(readout, kind) for readout in READOUTS for kind in CORRECTIONS]
    series = []
    for style, other in enumerate(("opposite", "synonym", "random")):
        found = [results.get(f"{encoder}/{MAIN}/{readout}/{other}/{kind}") for readout, kind in rows]
        dots = tuple(Dot(m.value, m.interval) if m else None for m in found)
        series.append(DotSeries({"random": "unrelated word"}.get(other, other), dots, style))
    return DotChart(
        id=f"encoders-{encoder}",
        title=f"{encoder}: left and right against a synonym and an unrelated word",
        rows=tuple(f"{READOUTS[readout]}, {kind}" for readout, kind in rows),
        series=tuple(series),
        x_label="cosine with the anchor",
        caption="An encoder that tells left from right puts the opposite farther off than the synonym. Raw cosines "
        "are made by what all vectors share.",
    ).figure()


def _table(results: Mapping[str, Measure]) -> Table:
    wheres = dict.fromkeys(
        key.rsplit("/", 2)[0] for key in results if key.endswith("/opposite/raw") and "@" not in key
    )
    rows = []
    for where in wheres:
        encoder, label, readout = where.split("/")
        keys = ("opposite/raw", "synonym/raw", "random/raw", "closer/standardised", "probe", "control")
        cells = [_cell(results.get(f"{where}/{key}")) for key in keys]
        rows.append((f"{encoder}, {label.replace('_', ' and ', 1)}, {readout}", *cells))
    heads = (
        Column("Encoder, set, vector"),
        Column("Opposite", "cosine", is_number=True),
        Column("Synonym", "cosine", is_number=True),
        Column("Unrelated", "cosine", is_number=True),
        Column("Synonym closer by", "standardised", is_number=True),
        Column("Probe", "accuracy", is_number=True),
        Column("Control task", "accuracy", is_number=True),
    )
    return Table("encoder-pairs", "Similarity and readability of minimal pairs", heads, tuple(rows))


def _cell(measure: Measure | None) -> str | Cell:
    if measure is None:
        return "–"
    return Cell(words.number(measure.value), words.span(measure.interval) if measure.interval else "")


def _protocol(results: Mapping[str, Measure]) -> str:
    ends = ("/token/opposite/raw", "/token/closer/standardised", "/token/probe", "/token/control", "/token/chance")
    found = [next((m.protocol for key, m in results.items() if key.endswith(end)), "") for end in ends]
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in found if text)
