"""Latents of mean 0 and deviation 1 between a codec and a denoiser."""

from pathlib import Path

import numpy as np
import pytest
import torch

from casim import checkpoint, plugins, train
from casim.codecs.pose_codes import PoseCodes
from casim.features import FeatureSpec
from casim.motion_codec import MotionCodec, Standardised, with_first_stage
from casim.recipes import RECIPES, REPRESENTATIONS
from casim.setups import Setup
from casim.text_to_motion import TextToMotion

DATA = ["--data.train", "61", "--data.validation", "5", "--data.test", "13", "--data.held-out", "11"]
TINY = ["--training.steps", "4", "--training.batch-size", "5", "--training.checkpoint-every", "2", "--threads", "1"]
NETWORK = ["--codec.network.width", "12", "--codec.network.depth", "1", "--codec.width", "10"]
VAE = ["--codec.width", "12", "--codec.heads", "2", "--codec.ff", "13", "--codec.layers", "1"]
DENOISER = ["--backbone.width", "16", "--backbone.layers", "1", "--backbone.heads", "2", "--backbone.ff", "13"]


def trained(recipe: str, out: Path, *words: str) -> Path:
    argv = [recipe, "--out", str(out), "--device", "cpu", *DATA, *TINY, *words]
    assert train.command(argv) == 0
    return out


@pytest.mark.parametrize(("representation", "words"), [("vae4", VAE), ("vq", NETWORK)])
def test_the_denoiser_sees_latents_of_equal_scale(representation: str, words: list[str], tmp_path: Path) -> None:
    first = trained(f"capacity_{representation}", tmp_path / "codec", *words)
    run = trained(f"capacity_{representation}_casim", tmp_path / "run", "--first-stage", str(first), *DENOISER)
    model, plain = TextToMotion.load(run), MotionCodec.load(first)
    assert isinstance(model.codec, Standardised)
    clips = model.dataset().split("train").batch(range(61))
    latents = model.codec.encode(clips, torch.Generator().manual_seed(1))
    rows = latents.motion[latents.mask]
    np.testing.assert_allclose(rows.mean(0), 0, atol=0.2)
    np.testing.assert_allclose(rows.std(0), 1, atol=0.2)
    assert (latents.motion[~latents.mask] == 0).all()
    # there and back is what the codec does alone
    torch.testing.assert_close(
        model.codec.decode(model.codec.encode(clips).motion, clips.mask),
        plain.reconstruct(clips),
        atol=1e-5,
        rtol=0,
    )
    motion = model.sample(["a person claps", "a man walks forward"], [40, 61], steps=2)
    assert motion.shape == (2, 61, 67)
    assert motion.isfinite().all()
    (tmp_path / "codec" / checkpoint.WEIGHTS).unlink()
    again = TextToMotion.load(run).sample(["a person claps", "a man walks forward"], [40, 61], steps=2)
    torch.testing.assert_close(again, motion)


def test_codes_have_no_scale() -> None:
    spec = FeatureSpec(converter="fixed", subset="essential")
    codec = plugins.build(PoseCodes.Config(width=12), spec, np.zeros(67), np.ones(67))
    with pytest.raises(ValueError, match="codes, which have no scale"):
        Standardised(codec)


def test_what_is_standardised_is_said_in_the_config(tmp_path: Path) -> None:
    first = trained("capacity_vae1", tmp_path / "codec", *VAE)
    setup = RECIPES["capacity_vae1_fixed"]().setup
    assert isinstance(setup, Setup)
    assert Setup.from_json(setup.to_json()) == setup
    read = with_first_stage(
        Setup.from_json(setup.to_json() | {"first_stage": {"run": str(first), "is_standardised": True}})
    )
    assert read.first_stage.is_standardised
    assert read.first_stage.codec is not None
    assert "is_standardised" not in RECIPES["choreography_mld_casim"]().setup.to_json()["first_stage"]


def test_denoisers_of_all_representations_differ_in_their_places_only() -> None:
    """Equal parameters but for the width of frames."""
    setups = {name: RECIPES[f"capacity_{name}_casim"]().setup for name in REPRESENTATIONS}
    sizes = {
        name: sum(p.numel() for p in plugins.build(setup.backbone, 64).parameters())
        for name, setup in setups.items()
        if isinstance(setup, Setup) and name != "frames"
    }
    assert len(set(sizes.values())) == 1
