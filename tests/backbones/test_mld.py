"""What is special about MLD's denoiser: latents enter as they are, and positions that stay where they are."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from casim import plugins
from casim.backbones.mld import Mld
from casim.guidance import Guided
from casim.types import Condition, frame_mask

TOY = Mld.Config(width=10, layers=3, heads=2, ff=17, dropout=0.0, max_frames=11, positions=23, time_width=14)
LENGTHS = [5, 3]


def backbone(feats: int = 10, **changes: Any) -> Mld:
    torch.manual_seed(0)
    return plugins.build(replace(TOY, **changes), feats).eval()


def condition(words: int = 4, padded: int = 0, seed: int = 0) -> Condition:
    tokens = torch.randn(2, words, 10, generator=torch.Generator().manual_seed(seed))
    tokens = torch.cat([tokens, torch.full((2, padded, 10), 7.0)], 1)
    return Condition(tokens, frame_mask([words, words], words + padded))


def out(model: Mld, text: Condition, seed: int = 1) -> torch.Tensor:
    x = torch.randn(2, 5, model.feats, generator=torch.Generator().manual_seed(seed))
    return model.denoise(x, torch.tensor([3, 700]), text, frame_mask(LENGTHS, 5))


def test_latents_enter_as_they_are_and_frames_through_a_map() -> None:
    assert backbone(10).frames is None
    assert backbone(7).frames is not None
    assert backbone(10, patch=2).frames is not None
    assert out(backbone(7, patch=2), condition()).shape == (2, 5, 7)


@pytest.mark.parametrize("is_motion_last", [False, True])
def test_padded_text_moves_motion_only_in_the_authors_order(is_motion_last: bool) -> None:
    model = backbone(7, is_motion_last=is_motion_last)
    real = frame_mask(LENGTHS, 5)
    moved = (out(model, condition()) - out(model, condition(padded=3)))[real].abs().max()
    assert (moved > 1e-3) == is_motion_last
    assert is_motion_last or moved < 1e-5


@pytest.mark.parametrize("arch", ["encoder", "decoder"])
def test_words_and_places_are_ordered(arch: str) -> None:
    model, text = backbone(arch=arch), condition()
    turned = replace(text, tokens=text.tokens.flip(1))
    assert (out(model, text) - out(model, turned)).abs().max() > 1e-3


@pytest.mark.parametrize("arch", ["encoder", "decoder"])
def test_long_connections_are_used(arch: str) -> None:
    plain, skipping = (backbone(arch=arch, has_skips=has_skips) for has_skips in (False, True))
    missing = {n for n, _ in skipping.named_parameters()} - {n for n, _ in plain.named_parameters()}
    assert missing == {"stack.merges.0.weight", "stack.merges.0.bias"}
    backbone(layers=2, has_skips=False)
    with pytest.raises(ValueError, match="odd number of layers, got 2"):
        backbone(layers=2)


def test_more_text_than_positions() -> None:
    with pytest.raises(ValueError, match="positions up to 24 asked for, this model has learned 23"):
        out(backbone(), condition(words=12))


def test_sampling_walks_as_published() -> None:
    seen = []
    backbone().sample(
        Guided(condition(), condition(seed=5), 7.5),
        frame_mask(LENGTHS, 5),
        torch.Generator().manual_seed(0),
        sampler="ddim",
        steps=50,
        after_step=lambda step: seen.append(step.t),
    )
    assert seen == list(range(981, 0, -20))
