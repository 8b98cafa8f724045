"""What every dataset promises. A new dataset is built from its defaults, or from a line in `TINY`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bodies import write_joint_folder

from casim import cli, plugins
from casim.features import denormalise, normalise, to_joints
from casim.prepare.__main__ import COMMANDS
from casim.types import Clips, MotionDataset, words_of


def _prepared(folder: Path, joints: int) -> dict[str, Any]:
    write_joint_folder(folder / "raw", joints=joints)
    argv = ["joints", str(folder / "raw"), "--out", str(folder / "set"), "--skeleton", "000001"]
    assert cli.run(COMMANDS, argv) == 0
    return {"folder": str(folder / "set")}


TINY: dict[str, Callable[[Path], dict[str, Any]]] = {
    "choreography": lambda _: {"train": 23, "validation": 5, "test": 7, "held_out": 11},
    "humanml3d": lambda folder: _prepared(folder, 22),
    "kit": lambda folder: _prepared(folder, 21),
}


@pytest.fixture(scope="module", params=plugins.names("casim.data"))
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    plugin = plugins.load(MotionDataset, "casim.data", request.param)
    make = TINY.get(request.param, lambda _: {})
    return plugin.Config(**make(tmp_path_factory.mktemp(request.param)))


@pytest.fixture(scope="module")
def dataset(config: Any) -> MotionDataset:
    return plugins.build(config)


@pytest.fixture(scope="module")
def train(dataset: MotionDataset) -> Clips:
    return dataset.split("train")


def test_statistics_fit_the_spec(dataset: MotionDataset) -> None:
    assert dataset.mean.shape == dataset.std.shape == (dataset.spec.dims,)
    assert dataset.mean.dtype == dataset.std.dtype == np.float32
    assert np.isfinite(dataset.mean).all()
    assert (dataset.std > 0).all()


def test_split_is_listed(train: Clips) -> None:
    assert len(train) == len(train.ids) == len(train.lengths) > 0
    assert len(set(train.ids)) == len(train)
    assert (train.lengths > 1).all()


@pytest.mark.parametrize("seed", [None, 7])
def test_batches_are_whole(dataset: MotionDataset, train: Clips, seed: int | None) -> None:
    items = [len(train) - 1, 0, len(train) // 2]
    batch = train.batch(items, seed)
    assert batch.motion.dtype == torch.float32
    assert batch.motion.shape == (*batch.mask.shape, dataset.spec.dims)
    assert batch.ids == tuple(train.ids[item] for item in items)
    assert len(batch.texts) == len(batch) == 3
    assert torch.isfinite(batch.motion).all()
    assert not batch.motion[~batch.mask].any()
    lengths = batch.lengths
    assert (batch.mask == (torch.arange(batch.mask.shape[1]) < lengths[:, None])).all()  # real frames come first
    assert all(batch.motion[row, : lengths[row]].any(1).all() for row in range(3))
    if seed is None:
        assert lengths.tolist() == [train.lengths[item] for item in items]
    else:
        assert all(length <= train.lengths[item] for length, item in zip(lengths.tolist(), items, strict=True))


def test_same_seed_same_batch(config: Any, train: Clips) -> None:
    items = list(range(min(5, len(train))))
    for seed in (None, 3):
        first, second = train.batch(items, seed), plugins.build(config).split("train").batch(items, seed)
        assert torch.equal(first.motion, second.motion)
        assert first.texts == second.texts


def test_motion_is_normalised_and_looks_like_a_body(dataset: MotionDataset, train: Clips) -> None:
    batch = train.batch(range(len(train)))
    real = batch.motion[batch.mask]
    assert 0.2 < real.std() < 3
    mean, std = torch.from_numpy(dataset.mean), torch.from_numpy(dataset.std)
    features = denormalise(batch.motion, mean, std)
    torch.testing.assert_close(normalise(features, mean, std), batch.motion, atol=1e-4, rtol=1e-4)
    joints = to_joints(features, dataset.spec)[batch.mask] * dataset.spec.skeleton.metres
    height = joints[..., 1].amax(1) - joints[..., 1].amin(1)
    assert 0.3 < height.median() < 3
    assert joints[..., 1].min() > -0.3


def test_alignment_agrees_with_captions(train: Clips) -> None:
    batch = train.batch(range(len(train)))
    for text, length, alignment in zip(batch.texts, batch.lengths.tolist(), batch.alignment or (), strict=False):
        assert alignment.words == words_of(text)
        assert [span.word for span in alignment.spans] == list(range(len(alignment.words)))
        assert all(0 <= span.start < span.end <= length for span in (*alignment.spans, *alignment.actions))


def test_unknown_split(dataset: MotionDataset) -> None:
    with pytest.raises(ValueError, match="train"):
        dataset.split("trian")


def test_config_comes_back_from_json(config: Any) -> None:
    assert plugins.restore(type(config), plugins.describe(config)) == config
