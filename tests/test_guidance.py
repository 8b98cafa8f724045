"""Guidance: one pass or two in one batch, and u + s (c - u)."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from casim.guidance import Guided, guide
from casim.types import Condition

BATCH, WORDS, WIDTH, FRAMES = 2, 3, 5, 7


class Counted:
    """A conditional function that notes the batch sizes it was called with."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        self.batches.append(len(x))
        text = (condition.tokens * condition.mask[..., None]).sum((1, 2))
        pooled = 0.0 if condition.pooled is None else condition.pooled.sum(1)
        return x * t[:, None] + (text + pooled)[:, None]


def condition(seed: int, words: int = WORDS, pooled: bool = False) -> Condition:
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randn(BATCH, words, WIDTH, generator=draw)
    mask = torch.ones(BATCH, words, dtype=torch.bool)
    return Condition(tokens, mask, torch.randn(BATCH, WIDTH, generator=draw) if pooled else None)


X, T = torch.arange(BATCH * FRAMES, dtype=torch.float).view(BATCH, FRAMES), torch.tensor([3, 4])


def test_scale_one_or_no_null_is_one_pass() -> None:
    for guided in (Guided(condition(0)), Guided(condition(0), condition(1), 1.0), Guided(condition(0), None, 4.0)):
        function = Counted()
        out = guide(function, guided, X, T)
        assert function.batches == [BATCH]
        torch.testing.assert_close(out, Counted()(X, T, condition(0)))


@given(st.floats(-2, 9), st.booleans(), st.integers(1, 6))
def test_formula_in_one_batch(scale: float, pooled: bool, null_words: int) -> None:
    c, n = condition(0, pooled=pooled), condition(1, null_words, pooled)
    function = Counted()
    out = guide(function, Guided(c, n, scale), X, T)
    conditional, free = Counted()(X, T, c), Counted()(X, T, n)
    torch.testing.assert_close(out, free + scale * (conditional - free))
    assert function.batches == [BATCH if scale == 1.0 else 2 * BATCH]


def test_every_item_may_have_its_own_scale() -> None:
    c, n = condition(0), condition(1)
    out = guide(Counted(), Guided(c, n, torch.tensor([0.0, 3.0])), X, T)
    both = [guide(Counted(), Guided(c, n, scale), X, T) for scale in (0.0, 3.0)]
    torch.testing.assert_close(out, torch.stack([both[0][0], both[1][1]]))
