import pytest
import torch

from evaluators.distances import BLOCK, blocks, mean_distance, mean_over_pairs, paired, slack, squared

GENERATOR = torch.Generator().manual_seed(0)


def draw(rows: int, width: int = 7) -> torch.Tensor:
    return torch.randn(rows, width, generator=GENERATOR)


def test_blocks_cover_the_rows_once():
    rows = 2 * BLOCK + 3
    assert torch.cat([torch.arange(rows)[block] for block in blocks(rows)]).tolist() == list(range(rows))
    assert list(blocks(0)) == []


def test_squared_distances_equal_cdist():
    a, b = draw(11), draw(13)
    torch.testing.assert_close(squared(a, b).sqrt(), torch.cdist(a.double(), b.double()))
    torch.testing.assert_close(squared(a, a).diagonal(), torch.zeros(11, dtype=torch.float64), atol=1e-13, rtol=0)
    assert (squared(1e4 + a, 1e4 + a) >= 0).all()


def test_paired_is_the_diagonal():
    a, b = draw(11), draw(11)
    torch.testing.assert_close(paired(a, b), torch.cdist(a.double(), b.double()).diagonal())


def test_mean_distance_equals_a_naive_loop_across_blocks():
    rows = BLOCK + 17
    vectors, prompt = draw(rows, 3), torch.arange(rows) // 3
    apart = torch.cdist(vectors.double(), vectors.double(), compute_mode="donot_use_mm_for_euclid_dist")
    expected = apart[prompt[:, None] != prompt].mean()
    torch.testing.assert_close(mean_distance(vectors, prompt), expected)


def test_pairs_within_a_caption_are_left_out():
    prompt = torch.tensor([5, 3, 5, 3])
    values = torch.arange(16.0, dtype=torch.float64).reshape(4, 4)
    values = values + values.T
    assert float(mean_over_pairs(lambda a, b: values[a, b], prompt)) == values[[0, 0, 1, 2], [1, 3, 2, 3]].mean()


def test_one_caption_is_refused():
    with pytest.raises(ValueError, match="3 clips of a single caption"):
        mean_distance(draw(3), torch.tensor([4, 4, 4]))


def test_mean_distance_is_the_expectation_of_drawn_pairs():
    """Two draws of indices, which may hit the same clip: lower by one part in the number of clips."""
    rows = 37
    vectors = draw(rows)
    drawn = [
        float(paired(vectors[torch.randperm(rows, generator=GENERATOR)[:19]], vectors[order[:19]]).mean())
        for order in (torch.randperm(rows, generator=GENERATOR) for _ in range(3000))
    ]
    drawn = torch.tensor(drawn)
    expected = float(mean_distance(vectors, torch.arange(rows))) * (rows - 1) / rows
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / len(drawn) ** 0.5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        slack(draw(3), torch.full((2, 7), bad))
