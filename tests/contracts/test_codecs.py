"""What every motion codec promises: shapes, padding, ends, training, saving."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from casim import plugins
from casim.checkpoint import load_into, load_tensors, save_tensors
from casim.features import FeatureSpec
from casim.types import Codec, MotionBatch, frame_mask

PACKAGE = "casim.codecs"
NAMES = plugins.names(PACKAGE)
SPECS = {
    "HumanML3D": FeatureSpec(),
    "KIT": FeatureSpec(joints=21, fps=12.5),
    "essential": FeatureSpec(subset="essential"),
}
SIZES = {"width": 12, "layers": 3, "heads": 2, "ff": 17, "dropout": 0.0, "codes": 11, "depth": 2}
LENGTHS = (23, 5, 16)
ATOL = 2e-5

every_codec = pytest.mark.parametrize("name", NAMES)
every_spec = pytest.mark.parametrize("spec", SPECS)


def toy_config(config: Any) -> Any:
    """The config with small sizes, those of nested configs included."""
    changes = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in SIZES:
            changes[field.name] = SIZES[field.name]
        elif is_dataclass(value):
            changes[field.name] = toy_config(value)
    return replace(config, **changes)


def codec(name: str, spec: str = "HumanML3D", **changes: Any) -> Codec:
    torch.manual_seed(0)
    made = SPECS[spec]
    random = np.random.default_rng(0)
    mean, std = random.normal(size=made.dims), random.uniform(0.5, 1.5, made.dims)
    config = replace(toy_config(plugins.load(Codec, PACKAGE, name).Config()), **changes)
    return plugins.build(config, made, mean, std).eval()


def clips(model: Codec, lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> MotionBatch:
    mask = frame_mask(list(lengths))
    motion = torch.randn(*mask.shape, model.spec.dims, generator=torch.Generator().manual_seed(seed))
    names = ("",) * len(lengths)
    return MotionBatch(motion * mask[..., None], mask, names, names)


def variants(name: str) -> list[dict[str, Any]]:
    """Every switch of a config the other way round, one at a time."""
    config = toy_config(plugins.load(Codec, PACKAGE, name).Config())
    return (
        [{}]
        + [{field.name: not getattr(config, field.name)} for field in fields(config) if field.type is bool]
        + [{"window": None} for field in fields(config) if field.name == "window"]
    )


EVERY = [pytest.param(name, changes, id=f"{name}-{changes}") for name in NAMES for changes in variants(name)]


@pytest.mark.parametrize(("name", "changes"), EVERY)
@every_spec
def test_codes_and_motion_have_the_promised_shapes(name: str, changes: dict[str, Any], spec: str) -> None:
    model = codec(name, spec, **changes)
    batch = clips(model)
    encoded = model.encode(batch)
    assert torch.equal(encoded.mask, model.code_mask(batch.mask))
    assert (encoded.texts, encoded.ids) == (batch.texts, batch.ids)
    codes = encoded.motion
    if isinstance(model.space, int):
        assert codes.shape == (3, encoded.mask.shape[1], model.space)
    else:
        assert codes.shape == (3, encoded.mask.shape[1], len(model.space))
        assert codes.dtype == torch.int64
        assert (codes[encoded.mask] >= 0).all()
        assert (codes[encoded.mask] < torch.tensor(model.space)).all()
        assert (codes[~encoded.mask] == -1).all()
    motion = model.decode(codes, batch.mask)
    assert motion.shape == batch.motion.shape
    assert torch.isfinite(motion).all()
    assert not motion[~batch.mask].any()
    assert motion[batch.mask].abs().sum() > 0


@pytest.mark.parametrize(("name", "changes"), EVERY)
def test_a_clip_alone_is_the_clip_in_a_padded_batch(name: str, changes: dict[str, Any]) -> None:
    """Garbage in padded frames included."""
    model = codec(name, **changes)
    batch = clips(model)
    garbage = torch.where(batch.mask[..., None], batch.motion, 7.0)
    longer = torch.cat([garbage, torch.full((3, 6, model.spec.dims), -5.0)], 1)
    padded = replace(batch, motion=longer, mask=frame_mask(list(LENGTHS), longer.shape[1]))
    whole = model.encode(padded)
    motion = model.decode(whole.motion, padded.mask)
    for i, frames in enumerate(LENGTHS):
        one = MotionBatch(batch.motion[i : i + 1, :frames], batch.mask[i : i + 1, :frames], ("",), ("",))
        alone = model.encode(one)
        places = alone.mask.shape[1]
        close(alone.motion[0], whole.motion[i, :places])
        close(model.decode(alone.motion, one.mask)[0], motion[i, :frames])


def close(given: Tensor, expected: Tensor) -> None:
    if given.is_floating_point():
        torch.testing.assert_close(given, expected, atol=ATOL, rtol=0)
    else:
        assert torch.equal(given, expected)


@pytest.mark.parametrize(("name", "changes"), EVERY)
def test_every_parameter_learns(name: str, changes: dict[str, Any]) -> None:
    model = codec(name, **changes).train()
    batch = clips(model)
    loss = model.loss(batch, None, torch.Generator().manual_seed(0))
    loss.total.backward()
    assert all(torch.isfinite(value) for value in (loss.total, *loss.parts.values()))
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@every_codec
def test_a_few_steps_lower_the_error(name: str) -> None:
    model = codec(name, "essential").train()
    batch = clips(model, (16, 16, 16))
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    errors = []
    for step in range(40):
        loss = model.loss(batch, None, torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        errors.append(loss.parts["features"].item())
    assert np.mean(errors[-5:]) < 0.95 * np.mean(errors[:5])


@every_codec
def test_saved_and_loaded_gives_the_same(name: str, tmp_path: Path) -> None:
    model = codec(name).train()
    batch = clips(model)
    model.loss(batch, None, torch.Generator().manual_seed(0))  # what training keeps beside parameters
    save_tensors(tmp_path / "codec.safetensors", model.state_dict())
    other = codec(name)
    for parameter in other.parameters():
        parameter.data += 0.1
    load_into(other, load_tensors(tmp_path / "codec.safetensors"), "saved")
    model.eval()
    close(other.encode(batch).motion, model.encode(batch).motion)
    assert set(other.state_dict()) == set(model.state_dict())


@every_codec
def test_frames_beyond_the_codes_and_fewer_frames_are_fine(name: str) -> None:
    model = codec(name)
    batch = clips(model, (16, 9))
    codes = model.encode(batch).motion
    fewer = frame_mask([11, 3], 11)
    motion = model.decode(codes, fewer)
    assert motion.shape == (2, 11, model.spec.dims)
    assert not motion[~fewer].any()
    assert model.decode(codes, frame_mask([19, 12])).shape == (2, 19, model.spec.dims)
