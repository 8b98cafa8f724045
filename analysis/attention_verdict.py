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

SENTENCES = {
    "semantic": "Attention follows what the words mean: it beats the maps of other captions of equal length, what "
    "word position predicts, and other captions of the same template, where the text names the actions in another "
    "order than they happen, and it tracks the true boundary better at low than at high noise.",
    "mixed": "Attention follows the order in which the words say that the actions happen, whatever their place in "
    "the text. It was not shown to follow more than that: a map that every caption with the same connectives "
    "shares, or a plan made from the words alone, may explain it.",
    "positional": "Attention follows the order of words and not what they say: on captions in reversed order it "
    "does not beat the maps of other captions of equal length.",
    "undetermined": "The measurement does not decide: attention is near chance, a control failed, or clips are "
    "too few.",
}


def verdict(results: Mapping[str, Measure], arm: str) -> dict[str, Measure]:
    """Entries `gate/...` (1 passed, 0 failed; rule and numbers in words) and the one `verdict/WORD` that holds."""
    gates = {
        "semantic gain": _semantic_gain(results, arm),
        "beyond the template": _beyond_template(results, arm),
        "boundary tracking": _boundary_tracking(results, arm),
        "untrained is null": _untrained_is_null(results),
    }
    word = _word(gates, results, arm)
    failed = [name for name, (passed, _) in gates.items() if not passed]
    said = f"{SENTENCES[word]} Gates failed: {', '.join(failed) or 'none'}. " + (
        "This holds for these models, captions and seeds; attention shows where a model looks, not what causes its "
        "output."
    )
    entries = {f"gate/{name}": _flag(passed, words) for name, (passed, words) in gates.items()}
    return entries | {f"verdict/{word}": _flag(True, said)}


def _word(gates: Mapping[str, tuple[bool, str]], results: Mapping[str, Measure], arm: str) -> str:
    if not gates["untrained is null"][0]:
        return "undetermined"
    if gates["semantic gain"][0]:
        return "semantic" if gates["beyond the template"][0] and gates["boundary tracking"][0] else "mixed"
    gain, natural = results.get(f"{arm} - null prompt swap/auc/reversed"), results.get(f"{arm}/auc/natural")
    is_small = gain is not None and gain.interval is not None and gain.interval[1] < SMALLEST_EFFECT
    is_above = natural is not None and _low(natural) > 0.5
    return "positional" if is_small and is_above else "undetermined"


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
