"""Gaussian diffusion (Ho et al. 2020): noise schedules, training loss and sampling for any `DiffusionBackbone`.

The tables are float64 and computed as in MDM's code: diffusers' own float32 tables drift from the posterior mean
by 9e-4 at 1,000 steps. diffusers' scheduler does the sampling arithmetic on these tables, with as many entries as
steps are taken, so that one code path serves every choice of steps. DDPM is DDIM with eta = 1 (Song et al. 2021,
eq. 16), which is how it is run here.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from casim.guidance import Guided, guide
from casim.types import Backbone, Condition, Losses, MotionBatch, Space

Motion = Float[Tensor, "batch frames feats"]
Spacing = Literal["even", "stride", "leading"]


@dataclass(frozen=True)
class DiffusionConfig:
    """The forward process and what the network predicts. The defaults are MDM's."""

    steps: int = 1000
    """Denoising steps of training (T)."""
    schedule: Literal["cosine", "scaled_linear"] = "cosine"
    """`cosine`: Nichol & Dhariwal 2021, betas up to 0.999. `scaled_linear`: latent diffusion's, .00085 to .012."""
    prediction: Literal["sample", "epsilon"] = "sample"
    """What the network gives: the clean motion, or the noise."""
    variance: Literal["fixed_small", "fixed_large"] = "fixed_small"
    """Variance of a DDPM step: that of the posterior, or beta."""
    snr_shift: float = 1.0
    """The signal-to-noise ratio is multiplied by its square; below 1 the noise is stronger at every step."""
    velocity_weight: float = 0.0
    """Weight of the error of frame differences (MDM's `lambda_vel`; 0 for text-to-motion)."""
    spacing: Spacing = "even"
    """Which steps are taken when fewer are asked for, see `spaced`."""
    offset: int = 0
    """Added to every step that `leading` takes (1 in latent diffusion)."""
    ends_clean: bool = True
    """The last step gives the clean motion; False: it stops at the noise of training step 0, as latent diffusion
    does (diffusers' `set_alpha_to_one=False`)."""


@dataclass(frozen=True)
class Schedule:
    """How much of the clean motion is left at each step."""

    betas: Float64[Tensor, " steps"]
    """Variance that each step adds."""
    timesteps: Int[Tensor, " steps"]
    """What the network is told: the index of the step in the training schedule."""

    @staticmethod
    def of(config: DiffusionConfig) -> "Schedule":
        """The training schedule of a config."""
        schedule = Schedule(_betas(config), torch.arange(config.steps))
        if config.snr_shift == 1.0:
            return schedule
        ratio = config.snr_shift**2 * schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
        return Schedule(_steps_between(ratio / (1 + ratio)), schedule.timesteps)

    def respaced(self, steps: Iterable[int]) -> "Schedule":
        """The schedule that visits only the given (increasing) steps of this one."""
        chosen = torch.tensor(list(steps))
        return Schedule(_steps_between(self.alphas_cumprod[chosen]), self.timesteps[chosen])

    def __len__(self) -> int:
        return len(self.timesteps)

    @cached_property
    def alphas_cumprod(self) -> Float64[Tensor, " steps"]:
        """Share of the clean motion's variance that is left after each step."""
        return torch.cumprod(1 - self.betas, 0)

    @cached_property
    def alphas_cumprod_prev(self) -> Float64[Tensor, " steps"]:
        """The same, one step less noisy; 1 before the first."""
        return _before(self.alphas_cumprod)

    @cached_property
    def posterior_variance(self) -> Float64[Tensor, " steps"]:
        """Variance of x_{t-1} given x_t and x_0 (Ho et al. 2020, eq. 7); 0 at the last step."""
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    def q_sample(self, x_0: Motion, t: Int[Tensor, " batch"], noise: Motion) -> Motion:
        """x_t: the clean motion with `noise` at strength t."""
        kept = self.alphas_cumprod[t.cpu()]
        signal, spread = (c.to(x_0)[:, None, None] for c in (kept.sqrt(), (1 - kept).sqrt()))
        return signal * x_0 + spread * noise

    def clean(self, x_t: Motion, t: Int[Tensor, " batch"], noise: Motion) -> Motion:
        """x_0 from the noise in x_t: the inverse of `q_sample`."""
        kept = self.alphas_cumprod[t.cpu()]
        whole, spread = (c.to(x_t)[:, None, None] for c in ((1 / kept).sqrt(), (1 / kept - 1).sqrt()))
        return whole * x_t - spread * noise


