"""MDM's Gaussian diffusion: schedules, forward process, losses, sampling loops and guidance.

Cases are read from the config: respacing ([n] or "ddimN"), steps, var, kind (p or ddim), options of the loop.
The toy model is x0 = 0.5 x + 0.1 cos(t / 100), with t in the training schedule.
"""

from dataclasses import replace
from typing import Any

import torch
from einops import rearrange
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim.diffusion import (
    DiffusionBackbone,
    DiffusionConfig,
    Inpaint,
    Sampling,
    Schedule,
    Start,
    Step,
    masked_error,
    spaced,
)
from casim.guidance import Guided, guide
from casim.types import Condition, MotionBatch

LOOP = 1e-5
TABLE = 1e-12


class Toy(DiffusionBackbone):
    """The toy model of the golden file."""

    def denoise(self, x_t, t, condition, frames):
        return 0.5 * x_t + 0.1 * torch.cos(t / 100)[:, None, None]


def ours(x: Tensor) -> Tensor:
    return rearrange(x, "... feats 1 frames -> ... frames feats")


def check(golden: Golden) -> None:
    table: dict[str, dict[str, Any]] = golden.config["cases"]
    for case in golden.cases.values():
        entry = table.get(case.name, {})
        if case.name.startswith("schedule_"):
            check_schedule(case, diffusion_of(entry))
        elif "kind" in entry:
            check_loop(case, entry)
        elif case.name.startswith("loss_"):
            check_loss(case, diffusion_of(entry), entry.get("lambda_vel", 0.0))
        elif case.name == "q" or case.name.startswith("q_"):
            check_forward_process(case, diffusion_of(entry))
        elif case.name.startswith("masked_l2"):
            check_masked_error(case)
        elif case.name.startswith("cfg"):
            check_guidance(case)
        else:
            unknown(case.name)


def diffusion_of(entry: dict[str, Any]) -> tuple[DiffusionConfig, Schedule]:
    """The config of an entry, and its schedule, respaced if asked for."""
    extra = set(entry) - {"steps", "respacing", "var", "lambda_vel"}
    assert not extra, f"unknown diffusion options {extra}"
    variance = {"small": "fixed_small", "large": "fixed_large"}[entry.get("var", "small")]
    config = DiffusionConfig(steps=entry.get("steps", 1000), variance=variance)
    schedule = Schedule.of(config)
    steps, spacing = spacing_of(entry)
    return config, schedule if steps is None else schedule.respaced(spaced(config.steps, steps, spacing))


def spacing_of(entry: dict[str, Any]) -> tuple[int | None, str]:
    """[n] = n evenly spaced steps; "ddimN" = N steps with a whole stride."""
    respacing = entry.get("respacing")
    if respacing is None or respacing == [entry.get("steps", 1000)]:
        return None, "even"
    if isinstance(respacing, str):
        return int(respacing.removeprefix("ddim")), "stride"
    (steps,) = respacing
    return steps, "even"


def condition(batch: int) -> Condition:
    return Condition(torch.zeros(batch, 1, 1), torch.ones(batch, 1, dtype=torch.bool))


def check_schedule(case: Case, diffusion: tuple[DiffusionConfig, Schedule]) -> None:
    _, schedule = diffusion
    kept, before = schedule.alphas_cumprod, schedule.alphas_cumprod_prev
    variance = schedule.posterior_variance
    known = {
        "timestep_map": schedule.timesteps,
        "betas": schedule.betas,
        "alphas_cumprod": kept,
        "alphas_cumprod_prev": before,
        "alphas_cumprod_next": torch.cat([kept[1:], kept.new_zeros(1)]),
        "sqrt_alphas_cumprod": kept.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - kept).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - kept).log(),
        "sqrt_recip_alphas_cumprod": (1 / kept).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / kept - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": torch.cat([variance[1:2], variance[1:]]).log(),
        "posterior_mean_coef1": schedule.betas * before.sqrt() / (1 - kept),
        "posterior_mean_coef2": (1 - before) * (1 - schedule.betas).sqrt() / (1 - kept),
    }
    for name, expected in case.outputs.items():
        assert name in known, f"unknown table {name!r}"
        close(known[name], expected, 0.0, f"{case.name}/{name}", rtol=TABLE)


def check_loop(case: Case, entry: dict[str, Any]) -> None:
    """Every state and every prediction of the loop, step by step."""
    config, _ = diffusion_of(entry.get("diffusion", {}))
    steps, spacing = spacing_of(entry.get("diffusion", {}))
    sampling = sampling_of(case, entry, steps, spacing)
    seen: list[Step] = []
    start = case.inputs["init_noise"]
    toy = Toy(start.shape[1], config, start.shape[-1])
    frames = torch.ones(len(start), start.shape[-1], dtype=torch.bool)
    options = vars(replace(sampling, after_step=seen.append))
    final = toy.sample(Guided(condition(len(start))), frames, torch.Generator(), **options)
    known = {
        "model_timesteps": torch.tensor([step.t for step in seen]),
        "samples": torch.stack([step.x for step in seen]),
        "pred_xstart": torch.stack([step.x_0 for step in seen]),
    }
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r}"
        expected = expected if name == "model_timesteps" else ours(expected)
        close(known[name], expected, LOOP, f"{case.name}/{name}")
    close(final, known["samples"][-1], 0.0, "last state")


