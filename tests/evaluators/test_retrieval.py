import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim import plugins
from casim.types import MotionBatch
from evaluators import retrieval
from evaluators.metric import ItemMetric, SetMetric
from evaluators.metrics.retrieval import Retrieval
from evaluators.metrics.retrieval_pool32 import RetrievalPool32
from evaluators.metrics.retrieval_pool32_rank import RetrievalPool32Rank
from evaluators.metrics.retrieval_rank import RetrievalRank
from evaluators.metrics.tmr_score_m2m import TmrScoreM2M
from evaluators.metrics.tmr_score_m2t import TmrScoreM2T
from evaluators.protocol import EvalBatch, Space

SEARCHES = (Retrieval, RetrievalRank, RetrievalPool32, RetrievalPool32Rank)


def matrix(n, seed, levels=None):
    values = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values if levels is None else (values * levels).round()


def slow_rank(row, right):
    """Mean place of the best right result among those of equal similarity, from a stable sort."""
    best = max(row[i] for i in right)
    places = [place for place, value in enumerate(sorted(row, reverse=True)) if value == best]
    return float(np.mean(places))


@given(n=st.integers(1, 13), seed=st.integers(0, 99), levels=st.sampled_from([None, 1, 2]))
def test_ranks_are_places_in_the_sorted_list(n, seed, levels):
    similarity = matrix(n, seed, levels)
    expected = [[slow_rank(m[i].tolist(), [i]) for i in range(n)] for m in (similarity, similarity.T)]
    assert retrieval.ranks(similarity).tolist() == expected


@given(n=st.integers(2, 11), seed=st.integers(0, 99))
def test_the_best_of_several_right_results_counts(n, seed):
    similarity, groups = matrix(n, seed, 2), [i % 3 for i in range(n)]
    right = torch.tensor([[a == b for b in groups] for a in groups])
    found = retrieval.ranks(similarity, right)
    for i in range(n):
        own = [j for j in range(n) if groups[j] == groups[i]]
        assert found[:, i].tolist() == [slow_rank(m[i].tolist(), own) for m in (similarity, similarity.T)]
    assert bool((found <= retrieval.ranks(similarity)).all())


def test_own_caption_is_right_even_if_it_is_not_like_itself():
    similarity = matrix(5, 0)
    nothing = torch.zeros(5, 5, dtype=torch.bool)
    torch.testing.assert_close(retrieval.ranks(similarity, nothing), retrieval.ranks(similarity))


def test_recalls_and_medians():
    before = torch.tensor([[0, 0, 0.5, 2, 4, 11], [1, 1, 1, 1, 1, 1]], dtype=torch.float64)
    assert dict(zip(retrieval.RECALL_PARTS, retrieval.recalls(before).tolist(), strict=True)) == pytest.approx(
        {"@1.t2m": 3 / 6, "@2.t2m": 3 / 6, "@3.t2m": 4 / 6, "@5.t2m": 5 / 6, "@10.t2m": 5 / 6}
        | {"@1.m2t": 0, "@2.m2t": 1, "@3.m2t": 1, "@5.m2t": 1, "@10.m2t": 1}
    )
    assert retrieval.median_ranks(before).tolist() == [2.25, 2.0]


def test_pools_are_the_authors_shuffle():
    found = retrieval.pools(70)
    np.random.seed(0)
    order = np.arange(70)
    np.random.shuffle(order)
    assert found.flatten().tolist() == order[:64].tolist()
    assert found.shape == (2, 32)
    with pytest.raises(ValueError, match="31 clips do not fill a pool of 32"):
        retrieval.pools(31)


def test_dissimilar_captions_come_from_different_groups():
    groups = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3, 3])
    similarity = (groups[:, None] == groups).double()
    rows = retrieval.dissimilar(similarity, 4)
    assert sorted(groups[rows].tolist()) == [0, 1, 2, 3]
    assert rows.tolist() == sorted(rows.tolist())
    assert len(retrieval.dissimilar(similarity, 10)) == 10


@given(seed=st.integers(0, 50))
def test_dissimilar_beats_a_random_subset(seed):
    vectors = torch.randn(47, 3, generator=torch.Generator().manual_seed(seed))
    similarity = retrieval.cosines(vectors, vectors)
    rows, random = retrieval.dissimilar(similarity, 11), torch.arange(11)
    total = [similarity[r][:, r].sum() for r in (rows, random)]
    assert total[0] < total[1]


def test_protocols_need_enough_clips():
    def ends(n):
        vectors = torch.randn(n, 5, generator=torch.Generator().manual_seed(n))
        found = retrieval.by_protocol(vectors, vectors, torch.eye(n))
        assert all(float(retrieval.recalls(r)[0]) == 1 for pools in found.values() for r in pools)
        return {end: [r.shape[1] for r in pools] for end, pools in found.items()}

    assert ends(31) == {"": [31], "_threshold": [31]}
    assert ends(67) == {"": [67], "_threshold": [67], "_pool32": [32, 32]}
    assert ends(101) == {"": [101], "_threshold": [101], "_dissimilar": [100], "_pool32": [32] * 3}


def test_scores_are_between_0_and_1():
    x = torch.randn(17, 5, generator=torch.Generator().manual_seed(0))
    assert retrieval.scores(x, 3 * x).tolist() == pytest.approx([1.0] * 17)
    assert retrieval.scores(x, -x).tolist() == pytest.approx([0.0] * 17, abs=1e-12)
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 3.0**0.5]])
    assert float(retrieval.scores(x, y)) == pytest.approx(0.75)


