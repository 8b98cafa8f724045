"""Does the size of the motion representation cap the gain: the curve of the capacity probe."""

from collections.abc import Mapping, Sequence
from typing import Any

from casim.record import Measure
from reports import words
from reports.charts import Dot, DotChart, DotSeries
from reports.figures import REAL
from reports.gates import gates, word_of
from reports.pages import Absence, Block, Cell, Column, Effect, Figure, Prose, Section, Table, Verdict, Word
from reports.stored import Stored, of_kind

LEAD = (
    "One denoiser with both injections on representations of different size: a fixed number of latents of a motion "
    "VAE, or one vector for every four frames. If few latents cap the gain, it grows with their number."
)
COMMAND = "python -m analysis.capacity_probe"
QUESTION = "Does a small motion representation cap the gain?"
ARMS = ("casim", "fixed")
METRIC, GROUP = "exact_prompt", "pair"
TASKS = {"side": "Side", "part": "Body half", "order": "Order", "actions": "Both actions"}
KNOWN: Mapping[str, Word] = {"supported": "supported", "not supported": "not supported"}
CLAIMS = {
    "supported": "The gain of every token over one pooled vector grows with the number of latents.",
    "not supported": "The gain of every token over one pooled vector does not grow with the number of latents.",
    "undetermined": "Whether the gain grows with the number of latents is not decided.",
}


def section(records: Sequence[Stored]) -> Section | None:
    """The verdict, the curve, and what the latents hold."""
    found = of_kind(records, "probe", "capacity_probe")
    if not found:
        absence = Absence("The capacity probe", "there is no finished record of it", COMMAND)
        return Section("capacity", "Does capacity cap it?", LEAD, (absence,), rank=28)
    item = max(found, key=lambda stored: (len(stored.record.results), stored.id))
    results, config = item.record.results, item.record.config
    if lacking := item.lacks("protocol", "representations", "beside"):
        absence = Absence("The capacity probe", f"{item.id}, of another version, lacks its {lacking}", COMMAND)
        return Section("capacity", "Does capacity cap it?", LEAD, (absence,), rank=28)
    split = config["protocol"]["splits"][0]
    blocks: list[Block] = [_verdict(results, split)] if word_of(results) else []
    blocks += [_levels(results, config, split), _gains(results, config, split), _held(results, config, split)]
    if missing := config.get("missing"):
        names = words.listed(list(missing))
        blocks.append(Absence(names, "not trained", "python -m analysis.capacity_probe --grid medium"))
    blocks.append(Prose(f"{item.id}: {config['protocol']['text']}."))
    return Section("capacity", "Does capacity cap it?", LEAD, tuple(blocks), rank=28)


def _place(split: str) -> str:
    return f"{METRIC}/{split}/{GROUP}"


def _verdict(results: Mapping[str, Measure], split: str) -> Verdict:
    word = word_of(results) or "undetermined"
    effects = []
    labels = {"slope": "change of the gain per doubling of the latents"}
    labels |= {f"gain {pair}": f"gain on {pair.replace(' - ', ' less gain on ')}" for pair in _ends(results)}
    for key, label in labels.items():
        if measure := results.get(f"{key}/{_place(split)}"):
            effects.append(Effect(f"{label}, exact, {words.SPLITS[split]}", measure.value, measure.interval))
    return Verdict(
        id="verdict-capacity",
        question=QUESTION,
        word=KNOWN.get(word, "undetermined"),
        claim=CLAIMS.get(word, CLAIMS["undetermined"]),
        effects=tuple(effects),
        gates=gates(results),
        change="A larger denoiser or longer training that lifts the sequences; latents that a codec fills better.",
        scope="The built-in benchmark, small denoisers of equal size, latents of equal scale, one training of "
        "every codec.",
    )


def _ends(results: Mapping[str, Measure]) -> list[str]:
    """The largest number of latents against the smallest."""
    pairs = {key.partition("/")[0].removeprefix("gain ") for key in results if key.startswith("gain vae")}
    sized = [(int(a[3:]) - int(b[3:]), pair) for pair in pairs for a, _, b in [pair.partition(" - ")]]
    return [max(sized)[1]] if sized else []


