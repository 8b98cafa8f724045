"""The rules that turn numbers into a verdict: gates and thresholds that are the same for every record."""

from casim.record import Measure
from reports import words
from reports.pages import Effect, Gate, Outcome, Verdict, Word
from reports.scores import CONTROLS, HEADLINE, POOLED, REVERSED, TOKEN, Evaluation

SMALLEST = 0.05
"""Smallest difference of interest, in share of captions."""
SEEDS = 3
"""Training seeds per arm below which nothing is said about training."""
READABLE = 0.9
"""Score of the real clips below which the recogniser itself is too weak."""


def does_it_help(evaluation: Evaluation) -> Verdict:
    """Whether token-level injection beats the pooled vector on this benchmark.

    Three gates ask whether the instrument can tell (seeds, real clips, floor); if one fails the answer is
    undetermined. The effect gates ask for the difference; the controls ask whether a better pooled arm closes it.
    """
    token, pooled = evaluation.arm(TOKEN), evaluation.arm(POOLED)
    if token is None or pooled is None:
        raise ValueError("an evaluation without both arms of the pair has no verdict")
    instrument = _instrument_gates(evaluation, token, pooled)
    effects = [
        _effect_gate(evaluation.difference(token, pooled, HEADLINE), "Held-out pairs come out exactly"),
        _effect_gate(evaluation.difference(token, pooled, REVERSED), "Order survives a reversed caption"),
        _sign_gate(evaluation, token, pooled),
    ]
    missing = [name for name in CONTROLS if evaluation.arm(name) is None]
    controls = [_control_gate(evaluation, token, control) for control in (*evaluation.controls, *missing)]
    headline = evaluation.difference(token, pooled, HEADLINE)
    word = _word(instrument, effects, controls, headline)
    return Verdict(
        id="verdict-help",
        question="Does token-level injection help on this benchmark?",
        word=word,
        claim=_claim(word, headline, instrument + effects, controls),
        effects=tuple(_effects(evaluation, token, pooled)),
        gates=(*instrument, *effects, *controls),
        change=_change(word),
        scope=_scope(evaluation, token, pooled),
    )


def _instrument_gates(evaluation: Evaluation, token: str, pooled: str) -> list[Gate]:
    seeds = [len(evaluation.seeds(arm)) for arm in (token, pooled)]
    real = evaluation.get("real", HEADLINE)
    floor = evaluation.get("floor: wrong caption", HEADLINE)
    best = evaluation.get(token, HEADLINE)
    above = None if floor is None or best is None else best.value - floor.value
    return [
        Gate(
            "Enough trainings",
            f"at least {SEEDS} training seeds in each arm",
            f"{seeds[0]} and {seeds[1]}",
            _outcome(min(seeds) >= SEEDS),
        ),
        Gate(
            "The recogniser reads real clips",
            f"real clips score at least {words.number(READABLE)}",
            words.number(real.value) if real else "no real row",
            _outcome(real and real.value >= READABLE),
        ),
        Gate(
            "The score asks for something",
            f"{words.short(token)} stands at least {words.number(SMALLEST)} above real clips with wrong captions",
            words.signed(above) if above is not None else "no floor",
            _outcome(above is not None and above >= SMALLEST if above is not None else None),
        ),
    ]


def _outcome(passed: object) -> Outcome:
    return "not run" if passed is None else "passed" if passed else "failed"


def _effect_gate(difference: Measure | None, name: str) -> Gate:
    rule = "the 95 % interval of the paired difference lies above 0"
    if difference is None or difference.interval is None:
        return Gate(name, rule, "not measured", "not run")
    observed = f"{words.signed(difference.value)} ({words.span(difference.interval, is_signed=True)})"
    return Gate(name, rule, observed, _outcome(difference.interval[0] > 0))


def _sign_gate(evaluation: Evaluation, token: str, pooled: str) -> Gate:
    seeds = list(evaluation.per_seed(token, HEADLINE).values())
    others = list(evaluation.per_seed(pooled, HEADLINE).values())
    rule = "the weakest training of the token arm beats the strongest of the pooled arm"
    if not seeds or not others:
        return Gate("Every training agrees", rule, "not measured", "not run")
    observed = f"{words.number(min(seeds))} against {words.number(max(others))}"
    return Gate("Every training agrees", rule, observed, _outcome(min(seeds) > max(others)))


