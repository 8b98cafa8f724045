"""Retrieval: the share of captions that find their motion among all of the set, and of motions their caption.

What: `retrieval@K.t2m.tmr` (a caption searches motions) and `retrieval@K.m2t.tmr` (a motion searches captions): is
a right one among the first K of all by cosine? Equal cosines share the mean of their ranks. Source: TMR's protocol
"all" (arXiv:2305.00976). It falls as the set grows: compare equal numbers of clips only. The protocols "threshold"
and "dissimilar" need to know how alike captions are, which vectors of one embedder must not decide for themselves;
`evaluators.retrieval` has them, and the record of a trained TMR their values on real clips.
"""

from evaluators.retrieval import RECALL_PARTS, recalls
from evaluators.search import SearchMetric


class Retrieval(SearchMetric):
    """Recall at 1, 2, 3, 5 and 10, both ways."""

    higher_is_better = True
    unit = "share"
    parts = RECALL_PARTS
    summary = staticmethod(recalls)
