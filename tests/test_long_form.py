"""Joining segments: what each method leaves alone, with real backbones at toy size."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from casim import long_form, plugins
from casim.backbones.mdm_decoder import MdmDecoder
from casim.data.choreography import Choreography
from casim.diffusion import DiffusionBackbone, DiffusionConfig
from casim.features import FeatureSpec
from casim.guidance import Guided
from casim.injection import Casim
from casim.long_form import Joining, LongForm, Takes, cross_fade, seam_windows, unfold
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion
from casim.timeline import Layout
from casim.types import Backbone, Condition

FEATS, WORDS, WIDTH, LIMIT = 5, 3, 10, 37
JOINING = Joining(handshake=4, blend=3, margin=2)
LAYOUT = Layout((17, 23, 19), handshake=4, blend=3)
PACKAGE = "casim.backbones"
DIFFUSION = [n for n in plugins.names(PACKAGE) if issubclass(plugins.load(Backbone, PACKAGE, n), DiffusionBackbone)]


def toy(name: str = "mdm_decoder", **options: Any) -> Any:
    kind = plugins.load(Backbone, PACKAGE, name)
    sizes = {"width": WIDTH, "layers": 1, "heads": 2, "ff": 17, "dropout": 0.0, "max_frames": LIMIT}
    torch.manual_seed(0)
    config = kind.Config(**(sizes | options), diffusion=DiffusionConfig(steps=5))
    return kind(config, FEATS).eval()


def condition(rows: int, seed: int = 3) -> Condition:
    tokens = torch.randn(rows, WORDS, WIDTH, generator=torch.Generator().manual_seed(seed))
    return Condition(tokens, torch.ones(rows, WORDS, dtype=torch.bool))


def takes(backbone: Any, layout: Layout = LAYOUT, limit: int = LIMIT, **joining: Any) -> Takes:
    chosen = Joining(**({"handshake": 4, "blend": 3, "margin": 2, "skip": 0.4} | joining))
    generator = torch.Generator().manual_seed(1)
    rows = len(layout.lengths)
    return LongForm(backbone, chosen, limit)(Guided(condition(rows)), condition(rows - 1), layout, generator)


@pytest.mark.parametrize("name", DIFFUSION)
def test_every_backbone_of_frames_makes_long_motions(name: str) -> None:
    done = takes(toy(name))
    motion = done.motion()
    assert motion.shape == (17 + 23 + 19 - 2 * 4, FEATS)
    assert motion.isfinite().all()
    assert done.second is not None
    assert not torch.allclose(done.rebuilt, done.first)


def test_neighbours_agree_on_their_handshake() -> None:
    for method in ("double_take", "first_take", "linear_blend"):
        segments = takes(toy(), method=method).rebuilt
        for seam in (0, 1):
            length = LAYOUT.lengths[seam]
            assert torch.equal(segments[seam, length - 4 : length], segments[seam + 1, :4])
    own = takes(toy(), LAYOUT, method="second_take").first
    assert not torch.allclose(own[0, 13:17], own[1, :4])


def test_the_second_take_changes_only_what_lies_beside_handshakes() -> None:
    first, double = (takes(toy(), method=method) for method in ("first_take", "double_take"))
    kinds = torch.from_numpy(LAYOUT.kinds())
    changed = (first.motion() != double.motion()).any(-1)
    assert not changed[kinds != 1].any()
    assert changed[kinds == 1].all()
    unblended = Layout(LAYOUT.lengths, 4, 1)
    one = takes(toy(), unblended, blend=1)
    assert torch.equal(one.motion(), unfold(one.first, unblended))


def test_baselines_do_not_let_segments_see_each_other() -> None:
    """The first segment of a plain concatenation is the segment made alone, and so it is before a linear blend."""
    apart = Layout(LAYOUT.lengths)
    plain = takes(toy(), apart, method="concatenate")
    assert torch.equal(
        plain.motion(), torch.cat([row[:n] for row, n in zip(plain.first, apart.lengths, strict=True)])
    )
    blended = takes(toy(), method="linear_blend")
    assert torch.equal(blended.motion()[:13], plain.first[0, :13])
    h = torch.arange(4)[:, None] / 4
    torch.testing.assert_close(
        blended.motion()[13:17], plain.first[0, 13:17] * (1 - h) + plain.first[1, :4] * h, atol=1e-6, rtol=0
    )
    shaken = takes(toy(), method="first_take")
    assert not torch.allclose(shaken.motion()[:13], plain.first[0, :13])


def test_a_second_take_sees_no_more_than_the_model_was_trained_for() -> None:
    """It sees the frames nearest to the handshake; with room for all, it sees both segments."""
    widths: list[int] = []
    for limit in (23, 1000):
        backbone = toy(max_frames=1000)
        done = takes(backbone, limit=limit)
        assert done.inpaint is not None
        widths.append(done.inpaint.motion.shape[1])
        assert done.motion().isfinite().all()
        left, first = done.bodies[0], done.first[0]
        torch.testing.assert_close(done.inpaint.motion[0, : left + 4], first[17 - 4 - left : 17])
    assert widths == [2 * 9 + 4, 2 * 15 + 4]


def test_a_model_that_sees_padding_gets_its_whole_canvas() -> None:
    widths: list[int] = []
    backbone = toy("mdm_encoder", use_frame_mask=False)
    whole = backbone.denoise
    backbone.denoise = lambda x, *rest: widths.append(x.shape[1]) or whole(x, *rest)
    generator = torch.Generator().manual_seed(1)
    long_form_of = LongForm(backbone, JOINING, LIMIT, lambda frames: LIMIT)
    done = long_form_of(Guided(condition(3)), condition(2), LAYOUT, generator)
    assert set(widths) == {LIMIT}
    assert done.first.shape[1] == max(LAYOUT.lengths)


def test_segments_do_not_depend_on_padding() -> None:
    """A backbone that masks frames: what is padded in a batch of unequal segments changes nothing beyond it."""
    backbone = toy()
    noise = torch.randn(7, 3, 23, FEATS, generator=torch.Generator().manual_seed(9))

    def motion(fill: float) -> Tensor:
        drawn = noise.clone()
        for row, length in enumerate(LAYOUT.lengths):
            drawn[:, row, length:] = fill
        run = LongForm(backbone, Joining("first_take", 4, 3, 2), LIMIT)
        generator = torch.Generator()
        return run(Guided(condition(3)), condition(2), LAYOUT, generator, noise=lambda s: drawn[s + 1]).motion()

    torch.testing.assert_close(motion(0.0), motion(50.0), atol=1e-5, rtol=0)


@given(st.integers(1, 6), st.integers(0, 5), st.lists(st.integers(0, 9), min_size=2, max_size=4))
def test_cross_fade_and_unfold(h: int, b: int, extra: list[int]) -> None:
    """Segments that are one ramp in time, laid out with their overlap, do not change and give the ramp back."""
    layout = Layout(tuple(2 * h + 2 * b + e + 1 for e in extra), h, b)
    ramp = torch.arange(float(layout.total))[:, None]
    segments = torch.zeros(len(extra), max(layout.lengths), 1)
    for row, (start, length) in enumerate(zip(layout.starts, layout.lengths, strict=True)):
        segments[row, :length] = ramp[start : start + length]
    torch.testing.assert_close(cross_fade(segments, layout), segments)
    assert torch.equal(unfold(segments, layout), ramp)
    bodies = tuple(length - 2 * h for length in layout.lengths)
    windows = seam_windows(segments, layout, bodies, 2 * max(bodies) + h)
    for seam, (first, _) in enumerate(layout.seams):
        real = bodies[seam] + h + bodies[seam + 1]
        start = first - bodies[seam]
        assert torch.equal(windows.motion[seam, :real], ramp[start : start + real])
        assert not windows.motion[seam, real:].any()
        free = (windows.mask[seam, :, 0] < 1).sum()
        assert free == (2 * b if b > 1 else 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"handshake": -1}, "count frames, got -1, 10 and 10"),
        ({"handshake": 0}, "double_take needs a handshake of 1 frame or more; without one: concatenate"),
        ({"skip": 1.0}, "skip is a share of the steps, 0 or more and below 1, got 1"),
        ({"skip": float("nan")}, "skip is a share"),
    ],
)
def test_impossible_ways_of_joining(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Joining(**options)


def test_short_and_long_segments_are_refused_with_the_number() -> None:
    joining = Joining()
    assert joining.layout([60, 50, 76, 60], 96, 20.0).lengths == (70, 70, 96, 70)
    with pytest.raises(ValueError, match=r"segment 2 of 2.45 s has 69 frames .* needs 70: ask for 2.5 s or more"):
        joining.layout([60, 49, 60], 96, 20.0)
    with pytest.raises(ValueError, match=r"segment 1 of 4.5 s has 100 frames .* at most 96: ask for 4.3 s or less"):
        joining.layout([90, 60], 96, 20.0)
    with pytest.raises(ValueError, match="handshake of 20 frames is not shorter than segment 1 of 15 frames"):
        joining.layout([5, 60], 96, 20.0)
    with pytest.raises(ValueError, match="two or more segments, got 1"):
        joining.layout([60], 96, 20.0)
    assert Joining("concatenate").layout([1, 96], 96, 20.0).lengths == (1, 96)
    assert Joining("linear_blend").layout([30, 30], 96, 20.0).lengths == (40, 40)


def model(feats: int | None = None) -> TextToMotion:
    torch.manual_seed(0)
    setup = Setup(
        data=Choreography.Config(train=601),
        text=Hashed.Config(width=13, max_words=11),
        injection=Casim.Config(),
        backbone=MdmDecoder.Config(width=16, layers=1, heads=2, ff=19, diffusion=DiffusionConfig(steps=5)),
        sampling=SamplingConfig(sampler="ddim", steps=5),
    )
    spec = FeatureSpec()
    made = TextToMotion(setup, spec, np.zeros(spec.dims), np.full(spec.dims, 0.1), LIMIT)
    if feats is not None:
        made.backbone = MdmDecoder(setup.backbone, feats)
    return made


def test_a_model_follows_its_texts_and_the_seed() -> None:
    made = model()
    texts = ["a person walks", "a person jumps", "a person waves twice"]

    def motion(*prompts: str, seed: int = 0) -> Tensor:
        return long_form.sample(made, prompts, LAYOUT, JOINING, seed).motion()

    assert motion(*texts).shape == (LAYOUT.total, made.spec.dims)
    assert torch.equal(motion(*texts), motion(*texts))
    assert not torch.allclose(motion(*texts), motion(*texts, seed=1))
    last = motion(*texts[:2], "a person sits")
    assert not torch.allclose(motion(*texts)[-15:], last[-15:])
    with pytest.raises(ValueError, match="2 texts for 3 segments: give one each"):
        motion(*texts[:2])


def test_latents_are_refused() -> None:
    with pytest.raises(ValueError, match="MdmDecoder works on latents of 7 values, not on frames of 263 features"):
        long_form.check(model(feats=7))
    made = model()
    made.backbone = Codes()
    with pytest.raises(ValueError, match="Codes is no diffusion model of frames: take a run with mdm_encoder"):
        long_form.check(made)


class Codes(Backbone):
    """A generator of codes."""

    def loss(self, batch, condition, generator=None):
        raise NotImplementedError

    def sample(self, guided, frames, generator, **options):
        raise NotImplementedError
