"""From the authors' file to a run, to motions, and back, for random checkpoints of every system."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_clip import write_toy_clip

from casim import cli, plugins, sample
from casim.backbones.como import Como
from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.backbones.mld import Mld
from casim.backbones.t2m_gpt import T2mGpt
from casim.codecs.motion_vae import MotionVae
from casim.codecs.pose_codes import PoseCodes
from casim.codecs.vqvae import Vqvae
from casim.features import FeatureSpec
from casim.nn.temporal import TemporalConfig
from casim.official import casim_mdm, como, mdm, mld, t2m_gpt
from casim.official.__main__ import COMMANDS

TEXT, FEATS = 24, 263
SIZES = {"width": 12, "layers": 2, "heads": 2, "ff": 17}
WRITER = SIZES | {"max_codes": 50}
NETWORK = TemporalConfig(width=6, depth=1)


def parts(config: Any, space: Any, codec: Any = None) -> dict[str, Tensor]:
    torch.manual_seed(0)
    modules = nn.ModuleDict({"injection": nn.ModuleDict({"projection": nn.Linear(TEXT, config.width)})})
    modules["backbone"] = plugins.build(config, space)
    if codec is not None:
        modules["codec"] = plugins.build(codec, FeatureSpec(), np.zeros(FEATS), np.ones(FEATS))
    return dict(modules.state_dict())


def only(tensors: dict[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefixes)}


def mdm_file(kind: Any, module: Any, **more: Any) -> Callable[[], tuple[dict[str, Tensor], dict[str, Tensor]]]:
    return lambda: (module.to_official(parts(kind(**SIZES, **more), FEATS)), {})


def gpt_files() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    own = parts(T2mGpt.Config(**WRITER), (11,), Vqvae.Config(codes=11, width=10, network=NETWORK))
    return t2m_gpt.to_official(only(own, "backbone", "injection")), t2m_gpt.codec_to_official(only(own, "codec"))


def como_files() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    codec = PoseCodes.Config(width=10, network=NETWORK)
    space = plugins.build(codec, FeatureSpec(), np.zeros(FEATS), np.ones(FEATS)).space
    own = parts(Como.Config(**WRITER), space, codec)
    return como.to_official(only(own, "backbone", "injection")), como.codec_to_official(only(own, "codec"))


def mld_file() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    sizes = {"width": 12, "layers": 3, "heads": 2, "ff": 17, "positions": 210}
    own = parts(Mld.Config(**sizes, max_frames=1), 12, MotionVae.Config(**sizes))
    return mld.to_official(own), {}


FILES = {
    "mdm": mdm_file(MdmEncoder.Config, mdm, has_final_norm=False, first_frame=None),
    "mdm decoder": mdm_file(MdmDecoder.Config, mdm, has_final_norm=False),
    "casim_mdm": mdm_file(MdmDecoder.Config, casim_mdm),
    "casim_mdm encoder": mdm_file(MdmEncoder.Config, casim_mdm, has_final_norm=False),
    "t2m_gpt": gpt_files,
    "como": como_files,
    "mld": mld_file,
}
WRAPPED = {"t2m_gpt": ("trans", "net"), "como": ("trans", "net"), "mld": ("state_dict", "")}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_toy_clip(folder)
    return folder


def written(folder: Path, name: str) -> list[str]:
    """The files of a system; gives the command line that converts them, but for --out."""
    system = name.split()[0]
    first, second = FILES[name]()
    keys = WRAPPED.get(system, ("", ""))
    folder.mkdir(exist_ok=True)
    for tensors, key, file in ((first, keys[0], "model.pt"), (second, keys[1], "second.pt")):
        if tensors:
            torch.save({key: tensors} if key else tensors, folder / file)
    np.save(folder / "Mean.npy", np.zeros(FEATS))
    np.save(folder / "Std.npy", np.ones(FEATS))
    more = ["--second", str(folder / "second.pt")] if second else []
    return [system, str(folder / "model.pt"), *more, "--set", "heads=2"]


@pytest.mark.parametrize("name", FILES)
def test_a_checkpoint_becomes_a_run_that_samples(
    name: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*written(tmp_path / "theirs", name), "--out", str(tmp_path / "run"), "--text-weights", str(clip)]
    assert cli.run(COMMANDS, argv) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "assumed" in said
    assert "heads=" not in said
    if name in ("casim_mdm encoder", "t2m_gpt", "como", "mld"):
        assert "dead in the authors' model" in said
    options = [] if name in ("t2m_gpt", "como") else ["--steps", "2"]
    argv = [str(tmp_path / "run"), "--text", "walk", "--seconds", "2", "--out", str(tmp_path / "made"), *options]
    assert cli.run(sample.main, argv) == 0, capsys.readouterr().err
    assert np.isfinite(np.load(tmp_path / "made" / "samples.npz")["joints"]).all()
    back = tmp_path / "back.pt"
    code = cli.run(COMMANDS, ["export", str(tmp_path / "run"), "--out", str(back)])
    if "mdm" not in name:
        assert code == 2
        assert "only MDM and CASIM-MDM" in capsys.readouterr().err
        return
    assert code == 0
    theirs, ours = torch.load(tmp_path / "theirs" / "model.pt"), torch.load(back)
    assert set(theirs) == set(ours)
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


def test_options_of_the_authors_are_honoured(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = written(tmp_path / "theirs", "mdm decoder")
    args = {"diffusion_steps": 50, "noise_schedule": "cosine", "mask_frames": True, "emb_trans_dec": True}
    (tmp_path / "theirs" / "args.json").write_text(json.dumps(args))
    assert cli.run(COMMANDS, [*argv, "--out", str(tmp_path / "run")]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["backbone"]["diffusion"]["steps"] == 50
    assert config["backbone"]["use_frame_mask"] is True
    assert config["backbone"]["time_token"] == "time_text"  # no emb_policy: an old checkpoint
    assert "diffusion_steps" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {**t, "more.weight": torch.zeros(1)}, "unknown tensor 'more.weight'"),
        (lambda t: {n: v for n, v in t.items() if n != "embed_text.bias"}, "embed_text|injection.projection.bias"),
        (lambda t: {**t, "seqTransDecoder.layers.1.norm1.weight": torch.zeros(5)}, "attention_norm.weight"),
        (lambda t: {"a": 1}, "holds no tensors"),
    ],
)
def test_other_tensors_are_refused(
    change: Callable[[Any], Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = written(tmp_path / "theirs", "casim_mdm")
    file = tmp_path / "theirs" / "model.pt"
    torch.save(change(torch.load(file)), file)
    refused(argv, tmp_path, capsys, message)


def refused(argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], message: str) -> None:
    assert cli.run(COMMANDS, [*argv, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert any(part in error for part in message.split("|")), error
    assert not (tmp_path / "run").exists()


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = written(tmp_path / "theirs", "casim_mdm")
    for words, message in (
        (["--set", "head=2"], "heads"),
        (["--set", "heads=two"], "a int is wanted"),
        (["--set", "mask_frames=yes"], "true or false"),
        (["--second", argv[1]], "has one file"),
        (["--average"], "no 'model_avg'"),
        (["--statistics", str(tmp_path)], "no Mean.npy or mean.npy"),
    ):
        refused([*argv, *words], tmp_path, capsys, message)
    refused(["mld", *argv[1:]], tmp_path, capsys, "mld|MLD")
    refused(["t2m_gpt", *argv[1:]], tmp_path, capsys, "needs its VQ-VAE")
    refused(["mdm", str(tmp_path / "none.pt")], tmp_path, capsys, "no checkpoint at")
    (tmp_path / "theirs" / "model.pt").write_bytes(b"short")
    refused(argv, tmp_path, capsys, "cannot be read as tensors alone")


@pytest.mark.parametrize("package", ["casim.official", "casim.prepare", "evaluators.official"])
def test_help_names_the_package(package: str) -> None:
    done = subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: python -m {package} [-h]")


def test_other_statistics_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = written(tmp_path / "theirs", "mdm")
    np.save(tmp_path / "theirs" / "Std.npy", np.ones(251))
    refused(argv, tmp_path, capsys, "has shape (251,)")