def sampling_of(case: Case, entry: dict[str, Any], steps: int | None, spacing: str) -> Sampling:
    loop = dict(entry["loop"])
    given = {"clip": loop.pop("clip_denoised", True), "eta": loop.pop("eta", 0.0)}
    repeats = loop.pop("const_noise", False)

    def noise(step: int) -> Tensor:
        drawn = ours(case.inputs["init_noise"] if step < 0 else case.inputs["step_noise"][step])
        return drawn[:1].expand_as(drawn) if repeats and step >= 0 else drawn

    if loop.pop("inpaint", False):
        given["inpaint"] = Inpaint(ours(case.inputs["inpainted_motion"]), ours(case.inputs["inpainting_mask"]))
    skip = loop.pop("skip_timesteps", 0)
    if loop.pop("init_image", False):
        given["start_at"] = Start(ours(case.inputs["init_image"]), skip)
    elif skip:  # the authors' code starts from zeros then
        given["start_at"] = Start(torch.zeros_like(ours(case.inputs["init_noise"])), skip)
    assert not loop, f"unknown loop options {sorted(loop)}"
    sampler = {"p": "ddpm", "ddim": "ddim"}[entry["kind"]]
    return Sampling(sampler, steps, spacing, noise=noise, **given)


def check_loss(case: Case, diffusion: tuple[DiffusionConfig, Schedule], velocity: float) -> None:
    config, schedule = diffusion
    x_0 = ours(case.inputs["x_start"])
    toy = Toy(x_0.shape[-1], replace(config, velocity_weight=velocity), x_0.shape[1])
    toy.schedule = schedule
    texts = ("",) * len(x_0)
    batch = MotionBatch(x_0, case.inputs["mask"][:, 0, 0], texts, texts)
    parts = toy.errors(batch, condition(len(x_0)), case.inputs["t"], ours(case.inputs["noise"]))
    total = parts["mse"] + (velocity * parts["velocity"] if velocity else 0.0)
    known = {"loss": total, "rot_mse": parts["mse"], "vel_mse": parts.get("velocity")}
    for name, expected in case.outputs.items():
        assert known.get(name) is not None, f"unknown output {name!r}"
        close(known[name], expected, LOOP, f"{case.name}/{name}")


def check_masked_error(case: Case) -> None:
    a, b = ours(case.inputs["a"]), ours(case.inputs["b"])
    error = masked_error(a, b, case.inputs["mask"][:, 0, 0])
    for name, expected in case.outputs.items():  # the newer code's 1e-8 in the denominator is below rounding
        assert name in ("casim_or_old_mdm", "mdm_new"), name
        close(error, expected, LOOP, name)


def check_forward_process(case: Case, diffusion: tuple[DiffusionConfig, Schedule]) -> None:
    _, schedule = diffusion
    x_0, noise, t = ours(case.inputs["x_start"]), ours(case.inputs["noise"]), case.inputs["t"]
    x_t = schedule.q_sample(x_0, t, noise)
    kept = schedule.alphas_cumprod[t][:, None, None]
    variance = schedule.posterior_variance
    nothing = torch.zeros_like(x_0)
    known = {
        "q_sample": x_t,
        "q_mean": schedule.q_sample(x_0, t, nothing),
        "q_variance": 1 - kept,
        "q_log_variance": (1 - kept).log(),
        "posterior_mean": posterior_mean(schedule, x_0, x_t, t),
        "posterior_variance": variance[t][:, None, None],
        "posterior_log_variance_clipped": variance.clamp(min=variance[1])[t].log()[:, None, None],
        "xstart_from_eps": schedule.clean(x_t, t, noise),
        "eps_from_xstart": ((1 / kept).sqrt().float() * x_t - x_0) / (1 / kept - 1).sqrt().float(),
    }
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r}"
        close(known[name], ours(expected), LOOP, f"{case.name}/{name}")


def posterior_mean(schedule: Schedule, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """One noise-free DDPM step of the sampler itself, item by item."""
    from casim.diffusion import _stepper

    step = _stepper(schedule, Sampling(), DiffusionConfig())
    rows = range(len(t))
    return torch.cat(
        [step(x_t[i : i + 1], x_0[i : i + 1], int(t[i]), lambda: torch.zeros_like(x_t[:1])) for i in rows]
    )


def check_guidance(case: Case) -> None:
    """Guidance of the toy model, to which the conditional pass adds `c`."""
    x, t, c = (case.inputs[name] for name in ("x", "t", "c"))
    add = rearrange(ours(c), "batch frames feats -> batch 1 (frames feats)")
    real = torch.ones(len(x), 1, dtype=torch.bool)
    guided = Guided(Condition(add, real), Condition(torch.zeros_like(add), real), case.inputs["scale"])

    def function(x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        shift = rearrange(condition.tokens, "batch 1 (frames feats) -> batch frames feats", frames=x.shape[1])
        return 0.5 * x + 0.1 * torch.cos(t / 100)[:, None, None] + shift

    close(guide(function, guided, ours(x), t), ours(case.outputs["out"]), LOOP, "cfg")
