"""The verdict of the attention probe: simple rules on its numbers, each written out beside its outcome.

Why the gain over swapped prompts decides and the gain over the position null alone does not: the position map is a
mean over prompts and so less noisy than the map of a clip. Where position misleads, it scores further below chance
than a noisy map that knows nothing but position, which looks like a gain. A swapped map is as noisy as the clip's
own. Simulated, 120 pair clips, 60 data sets each, maps without meaning: how often the gain on reversed captions is
at least .05 and its interval above 0.

| map | over the position null | over swapped prompts |
|---|---|---|
| autocorrelated noise | .38 | .00 |
| words drift in time, each its own way | .37 | .00 |
| words one after the other, with noise | 1.00 | .00 |

(Autocorrelated noise with a weak alignment added is found in .57 by the first and in all by the second.)
"""

from collections.abc import Mapping

from casim.record import Measure

SMALLEST_EFFECT = 0.05
"""A gain in AUC below this is no evidence of meaning, however certain it is."""
CHANCE_BAND = (0.45, 0.55)
"""Where the AUC of an untrained model must lie for the measurement to be trusted."""

LEAST_TIME, MOST_PLACE = 0.5, 0.1
"""How far, as a share of the distance of two actions, the centre of attention must move when they change places in
time, and may move when they change places in the text."""
LEAST_ICC = 0.5
"""Below this, clips differ less than what should not matter."""

SENTENCES = {
    "semantic": "Attention follows what the words mean: it beats the maps of other captions of equal length, what "
    "word position predicts, and other captions of the same template, where the text names the actions in another "
    "order than they happen, and it tracks the true boundary better at low than at high noise.",
    "mixed": "Attention follows the order in which the words say that the actions happen, whatever their place in "
    "the text, but at least one stricter test failed: a map that every caption with the same connectives "
    "shares, or a plan made from the words alone, may explain a part of it.",
    "positional": "Attention follows the order of words and not what they say: on captions in reversed order it "
    "does not beat the maps of other captions of equal length.",
    "undetermined": "The measurement does not decide: attention is near chance, a control failed, or clips are "
    "too few.",
}
PERSISTENCE = {
    "persists": "Each clip keeps where in time its words are attended to, over trainings and all other conditions.",
    "does not persist": "What a clip's attention looks like depends on what should not matter.",
    "undetermined": "Whether attention persists over trainings was not measured (it takes two or more) or the "
    "interval is too wide.",
}
SCOPE = (
    "This holds for these models, captions and seeds. What would change it: a gate whose interval crosses its "
    "bound, other data, or other backbones."
)


def verdict(results: Mapping[str, Measure], arm: str) -> dict[str, Measure]:
    """Entries `gate/...` (1 passed, 0 failed; rule and numbers in words), the one `verdict/WORD` that holds, and,
    where persistence was measured, `persistence/verdict/WORD`."""
    gates = {
        "semantic gain": _semantic_gain(results, arm),
        "beyond the template": _beyond_template(results, arm),
        "boundary tracking": _boundary_tracking(results, arm),
        "untrained is null": _untrained_is_null(results),
    } | _designed(results)
    entries = {f"gate/{name}": _flag(passed, words) for name, (passed, words) in gates.items()}
    word = _word(gates, results, arm)
    entries[f"verdict/{word}"] = _flag(True, f"{SENTENCES[word]} {_failed(gates)} {SCOPE}")
    return entries | persistence(results)


def real_verdict(results: Mapping[str, Measure], arm: str) -> dict[str, Measure]:
    """The gates and the verdict of clips without exact intervals: never more than `mixed`.

    Without captions that name actions in another order than they happen, a plan made from the order of words cannot
    be told from meaning.
    """
    gates = {"event gain": _event_gain(results, arm), "untrained is null": _no_untrained_events(results)}
    word = "mixed" if all(passed for passed, _ in gates.values()) else "undetermined"
    sentence = {
        "mixed": "Attention to a word rises when the movement that it names happens, more than in other captions "
        "of equal length. Whether by meaning or by the order of telling cannot be told on such clips.",
        "undetermined": "Attention to words was not shown to rise when the movement that they name happens.",
    }[word]
    entries = {f"gate/{name}": _flag(passed, words) for name, (passed, words) in gates.items()}
    entries[f"verdict/{word}"] = _flag(True, f"{sentence} {_failed(gates)} {SCOPE}")
    return entries | persistence(results)


