import pytest
import torch
from torch import Tensor, nn

from analysis.alignment import Layout, rollout
from analysis.interventions import Intervention, blocked, exchanged, partners, shuffled, text_modules, uniform
from casim.nn.attention import Attention, changed_attention, record_attention

REAL = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]).bool()
TARGET = torch.tensor([[0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0]]).bool()


def rows(extra: int = 0) -> Tensor:
    """Attention of 2 heads and 7 motion tokens to the real tokens (and time tokens in front)."""
    torch.manual_seed(0)
    scores = torch.randn(3, 2, 7, 5 + extra)
    keys = torch.cat([torch.ones(3, extra).bool(), REAL], 1)
    return scores.masked_fill(~keys[:, None, None], -torch.inf).softmax(-1)


@pytest.mark.parametrize("extra", [0, 1])
def test_blocked_keys_get_nothing_and_rows_stay_distributions(extra: int) -> None:
    new = blocked(TARGET)(rows(extra))
    assert new[..., extra:][TARGET[:, None, None].expand(3, 2, 7, 5)].abs().max() == 0
    torch.testing.assert_close(new.sum(-1), torch.ones(3, 2, 7))


@pytest.mark.parametrize("extra", [0, 1])
def test_the_control_moves_as_much_and_leaves_the_target_alone(extra: int) -> None:
    old = rows(extra)
    new = shuffled(TARGET, REAL, torch.Generator().manual_seed(1))(old)
    keys = TARGET[:, None, None].expand(3, 2, 7, 5)
    torch.testing.assert_close(new[..., extra:][keys], old[..., extra:][keys])
    torch.testing.assert_close(new.sum(-1), torch.ones(3, 2, 7))
    assert (new[..., extra:][~REAL[:, None, None].expand(3, 2, 7, 5)] == 0).all()
    moved, wanted = (new - old).abs().sum(-1) / 2, (old[..., extra:] * TARGET[:, None, None]).sum(-1)
    assert (moved <= wanted + 1e-6).all()
    assert moved.mean() > 0.1 * wanted.mean()


def test_uniform_and_exchanged_rows() -> None:
    new = uniform(REAL)(rows())
    torch.testing.assert_close(new[2, 0, 0], torch.tensor([1, 1, 1, 0, 0]) / 3)
    other = torch.tensor([2, 1, 0])
    torch.testing.assert_close(exchanged(other)(rows())[0], rows()[2])


def test_partners_stay_in_their_group_and_nobody_is_left_alone() -> None:
    groups = ["a", "b", "a", "c", "a", "b"]
    found = partners(groups, torch.Generator().manual_seed(0))
    assert [groups[i] for i in found] == groups
    assert [i == int(j) for i, j in enumerate(found)] == [False, False, False, True, False, False]
    assert sorted(found.tolist()) == list(range(6))


class Joint(nn.Module):
    """One sequence of text and motion."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attention = Attention(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.self_attention(x)


def test_an_intervention_changes_the_text_columns_of_motion_rows_alone() -> None:
    torch.manual_seed(0)
    model, x = Joint().eval(), torch.randn(4, 3 + 5, 8)
    layout = Layout(3, 5)
    target = torch.tensor([[0, 1, 0]] * 2).bool()
    with record_attention(model) as before, torch.no_grad():
        model(x)
    change = Intervention(blocked(target), frozenset({("self_attention", 1)}))
    with change.applied(model, 2, layout), record_attention(model) as after, torch.no_grad():
        model(x)
    old, new = before["self_attention"], after["self_attention"]
    torch.testing.assert_close(new[2:], old[2:])  # the unconditional half
    torch.testing.assert_close(new[:, 0], old[:, 0])  # the other head
    torch.testing.assert_close(new[:, :, :3], old[:, :, :3])  # rows of text
    torch.testing.assert_close(new[..., 3:], old[..., 3:])  # motion columns
    assert (new[:2, 1, 3:, 1] == 0).all()
    torch.testing.assert_close(new.sum(-1), torch.ones(4, 2, 8))
    assert change.moved[0] > 0
    assert text_modules(model) == {"self_attention": 2}


def test_a_change_that_changes_nothing_gives_the_same_output() -> None:
    torch.manual_seed(0)
    model, x = Joint().eval(), torch.randn(2, 7, 8)
    with torch.no_grad(), changed_attention(model, lambda name, weights: weights):
        watched = model(x)
    torch.testing.assert_close(watched, model(x))


def test_norms_take_away_from_keys_that_contribute_nothing() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2).eval()
    context = torch.randn(3, 5, 8)
    context[:, 2] = 0  # no bias: the value of this key is zero
    with torch.no_grad(), record_attention(attention) as raw, record_attention(attention, by_norm=True) as normed:
        attention(torch.randn(3, 7, 8), context)
    assert raw == {}  # the later recorder took over
    weights = normed[""]
    assert (weights[..., 2] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 7))


def test_rollout_rows_are_distributions_over_text() -> None:
    torch.manual_seed(0)
    cross = {f"{k}.cross_attention": torch.randn(2, 3, 5, 4).softmax(-1) for k in range(2)}
    own = {f"{k}.self_attention": torch.randn(2, 3, 5, 5).softmax(-1) for k in range(2)}
    recorded = {name: both[name] for k in range(2) for both in (own, cross) for name in both if name[0] == str(k)}
    ((name, flow),) = rollout(recorded).items()
    assert name.endswith("cross_attention")
    torch.testing.assert_close(flow.sum(-1), torch.ones(2, 1, 5))
    ((name, flow),) = rollout(own).items()
    assert name.endswith("self_attention")
    torch.testing.assert_close(flow.sum(-1), torch.ones(2, 1, 5))
    torch.testing.assert_close(
        rollout({"0.cross_attention": cross["0.cross_attention"]})["rollout.cross_attention"][:, 0],
        cross["0.cross_attention"].mean(1),
    )
