"""TMR's InfoNCE, KL divergence and retrieval metrics (Mathux/TMR src/model/losses.py and metrics.py)."""

import re

import torch
from golden import Case, Golden, close, unknown
from torch import Tensor

from evaluators import contrastive, retrieval

ATOL = 1e-5


def check(golden: Golden) -> None:
    for case in golden.cases.values():
        kind = case.options[0]
        if kind == "infonce":
            check_infonce(case, golden.config["infonce_cases"])
        elif kind == "kl":
            # the authors call the first argument q and the second p: KL(q || p)
            q, p = (torch.stack([case.inputs[f"mu_{n}"], case.inputs[f"logvar_{n}"]], 1) for n in "qp")
            compare(case, {"kl": contrastive.kl(contrastive.gaussian(q), contrastive.gaussian(p)).reshape(1)})
        elif kind == "retrieval":
            check_retrieval(case)
        else:
            unknown(case.name)


def compare(case: Case, given: dict[str, Tensor], atol: float = ATOL) -> None:
    """Every output of the case is one of `given`."""
    assert case.outputs, f"case {case.name} has no outputs"
    for name, expected in case.outputs.items():
        assert name in given, f"unknown output {name!r} of case {case.name}"
        close(given[name], expected, atol, f"{case.name}/{name}")


def check_infonce(case: Case, settings: dict[str, list[float | None]]) -> None:
    """Each loss under its temperature and threshold (null: none), and the pairs excluded at thrNM."""
    x, y = case.inputs["x"], case.inputs["y"]
    alike = case.inputs["sent_emb"] @ case.inputs["sent_emb"].T
    given = {"sim_matrix": retrieval.cosines(x, y)}
    for name, (temperature, threshold) in settings.items():
        assert temperature is not None
        excluded = None if threshold is None else contrastive.too_alike(alike, threshold)
        given[name] = contrastive.info_nce(x, y, temperature, excluded).reshape(1)
    for name in case.outputs:
        if found := re.fullmatch(r"masked_pairs_thr(\d)(\d+)", name):
            given[name] = contrastive.too_alike(alike, float(f"{found[1]}.{found[2]}")).nonzero()
    compare(case, given)


def check_retrieval(case: Case) -> None:
    """Ranks (from 0), shares in percent and median rank, with or without a threshold on captions' similarity."""
    assert set(case.inputs) in ({"sims"}, {"sims", "emb", "threshold"}), f"unknown inputs of case {case.name}"
    right = None
    if "threshold" in case.inputs:
        embedded = case.inputs["emb"]
        right = retrieval.as_good(embedded @ embedded.T, float(case.inputs["threshold"]))
    before = retrieval.ranks(case.inputs["sims"], right)
    recalls = dict(zip(retrieval.RECALL_PARTS, (100 * retrieval.recalls(before)).tolist(), strict=True))
    medians = dict(zip(retrieval.RANK_PARTS, retrieval.median_ranks(before).tolist(), strict=True))
    given: dict[str, Tensor] = {}
    for row, direction in zip(before, retrieval.DIRECTIONS, strict=True):
        given[f"{direction}.cols"] = row
        given[f"{direction}.len"] = torch.tensor([float(len(row))])
        given[f"{direction}.MedR"] = torch.tensor([medians[f".{direction}"]])
        for k in retrieval.KS:
            share = recalls[f"@{k}.{direction}"]
            given[f"{direction}.R{k:02d}"] = torch.tensor([share], dtype=torch.float64)
            given[f"{direction}.R{k:02d}_rounded"] = torch.tensor([round(share, 2)], dtype=torch.float64)
    compare(case, given, atol=1e-9)