def _names(config: Mapping[str, Any]) -> list[str]:
    return [*config["representations"], *config["beside"]]


def label(name: str) -> str:
    """A representation in words."""
    if name.startswith("vae"):
        count = name.removeprefix("vae")
        return f"VAE, {count} latent{'s' if count != '1' else ''}"
    return {"vq": "VQ-VAE, one in four frames", "frames": "frames"}.get(name, f"{name} (beside the curve)")


def _dot(results: Mapping[str, Measure], who: str, place: str) -> Dot | None:
    measure = results.get(f"{who}/{place}")
    if measure is None:
        return None
    seeds = sorted(key for key in results if key.startswith(f"{who}@seed") and key.endswith(f"/{place}"))
    return Dot(measure.value, measure.interval, tuple(results[key].value for key in seeds))


def _levels(results: Mapping[str, Measure], config: Mapping[str, Any], split: str) -> Figure:
    names, place = _names(config), _place(split)
    whose = {"casim": "every token", "fixed": "one pooled vector", "codec": "real clips through the codec"}
    series = tuple(
        DotSeries(title, tuple(_dot(results, f"{name} {who}", place) for name in names), style)
        for style, (who, title) in zip((0, 1, REAL), whose.items(), strict=True)
    )
    return DotChart(
        id="capacity-levels",
        title="What each representation reaches",
        rows=tuple(map(label, names)),
        series=series,
        x_label=f"share of exact pairs, {words.SPLITS[split]}",
        limits=(-0.02, 1.02),
        caption="Thick lines are 95 % intervals, ticks single trainings. What the codec loses no denoiser brings "
        "back.",
    ).figure()


def _gains(results: Mapping[str, Measure], config: Mapping[str, Any], split: str) -> Figure:
    names = _names(config)
    groups = {GROUP: "two actions", "triple": "three actions", "short": "short clips", "long": "long clips"}
    series = tuple(
        DotSeries(title, tuple(_dot(results, f"{name} gain", f"{METRIC}/{split}/{group}") for name in names), style)
        for style, (group, title) in enumerate(groups.items())
    )
    return DotChart(
        id="capacity-gains",
        title="Gain of every token over one pooled vector",
        rows=tuple(map(label, names)),
        series=tuple(s for s in series if any(s.dots)),
        x_label=f"difference in share of exact prompts, {words.SPLITS[split]}",
        reference=0.0,
        caption="Captions paired, trainings crossed.",
    ).figure()


def _held(results: Mapping[str, Measure], config: Mapping[str, Any], split: str) -> Table:
    rows = []
    for name in config["representations"]:
        plain = [results.get(f"{name} budget/{key}") for key in ("numbers", "bits", "parameters")]
        error = results.get(f"{name} codec/joint_error/{split}/all")
        cells: list[str | Cell] = [words.quantity(m.value) if m else "–" for m in (*plain, error)]
        for task in TASKS:
            seen, null = (results.get(f"{name} {part}latent/{task}/unseen") for part in ("", "untrained "))
            told = f"untrained {words.number(null.value)}" if null else ""
            cells.append(Cell(words.number(seen.value), told) if seen else "–")
        rows.append((label(name), *cells))
    heads = (
        Column("Representation"),
        Column("Numbers", "mean per clip", is_number=True),
        Column("Bits", "mean per clip", is_number=True),
        Column("Trained numbers", "of the denoiser", is_number=True),
        Column("Joint error", "mm, lower is better", is_number=True),
        *(Column(title, "accuracy on new pairs", is_number=True) for title in TASKS.values()),
    )
    note = (
        "Accuracies of a linear layer on the latents; those of side, half and order are balanced, .5 is chance. "
        "Random layers keep much of a clip: what training kept is what stands above the untrained codec."
    )
    return Table("capacity-held", "What the latents hold", heads, tuple(rows), note)
