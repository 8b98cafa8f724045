"""What every backbone promises, under both injections and in every configuration."""

import itertools
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from casim import plugins
from casim.checkpoint import load_into, load_tensors, save_tensors
from casim.diffusion import DiffusionBackbone
from casim.guidance import Guided
from casim.injection import Casim, ContextConfig, Fixed, Injection
from casim.nn.attention import record_attention
from casim.types import Backbone, Condition, MotionBatch, Space, TextTokens, WordMap, frame_mask

PACKAGE = "casim.backbones"
NAMES = plugins.names(PACKAGE)
SPACES: tuple[Space, ...] = (7, (11,), (5, 3, 2))
"""Vectors, one code per place, or several: a backbone is tried with the first one that it takes."""
DIFFUSION = [n for n in NAMES if issubclass(plugins.load(Backbone, PACKAGE, n), DiffusionBackbone)]
INJECTIONS = {
    "casim": Casim.Config(),
    "casim with context": Casim.Config(ContextConfig(layers=1, heads=2, dropout=0.0)),
    "fixed": Fixed.Config(),
    "fixed to frames": Fixed.Config("mean", to_frames=True, context=ContextConfig(layers=1, heads=2, dropout=0.0)),
}
BATCH, FRAMES, FEATS, WORDS, TEXT, WIDTH = 3, 11, 7, 5, 13, 10
TOY = {
    "width": WIDTH,
    "layers": 2,
    "heads": 2,
    "ff": 17,
    "dropout": 0.0,
    "max_frames": 19,
    "time_width": 14,
    "max_codes": 19,
    "text_places": 12,
}
ATOL = 1e-5

every_backbone = pytest.mark.parametrize("name", NAMES)
every_diffusion = pytest.mark.parametrize("name", DIFFUSION)
every_injection = pytest.mark.parametrize("injection", INJECTIONS)


@dataclass(frozen=True)
class Arm:
    """A backbone and its injection, as they are trained together."""

    backbone: Any
    injection: Injection

    @property
    def modules(self) -> nn.ModuleDict:
        return nn.ModuleDict({"backbone": self.backbone, "injection": self.injection})

    def denoise(self, x: Tensor, t: Tensor, text: TextTokens, frames: Tensor) -> Tensor:
        return self.backbone.denoise(x, t, self.injection(text), frames)

    def clips(self) -> MotionBatch:
        """Clips of the kind that the backbone makes."""
        return coded(clips(), self.space)

    @property
    def space(self) -> Space:
        return getattr(self.backbone, "groups", FEATS)

    def loss(self, batch: MotionBatch, text: TextTokens, seed: int = 0) -> Tensor:
        return self.backbone.loss(batch, self.injection(text), draw(seed)).total


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_config(name: str) -> Any:
    config_type = plugins.load(Backbone, PACKAGE, name).Config
    known = {field.name for field in fields(config_type)}
    toy = {key: value for key, value in TOY.items() if key in known}
    if "has_skips" in known:  # first, middle and last
        toy["layers"] = 3
    if "diffusion" in known:  # the model's own, but short
        toy["diffusion"] = replace(config_type().diffusion, steps=4)
    return config_type(**toy)


def built(config: Any) -> Any:
    """A backbone in the first space that it takes."""
    for space in SPACES[:-1]:
        with suppress(ValueError):
            return plugins.build(config, space)
    return plugins.build(config, SPACES[-1])


def coded(batch: MotionBatch, space: Space) -> MotionBatch:
    """The same clips as codes where the space has codes."""
    if isinstance(space, int):
        return batch
    columns = batch.motion[..., : len(space)].abs() * 1000
    codes = columns.long() % torch.tensor(space)
    return replace(batch, motion=torch.where(batch.mask[..., None], codes, -1))


def arm(name: str, injection: str = "casim", **changes: Any) -> Arm:
    torch.manual_seed(0)
    backbone = built(replace(toy_config(name), **changes))
    made = plugins.build(INJECTIONS[injection], TEXT, backbone.condition_width)
    both = Arm(backbone, made)
    both.modules.eval()
    for parameter in both.modules.parameters():  # no bias at zero, no norm at one: nothing passes by accident
        parameter.data = parameter.data + 0.1 * torch.randn(parameter.shape)
    return both


