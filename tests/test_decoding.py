import pytest
import torch

from casim.decoding import Decoding

SCORES = torch.tensor([0.0, 2.0, 1.0, -torch.inf, 1.5])
DRAWS = torch.linspace(0, 1, 2001)[:-1]


def chosen(how: Decoding) -> torch.Tensor:
    return how.choose(SCORES.expand(2000, 5), DRAWS)


def test_draws_follow_the_distribution() -> None:
    share = torch.bincount(chosen(Decoding()), minlength=5) / 2000
    torch.testing.assert_close(share, SCORES.softmax(-1), atol=2e-3, rtol=0)


def test_temperature_sharpens() -> None:
    share = torch.bincount(chosen(Decoding(temperature=0.5)), minlength=5) / 2000
    torch.testing.assert_close(share, (2 * SCORES).softmax(-1), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        (Decoding("greedy"), {1}),
        (Decoding(top_k=1), {1}),
        (Decoding(top_k=3), {1, 4, 2}),
        (Decoding(top_p=0.4), {1}),
        (Decoding(top_p=0.6), {1, 4}),
        (Decoding(top_k=9, top_p=1.0), {0, 1, 2, 4}),
    ],
)
def test_what_stays_in_the_draw(how: Decoding, kept: set[int]) -> None:
    assert set(chosen(how).tolist()) == kept


def test_a_draw_of_one_is_still_a_code() -> None:
    assert Decoding(top_k=2).choose(SCORES[None], torch.tensor([1.0])).item() in (1, 4)
