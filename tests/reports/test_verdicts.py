"""The rules of the verdict: which numbers give which word."""

import pytest
import synthetic_records as synthetic

from casim import record
from casim.record import Measure
from reports.scores import HEADLINE, Evaluation, Place, evaluations
from reports.stored import stored
from reports.verdicts import does_it_help, is_attention_semantic
from reports.words import number, short, signed, span

PAIR = "exact_prompt/held_out/pair"


def evaluation(folder) -> Evaluation:
    return evaluations(stored([folder]))[0]


def outcomes(verdict) -> dict[str, str]:
    return {gate.name: gate.outcome for gate in verdict.gates}


def test_all_gates_passed_is_supported(tmp_path):
    verdict = does_it_help(evaluation(synthetic.evaluation(tmp_path)))
    assert verdict.word == "supported"
    assert set(outcomes(verdict).values()) == {"passed"}


def test_no_controls_is_said(tmp_path):
    verdict = does_it_help(evaluation(synthetic.evaluation(tmp_path, arms=("casim", "fixed"))))
    assert verdict.word == "undetermined"
    assert "At equal budget" in verdict.claim
    assert "control: pooled, first token everywhere and control: pooled, trained" in verdict.claim
    assert list(outcomes(verdict).values()).count("not run") == 2


def test_one_seed_decides_nothing(tmp_path):
    verdict = does_it_help(evaluation(synthetic.evaluation(tmp_path, seeds=1)))
    assert verdict.word == "undetermined"
    assert outcomes(verdict)["Enough trainings"] == "failed"
    assert "one training per arm" in verdict.scope


def test_no_gain_is_not_supported(tmp_path):
    verdict = does_it_help(evaluation(synthetic.evaluation(tmp_path, gain=-0.3)))
    assert verdict.word == "not supported"


def test_a_wide_interval_is_undetermined(tmp_path):
    verdict = does_it_help(evaluation(synthetic.evaluation(tmp_path, gain=0.1)))
    assert verdict.word == "undetermined"


@pytest.mark.parametrize("key", [f"real/{PAIR}", f"floor: wrong caption/{PAIR}"])
def test_a_blind_instrument_decides_nothing(tmp_path, key):
    folder = synthetic.evaluation(tmp_path)
    item = record.load(folder)
    item.results[key] = Measure(value=0.7)
    record.save(item, folder)
    assert does_it_help(evaluation(folder)).word == "undetermined"


def test_a_control_that_closes_the_gap_is_undetermined(tmp_path):
    folder = synthetic.evaluation(tmp_path)
    item = record.load(folder)
    key = f"choreography_casim - choreography_fixed_strong/{PAIR}"
    item.results[key] = Measure(value=0.01, interval=(-0.04, 0.06))
    record.save(item, folder)
    verdict = does_it_help(evaluation(folder))
    assert verdict.word == "undetermined"
    assert "pooled arm built or trained otherwise closes it" in verdict.claim


def test_a_difference_is_read_either_way_round(tmp_path):
    folder = synthetic.evaluation(tmp_path)
    forward = evaluation(folder).difference("choreography_casim", "choreography_fixed", HEADLINE)
    backward = evaluation(folder).difference("choreography_fixed", "choreography_casim", HEADLINE)
    assert backward.value == -forward.value
    assert backward.interval == (-forward.interval[1], -forward.interval[0])


def test_the_strongest_evaluation_comes_first(tmp_path):
    synthetic.evaluation(tmp_path, "a_quick", seeds=1)
    synthetic.evaluation(tmp_path, "b_full", seeds=3)
    synthetic.evaluation(tmp_path, "c_single", arms=("casim",), seeds=3)
    found = [e.stored.folder.name for e in evaluations(stored([tmp_path]))]
    assert found == ["b_full", "a_quick", "c_single"]


def test_arms_and_places_are_read_from_keys(tmp_path):
    found = evaluation(synthetic.evaluation(tmp_path))
    assert [short(arm) for arm in found.trained] == ["casim", "fixed", "fixed_long", "fixed_strong"]
    assert found.references == ("real", "floor: swapped order", "floor: wrong caption")
    assert found.seeds("choreography_casim") == (0, 1, 2)
    assert Place("order_accuracy", "test", "single") not in found.places


def test_the_probe_decides_for_itself(tmp_path):
    folder = synthetic.probe(tmp_path, word="positional")
    results = record.load(folder).results
    verdict = is_attention_semantic(results)
    assert verdict.word == "positional"
    assert verdict.gates[0].rule == "correlation at the last step above 0"
    assert verdict.gates[0].observed == "0.830"
    assert is_attention_semantic({}) is None


def test_numbers_are_worded():
    assert number(-0.125, 2) == "−0.12"
    assert number(-0.001, 2) == "0.00"
    assert signed(0.2) == "+0.20"
    assert span((-0.1, 0.25), is_signed=True).replace("\u00a0", " ") == "−0.10 to +0.25"
    assert span(None) == "no interval"