def variants(name: str) -> list[dict[str, Any]]:
    """Every switch of a config in every position, one at a time, and patches of three frames."""
    found: list[dict[str, Any]] = [{}]
    for field in fields(type(toy_config(name))):
        if field.type is bool:
            found += [{field.name: value} for value in (True, False)]
        elif get_origin(field.type) is Literal:
            found += [{field.name: value} for value in get_args(field.type)]
        elif field.name == "patch":
            found += [{"patch": 3}]
        elif field.name == "first_frame":
            found += [{"first_frame": value} for value in (None, 1)]
    return found


EVERY_VARIANT = [
    pytest.param(name, changes, id="-".join([name, *(f"{k}={v}" for k, v in changes.items())]))
    for name in NAMES
    for changes in variants(name)
]


def text(lengths: tuple[int, ...] = (5, 2, 3), words: int = WORDS, seed: int = 0) -> TextTokens:
    """Random token states, garbage included where they are padding."""
    tokens = torch.randn(len(lengths), words, TEXT, generator=draw(seed))
    pooled = torch.randn(len(lengths), 1, TEXT, generator=draw(seed + 1))
    maps = tuple(WordMap(tuple("abcdefg"[:n]), tuple(range(n))) for n in lengths)
    return TextTokens(tokens, frame_mask(list(lengths), words), pooled, maps)


def clips(lengths: tuple[int, ...] = (11, 4, 7), frames: int = FRAMES, seed: int = 2) -> MotionBatch:
    mask = frame_mask(list(lengths), frames)
    motion = torch.randn(len(lengths), frames, FEATS, generator=draw(seed)) * mask[..., None]
    ids = tuple(str(i) for i in range(len(lengths)))
    return MotionBatch(motion, mask, ids, ids)


def steps(batch: int = BATCH) -> Tensor:
    return torch.arange(batch) % 4


def garbage_behind(x: Tensor, mask: Tensor, extra: int) -> tuple[Tensor, Tensor]:
    """The same rows with garbage in their padding and `extra` more padded places."""
    x = torch.where(mask[..., None], x, 7.0)
    more = torch.full((len(x), extra, x.shape[2]), -5.0)
    return torch.cat([x, more], 1), torch.cat([mask, torch.zeros(len(x), extra, dtype=torch.bool)], 1)