def _control_gate(evaluation: Evaluation, token: str, control: str) -> Gate:
    """A control counts with as many trainings as the arms have to have; fewer are as good as none."""
    gate = _effect_gate(evaluation.difference(token, control, HEADLINE), "")
    seeds, own = len(evaluation.seeds(control)), evaluation.get(control, HEADLINE)
    told = gate.observed
    if own is not None:
        told += f"; it scores {words.number(own.value)} in {seeds} training{'s' if seeds != 1 else ''}"
    outcome = gate.outcome if gate.outcome == "failed" or seeds >= SEEDS else "not run"
    return Gate(f"Beats {words.arm_label(control)}", f"{gate.rule}; {SEEDS} trainings of it", told, outcome)


def _word(instrument: list[Gate], effects: list[Gate], controls: list[Gate], headline: Measure | None) -> Word:
    if any(gate.outcome != "passed" for gate in instrument) or headline is None or headline.interval is None:
        return "undetermined"
    if headline.interval[1] < SMALLEST:
        return "not supported"
    return "supported" if all(gate.outcome == "passed" for gate in [*effects, *controls]) else "undetermined"


def _claim(word: Word, headline: Measure | None, gates: list[Gate], controls: list[Gate]) -> str:
    if headline is None or headline.interval is None:
        return "The difference of the two arms on held-out pairs was not measured with an interval."
    by = f"{words.signed(headline.value)} ({words.span(headline.interval, is_signed=True)})"
    if word == "supported":
        return f"Token-level injection makes more never-seen pairs of actions come out exactly, by {by}."
    if word == "not supported":
        return (
            f"On never-seen pairs the difference is {by}: a gain of {words.number(SMALLEST)} or more is excluded."
        )
    failed = [gate.name.lower() for gate in gates if gate.outcome != "passed"]
    if failed:
        return (
            f"The difference on never-seen pairs is {by}; no conclusion, since not passed: {words.listed(failed)}."
        )
    untried = [gate.name.removeprefix("Beats ") for gate in controls if gate.outcome == "not run"]
    if untried:
        return (
            f"At equal budget the difference on never-seen pairs is {by}; whether another pooled arm closes it was "
            f"not tried enough: {words.listed(untried)}."
        )
    return f"The difference on never-seen pairs is {by}, but a pooled arm built or trained otherwise closes it."


def _change(word: Word) -> str:
    change = {
        "supported": "A pooled arm of equal size that reaches the same score; training seeds that disagree; or "
        "a recogniser that turns out to favour one arm.",
        "not supported": "More training seeds, longer captions or more actions per caption that open a gap.",
    }
    return change.get(
        word, "The gates that did not pass: more training seeds, all captions, or the missing controls."
    )


def _effects(evaluation: Evaluation, token: str, pooled: str) -> list[Effect]:
    labels = {HEADLINE: "exact, held-out pairs", REVERSED: "order, held-out pairs told in reverse"}
    found = []
    for place, label in labels.items():
        if measure := evaluation.difference(token, pooled, place):
            pair = [evaluation.get(arm, place) for arm in (token, pooled)]
            note = " against ".join(
                f"{words.short(arm)} {words.number(m.value)}"
                for arm, m in zip((token, pooled), pair, strict=True)
                if m
            )
            found.append(Effect(label, measure.value, measure.interval, note))
    return found


def _scope(evaluation: Evaluation, token: str, pooled: str) -> str:
    headline = evaluation.get(token, HEADLINE)
    n = f"{headline.n} held-out pair captions" if headline and headline.n else "its captions"
    seeds = min(len(evaluation.seeds(arm)) for arm in (token, pooled))
    trainings = f"{seeds} trainings per arm" if seeds != 1 else "one training per arm"
    return (
        f"The built-in procedural benchmark, {n}, {trainings}{_budget(evaluation, token)}, small models judged "
        "by a recogniser of actions. "
        "It says nothing yet about HumanML3D or about the numbers printed in the paper."
    )


def _budget(evaluation: Evaluation, arm: str) -> str:
    """Training steps and noise schedule of an arm, on which the size of the difference depends."""
    runs = evaluation.stored.record.config.get("runs", {}).values()
    own = next((run for run in runs if run.get("recipe") == arm and "training" in run), None)
    if own is None:
        return ""
    shift = own.get("backbone", {}).get("diffusion", {}).get("snr_shift", 1.0)
    noise = f" with the signal-to-noise ratio scaled by {shift:g}²" if shift != 1 else ""
    return f" of {own['training']['steps']:,} steps{noise}"


