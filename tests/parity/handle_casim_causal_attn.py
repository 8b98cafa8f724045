"""The causal attention with masked text keys left over in CASIM's code (cjerry1243/casim_t2m)."""

import torch
import torch.nn.functional as F
from golden import Golden, close, unknown

from casim.nn.attention import Attention

ATOL = 2e-5


@torch.no_grad()
def check(golden: Golden) -> None:
    config, weights = golden.config, golden.weights
    attention = Attention(config["embed_dim"], config["n_head"], config["drop_out_rate"]).eval()
    for kind in ("weight", "bias"):
        packed = torch.cat([weights[f"{part}.{kind}"] for part in ("query", "key", "value")])
        getattr(attention.in_proj, kind).copy_(packed)
        getattr(attention.out_proj, kind).copy_(weights[f"proj.{kind}"])
    places = weights["mask"].shape[-1]
    assert torch.equal(weights["mask"][0, 0], torch.ones(places, places).tril())
    assert places == config["block_size"]
    for case in golden.cases.values():
        if case.name not in ("no_mask", "with_text_mask"):
            unknown(case.name)
        x, text = case.inputs["x"], case.inputs["encoder_mask"]
        keys = None if case.name == "no_mask" else F.pad(text, (0, x.shape[1] - text.shape[1]), value=True)
        assert set(case.outputs) == {"out"}
        close(attention(x, None, keys, causal=True), case.outputs["out"], ATOL, case.name)
