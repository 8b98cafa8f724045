"""The verdict of the attention probe: simple rules on its numbers, each written out beside its outcome."""

from collections.abc import Mapping

from casim.record import Measure

SMALLEST_EFFECT = 0.05
"""A gain in AUC below this is no evidence of meaning, however certain it is."""
CHANCE_BAND = (0.45, 0.55)
"""Where the AUC of an untrained model must lie for the measurement to be trusted."""

SENTENCES = {
    "semantic": "Attention follows what the words mean: it beats what word position predicts on captions that "
    "name the actions in another order than they happen, and it tracks the true boundary better the more of the "
    "motion is visible.",
    "mixed": "Attention carries meaning beyond word position, but it was not shown to follow this motion: the "
    "boundary is not tracked better as noise falls, so that a plan made from the words alone would explain it.",
    "positional": "Attention follows the order of words and not what they say: on captions in reversed order it "
    "does not beat what word position predicts.",
    "undetermined": "The measurement does not decide: attention is near chance, a control failed, or clips are "
    "too few.",
}


def verdict(results: Mapping[str, Measure], arm: str) -> dict[str, Measure]:
    """Entries `gate/...` (1 passed, 0 failed; rule and numbers in words) and the one `verdict/WORD` that holds."""
    gates = {
        "semantic gain": _semantic_gain(results, arm),
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
        return "semantic" if gates["boundary tracking"][0] else "mixed"
    gain = results.get(f"{arm} - null position/auc/reversed")
    natural = results.get(f"{arm}/auc/natural")
    is_small = gain is not None and gain.interval is not None and gain.interval[1] < SMALLEST_EFFECT
    is_above = natural is not None and natural.interval is not None and natural.interval[0] > 0.5
    return "positional" if is_small and is_above else "undetermined"


def _semantic_gain(results: Mapping[str, Measure], arm: str) -> tuple[bool, str]:
    rule = (
        f"rule: on reversed captions the AUC less that of the position null is at least {SMALLEST_EFFECT} and its "
        "interval lies above 0"
    )
    gain = results.get(f"{arm} - null position/auc/reversed")
    if gain is None or gain.interval is None:
        return False, f"{rule}; measured: no reversed captions with a position null"
    return gain.value >= SMALLEST_EFFECT and gain.interval[0] > 0, f"{rule}; measured: {_number(gain)}"


def _boundary_tracking(results: Mapping[str, Measure], arm: str) -> tuple[bool, str]:
    rule = "rule: the boundary correlation rises from the highest to the lowest noise step, its interval above 0, "
    rule += "and at the lowest step its interval lies above 0"
    steps = sorted(int(key.rpartition("/t")[2]) for key in results if key.startswith(f"{arm}/boundary_rho/t"))
    rise = results.get(f"{arm}/boundary_rho/rise")
    if rise is None or rise.interval is None or len(steps) < 2:
        return False, f"{rule}; measured: fewer than three pair clips or two noise steps"
    low = results[f"{arm}/boundary_rho/t{steps[0]}"]
    is_above = low.interval is not None and low.interval[0] > 0
    words = f"{rule}; measured: rise {_number(rise)}, at step {steps[0]} {_number(low)}"
    return rise.interval[0] > 0 and is_above, words


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