@every_backbone
@every_injection
def test_loss_is_finite_and_reproducible(name: str, injection: str) -> None:
    both = arm(name, injection)
    losses = [both.loss(both.clips(), text(), seed) for seed in (0, 0, 1)]
    assert torch.isfinite(losses[0])
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(("name", "changes"), EVERY_VARIANT)
@every_injection
def test_every_parameter_gets_a_gradient(name: str, changes: dict[str, Any], injection: str) -> None:
    if changes.get("time_token") == "time_text" and injection.startswith("casim"):
        with pytest.raises(ValueError, match="takes one text token, got 5"):
            arm(name, injection, **changes).loss(clips(), text())
        return
    both = arm(name, injection, **changes)
    both.loss(both.clips(), text()).backward()
    silent = [n for n, p in both.modules.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@every_diffusion
@every_injection
@pytest.mark.parametrize("patch", [1, 3])
def test_padded_frames_change_nothing(name: str, injection: str, patch: int) -> None:
    both, batch = arm(name, injection, patch=patch), clips()
    expected = both.denoise(batch.motion, steps(), text(), batch.mask)
    motion, mask = garbage_behind(batch.motion, batch.mask, 4)
    given = both.denoise(motion, steps(), text(), mask)[:, :FRAMES]
    torch.testing.assert_close(given[batch.mask], expected[batch.mask], atol=ATOL, rtol=0)


@every_diffusion
@every_injection
def test_padded_words_change_nothing(name: str, injection: str) -> None:
    both, batch, prompt = arm(name, injection), clips(), text()
    expected = both.denoise(batch.motion, steps(), prompt, batch.mask)
    tokens, mask = garbage_behind(prompt.tokens, prompt.mask, 6)
    given = both.denoise(batch.motion, steps(), replace(prompt, tokens=tokens, mask=mask), batch.mask)
    torch.testing.assert_close(given[batch.mask], expected[batch.mask], atol=ATOL, rtol=0)


@every_diffusion
@every_injection
def test_items_are_independent(name: str, injection: str) -> None:
    both, batch, prompt = arm(name, injection), clips(), text()
    whole = both.denoise(batch.motion, steps(), prompt, batch.mask)
    for i in range(BATCH):
        frames, words = int(batch.mask[i].sum()), int(prompt.mask[i].sum())
        one = replace(prompt[[i]], tokens=prompt.tokens[i : i + 1, :words], mask=prompt.mask[i : i + 1, :words])
        alone = both.denoise(
            batch.motion[i : i + 1, :frames], steps()[i : i + 1], one, batch.mask[i : i + 1, :frames]
        )
        torch.testing.assert_close(alone[0], whole[i, :frames], atol=ATOL, rtol=0)


@every_backbone
@every_injection
def test_text_matters_and_a_dropped_condition_ignores_it(name: str, injection: str) -> None:
    both = arm(name, injection)
    prompts = [text(seed=seed) for seed in (0, 5)]

    def losses(dropped: bool) -> list[Tensor]:
        rows = torch.full((BATCH,), dropped)
        return [both.backbone.loss(both.clips(), both.injection(p, rows), draw()).total for p in prompts]

    kept, dropped = losses(False), losses(True)
    assert abs(kept[0] - kept[1]) > 1e-4
    assert dropped[0] == dropped[1]


@every_diffusion
def test_a_changed_word_changes_its_own_item_only(name: str) -> None:
    both, batch, prompt = arm(name), clips(), text()
    tokens = prompt.tokens.clone()
    tokens[0, 1] += 1.0
    before, after = (
        both.denoise(batch.motion, steps(), p, batch.mask) for p in (prompt, replace(prompt, tokens=tokens))
    )
    assert (before - after)[0].abs().max() > 1e-3
    torch.testing.assert_close(before[1:], after[1:], atol=ATOL, rtol=0)


@every_diffusion
def test_a_vector_for_the_frames_is_used(name: str) -> None:
    both, batch, x = arm(name), clips(), torch.randn(BATCH, WIDTH, generator=draw(4))
    plain = both.injection(text())
    outs = [
        both.backbone.denoise(batch.motion, steps(), replace(plain, pooled=pooled), batch.mask)
        for pooled in (None, torch.zeros_like(x), x)
    ]
    torch.testing.assert_close(outs[0], outs[1])
    assert (outs[2] - outs[1])[batch.mask].abs().max() > 1e-3


@every_diffusion
def test_the_time_step_matters(name: str) -> None:
    both, batch = arm(name), clips()
    outs = [both.denoise(batch.motion, torch.full((BATCH,), t), text(), batch.mask) for t in (0, 3)]
    assert (outs[0] - outs[1])[batch.mask].abs().max() > 1e-3


@every_diffusion
def test_frames_know_their_order(name: str) -> None:
    both, batch = arm(name), clips((11, 11, 11))
    turned = both.denoise(batch.motion.flip(1), steps(), text(), batch.mask).flip(1)
    assert (turned - both.denoise(batch.motion, steps(), text(), batch.mask)).abs().max() > 1e-3


@every_backbone
def test_casim_on_one_pooled_token_equals_fixed(name: str) -> None:
    both, prompt = arm(name, "casim"), text()
    fixed = Fixed(Fixed.Config(), TEXT, WIDTH)
    fixed.load_state_dict(both.injection.state_dict(), strict=True)
    one = replace(prompt, tokens=prompt.pooled, mask=torch.ones(BATCH, 1, dtype=torch.bool))
    pair = [both.backbone.loss(both.clips(), c, draw()).total for c in (both.injection(one), fixed(prompt))]
    assert pair[0] == pair[1]


@every_backbone
@every_injection
def test_saved_and_loaded_gives_the_same(name: str, injection: str, tmp_path: Path) -> None:
    both = arm(name, injection)
    save_tensors(tmp_path / "model.safetensors", both.modules.state_dict())
    torch.manual_seed(1)
    backbone = plugins.build(
        plugins.restore(type(both.backbone.config), plugins.describe(both.backbone.config)), both.space
    )
    other = Arm(backbone, plugins.build(INJECTIONS[injection], TEXT, backbone.condition_width))
    other.modules.eval()
    assert other.loss(other.clips(), text()) != both.loss(both.clips(), text())
    load_into(other.modules, load_tensors(tmp_path / "model.safetensors"), "saved")
    assert other.loss(other.clips(), text()) == both.loss(both.clips(), text())


@every_diffusion
@given(batch=st.integers(1, 3), frames=st.integers(1, 9), words=st.integers(1, 4), patch=st.integers(1, 4))
def test_sample_shape_seed_and_padding(name: str, batch: int, frames: int, words: int, patch: int) -> None:
    has_patch = "patch" in {field.name for field in fields(type(toy_config(name)))}
    both = arm(name, **({"patch": patch} if has_patch else {}))
    lengths = tuple(max(1, frames - i) for i in range(batch))
    prompt = text((words,) * batch, words)
    guided = Guided(both.injection(prompt), both.injection.null(prompt), 2.5)
    first, again, other = (
        both.backbone.sample(guided, frame_mask(list(lengths)), draw(seed)) for seed in (0, 0, 1)
    )
    assert first.shape == (batch, frames, FEATS)
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not first[~frame_mask(list(lengths))].any()


@every_diffusion
def test_more_frames_than_trained_for(name: str) -> None:
    both = arm(name)
    guided = Guided(both.injection(text((3,))))
    both.backbone.sample(guided, frame_mask([19]), draw())
    with pytest.raises(ValueError, match="20 frames asked for; this model was built for at most 19"):
        both.backbone.sample(guided, frame_mask([20]), draw())


@every_diffusion
def test_codes_are_refused(name: str) -> None:
    kind = plugins.load(Backbone, PACKAGE, name)
    with pytest.raises(ValueError, match=r"denoises vectors, not codes \(groups of 512\); use .*motion_vae"):
        kind(toy_config(name), (512,))


@every_diffusion
@every_injection
def test_recorded_attention(name: str, injection: str) -> None:
    """Recording leaves the output alone; rows sum to one; padded words and frames get nothing."""
    both, batch, prompt = arm(name, injection), clips(), text()
    plain = both.denoise(batch.motion, steps(), prompt, batch.mask)
    with record_attention(both.backbone) as maps:
        watched = both.denoise(batch.motion, steps(), prompt, batch.mask)
    torch.testing.assert_close(watched[batch.mask], plain[batch.mask], atol=ATOL, rtol=0)
    cond = both.injection(prompt).mask
    keys = {"cross_attention": cond, "self_attention": batch.mask}
    assert {module.rpartition(".")[2] for module in maps} <= set(keys)
    assert len(maps) == len(set(maps)) >= 2
    for module, weights in maps.items():
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
        kind = module.rpartition(".")[2]
        mask = keys[kind]
        if weights.shape[-1] >= cond.shape[1] + FRAMES:
            mask = torch.cat([cond, batch.mask], 1)
        if weights.shape[-1] == mask.shape[1] + 1:  # a time token in front
            mask = nn.functional.pad(mask, (1, 0), value=True)
        hidden = ~mask[:, None, None].expand_as(weights)
        assert not weights[hidden].any()


@every_diffusion
def test_low_precision_stays_close(name: str) -> None:
    both, batch = arm(name), clips()
    plain = both.denoise(batch.motion, steps(), text(), batch.mask)
    with torch.autocast("cpu", torch.bfloat16):
        both.loss(batch, text()).backward()
        rough = both.denoise(batch.motion, steps(), text(), batch.mask)
    assert (rough.float() - plain)[batch.mask].abs().mean() < 0.03
    assert all(torch.isfinite(p.grad).all() for p in both.modules.parameters() if p.grad is not None)


@every_diffusion
@given(words=st.integers(1, 6), cond=st.integers(1, 4), pooled=st.booleans())
def test_any_condition_will_do(name: str, words: int, cond: int, pooled: bool) -> None:
    """Raw conditions of any number of tokens, with and without a vector for the frames."""
    both = arm(name)
    for frames, number in itertools.product((1, 5), (words, cond)):
        vector = torch.randn(2, WIDTH) if pooled else None
        condition = Condition(torch.randn(2, number, WIDTH), frame_mask([number, 1], number), vector)
        x = torch.randn(2, frames, FEATS)
        out = both.backbone.denoise(x, steps(2), condition, frame_mask([frames, 1], frames))
        assert out.shape == x.shape
        assert torch.isfinite(out).all()
