"""Retrieval in pools of 32: as `retrieval`, but among 32 clips at a time, whatever the size of the set.

What: the clips in order of their captions' numbers, shuffled once (seed 0) and cut into pools of 32; the mean over
pools. Clips that fill no pool are left out. Source: TMR's protocol "guo" (arXiv:2305.00976), after the R-precision
of Guo et al.
"""

from evaluators.retrieval import POOL, RECALL_PARTS, recalls
from evaluators.search import SearchMetric


class RetrievalPool32(SearchMetric):
    """Recall at 1, 2, 3, 5 and 10, both ways."""

    higher_is_better = True
    unit = "share"
    parts = RECALL_PARTS
    summary = staticmethod(recalls)
    pool = POOL
    minimum = POOL
