"""Median rank of the right result when all clips of the set are searched: `retrieval_rank.t2m.tmr`, `.m2t.tmr`.

What: 1 is the best; equal cosines share the mean of their ranks. Source: TMR's protocol "all" (arXiv:2305.00976).
It grows with the set: compare equal numbers of clips only.
"""

from evaluators.retrieval import RANK_PARTS, median_ranks
from evaluators.search import SearchMetric


class RetrievalRank(SearchMetric):
    """Median rank, both ways."""

    higher_is_better = False
    unit = "rank"
    parts = RANK_PARTS
    summary = staticmethod(median_ranks)
