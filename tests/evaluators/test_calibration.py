import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from judged import batch_of, choreography, dataset

from casim.features import FeatureSpec, place
from evaluators.calibration import ceilings, real


def test_real_clips_stand_in_for_generated_ones():
    batch = choreography()
    assert batch.joints is batch.real_joints
    clips = dataset().split("test")
    joints = torch.from_numpy(clips.joints(range(7))).float()
    for row, truth, length in zip(batch.positions, joints, clips.lengths.tolist(), strict=False):
        torch.testing.assert_close(row[:length], place(truth[None], dataset().spec)[0, :length], atol=1e-4, rtol=0)


def test_choreography_calibrates_every_metric_of_captions():
    found = ceilings(choreography())
    assert {"moving_side", "part_recall", "direction_accuracy", "repetition_count", "peak_order"} <= set(found)
    assert not {"peak_jerk", "skate_ratio", "exact_prompt"} & set(found)
    assert all(ceiling.value - ceiling.floor > 0.3 for ceiling in found.values())
    assert all(30 < ceiling.n < len(choreography()) for ceiling in found.values())


def test_splits_are_calibrated_by_themselves():
    held_out = real(dataset(), "held_out")
    assert ceilings(held_out)["direction_accuracy"].value > 0.97


def test_captions_that_ask_for_nothing_have_no_ceiling():
    batch = choreography()
    few = batch_of(batch.positions[:5], ["a person dances"] * 5, batch.mask.sum(1)[:5].tolist())
    ceiling = ceilings(few)["moving_side"]
    assert ceiling.n == 0
    assert np.isnan(ceiling.value)


def test_captured_clips_with_captions_of_people():
    """On free motion capture the metrics of sides, limbs and directions stand far above wrong captions."""
    if "CASIM_DATA" not in os.environ:
        pytest.skip("set CASIM_DATA to the folder with mocap/ to calibrate on real clips")
    folder = Path(os.environ["CASIM_DATA"]) / "mocap"
    arrays = np.load(folder / "joints22_20fps_f16.npz")
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))["clips"]
    rows = [(clip["id"], caption) for clip in index if clip["n_frames"] >= 40 for caption in clip["captions"]]
    bodies = {name: torch.from_numpy(arrays[name].astype(np.float32))[:200] for name in {r[0] for r in rows}}
    placed = {name: place(body[None], FeatureSpec(converter="fixed"))[0] for name, body in bodies.items()}
    joints = torch.zeros(len(rows), 200, 22, 3)
    for row, (name, _) in zip(joints, rows, strict=True):
        row[: len(placed[name])] = placed[name]
    batch = batch_of(joints, [caption for _, caption in rows], [len(placed[name]) for name, _ in rows])
    found = ceilings(batch)
    assert all(found[name].n > 20 for name in ("moving_side", "part_recall", "direction_accuracy"))
    assert found["moving_side"].value > 0.85
    assert found["part_recall"].value - found["part_recall"].floor > 0.2
    assert found["direction_accuracy"].value > 0.88
