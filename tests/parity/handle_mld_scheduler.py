"""MLD's noise schedule and single DDIM steps on it (diffusers' scheduler with the authors' settings)."""

from dataclasses import replace

import torch
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim.diffusion import DiffusionBackbone, DiffusionConfig, Schedule, Step, spaced
from casim.guidance import Guided
from casim.types import Condition

RELATIVE = 1e-6
ABSOLUTE = 1e-6


class Constant(DiffusionBackbone):
    """A network that always gives the same."""

    answer: Tensor

    def denoise(self, x_t, t, condition, frames):
        return self.answer


def check(golden: Golden) -> None:
    config = golden.config
    steps = config["num_inference_timesteps"]
    for case in golden.cases.values():
        if case.name.startswith("ddim"):
            check_tables(case, diffusion_of(config), steps)
        elif case.name.startswith("add_noise"):
            check_noise(case, diffusion_of(config))
        elif case.name.startswith("step"):
            check_steps(case, diffusion_of(config), steps)
        else:
            unknown(case.name)


def diffusion_of(config: dict) -> DiffusionConfig:
    assert (config["beta_schedule"], config["beta_start"], config["beta_end"]) == ("scaled_linear", 0.00085, 0.012)
    assert not config["clip_sample"]
    return DiffusionConfig(
        steps=config["num_train_timesteps"],
        schedule="scaled_linear",
        prediction="epsilon",
        spacing="leading",
        offset=config["steps_offset"],
        ends_clean=config["set_alpha_to_one"],
    )


def check_tables(case: Case, config: DiffusionConfig, steps: int) -> None:
    schedule = Schedule.of(config)
    end = torch.ones(1) if config.ends_clean else schedule.alphas_cumprod[:1]
    known = {
        "betas": schedule.betas,
        "alphas_cumprod": schedule.alphas_cumprod,
        "final_alpha_cumprod": end,
        "timesteps": torch.tensor(spaced(config.steps, steps, config.spacing, config.offset)).flip(0),
    }
    for name, expected in case.outputs.items():
        assert name in known, f"unknown table {name!r}"
        close(known[name], expected, 0.0, f"{case.name}/{name}", rtol=RELATIVE)


def check_noise(case: Case, config: DiffusionConfig) -> None:
    noisy = Schedule.of(config).q_sample(case.inputs["x"], case.inputs["t"], case.inputs["noise"])
    for name, expected in case.outputs.items():
        assert name == "noisy", f"unknown output {name!r}"
        close(noisy, expected, ABSOLUTE, f"{case.name}/{name}", rtol=RELATIVE)


def check_steps(case: Case, config: DiffusionConfig, steps: int) -> None:
    """Outputs are `prev_sample_tT` and `x0_tT`; after `predsample` the network's answer is the clean motion."""
    taken = {
        "": walk(case, config, steps),
        "predsample_": walk(case, replace(config, prediction="sample"), steps),
    }
    known = {}
    for kind, seen in taken.items():
        known |= {f"prev_sample_{kind}t{step.t}": step.x for step in seen}
        known |= {f"x0_{kind}t{step.t}": step.x_0 for step in seen}
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r}"
        close(known[name], expected, ABSOLUTE, f"{case.name}/{name}", rtol=RELATIVE)


def walk(case: Case, config: DiffusionConfig, steps: int) -> list[Step]:
    """Every step of the sampler from one and the same x."""
    x, seen = case.inputs["x"], []
    model = Constant(x.shape[-1], config, x.shape[1])
    model.answer = case.inputs["eps"]
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    condition = Condition(torch.zeros(len(x), 1, 1), torch.ones(len(x), 1, dtype=torch.bool))

    def again(step: Step) -> Tensor:
        seen.append(step)
        return x

    options = {"sampler": "ddim", "steps": steps, "noise": lambda step: x, "after_step": again}
    model.sample(Guided(condition), mask, torch.Generator(), **options)
    return seen
