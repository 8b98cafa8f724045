import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from casim.record import RunRecord
from casim.types import ActionSpan, Alignment, MotionBatch
from evaluators import scores
from evaluators.intervals import Resampling
from evaluators.protocol import EvalBatch, Protocol, Space
from evaluators.tables import show

HOW = Resampling(resamples=100)
KINDS = ("single", "pair", "pair", "while", "triple", "pair", "single")


def batch(is_right=True):
    """Seven clips of all kinds; every second pair is asked for in reversed text order."""
    truth, found = [], []
    for i, kind in enumerate(KINDS):
        count = {"single": 1, "triple": 3}.get(kind, 2)
        length = 60 if kind == "while" else 60 // count
        starts = [0 if kind == "while" else j * length for j in range(count)]
        spans = tuple(ActionSpan(f"a{i}{j}_left", s, s + length) for j, s in enumerate(starts))
        truth.append(Alignment((), (), spans, kind, kind == "pair" and i % 2 == 1))
        found.append(spans if is_right else spans[:1])
    motion, mask = torch.zeros(7, 60, 3), torch.ones(7, 60, dtype=torch.bool)
    ids = tuple(f"c{i}" for i in range(7))
    return EvalBatch(motion, mask, MotionBatch(motion, mask, ids, ids, tuple(truth)), actions=tuple(found))


@pytest.fixture(scope="module")
def rows():
    parts = [scores.judge_real(batch(), "test")]
    parts += [scores.judge(batch(), "good", seed, "test") for seed in (0, 1, 2)]
    parts += [scores.judge(batch(is_right=seed == 2), "poor", seed, "test") for seed in (0, 1, 2)]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def measures(rows):
    return scores.measures(scores.average_repeats(rows), HOW, "words")


def test_keys_follow_the_grammar(measures):
    arms = {key.split("/")[0] for key in measures}
    seeds = {f"{arm}@seed{k}" for arm in ("good", "poor") for k in range(3)}
    assert arms == {"real", "floor: wrong caption", "floor: swapped order", "good", "poor", "good - poor"} | seeds
    read = {name for name, metric in scores.metrics().items() if metric.reads == "actions"}
    assert {key.split("/")[1] for key in measures} == read  # these clips have no joints and no vectors
    assert {key.split("/")[2] for key in measures} == {"test"}
    assert {key.split("/")[3] for key in measures} == set(scores.GROUPS)
    assert all(m.protocol == "words" and m.interval is not None for m in measures.values())


def test_metrics_of_a_space_are_judged_where_it_is_given():
    vectors = torch.eye(7)
    space = Space(vectors, vectors, torch.arange(7), vectors)
    rows = scores.judge_real(replace(batch(), spaces={"tmr": space}), "test")
    found = scores.measures(scores.average_repeats(rows), HOW, "words")
    assert {"tmr_score_m2t", "tmr_score_m2m"} <= set(rows)
    means = {row: found[f"{row}/tmr_score_m2t/test/all"].value for row in ("real", "floor: wrong caption")}
    assert means == pytest.approx({"real": 1.0, "floor: wrong caption": 0.5})


def test_values(measures):
    exact = {key.split("/")[0]: m.value for key, m in measures.items() if key.endswith("exact_prompt/test/all")}
    assert exact["real"] == exact["good"] == 1.0
    assert exact["floor: wrong caption"] == 0.0
    assert exact["poor@seed0"] == pytest.approx(2 / 7)  # the single actions
    assert exact["poor"] == pytest.approx((2 / 7 + 2 / 7 + 1) / 3)
    assert exact["good - poor"] == pytest.approx(exact["good"] - exact["poor"])


def test_swapped_order_floor_spares_what_has_no_order(measures):
    floor = {k.split("/")[3]: m.value for k, m in measures.items() if k.startswith("floor: swapped order/exact")}
    assert floor == {
        "all": pytest.approx(3 / 7),
        "single": 1,
        "pair": 0,
        "pair_reversed": 0,
        "while": 1,
        "triple": 0,
    }


def test_groups_count_their_clips(measures):
    n = {group: measures[f"good/exact_prompt/test/{group}"].n for group in scores.GROUPS}
    assert n == {"all": 7, "single": 2, "pair": 3, "pair_reversed": 2, "while": 1, "triple": 1}


def test_metrics_that_apply_to_no_clip_are_left_out(measures):
    assert "good/order_accuracy/test/single" not in measures
    assert "poor@seed0/order_accuracy/test/pair" not in measures  # never shows both actions
    assert "good/order_accuracy/test/pair" in measures


def test_a_kind_that_a_split_lacks_has_no_entry(rows):
    kept = rows[rows["kind"] != "triple"]
    found = scores.measures(kept, HOW, "words")
    assert not any(key.endswith("/triple") for key in found)
    assert found["good/exact_prompt/test/all"].n == 6


def test_repeats_are_averaged_per_item():
    both = pd.concat([scores.judge(batch(is_right), "arm", 0, "test") for is_right in (True, False)])
    merged = scores.average_repeats(both)
    assert len(merged) == 7
    by_kind = merged.groupby("kind")["exact_prompt"].mean()
    assert by_kind["pair"] == 0.5
    assert by_kind["single"] == 1.0


def test_items_in_any_order_give_the_same(rows):
    shuffled = rows.iloc[np.random.default_rng(0).permutation(len(rows))]
    shuffled = shuffled.sort_values("arm", key=lambda arms: arms.map(list(dict.fromkeys(rows["arm"])).index))
    assert scores.measures(shuffled, HOW, "words") == scores.measures(rows, HOW, "words")


def test_table_prints_protocol_numbers_and_intervals(measures):
    console = Console(width=200, record=True)
    protocol = Protocol(splits=("test",))
    show(RunRecord(kind="evaluate", name="x", results=measures), protocol, console)
    text = console.export_text()
    assert protocol.in_words()[:60] in text
    for part in ("- poor", "floor: wrong caption", "pair reversed", "order_accuracy"):
        assert part in text
    assert re.search(r"\[\.\d+ 1\]", text)  # all right: the interval still has a width
    assert "@seed" not in text
