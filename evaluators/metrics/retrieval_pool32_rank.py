"""Median rank of the right result in pools of 32: as `retrieval_rank`, whatever the size of the set.

What: the mean over pools of the median rank in each; pools as in `retrieval_pool32`. Source: TMR's protocol "guo"
(arXiv:2305.00976).
"""

from evaluators.retrieval import POOL, RANK_PARTS, median_ranks
from evaluators.search import SearchMetric


class RetrievalPool32Rank(SearchMetric):
    """Median rank, both ways."""

    higher_is_better = False
    unit = "rank"
    parts = RANK_PARTS
    summary = staticmethod(median_ranks)
    pool = POOL
    minimum = POOL
