"""What the MDM and CASIM-MDM golden files have in common: official layouts, forward pass, common checks."""

from dataclasses import dataclass

import torch
from einops import rearrange
from golden import Case, Golden, close
from torch import Tensor

from casim import plugins
from casim.diffusion import DiffusionBackbone
from casim.guidance import Guided, guide
from casim.injection import Casim, Fixed, Injection
from casim.nn.positions import TimeEmbedding, sinusoid
from casim.official import mdm
from casim.types import TextTokens, WordMap

FORWARD = 2e-5
GUIDED = 5e-5


@dataclass(frozen=True)
class Ours:
    """Our injection and backbone with the golden weights."""

    injection: Injection
    backbone: DiffusionBackbone

    def forward(self, case: Case, text: TextTokens) -> Tensor:
        """Output of a conditional or unconditional case, in the official layout."""
        dropped = torch.ones(len(text), dtype=torch.bool) if "uncond" in case.options else None
        condition = self.injection(text, dropped)
        frames = case.inputs["mask"][:, 0, 0]
        return to_official(
            self.backbone.denoise(ours(case.inputs["x"]), case.inputs["timesteps"], condition, frames)
        )

    @torch.no_grad()
    def guided(self, case: Case, text: TextTokens) -> Tensor:
        """Output of a case with guidance, in the official layout."""
        guided = Guided(self.injection(text), self.injection.null(text), case.inputs["scale"].reshape(-1))
        frames, x = case.inputs["mask"][:, 0, 0], ours(case.inputs["x"])
        return to_official(
            guide(
                lambda x, t, mask, condition: self.backbone.denoise(x, t, condition, mask),
                guided,
                x,
                case.inputs["timesteps"],
                frames,
            )
        )


def ours(x: Tensor) -> Tensor:
    return rearrange(x, "batch feats 1 frames -> batch frames feats")


def to_official(x: Tensor) -> Tensor:
    return rearrange(x, "batch frames feats -> batch feats 1 frames")


def text_tokens(tokens: Tensor, mask: Tensor, pooled: Tensor) -> TextTokens:
    words = tuple(WordMap((), (-1,) * int(n)) for n in mask.sum(1))
    return TextTokens(tokens, mask, pooled, words)


def pooled_text(pooled: Tensor) -> TextTokens:
    """A single sentence vector per item, as baseline MDM has it."""
    pooled = pooled.reshape(-1, 1, pooled.shape[-1])
    return text_tokens(pooled, torch.ones(pooled.shape[:2], dtype=torch.bool), pooled)


def build(weights: dict[str, Tensor], converted: dict[str, Tensor], config: object, kind: type[Injection]) -> Ours:
    """Our modules with strictly loaded weights; sizes come from the tensors."""
    assert issubclass(kind, Casim | Fixed)
    backbone = plugins.build(config, mdm.feats_of(weights))
    injection = kind(kind.Config(), mdm.text_width_of(weights), backbone.condition_width)
    holder = torch.nn.ModuleDict({"injection": injection, "backbone": backbone})
    holder.load_state_dict(converted, strict=True)
    holder.eval()
    return Ours(injection, backbone)


def check_config(golden: Golden, config: object) -> None:
    """The sizes derived from the tensors are those of the file's config."""
    named = {"latent_dim": "width", "ff_size": "ff", "num_layers": "layers"}
    for theirs, mine in named.items():
        assert getattr(config, mine) == golden.config[theirs]


def check_common(case: Case, converted: dict[str, Tensor]) -> None:
    """Position rows (rows_A_B) and the time embedding of every k-th step (_A_B_stepK)."""
    width = converted["backbone.time.first.weight"].shape[0]
    time = TimeEmbedding(width)
    time.load_state_dict({n.removeprefix("backbone.time."): t for n, t in converted.items() if "time" in n})
    for name, expected in case.outputs.items():
        numbers = [int(part.removeprefix("step")) for part in name.split("_") if part[-1].isdigit()]
        if name.startswith("pe_rows_"):
            first, last = numbers
            close(sinusoid(torch.arange(first, last + 1), width), expected, FORWARD, name)
        elif name.startswith("embed_timestep_"):
            first, last, stride = numbers
            close(time(torch.arange(first, last + 1, stride)).detach(), expected, FORWARD, name)
        else:
            raise AssertionError(f"unknown output {name!r} of case common")


def check_outputs(case: Case, given: dict[str, Tensor], atol: float) -> None:
    """Every output of the case is one of `given`; `out` and attention rows are compared at valid frames."""
    assert case.outputs, f"case {case.name} has no outputs"
    valid = case.inputs["mask"][:, 0, 0]
    for name, expected in case.outputs.items():
        assert name in given, f"unknown output {name!r} of case {case.name}"
        mine = given[name]
        assert mine.shape == expected.shape, (name, mine.shape, expected.shape)
        if name == "out":
            mine, expected = ours(mine)[valid], ours(expected)[valid]
        elif name.endswith("cross_attn"):
            rows = "batch heads frames words -> batch frames heads words"
            mine, expected = rearrange(mine, rows)[valid], rearrange(expected, rows)[valid]
        close(mine.detach(), expected, atol, f"{case.name}/{name}")