# The metrics


def batch(rows, noise=0.3, spaces=("tmr",)):
    """Clips whose caption vectors are their motion vectors and some noise; `rows` are numbers of captions."""
    random = [torch.Generator().manual_seed(row) for row in rows]
    motion = torch.stack([torch.randn(23, generator=g) for g in random])
    text = motion + noise * torch.stack([torch.randn(23, generator=g) for g in random])
    space = Space(motion, motion, torch.tensor(rows), text)
    clips, mask = torch.zeros(len(rows), 2, 3), torch.ones(len(rows), 2, dtype=torch.bool)
    ids = tuple(map(str, rows))
    return EvalBatch(clips, mask, MotionBatch(clips, mask, ids, ids), spaces=dict.fromkeys(spaces, space))


def score(kind, *batches):
    metric = kind()
    for part in batches:
        metric.update(part)
    return metric.compute()


@pytest.mark.parametrize("kind", SEARCHES)
def test_search_metrics_are_what_the_functions_give(kind):
    whole = batch(range(71), noise=1.5)
    space = whole.space("tmr")
    similarity = retrieval.cosines(space.text, space.motion)
    pools = [torch.arange(71)] if kind.pool is None else list(retrieval.pools(71))
    summary = retrieval.recalls if kind.higher_is_better else retrieval.median_ranks
    expected = torch.stack([summary(retrieval.ranks(similarity[p][:, p])) for p in pools]).mean(0)
    torch.testing.assert_close(score(kind, whole), expected)
    assert len(expected) == len(kind.parts)
    # the order of clips, and the batches in which they come, change nothing
    torch.testing.assert_close(score(kind, batch(range(70, -1, -1), noise=1.5)), expected)
    torch.testing.assert_close(score(kind, batch(range(13), 1.5), batch(range(13, 71), 1.5)), expected)


@pytest.mark.parametrize("kind", SEARCHES)
def test_wrong_captions_make_search_worse(kind):
    before, after = (score(kind, b) for b in (batch(range(71)), kind.corruption(batch(range(71)))))
    assert bool((after < before - 0.3).all() if kind.higher_is_better else (after > before + 0.3).all())


def test_several_motions_of_a_caption_do_not_compete():
    once, twice = batch(range(41), noise=0.01), batch([*range(41), *range(41)], noise=0.01)
    assert score(Retrieval, once)[0] == score(Retrieval, twice)[0] == 1
    assert score(RetrievalRank, twice).tolist() == [1.5, 1.5]  # the two equal clips share the first two places


def test_a_random_space_finds_by_chance():
    whole = batch(range(400), noise=1e9)
    assert float(score(Retrieval, whole)[0]) < 0.02
    assert 0.0 < float(score(RetrievalPool32, whole)[0]) < 0.1
    assert 100 < float(score(RetrievalRank, whole)[0]) < 300


def test_names_of_values():
    assert Retrieval.ids("retrieval", "tmr")[:2] == ("retrieval@1.t2m.tmr", "retrieval@2.t2m.tmr")
    assert RetrievalRank.ids("retrieval_rank", "tmr") == ("retrieval_rank.t2m.tmr", "retrieval_rank.m2t.tmr")


def test_search_needs_captions_and_enough_clips():
    whole = batch(range(7))
    space = whole.space("tmr")
    whole.spaces["tmr"] = Space(space.motion, space.real, space.prompt)
    with pytest.raises(ValueError, match="needs vectors of captions"):
        Retrieval().update(whole)
    with pytest.raises(ValueError, match="at least 32 clips, got 7"):
        score(RetrievalPool32, batch(range(7)))
    with pytest.raises(ValueError, match="no tmr vectors"):
        Retrieval().update(batch(range(7), spaces=("guo",)))
    assert len(score(lambda: Retrieval("guo"), batch(range(7), spaces=("guo",)))) == 10


def test_scores_of_clips():
    whole = batch(range(43))
    m2m, m2t = TmrScoreM2M(), TmrScoreM2T()
    assert m2m.per_item(whole).tolist() == pytest.approx([1.0] * 43)
    values = m2t.per_item(whole)
    assert bool(((values > 0.9) & (values < 1)).all())
    torch.testing.assert_close(m2m.per_item(TmrScoreM2T.corruption(whole)), m2m.per_item(whole))
    for metric in (m2m, m2t):
        assert float(metric.per_item(metric.corruption(whole)).mean()) < float(metric.per_item(whole).mean()) - 0.3
        with pytest.raises(ValueError, match="no tmr vectors"):
            metric.per_item(batch(range(3), spaces=()))
    space = whole.space("tmr")
    whole.spaces["tmr"] = Space(space.motion, space.real, space.prompt)
    with pytest.raises(ValueError, match="have no captions"):
        m2t.per_item(whole)


@pytest.mark.parametrize("name", [n for n in plugins.names("evaluators.metrics") if n.startswith(("retr", "tmr"))])
def test_metrics_are_found_and_built_without_options(name):
    base = SetMetric if name.startswith("retrieval") else ItemMetric
    assert plugins.load(base, "evaluators.metrics", name)().space == "tmr"
