"""The codebooks of T2M-GPT: how they begin, move and drop dead codes."""

import torch
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim.nn.quantizer import Quantized, Quantizer, Update

ATOL = 1e-5
KINDS: dict[str, Update] = {"ema": "average", "ema_reset": "average_reset"}


def check(golden: Golden) -> None:
    config = golden.config
    assert config["mu_ema"] == config["mu_ema_reset"]
    for case in golden.cases.values():
        kind, _, what = case.name.rpartition("_")
        if case.name == "orig":
            check_gradient(case, config["orig_beta"])
        elif kind in KINDS and what in ("init", "step"):
            quantizer = Quantizer(config["nb_code"], config["code_dim"], KINDS[kind], config["mu_ema"]).train()
            (check_begin if what == "init" else check_step)(quantizer, case)
        else:
            unknown(case.name)


def run(quantizer: Quantizer, x: Tensor) -> Quantized:
    """On vectors as the authors have them, [batch, width, places]."""
    vectors = x.transpose(1, 2)
    return quantizer(vectors, torch.ones(vectors.shape[:2], dtype=torch.bool))


def state(quantizer: Quantizer, suffix: str = "") -> dict[str, Tensor]:
    return {
        f"codebook{suffix}": quantizer.codebook.clone(),
        f"code_count{suffix}": quantizer.counts.clone(),
        f"code_sum{suffix}": quantizer.sums.clone(),
    }


def results(found: Quantized) -> dict[str, Tensor]:
    return {
        "x_d": found.vectors.transpose(1, 2),
        "commit_loss": found.commitment[None],
        "perplexity": found.perplexity[None],
        "code_idx": found.codes.flatten(),
    }


def compare(known: dict[str, Tensor], case: Case) -> None:
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r} of case {case.name}"
        close(known[name], expected, ATOL, f"{case.name}/{name}", rtol=1e-5)


def check_begin(quantizer: Quantizer, case: Case) -> None:
    known = results(run(quantizer, case.inputs["x"])) | state(quantizer)
    run(quantizer, case.inputs["x_second"])
    compare(known | state(quantizer, "_second"), case)


def check_step(quantizer: Quantizer, case: Case) -> None:
    given = case.inputs
    quantizer.set_codebook(given["codebook"])
    quantizer.counts.copy_(given["code_count"])
    quantizer.sums.copy_(given["code_sum"])
    found = run(quantizer, given["x"])
    compare(results(found) | state(quantizer), case)


def check_gradient(case: Case, beta: float) -> None:
    codes, width = case.inputs["embedding"].shape
    quantizer = Quantizer(codes, width, "gradient").train()
    with torch.no_grad():
        quantizer.codebook.copy_(case.inputs["embedding"])
    assert beta == 1.0, "our codes and vectors are drawn together with equal weight"
    found = run(quantizer, case.inputs["x"])
    known = results(found) | {"loss": found.commitment[None]}
    compare(known, case)
