from dataclasses import replace

import pytest
import torch

from casim.types import MotionBatch
from evaluators.intervals import Resampling
from evaluators.protocol import PRESETS, EvalBatch, Protocol


def test_words_name_what_decides_a_number():
    words = Protocol("mine", ("test",), 17, 3, 2.5, "ddim", 11, seed=23).in_words()
    for part in (
        "mine",
        "17 captions",
        "test",
        "3 motions each",
        "guidance 2.5",
        "sampler ddim",
        "steps 11",
        "seed 23",
    ):
        assert part in words


def test_words_say_what_is_left_to_the_run():
    assert "guidance and sampler and steps as each run's own settings" in PRESETS["standard"].in_words()
    assert "sampler and steps as each run's own settings" in Protocol(guidance=1.0).in_words()


@pytest.mark.parametrize(
    "change",
    [
        {"splits": ("held_out",)},
        {"samples": 5},
        {"repeats": 2},
        {"guidance": 4.0},
        {"sampler": "ddpm"},
        {"steps": 7},
        {"batch_size": 13},
        {"seed": 3},
        {"resampling": Resampling(resamples=3)},
    ],
)
def test_other_protocol_other_words(change):
    assert replace(Protocol(), **change).in_words() != Protocol().in_words()


def test_quick_is_smaller():
    assert PRESETS["quick"].samples is not None
    assert PRESETS["standard"].samples is None
    assert all(name == protocol.name for name, protocol in PRESETS.items())


@pytest.mark.parametrize("bad", [{"samples": 0}, {"repeats": 0}, {"steps": -1}, {"splits": ()}, {"batch_size": 0}])
def test_impossible_values_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad)).removesuffix("s")):
        Protocol(**bad)


def test_batch_without_truth_or_recogniser_says_so():
    motion, mask = torch.zeros(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)
    batch = EvalBatch(motion, mask, MotionBatch(motion, mask, ("a", "b"), ("0", "1")))
    assert len(batch) == 2
    with pytest.raises(ValueError, match="choreography"):
        _ = batch.wanted
    with pytest.raises(ValueError, match="oracle"):
        _ = batch.found
