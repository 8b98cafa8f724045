import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluators.pools import chance_among_nearest, rank_own

TOP = 3


def draw(rows: int, noise: float = 1.0, width: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(rows, width, generator=generator)
    return text, text + noise * torch.randn(rows, width, generator=generator)


def chance(text: torch.Tensor, motion: torch.Tensor, pool: int, prompt: torch.Tensor | None = None) -> torch.Tensor:
    prompt = torch.arange(len(text)) if prompt is None else prompt
    return chance_among_nearest(rank_own(text, motion, prompt), TOP, pool)


def in_one_batch(text: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """The authors' way: sort the distances of a batch, look for the own motion among the first k."""
    order = torch.cdist(text, motion).argsort(1)
    place = (order == torch.arange(len(text))[:, None]).double().argmax(1)
    return (place[:, None] < torch.arange(1, TOP + 1)).double()


def test_one_batch_is_the_authors_number():
    text, motion = draw(31)
    torch.testing.assert_close(chance(text, motion, 31), in_one_batch(text, motion))


def test_all_pools_are_the_expectation_of_drawn_batches():
    rows, pool = 41, 8
    text, motion = draw(rows)
    generator = torch.Generator().manual_seed(1)
    drawn = []
    for _ in range(600):
        order = torch.randperm(rows, generator=generator)[: rows // pool * pool]  # the last batch is dropped
        drawn.append(torch.cat([in_one_batch(text[part], motion[part]) for part in order.split(pool)]).mean(0))
    drawn = torch.stack(drawn)
    error = (chance(text, motion, pool).mean(0) - drawn.mean(0)).abs()
    assert (error < 4 * drawn.std(0) / len(drawn) ** 0.5).all()
    assert (drawn.std(0) > 0.01).all()  # what a single draw adds in noise


def test_a_collapsed_generator_scores_what_guessing_does():
    text, motion = draw(37)
    expected = torch.arange(1, TOP + 1, dtype=torch.float64) / 8
    torch.testing.assert_close(chance(text, motion[:1].expand(37, -1), 8), expected.expand(37, -1))


def test_ties_take_a_random_place():
    """Own motion, one nearer and two as near among four others: places 2, 3, 4 are equally likely."""
    text, motion = torch.zeros(5, 1), torch.tensor([[2.0], [1.0], [2.0], [-2.0], [3.0]])
    torch.testing.assert_close(chance(text, motion, 5)[0], torch.tensor([0, 1 / 3, 2 / 3], dtype=torch.float64))


def test_motions_of_one_caption_do_not_compete():
    text, motion = draw(11, noise=0.5)
    prompt = torch.arange(11).repeat_interleave(3)
    alone, thrice = chance(text, motion, 7), chance(text[prompt], motion[prompt], 7, prompt)
    ranks = rank_own(text[prompt], motion[prompt], prompt)
    assert (ranks.others == 30).all()
    assert (ranks.tied == 0).all()
    assert (thrice[::3] - alone).abs().max() < 0.15  # a pool may now hold one motion twice


def test_captions_with_different_numbers_of_motions():
    text, motion = draw(13)
    prompt = torch.tensor([0, 0, 0, *range(1, 11)])
    each = chance(text, motion, 5, prompt)
    kept = torch.tensor([0, *range(3, 13)])  # the others of caption 0 are no rivals of its first motion
    torch.testing.assert_close(each[0], chance(text[kept], motion[kept], 5)[0])


def test_a_pool_that_cannot_be_filled_is_refused():
    text, motion = draw(12)
    with pytest.raises(ValueError, match="a pool of 8 needs 7 motions of other captions, but a caption has only 6"):
        chance(text, motion, 8, torch.arange(12).clamp_max(6))


@given(rows=st.integers(9, 40), seed=st.integers(0, 99), pool=st.sampled_from([3, 5, 8]))
def test_bounds(rows, seed, pool):
    shares = chance(*draw(rows, seed=seed), pool)
    assert (shares.diff(dim=1) >= -1e-12).all()
    assert (shares >= 0).all()
    assert (shares <= 1 + 1e-12).all()