Gates = Mapping[str, tuple[bool, str]]


def _failed(gates: Gates) -> str:
    failed = [name for name, (passed, _) in gates.items() if not passed]
    return f"Gates failed: {', '.join(failed) or 'none'}."


def _word(gates: Gates, results: Mapping[str, Measure], arm: str) -> str:
    if not gates["untrained is null"][0]:
        return "undetermined"
    if gates["semantic gain"][0]:
        return "semantic" if all(passed for passed, _ in gates.values()) else "mixed"
    gain, natural = results.get(f"{arm} - null prompt swap/auc/reversed"), results.get(f"{arm}/auc/natural")
    is_small = gain is not None and gain.interval is not None and gain.interval[1] < SMALLEST_EFFECT
    is_above = natural is not None and _low(natural) > 0.5
    return "positional" if is_small and is_above else "undetermined"


def _designed(results: Mapping[str, Measure]) -> dict[str, tuple[bool, str]]:
    """The gates of designed prompts and causal tests, of those that were measured."""
    found = {}
    time, place = results.get("design/square/time"), results.get("design/square/place")
    if time is not None and place is not None:
        rule = (
            f"rule: the centre of attention moves with time (interval above {LEAST_TIME} of the distance) and not "
        )
        rule += f"with place in the text (interval within +-{MOST_PLACE})"
        passed = _low(time) > LEAST_TIME and _is_within(place, MOST_PLACE)
        found["time, not place"] = passed, f"{rule}; measured: time {_number(time)}, place {_number(place)}"
    if (content := results.get("design/content")) is not None:
        rule = "rule: the AUC falls when the words about actions are made up, its interval above 0"
        found["content"] = _low(content) > 0, f"{rule}; measured: {_number(content)}"
    blocked, shuffled = (results.get(f"cause/{name}/specificity") for name in ("keys blocked", "others shuffled"))
    if blocked is not None and shuffled is not None:
        rule = (
            "rule: blocking attention to an action's words costs that action more than the other (interval above "
        )
        rule += "0), and as much attention moved between other words costs it less than half of that"
        passed = _low(blocked) > 0 and abs(shuffled.value) < blocked.value / 2
        found["cause"] = passed, f"{rule}; measured: {_number(blocked)}, other words {_number(shuffled)}"
    return found


def persistence(results: Mapping[str, Measure]) -> dict[str, Measure]:
    """The entry `persistence/verdict/WORD`; none where persistence was not measured."""
    found = {
        key.split("/")[1]: m
        for key, m in results.items()
        if key.startswith("persistence/") and key.endswith("/icc")
    }
    if not found:
        return {}
    lows = {name: _low(measure) for name, measure in found.items()}
    weak = [name for name, measure in found.items() if measure.interval and measure.interval[1] < LEAST_ICC]
    is_known = "training seed" in found and all(low > LEAST_ICC for low in lows.values())
    word = "does not persist" if weak else "persists" if is_known else "undetermined"
    rule = f"rule: the intraclass correlation over every condition has its interval above {LEAST_ICC}"
    numbers = ", ".join(f"{name} {_number(measure)}" for name, measure in found.items())
    said = f"{PERSISTENCE[word]} {rule}; measured: {numbers}. {SCOPE}"
    return {f"persistence/verdict/{word}": _flag(True, said)}


def _event_gain(results: Mapping[str, Measure], arm: str) -> tuple[bool, str]:
    rule = f"rule: the correlation with events exceeds that of swapped prompts by at least {SMALLEST_EFFECT}, its "
    rule += "interval above 0"
    gain = results.get(f"{arm} - null prompt swap/event_rho")
    if gain is None:
        return False, f"{rule}; measured: no captions of equal length"
    return gain.value >= SMALLEST_EFFECT and _low(gain) > 0, f"{rule}; measured: {_number(gain)}"


