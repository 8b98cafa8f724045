"""DoubleTake (PriorMDM): both takes, masks, and the motion that comes of them.

Cases are read from the config. `second_take_only` leaves out the handshake of the first take. The toy model is
x0 = .4 x + .15 roll(x, 1 frame) + .3 cos(t / 100) + .4 sin(.37 frame) + .5 (segment's number), the last only with
text. Padded frames are compared as zero: the files hold what the toy model made of them.
"""

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim.diffusion import DiffusionBackbone, DiffusionConfig
from casim.guidance import Guided
from casim.long_form import Joining, LongForm, Takes, unfold
from casim.timeline import Layout
from casim.types import Condition, frame_mask

ATOL = 1e-5


class Toy(DiffusionBackbone):
    """The toy model of the golden file; remembers what steps it was told."""

    def __init__(self, feats: int, steps: int) -> None:
        super().__init__(feats, DiffusionConfig(steps=steps), max_frames=5000)
        self.told: list[int] = []

    def denoise(self, x_t, t, condition, frames):
        self.told.append(int(t[0]))
        wave = 0.4 * torch.sin(0.37 * torch.arange(x_t.shape[1]))[:, None]
        shift = 0.3 * torch.cos(t / 100)[:, None, None]
        return 0.4 * x_t + 0.15 * x_t.roll(1, dims=1) + shift + wave + 0.5 * condition.tokens


def check(golden: Golden) -> None:
    table: dict[str, dict[str, Any]] = golden.config["cases"]
    for case in golden.cases.values():
        if case.name not in table:
            unknown(case.name)
        check_case(case, dict(table[case.name]))


def check_case(case: Case, entry: dict[str, Any]) -> None:
    handshake, blend, steps = (entry.pop(name) for name in ("handshake", "blend", "resp"))
    toy = Toy(entry.pop("J"), entry.pop("steps"))
    lengths, skip = entry.pop("lengths"), entry.pop("skip")
    method = "second_take" if entry.pop("second_take_only", False) else "double_take"
    assert not entry, f"unknown options {sorted(entry)}"
    assert lengths == case.inputs["lengths"].tolist()
    joining = Joining(method, handshake, blend, margin=0, skip=skip / steps)
    layout = Layout(tuple(lengths), handshake, blend)
    texts = torch.arange(1.0, len(lengths) + 1)
    takes = LongForm(toy, joining, toy.max_frames)(
        Guided(condition(texts)),
        condition(torch.zeros(len(lengths) - 1)),
        layout,
        torch.Generator(),
        steps=steps,
        noise=noise(case),
    )
    compare(case, takes, toy.told, steps)


def condition(values: Tensor) -> Condition:
    return Condition(values[:, None, None], torch.ones(len(values), 1, dtype=torch.bool))


def noise(case: Case) -> Callable[[int], Tensor]:
    """The file's noise: that of the next take whenever one starts (step -1)."""
    takes = iter(("first", "second"))
    now = ""

    def of_step(step: int) -> Tensor:
        nonlocal now
        if step < 0:
            now = next(takes)
            return ours(case.inputs[f"{now}_init_noise"])
        return ours(case.inputs[f"{now}_step_noise"][step])

    return of_step


def ours(x: Tensor) -> Tensor:
    return rearrange(x, "... feats 1 frames -> ... frames feats")


def compare(case: Case, takes: Takes, told: list[int], steps: int) -> None:
    layout, real = takes.layout, frame_mask(takes.layout.lengths)[..., None]
    assert takes.inpaint is not None
    pairs = tuple(a + layout.handshake + b for a, b in zip(takes.bodies, takes.bodies[1:], strict=False))
    known = {
        "first_is_transition": torch.from_numpy(layout.is_transition()),
        "first_model_timesteps": torch.tensor(told[:steps]),
        "first_take": takes.first,
        "frame_colors": torch.from_numpy(layout.kinds()),
        "inpainted_motion": takes.inpaint.motion,
        "inpainting_mask": takes.inpaint.mask[..., 0],
        "rebuilt": takes.rebuilt,
        # pairs of the second take share nothing with each other
        "second_is_transition": torch.zeros(takes.inpaint.mask.shape[:2]),
        "second_lengths": torch.tensor(pairs),
        "second_model_timesteps": torch.tensor(told[steps:]),
        "second_take": takes.second,
        "step_sizes": torch.tensor([a + n for a, n in zip(layout.starts, layout.lengths, strict=True)]),
        "unfolded": takes.motion()[None],
        "unfolded_first_take_only": unfold(takes.first, layout)[None],
    }
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r}"
        if expected.ndim == 4:
            expected = ours(expected)
        if name in ("first_take", "rebuilt"):
            expected = expected * real
        close(known[name], expected, ATOL, f"{case.name}/{name}")