def _before(kept: Float64[Tensor, " steps"]) -> Float64[Tensor, " steps"]:
    return torch.cat([kept.new_ones(1), kept[:-1]])


def _steps_between(kept: Float64[Tensor, " steps"]) -> Float64[Tensor, " steps"]:
    """The betas that leave these shares of variance."""
    return 1 - kept / _before(kept)


def _betas(config: DiffusionConfig) -> Float64[Tensor, " steps"]:
    if config.schedule == "scaled_linear":
        return torch.linspace(0.00085**0.5, 0.012**0.5, config.steps, dtype=torch.float64) ** 2

    def kept(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    edges = [kept(i / config.steps) for i in range(config.steps + 1)]
    betas = [min(1 - after / before, 0.999) for before, after in pairwise(edges)]
    return torch.tensor(betas, dtype=torch.float64)


def spaced(total: int, steps: int, spacing: Spacing = "even", offset: int = 0) -> list[int]:
    """`steps` of `total` steps.

    Args:
        total: steps of the training schedule.
        steps: steps wanted.
        spacing: `even`: from the first to the last, rounded. `stride`: every k-th from the first, with the k that
            gives so many. `leading`: every (total // steps)-th from `offset` on.
        offset: for `leading` alone.

    Raises:
        ValueError: more steps than there are, or no whole stride gives that many.
    """
    if not 1 <= steps <= total:
        raise ValueError(
            f"cannot take {steps} denoising steps; the model was trained with {total}: ask for 1 to {total}"
        )
    if spacing == "even":
        stride = (total - 1) / (steps - 1) if steps > 1 else 1.0
        places, place = [], 0.0
        for _ in range(steps):  # summed, not multiplied: the authors' rounding depends on it
            places.append(round(place))
            place += stride
        return places
    if spacing == "leading":
        found = [offset + i * (total // steps) for i in range(steps)]
        if found[-1] < total:
            return found
        raise ValueError(f"{steps} of {total} steps from step {offset} on end at {found[-1]}; ask for fewer steps")
    for stride in range(1, total + 1):
        if len(range(0, total, stride)) == steps:
            return list(range(0, total, stride))
    raise ValueError(f"no whole stride takes {steps} of {total} steps; use another number or spacing='even'")


@dataclass(frozen=True)
class Inpaint:
    """Motion that the prediction of the clean motion is overwritten with at every step."""

    motion: Motion
    mask: Bool[Tensor, "batch frames #feats"] | Float[Tensor, "batch frames #feats"]
    """1 (True) = known, 0 = free; values between blend."""


@dataclass(frozen=True)
class Start:
    """A motion to start from instead of pure noise."""

    motion: Motion
    skip: int
    """The noisiest steps that are left out."""


@dataclass(frozen=True)
class Step:
    """One denoising step, as `after_step` sees it."""

    index: int
    """0 is the noisiest step."""
    t: int
    """The step in the training schedule: what the network was told."""
    x: Motion
    """The state after the step."""
    x_0: Motion
    """The prediction of the clean motion that the step used."""


@dataclass(frozen=True)
class Sampling:
    """How to sample: the keyword arguments of `DiffusionBackbone.sample`."""

    sampler: Literal["ddpm", "ddim"] = "ddpm"
    steps: int | None = None
    """Denoising steps; None takes all of training."""
    spacing: Spacing | None = None
    """None: as the model's config says."""
    eta: float = 0.0
    """DDIM's share of fresh noise; `ddpm` ignores it."""
    clip: bool = False
    """Clamp the predicted clean motion to [-1, 1]."""
    inpaint: Inpaint | None = None
    start_at: Start | None = None
    after_step: Callable[[Step], Motion | None] | None = None
    """Called after every step; what it returns (unless None) replaces the state."""
    noise: Callable[[int], Motion] | None = None
    """Noise to use instead of the generator's: of step -1 (the start), 0, 1, ..."""
    extrapolate: bool = False
    """Allow more frames than `max_frames`, where the positions have no end."""


def masked_error(a: Motion, b: Motion, mask: Bool[Tensor, "batch frames"]) -> Float[Tensor, " batch"]:
    """Mean squared difference over the real frames and all features of each item (MDM's masked loss)."""
    per_frame = (a - b).square().sum(-1) * mask
    return per_frame.sum(-1) / (mask.sum(-1) * a.shape[-1])


def normal(
    shape: tuple[int, ...] | torch.Size, generator: torch.Generator | None, device: torch.device
) -> Float[Tensor, "..."]:
    """Standard normal noise, drawn where the generator lives, so that it is the same on every device."""
    return torch.randn(shape, generator=generator, device=generator.device if generator else "cpu").to(device)


class DiffusionBackbone(Backbone):
    """A backbone that denoises motion: it writes `denoise`; the loss and the sampler are here."""

    def __init__(self, feats: Space, diffusion: DiffusionConfig, max_frames: int) -> None:
        super().__init__()
        if not isinstance(feats, int):
            raise ValueError(
                f"a diffusion backbone denoises vectors, not codes (groups of {', '.join(map(str, feats[:3]))}"
                f"{', ...' if len(feats) > 3 else ''}); use a codec with latents (motion_vae), or none"
            )
        if diffusion.velocity_weight and diffusion.prediction == "epsilon":
            raise ValueError("velocity_weight needs prediction='sample': noise has no velocity")
        self.feats = feats
        self.diffusion = diffusion
        self.max_frames = max_frames
        self.schedule = Schedule.of(diffusion)

    @abstractmethod
    def denoise(
        self, x_t: Motion, t: Int[Tensor, " batch"], condition: Condition, frames: Bool[Tensor, "batch frames"]
    ) -> Motion:
        """The clean motion (or the noise, see `DiffusionConfig.prediction`) behind the noisy one at step t."""

    def loss(
        self, batch: MotionBatch, condition: Condition | None, generator: torch.Generator | None = None
    ) -> Losses:
        """Masked squared error at time steps drawn uniformly, averaged over the batch.

        Draws for the whole global batch and takes this process's rows: any number of processes draws the same.
        """
        if condition is None:
            raise ValueError("a diffusion backbone is conditional; pass the condition of an injection")
        first, total = batch.place or (0, len(batch))
        rows = slice(first, first + len(batch))
        noise = normal((total, *batch.motion.shape[1:]), generator, batch.motion.device)[rows]
        where = generator.device if generator else "cpu"
        t = torch.randint(len(self.schedule), (total,), generator=generator, device=where).cpu()[rows]
        parts = {name: value.mean() for name, value in self.errors(batch, condition, t, noise).items()}
        total = parts["mse"]
        if "velocity" in parts:
            total = total + self.diffusion.velocity_weight * parts["velocity"]
        return Losses(total, parts)

    def errors(
        self, batch: MotionBatch, condition: Condition, t: Int[Tensor, " batch"], noise: Motion
    ) -> dict[str, Float[Tensor, " batch"]]:
        """The parts of the loss of each item, at schedule entries `t` and with the given noise."""
        x_0, mask = batch.motion, batch.mask
        x_t = self.schedule.q_sample(x_0, t, noise)
        told = self.schedule.timesteps[t.cpu()].to(x_0.device)
        given = self.denoise(x_t, told, condition, mask).float()
        target = x_0 if self.diffusion.prediction == "sample" else noise
        parts = {"mse": masked_error(target, given, mask)}
        if self.diffusion.velocity_weight:  # without the last feature, as in MDM
            moves, wanted = (x.diff(dim=1)[..., :-1] for x in (given, target))
            parts["velocity"] = masked_error(wanted, moves, mask[:, 1:])
        return parts

    @torch.no_grad()
    def sample(
        self, guided: Guided, frames: Bool[Tensor, "batch frames"], generator: torch.Generator, **options: Any
    ) -> Motion:
        """Motion for `guided`, zero beyond each item's frames; `options` are the fields of `Sampling`.

        Raises:
            ValueError: more frames than `max_frames`, or an impossible number of steps.
        """
        sampling, was_training = Sampling(**options), self.training
        if frames.shape[1] > self.max_frames and not sampling.extrapolate:
            raise ValueError(
                f"{frames.shape[1]} frames asked for; this model was built for at most {self.max_frames}: "
                "ask for fewer, or use long-form generation"
            )
        self.eval()
        try:
            return self._denoised(guided, frames, generator, sampling) * frames[..., None]
        finally:
            self.train(was_training)

    def _denoised(
        self, guided: Guided, frames: Bool[Tensor, "batch frames"], generator: torch.Generator, sampling: Sampling
    ) -> Motion:
        shape = (*frames.shape, self.feats)
        noise = sampling.noise or (lambda step: normal(shape, generator, frames.device))
        schedule = self._spaced(sampling)
        end = 1.0 if self.diffusion.ends_clean else float(self.schedule.alphas_cumprod[0])
        take_step = _stepper(schedule, sampling, self.diffusion, end)
        x, first = noise(-1), 0
        if sampling.start_at is not None:
            first = sampling.start_at.skip
            t = torch.full(frames.shape[:1], len(schedule) - 1 - first)
            x = schedule.q_sample(sampling.start_at.motion, t, x)
        for step in range(first, len(schedule)):
            index = len(schedule) - 1 - step
            x_0 = self._clean(x, index, schedule, guided, frames)
            x_0 = _overwritten(x_0, sampling)
            x = take_step(x, x_0, index, lambda step=step: noise(step - first))
            if sampling.after_step is not None:
                changed = sampling.after_step(Step(step - first, int(schedule.timesteps[index]), x, x_0))
                x = x if changed is None else changed
        return x

    def _spaced(self, sampling: Sampling) -> Schedule:
        if sampling.steps is None:
            return self.schedule
        spacing = sampling.spacing or self.diffusion.spacing
        steps = spaced(len(self.schedule), sampling.steps, spacing, self.diffusion.offset)
        return self.schedule.respaced(steps)

    def _clean(
        self, x_t: Motion, index: int, schedule: Schedule, guided: Guided, frames: Bool[Tensor, "batch frames"]
    ) -> Motion:
        """The guided prediction of the clean motion."""
        entry = torch.full(x_t.shape[:1], index)
        t = schedule.timesteps[entry].to(x_t.device)
        given = guide(lambda x, t, mask, c: self.denoise(x, t, c, mask), guided, x_t, t, frames).float()
        return given if self.diffusion.prediction == "sample" else schedule.clean(x_t, entry, given)


def _overwritten(x_0: Motion, sampling: Sampling) -> Motion:
    """The prediction with what is known put in, then clipped."""
    if sampling.inpaint is not None:
        known = sampling.inpaint.mask.to(x_0)
        x_0 = x_0 * (1 - known) + sampling.inpaint.motion * known
    return x_0.clamp(-1, 1) if sampling.clip else x_0


def _stepper(
    schedule: Schedule, sampling: Sampling, config: DiffusionConfig, end: float = 1.0
) -> Callable[[Motion, Motion, int, Callable[[], Motion]], Motion]:
    """(x_t, x_0, index, noise) -> x_{t-1}, by diffusers' scheduler on the exact tables.

    `end` is the share of the clean motion's variance that is left after the last step.
    """
    from diffusers import DDIMScheduler  # takes seconds to import

    steps = len(schedule)
    scheduler = DDIMScheduler(num_train_timesteps=steps, clip_sample=False, prediction_type="sample")
    scheduler.betas, scheduler.alphas = schedule.betas, 1 - schedule.betas
    scheduler.alphas_cumprod = schedule.alphas_cumprod
    scheduler.final_alpha_cumprod = torch.tensor(end, dtype=torch.float64)
    scheduler.set_timesteps(steps)
    is_ddpm = sampling.sampler == "ddpm"
    eta = 1.0 if is_ddpm else sampling.eta
    stretch = torch.ones(steps, dtype=torch.float64)
    if is_ddpm and config.variance == "fixed_large":
        stretch[1:] = (schedule.betas / schedule.posterior_variance)[1:].sqrt()

    def take_step(x: Motion, x_0: Motion, index: int, noise: Callable[[], Motion]) -> Motion:
        # the last step adds none
        fresh = stretch[index] * noise() if eta and index else torch.zeros_like(x)
        return scheduler.step(x_0, index, x, eta=eta, variance_noise=fresh, return_dict=False)[0]

    return take_step