def _no_untrained_events(results: Mapping[str, Measure]) -> tuple[bool, str]:
    rule = f"rule: the correlation with events of untrained models is within +-{SMALLEST_EFFECT}"
    null = results.get("null untrained/event_rho")
    if null is None:
        return False, f"{rule}; measured: no word with a signal"
    return abs(null.value) <= SMALLEST_EFFECT, f"{rule}; measured: {_number(null)}"


def _is_within(measure: Measure, bound: float) -> bool:
    return measure.interval is not None and -bound < measure.interval[0] and measure.interval[1] < bound


def _semantic_gain(results: Mapping[str, Measure], arm: str) -> tuple[bool, str]:
    rule = (
        f"rule: on reversed captions the AUC exceeds that of swapped prompts by at least {SMALLEST_EFFECT}, and "
        "the intervals of this gain and of the gain over the position null lie above 0, that of the AUC above .5"
    )
    keys = (f"{arm} - null prompt swap", f"{arm} - null position", arm)
    swap, position, auc = (results.get(f"{key}/auc/reversed") for key in keys)
    if swap is None or position is None or auc is None:
        return False, f"{rule}; measured: no reversed captions with others of equal length"
    are_above = _low(swap) > 0 and _low(position) > 0 and _low(auc) > 0.5
    words = f"over swapped prompts {_number(swap)}, over position {_number(position)}, AUC {_number(auc)}"
    return swap.value >= SMALLEST_EFFECT and are_above, f"{rule}; measured: {words}"


def _beyond_template(results: Mapping[str, Measure], arm: str) -> tuple[bool, str]:
    """Captions with the same connectives tell their actions in the same order, so their maps are alike in time."""
    rule = "rule: on reversed captions the AUC exceeds that of other captions told alike, its interval above 0"
    gain = results.get(f"{arm} - null template/auc/reversed")
    if gain is None:
        return False, f"{rule}; measured: not measured, so that the template alone may explain the maps"
    return _low(gain) > 0, f"{rule}; measured: {_number(gain)}"


def _low(measure: Measure) -> float:
    """Lower end of the interval; without an interval nothing is certain."""
    return measure.interval[0] if measure.interval else float("-inf")


def _boundary_tracking(results: Mapping[str, Measure], arm: str) -> tuple[bool, str]:
    rule = "rule: the boundary correlation rises from the highest to the lowest noise step, its interval above 0, "
    rule += "and at the lowest step its interval lies above 0"
    steps = sorted(int(key.rpartition("/t")[2]) for key in results if key.startswith(f"{arm}/boundary_rho/t"))
    rise = results.get(f"{arm}/boundary_rho/rise")
    if rise is None or len(steps) < 2:
        return False, f"{rule}; measured: fewer than three pair clips or two noise steps"
    low = results[f"{arm}/boundary_rho/t{steps[0]}"]
    words = f"{rule}; measured: rise {_number(rise)}, at step {steps[0]} {_number(low)}"
    return _low(rise) > 0 and _low(low) > 0, words


def _untrained_is_null(results: Mapping[str, Measure]) -> tuple[bool, str]:
    rule = f"rule: the AUC of untrained models lies between {CHANCE_BAND[0]} and {CHANCE_BAND[1]}"
    null = results.get("null untrained/auc")
    if null is None:
        return False, f"{rule}; measured: no clip with an AUC"
    return CHANCE_BAND[0] <= null.value <= CHANCE_BAND[1], f"{rule}; measured: {_number(null)}"


def _number(measure: Measure) -> str:
    interval = "" if measure.interval is None else f" [{measure.interval[0]:.3f}, {measure.interval[1]:.3f}]"
    return f"{measure.value:.3f}{interval}"


def _flag(passed: bool, words: str) -> Measure:
    return Measure(value=float(passed), unit="gate", higher_is_better=True, protocol=words)
