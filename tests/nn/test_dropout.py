"""The fast dropout does what torch's does."""

import pytest
import torch
from torch.nn.functional import dropout as torch_dropout

from casim.nn.dropout import Dropout, dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_scale(rate: float) -> None:
    torch.manual_seed(0)
    n = 200_003
    out = dropout(torch.ones(n), rate)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)], rel=1e-4)
    spread = (rate * (1 - rate) / n) ** 0.5
    assert abs(float((out == 0).float().mean()) - rate) < 5 * spread
    assert abs(float((torch_dropout(torch.ones(n), rate) == 0).float().mean()) - rate) < 5 * spread


def test_neighbours_are_independent() -> None:
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), 0.5) > 0).float()
    for lag in (1, 2, 3, 4, 8):
        correlation = torch.corrcoef(torch.stack([kept[:-lag], kept[lag:]]))[0, 1]
        assert abs(float(correlation)) < 5 / 400_000**0.5


def test_follows_the_global_seed() -> None:
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(dropout(torch.ones(3, 101), 0.5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_gradient_reaches_what_was_kept() -> None:
    x = torch.ones(1000, requires_grad=True)
    out = dropout(x, 0.25)
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, out.detach())


def test_module_acts_only_in_training() -> None:
    x = torch.ones(50)
    module = Dropout(0.9)
    assert not torch.equal(module(x), x)
    assert torch.equal(module.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_impossible_rates(rate: float) -> None:
    with pytest.raises(ValueError, match="dropout rate"):
        Dropout(rate)
