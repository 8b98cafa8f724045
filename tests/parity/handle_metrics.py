"""Scores of sets of clips: retrieval in batches, diversity and multimodality over given pairs, Frechet distance.

Checked are the functions that the metrics are made of. The authors' R-precision is ours on one batch, averaged over
the complete batches; their pairs of clips are given, so `paired` gives both of their spreads.
"""

import torch
from golden import Case, Golden, close, unknown
from torch import Tensor

from evaluators.distances import paired, squared
from evaluators.frechet import frechet, gaussian
from evaluators.pools import chance_among_nearest, rank_own

RELATIVE = 1e-5
FRECHET = 1e-6
SINGULAR = 1e-2


def check(golden: Golden) -> None:
    kinds = {
        "retrieval": check_retrieval,
        "diversity": check_diversity,
        "multimodality": check_multimodality,
        "fid": check_fid,
    }
    for case in golden.cases.values():
        kinds.get(case.options[0], lambda case: unknown(case.name))(case)


def compare(case: Case, known: dict[str, Tensor], rtol: float, atol: float = 0.0) -> None:
    for name, expected in case.outputs.items():
        assert name in known, f"{case.name}: unknown output {name!r}"
        close(known[name].reshape(expected.shape), expected, atol, f"{case.name}/{name}", rtol)


def check_retrieval(case: Case) -> None:
    text, motion, size = case.inputs["text"], case.inputs["motion"], int(case.inputs["batch_size"])
    whole = len(text) // size * size  # the last, incomplete batch is dropped
    top = len(case.outputs["R_precision"])
    batches = list(zip(text[:whole].split(size), motion[:whole].split(size), strict=True))
    hits = [in_batch(*batch, top) for batch in batches]
    apart = squared(*batches[0]).sqrt()
    own = paired(*batches[0])
    sums = hits[0].sum(0)
    known = {
        "R_precision": torch.cat(hits).mean(0),
        "R_precision_sum_first_batch": sums,
        "t2mgpt_R_sum_first_batch": sums,
        "top_k_first_batch": hits[0] > 0.5,
        "argsort_first_batch": ordered(apart, case.outputs["argsort_first_batch"]),
        "dist_mat_first_batch": apart,
        "matching_score": paired(text[:whole], motion[:whole]).mean(),
        "matching_score_vec_first_batch": own,
        "t2mgpt_matching_first_batch": own.sum(),
    }
    compare(case, known, RELATIVE)


def ordered(apart: Tensor, theirs: Tensor) -> Tensor:
    """The order of each row's distances; theirs where the two differ only in what float32 cannot tell apart."""
    found = apart.argsort(1)
    is_same = (apart.gather(1, found) - apart.gather(1, theirs)).abs() <= RELATIVE * apart.gather(1, found)
    return torch.where(is_same, theirs, found)


def in_batch(text: Tensor, motion: Tensor, top: int) -> Tensor:
    """1 where the own motion is among the k nearest of the whole batch: of its only pool."""
    ranks = rank_own(text, motion, torch.arange(len(text)))
    return chance_among_nearest(ranks, top, len(text))


def check_diversity(case: Case) -> None:
    vectors = case.inputs["activation"]
    pairs = paired(vectors[case.inputs["first_indices"]], vectors[case.inputs["second_indices"]])
    compare(case, {"diversity": pairs.mean()}, RELATIVE)


def check_multimodality(case: Case) -> None:
    vectors = case.inputs["activation"]
    pairs = paired(vectors[:, case.inputs["first_dices"]], vectors[:, case.inputs["second_dices"]])
    compare(case, {"multimodality": pairs.mean()}, RELATIVE)


def check_fid(case: Case) -> None:
    real, made = gaussian(case.inputs["gt"]), gaussian(case.inputs["pred"])
    known = {
        "fid": frechet(made, real),
        "fid_self": frechet(real, real),
        "mu_gt": real.mean,
        "mu_pred": made.mean,
        "cov_gt": real.covariance,
        "cov_pred": made.covariance,
    }
    singular = min(map(len, case.inputs.values())) <= len(real.mean)
    compare(case, known, SINGULAR if singular else FRECHET, atol=FRECHET)
