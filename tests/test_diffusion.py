"""Schedules, the forward process, the loss and the sampler, with a backbone whose best answer is known."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from casim.diffusion import (
    DiffusionBackbone,
    DiffusionConfig,
    Inpaint,
    Schedule,
    Start,
    Step,
    masked_error,
    spaced,
)
from casim.guidance import Guided
from casim.types import Condition, MotionBatch, frame_mask

BATCH, FRAMES, FEATS = 2, 5, 3
SPREAD = 0.4
"""Standard deviation of the toy data, which is normal."""


class Gaussian(DiffusionBackbone):
    """The best denoiser of normal data with standard deviation `SPREAD`: a shrinkage of x_t."""

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__(FEATS, config, max_frames=8)
        self.told: list[int] = []

    def denoise(self, x_t: Tensor, t: Tensor, condition: Condition, frames: Tensor) -> Tensor:
        self.told.append(int(t[0]))
        kept = self.schedule.alphas_cumprod[t][:, None, None]
        x_0 = x_t * (kept.sqrt() * SPREAD**2 / (kept * SPREAD**2 + 1 - kept)).float()
        if self.diffusion.prediction == "sample":
            return x_0
        return ((x_t - kept.sqrt() * x_0) / (1 - kept).sqrt()).float()


def guided(batch: int = BATCH) -> Guided:
    return Guided(Condition(torch.zeros(batch, 1, 1), torch.ones(batch, 1, dtype=torch.bool)))


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(model: DiffusionBackbone, batch: int = BATCH, seed: int = 0, **options: Any) -> Tensor:
    frames = torch.ones(batch, FRAMES, dtype=torch.bool)
    return model.sample(guided(batch), frames, draw(seed), **options)


def clips(seed: int = 0) -> MotionBatch:
    mask = frame_mask([5, 3])
    texts = ("a", "b")
    return MotionBatch(
        torch.randn(BATCH, FRAMES, FEATS, generator=draw(seed)) * mask[..., None], mask, texts, texts
    )


@pytest.mark.parametrize(
    ("steps", "step", "beta", "kept"),
    [
        (1000, 0, 4.12842e-5, 0.999959),
        (1000, 500, None, 0.492285),
        (1000, 899, None, 0.0240917),
        (1000, 999, None, 2.43e-9),
        (50, 0, 1.74751e-3, None),
        (50, 25, None, 0.462707),
        (10, 0, 0.0279073, None),
    ],
)
def test_cosine_schedule_values(steps: int, step: int, beta: float | None, kept: float | None) -> None:
    schedule = Schedule.of(DiffusionConfig(steps=steps))
    for value, expected in ((schedule.betas[step], beta), (schedule.alphas_cumprod[step], kept)):
        assert expected is None or float(value) == pytest.approx(expected, rel=2e-3 if step == 999 else 5e-6)


def test_scaled_linear_schedule_ends() -> None:
    betas = Schedule.of(DiffusionConfig(schedule="scaled_linear")).betas
    assert [float(betas[0]), float(betas[-1])] == pytest.approx([0.00085, 0.012])
    torch.testing.assert_close(betas.sqrt().diff(), betas.sqrt().diff()[:1].expand(999))


@given(st.integers(2, 200), st.floats(0.1, 4.0))
def test_snr_shift_multiplies_the_ratio(steps: int, shift: float) -> None:
    def ratio(config: DiffusionConfig) -> Tensor:
        kept = Schedule.of(config).alphas_cumprod
        return kept / (1 - kept)

    shifted = ratio(DiffusionConfig(steps=steps, snr_shift=shift))
    torch.testing.assert_close(shifted, shift**2 * ratio(DiffusionConfig(steps=steps)), rtol=1e-6, atol=0)


@given(st.integers(2, 60), st.data())
def test_respacing_keeps_the_noise_levels(total: int, data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, total))
    whole = Schedule.of(DiffusionConfig(steps=total))
    chosen = spaced(total, steps)
    part = whole.respaced(chosen)
    assert len(part) == steps == len(set(chosen))
    assert part.timesteps.tolist() == chosen == sorted(chosen)
    torch.testing.assert_close(part.alphas_cumprod, whole.alphas_cumprod[chosen], rtol=1e-9, atol=0)


def test_spacings() -> None:
    assert spaced(1000, 10) == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]
    assert spaced(1000, 10, "stride") == list(range(0, 1000, 100))
    assert spaced(10, 1) == [0]
    for steps in (0, 11):
        with pytest.raises(ValueError, match=r"trained with 10: ask for 1 to 10"):
            spaced(10, steps)
    with pytest.raises(ValueError, match="no whole stride"):
        spaced(10, 7, "stride")
    assert spaced(1000, 7, "leading", 1) == [1, 143, 285, 427, 569, 711, 853]
    with pytest.raises(ValueError, match="10 of 10 steps from step 1 on end at 10; ask for fewer"):
        spaced(10, 10, "leading", 1)


def test_forward_process_and_its_inverse() -> None:
    schedule = Schedule.of(DiffusionConfig())
    x_0, noise = (torch.randn(4, FRAMES, FEATS, generator=draw(seed)) for seed in (0, 1))
    t = torch.tensor([0, 10, 300, 600])
    x_t = schedule.q_sample(x_0, t, noise)
    for row, step in enumerate(t):
        kept = float(schedule.alphas_cumprod[step])
        torch.testing.assert_close(x_t[row], math.sqrt(kept) * x_0[row] + math.sqrt(1 - kept) * noise[row])
    torch.testing.assert_close(schedule.clean(x_t, t, noise), x_0, atol=1e-4, rtol=0)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_ddpm_step_is_the_posterior(variance: Any) -> None:
    """Ho et al. 2020, eqs. 6 and 7, in their own form."""
    model = Gaussian(DiffusionConfig(steps=20, variance=variance))
    schedule, states = model.schedule, []
    noise = {step: torch.randn(BATCH, FRAMES, FEATS, generator=draw(step + 1)) for step in range(-1, 20)}
    drawn(model, noise=noise.__getitem__, after_step=states.append)
    x = noise[-1]
    for step in states:
        i = 19 - step.index
        kept, before, beta = (
            float(v[i]) for v in (schedule.alphas_cumprod, schedule.alphas_cumprod_prev, schedule.betas)
        )
        mean = (
            beta * math.sqrt(before) / (1 - kept) * step.x_0 + (1 - before) * math.sqrt(1 - beta) / (1 - kept) * x
        )
        spread = 0.0 if i == 0 else beta if variance == "fixed_large" else beta * (1 - before) / (1 - kept)
        torch.testing.assert_close(step.x, mean + math.sqrt(spread) * noise[step.index], atol=1e-5, rtol=0)
        x = step.x


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("options", [{}, {"sampler": "ddim"}, {"sampler": "ddim", "eta": 0.5}, {"steps": 150}])
def test_samples_have_the_spread_of_the_data(prediction: Any, options: dict[str, Any]) -> None:
    model = Gaussian(DiffusionConfig(steps=300, prediction=prediction))
    out = drawn(model, batch=400, **options)
    assert float(out.std()) == pytest.approx(SPREAD, rel=0.05)
    assert abs(float(out.mean())) < 5 * SPREAD / out.numel() ** 0.5


def test_predictions_of_noise_and_of_motion_agree() -> None:
    outs = [drawn(Gaussian(DiffusionConfig(steps=50, prediction=p))) for p in ("sample", "epsilon")]
    torch.testing.assert_close(*outs, atol=1e-4, rtol=0)


def test_ddim_is_deterministic_and_eta_one_is_ddpm() -> None:
    model = Gaussian(DiffusionConfig(steps=30))
    start = torch.randn(BATCH, FRAMES, FEATS, generator=draw(9))

    def from_start(seed: int, **options: Any) -> Tensor:
        generator = draw(seed)
        fresh = [start] + [torch.randn(start.shape, generator=generator) for _ in range(30)]
        return drawn(model, noise=lambda step: fresh[step + 1], **options)

    assert torch.equal(from_start(1, sampler="ddim"), from_start(2, sampler="ddim"))
    assert not torch.equal(from_start(1, sampler="ddim", eta=0.3), from_start(2, sampler="ddim", eta=0.3))
    torch.testing.assert_close(from_start(1), from_start(1, sampler="ddim", eta=1.0))


def test_same_seed_same_sample() -> None:
    model = Gaussian(DiffusionConfig(steps=7))
    assert torch.equal(drawn(model, seed=3), drawn(model, seed=3))
    assert not torch.equal(drawn(model, seed=3), drawn(model, seed=4))


def test_the_model_is_told_training_steps() -> None:
    model = Gaussian(DiffusionConfig(steps=100))
    drawn(model, steps=4, sampler="ddim")
    assert model.told == [99, 66, 33, 0]


@pytest.mark.parametrize(("steps", "taken", "offset", "ends_clean"), [(100, 7, 1, False), (37, 5, 0, True)])
def test_latent_diffusion_walks_as_diffusers(steps: int, taken: int, offset: int, ends_clean: bool) -> None:
    from diffusers import DDIMScheduler

    model = Gaussian(
        DiffusionConfig(steps, "scaled_linear", "epsilon", spacing="leading", offset=offset, ends_clean=ends_clean)
    )
    x = torch.randn(BATCH, FRAMES, FEATS, generator=draw(1))
    given = drawn(model, sampler="ddim", steps=taken, noise=lambda step: x)
    told, model.told = model.told, []
    scheduler = DDIMScheduler(
        steps, 0.00085, 0.012, "scaled_linear", clip_sample=False, set_alpha_to_one=ends_clean, steps_offset=offset
    )
    scheduler.set_timesteps(taken)
    for t in scheduler.timesteps:
        noise = model.denoise(x, t.expand(BATCH), guided().condition, torch.ones(BATCH, FRAMES, dtype=torch.bool))
        x = scheduler.step(noise, t, x).prev_sample
    assert told == scheduler.timesteps.tolist() == model.told
    torch.testing.assert_close(given, x, atol=1e-5, rtol=0)


def test_start_and_hook() -> None:
    model = Gaussian(DiffusionConfig(steps=10))
    motion = torch.randn(BATCH, FRAMES, FEATS, generator=draw(5))
    steps: list[Step] = []
    kept = drawn(model, sampler="ddim", start_at=Start(motion, 9), after_step=steps.append)
    assert [(step.index, step.t) for step in steps] == [(0, 0)]
    assert (kept - motion).abs().max() < 1.0  # little noise was added
    replaced = drawn(model, after_step=lambda step: torch.full_like(step.x, step.index))
    assert torch.equal(replaced, torch.full_like(replaced, 9.0))


def test_inpainting_and_clipping() -> None:
    model = Gaussian(DiffusionConfig(steps=10))
    motion, mask = torch.full((BATCH, FRAMES, FEATS), 3.0), torch.zeros(BATCH, FRAMES, 1, dtype=torch.bool)
    mask[:, 2:4] = True
    out = drawn(model, inpaint=Inpaint(motion, mask))
    torch.testing.assert_close(out[:, 2:4], motion[:, 2:4])
    assert (out[:, :2] - 3).abs().min() > 0.5
    half = drawn(model, inpaint=Inpaint(motion, torch.full((BATCH, FRAMES, FEATS), 0.5)))
    assert 0.5 < float(half.mean()) < 3.0
    assert drawn(model, inpaint=Inpaint(motion, mask), clip=True).abs().max() <= 1.0


def test_padding_is_zero_and_length_is_checked() -> None:
    model = Gaussian(DiffusionConfig(steps=5))
    out = model.sample(guided(), frame_mask([5, 2]), draw())
    assert not out[1, 2:].any()
    assert out[1, :2].all()
    with pytest.raises(ValueError, match="9 frames asked for; this model was built for at most 8"):
        model.sample(guided(), frame_mask([9, 2]), draw())
    with pytest.raises(TypeError, match="unknown_option"):
        model.sample(guided(), frame_mask([5, 2]), draw(), unknown_option=1)


def test_sampling_leaves_the_mode_alone() -> None:
    model = Gaussian(DiffusionConfig(steps=3)).train()
    modes: list[bool] = []
    drawn(model, after_step=lambda step: modes.append(model.training))
    assert modes == [False] * 3
    assert model.training


def test_masked_error_counts_real_frames_only() -> None:
    a = torch.zeros(2, 3, 2)
    b = torch.tensor([[[1.0, 3.0]] * 3, [[2.0, 0.0], [100.0, 100.0], [7.0, 7.0]]])
    torch.testing.assert_close(masked_error(a, b, frame_mask([3, 1])), torch.tensor([5.0, 2.0]))


def test_loss_is_reproducible_and_ignores_padding() -> None:
    model = Gaussian(DiffusionConfig(steps=10, velocity_weight=0.7))
    condition = guided().condition
    first, again = (model.loss(clips(), condition, draw(1)) for _ in range(2))
    assert torch.equal(first.total, again.total)
    torch.testing.assert_close(first.total, first.parts["mse"] + 0.7 * first.parts["velocity"])
    batch = clips()
    dirty = MotionBatch(torch.where(batch.mask[..., None], batch.motion, 9.0), batch.mask, batch.texts, batch.ids)
    torch.testing.assert_close(model.loss(dirty, condition, draw(1)).total, first.total)


def test_rows_of_a_batch_draw_as_in_the_whole() -> None:
    """Two processes with half a batch each have the loss of one process with all of it."""
    model = Gaussian(DiffusionConfig(steps=10))
    batch = clips()
    whole = model.loss(batch, guided().condition, draw(1)).total
    parts = [model.loss(batch.rows(i, i + 1), guided(1).condition, draw(1)).total for i in range(2)]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_impossible_combinations() -> None:
    with pytest.raises(ValueError, match="velocity_weight"):
        Gaussian(DiffusionConfig(prediction="epsilon", velocity_weight=1.0))
    with pytest.raises(ValueError, match="conditional"):
        Gaussian(DiffusionConfig()).loss(clips(), None)
