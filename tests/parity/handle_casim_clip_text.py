"""CASIM-MDM from CLIP's token numbers on: token states, mask, pooled vector, and the motion model behind them."""

import re
from typing import Any

import torch
from golden import Case, Golden, close, unknown
from mdm_cases import FORWARD, build, check_config, check_outputs, text_tokens
from torch import Tensor

from casim.injection import Casim
from casim.official import casim_mdm, mdm
from casim.text.clip import states
from casim.types import TextTokens, WordMap

NAMES = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
PARTS = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def check(golden: Golden) -> None:
    model = built_clip(golden)
    layer = "final" if golden.config["clip_final_proj"] else "latent"
    for case in golden.cases.values():
        if case.name != "main":
            unknown(case.name)
        text, pooled = encoded(model, case.inputs["token_ids"], layer)
        length = case.inputs["token_ids"].shape[1]
        given = {
            "tokens": padded(text.tokens, length),
            "token_mask": padded(text.mask, length),
            "pooled_encode_text": pooled,
            "out": motion(golden, case, text),
        }
        for name in ("tokens", "token_mask", "pooled_encode_text"):
            close(given[name], case.outputs[name], FORWARD, f"{case.name}/{name}")
        # their 77 tokens and ours without the masked ones are one condition
        check_outputs(case, given, FORWARD)
        whole = text_tokens(case.outputs["tokens"], case.outputs["token_mask"], case.outputs["tokens"][:, :1])
        check_outputs(case, given | {"out": motion(golden, case, whole)}, FORWARD)


@torch.no_grad()
def encoded(model: Any, token_ids: Tensor, layer: Any) -> tuple[TextTokens, Tensor]:
    """Tokens and pooled vectors of rows whose end marker is their largest number."""
    rows = [row[: int(row.argmax()) + 1].tolist() for row in token_ids]
    tokens, pooled = zip(*(states(model, row, layer) for row in rows), strict=True)
    maps = [WordMap((), (-1,) * len(row)) for row in rows]
    empty = pooled[0].new_zeros(len(rows), 1, tokens[0].shape[1])  # the two widths differ in these files
    return TextTokens.from_rows(torch.cat(tokens), empty, maps), torch.stack(pooled)


def padded(rows: Tensor, length: int) -> Tensor:
    """Zeros (False) behind the second axis, up to `length`."""
    grown = rows.new_zeros(rows.shape[0], length, *rows.shape[2:])
    grown[:, : rows.shape[1]] = rows
    return grown


@torch.no_grad()
def motion(golden: Golden, case: Case, text: TextTokens) -> Tensor:
    config = casim_mdm.config_of(golden.weights, mdm.Options(heads=golden.config["num_heads"]))
    check_config(golden, config)
    return build(golden.weights, casim_mdm.to_ours(golden.weights), config, Casim).forward(case, text)


def built_clip(golden: Golden) -> Any:
    """The transformers model with the file's CLIP weights; sizes from the tensors, heads from the config."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    theirs = {n.removeprefix("clip_model."): t for n, t in golden.weights.items() if n.startswith("clip_model.")}
    theirs.pop("logit_scale")  # compares text with images
    vocabulary, width = theirs["token_embedding.weight"].shape
    layers = {int(m[1]) for name in theirs if (m := re.match(r"transformer\.resblocks\.(\d+)\.", name))}
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        projection_dim=theirs["text_projection"].shape[1],
        intermediate_size=theirs["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        max_position_embeddings=theirs["positional_embedding"].shape[0],
        num_hidden_layers=len(layers),
        num_attention_heads=golden.config["clip_heads"],
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
    )
    model = CLIPTextModelWithProjection(config)
    model.load_state_dict(dict(pair for name, tensor in theirs.items() for pair in renamed(name, tensor)))
    return model.eval()


def renamed(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    """OpenAI's tensor under the names of transformers: packed projections apart, the last one transposed."""
    if name == "text_projection":
        return [("text_projection.weight", tensor.T)]
    if name in NAMES:
        return [(NAMES[name], tensor)]
    block = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)", name)
    assert block is not None, name
    layer, part, leaf = block.groups()
    prefix = f"text_model.encoder.layers.{layer}"
    if part == "attn.in_proj":
        return [(f"{prefix}.self_attn.{k}_proj.{leaf}", t) for k, t in zip("qkv", tensor.chunk(3), strict=True)]
    return [(f"{prefix}.{PARTS[part]}.{leaf}", tensor)]