def is_attention_semantic(results: dict[str, Measure]) -> Verdict | None:
    """What the attention probe concluded, by its own gates; None if it wrote no conclusion."""
    word = next(
        (key.partition("/")[2] for key, m in results.items() if key.startswith("verdict/") and m.value), None
    )
    if word is None:
        return None
    known: dict[str, Word] = {"semantic": "semantic", "positional": "positional", "mixed": "mixed"}
    gates = [
        Gate(key.partition("/")[2].capitalize(), *_rule(measure.protocol), _outcome(measure.value))
        for key, measure in sorted(results.items())
        if key.startswith("gate/")
    ]
    claim, _, rest = results[f"verdict/{word}"].protocol.partition(". ")
    return Verdict(
        id="verdict-attention",
        question="Is the attention semantic?",
        word=known.get(word, "undetermined"),
        claim=claim.rstrip(".") + ".",
        effects=tuple(_attention_effects(results)),
        gates=tuple(gates),
        change="Position alone, or an untrained model, reaching the same alignment; a training that disagrees.",
        scope=_attention_scope(results, rest),
    )


def _attention_scope(results: dict[str, Measure], said: str) -> str:
    """Where the probe's conclusion holds; one training is said to be one."""
    runs = sum(key.endswith("/auc") and "_seed" in key for key in results)
    trained = "one training, so that nothing is known of others" if runs == 1 else f"{runs} trainings"
    holds = said[said.find("This holds") :] if "This holds" in said else ""
    return f"Clips of the built-in benchmark, whose word intervals are known exactly; {trained}. {holds}".strip()


def _rule(protocol: str) -> tuple[str, str]:
    """A gate's protocol as rule and observation, where it separates them."""
    rule, _, observed = protocol.partition("; measured: ")
    return rule.removeprefix("rule: "), observed


def _attention_effects(results: dict[str, Measure]) -> list[Effect]:
    """What the maps have beyond each null, on the captions where order in the text cannot stand for it."""
    group = "/auc/reversed"
    labels = {
        "null template": "AUC above other captions told in the same order",
        "null prompt swap": "AUC above other captions' maps",
        "null position": "AUC above word position alone",
    }
    found = []
    for null, label in labels.items():
        tail = f" - {null}{group}"
        for key in sorted(key for key in results if key.endswith(tail))[:1]:
            arm = key.removesuffix(tail)
            own, other = results.get(arm + group), results.get(null + group)
            note = f"{arm} {words.number(own.value)} against {words.number(other.value)}" if own and other else ""
            p = results.get(f"{arm}/auc/swap_p") if null == "null prompt swap" else None
            told = f"{note}; p {p.value:.2g} over all captions" if p else note
            found.append(Effect(f"{label}, told in reverse", results[key].value, results[key].interval, told))
    return found


PERSISTENCE = "persistence/verdict/"


def does_it_persist(results: dict[str, Measure]) -> Verdict | None:
    """What the attention probe concluded about other trainings, wordings and draws; None if it did not ask."""
    key = next((key for key in results if key.startswith(PERSISTENCE)), None)
    if key is None:
        return None
    known: dict[str, Word] = {"persists": "persists", "does not persist": "does not persist"}
    claim, _, rest = results[key].protocol.partition(". ")
    rule, _, told = rest.partition("; measured: ")
    conditions = [
        name.split("/")[1] for name in results if name.startswith("persistence/") and name.endswith("/icc")
    ]
    gates = [_persistence_gate(name, results[f"persistence/{name}/icc"], rule) for name in conditions]
    labels = {"training seed": "agreement over trainings (ICC)", "wording": "agreement over wordings (ICC)"}
    effects = [
        Effect(label, m.value, m.interval)
        for name, label in labels.items()
        if (m := results.get(f"persistence/{name}/icc"))
    ]
    return Verdict(
        id="verdict-persistence",
        question="Does the attention persist?",
        word=known.get(key.removeprefix(PERSISTENCE), "undetermined"),
        claim=f"{claim}.",
        effects=tuple(effects),
        gates=tuple(gates),
        change="A condition whose agreement falls below the bound; heads are not compared by their numbers.",
        scope=told[told.find("This holds") :].strip() if "This holds" in told else "",
    )


def _persistence_gate(name: str, measure: Measure, rule: str) -> Gate:
    low, high = measure.interval or (measure.value, measure.value)
    observed = f"{words.number(measure.value)} ({words.number(low)} to {words.number(high)})"
    bound = float(rule.rpartition(" ")[2]) if rule.rpartition(" ")[2].replace(".", "").isdigit() else 0.5
    return Gate(f"Over {name}", f"the interval of the ICC lies above {bound}", observed, _outcome(low > bound))
