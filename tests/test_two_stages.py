"""From a codec's training to motions of a backbone behind it, through the commands that a user types."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from casim import checkpoint, cli, record, sample, train
from casim.motion_codec import MotionCodec
from casim.recipes import RECIPES, named
from casim.setups import Setup
from casim.text_to_motion import TextToMotion
from evaluators import run as evaluation

DATA = ["--data.train", "61", "--data.validation", "5", "--data.test", "13", "--data.held-out", "11"]
TINY = ["--training.steps", "4", "--training.batch-size", "5", "--training.checkpoint-every", "2", "--threads", "1"]
NETWORK = ["--codec.network.width", "12", "--codec.network.depth", "1", "--codec.width", "10"]
CODECS = {
    "vqvae": ["--codec.codes", "11", *NETWORK],
    "pose_codes": NETWORK,
    "motion_vae": ["--codec.width", "12", "--codec.heads", "2", "--codec.ff", "13", "--codec.layers", "1"],
}
WRITER = ["--backbone.width", "12", "--backbone.layers", "1", "--backbone.heads", "2", "--backbone.ff", "13"]
BACKBONES = {"t2m_gpt": "vqvae", "como": "pose_codes", "mld": "motion_vae"}


def trained(recipe: str, out: Path, *words: str) -> Path:
    argv = [recipe, "--out", str(out), "--device", "cpu", *DATA, *TINY, *words]
    assert train.command(argv) == 0
    return out


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("stages")
    return {name: trained(f"choreography_{name}", root / name, *words) for name, words in CODECS.items()}


@pytest.fixture(scope="module")
def models(stages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        name: trained(f"choreography_{name}_casim", root / name, "--first-stage", str(stages[codec]), *WRITER)
        for name, codec in BACKBONES.items()
    }


def refused(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    assert train.command(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_run_reconstructs(stages: dict[str, Path], name: str) -> None:
    model = MotionCodec.load(stages[name])
    clips = model.dataset().split("test").batch(range(5))
    given = model.reconstruct(clips)
    assert given.shape == clips.motion.shape
    assert not given[~clips.mask].any()
    assert record.load(stages[name]).config["codec"]["plugin"] == name


@pytest.mark.parametrize("name", BACKBONES)
def test_a_second_stage_stands_alone(models: dict[str, Path], stages: dict[str, Path], name: str) -> None:
    """Its file holds the codec's weights, as they were; its config names them."""
    model, first = TextToMotion.load(models[name]), MotionCodec.load(stages[BACKBONES[name]])
    assert model.codec is not None
    own = model.codec.state_dict()
    assert all(torch.equal(own[key], value) for key, value in first.codec.state_dict().items())
    stage = checkpoint.load_config(models[name])["first_stage"]
    assert stage["sha256"] == record.sha256(stages[BACKBONES[name]] / checkpoint.WEIGHTS)
    lengths = [40, 37, 61]
    motion = model.sample(["a person waves", "someone sits", "a man kicks"], lengths)
    assert motion.shape == (3, 61, 67)
    assert torch.isfinite(motion).all()
    assert not motion[0, 40:].any()
    assert motion[0, :40].any()


@pytest.mark.parametrize("name", ["t2m_gpt", "como"])
def test_autoregressive_models_may_end_by_themselves(models: dict[str, Path], name: str) -> None:
    model = TextToMotion.load(models[name])
    motion, mask = model.generate(["a person waves"] * 7, [96] * 7, length="own")
    lengths = mask.sum(1)
    assert ((lengths >= 4) & (lengths <= 96)).all()
    assert (lengths % 4 == 0).all()
    assert not motion[~mask].any()


def test_sampling_and_scoring_work_as_for_any_run(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, run in models.items():
        argv = [str(run), "--text", "a person waves", "--seconds", "2", "--out", str(tmp_path / name)]
        assert cli.run(sample.main, argv) == 0, capsys.readouterr().err
    names = [str(run) for run in models.values()]
    argv = [*names, "--protocol", "quick", "--samples", "5", "--splits", "test", "--length-source", "own"]
    assert cli.run(evaluation.main, [*argv, "--out", str(tmp_path / "scores")]) == 0
    written = record.load(tmp_path / "scores")
    assert "end by themselves" in written.results["choreography_t2m_gpt_casim/exact_prompt/test/all"].protocol


@pytest.mark.parametrize("name", ["t2m_gpt", "como"])
def test_long_motions_go_on_from_the_last_codes(
    models: dict[str, Path], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = ["--text", "a person waves", "--text", "someone sits", "--text", "a man kicks"]
    argv = [str(models[name]), "--long", *prompts, "--seconds", "2", "--out", str(tmp_path / "long")]
    assert cli.run(sample.main, argv) == 0
    motion = np.load(tmp_path / "long" / "motion.npz")
    assert motion["joints"].shape == (120, 22, 3)
    assert motion["boundaries"].tolist() == [0, 40, 80, 120]
    argv = [str(models[name]), "--long", *prompts, "--seconds", "4.5", "--out", str(tmp_path / "no")]
    assert cli.run(sample.main, argv) == 2
    assert "segment 2 has 23 codes and the model room for 19" in capsys.readouterr().err


def test_latents_of_whole_clips_make_no_long_motion(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [
        str(models["mld"]),
        "--long",
        "--text",
        "a",
        "--text",
        "b",
        "--seconds",
        "2",
        "--out",
        str(tmp_path / "no"),
    ]
    assert cli.run(sample.main, argv) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_first_stages_are_scored_by_reconstruction(stages: dict[str, Path], tmp_path: Path) -> None:
    argv = [*map(str, stages.values()), "--protocol", "quick", "--samples", "13", "--splits", "test"]
    assert cli.run(evaluation.main, [*argv, "--out", str(tmp_path / "scores")]) == 0
    results = record.load(tmp_path / "scores").results
    error = results["choreography_vqvae/joint_error/test/all"]
    assert (error.unit, error.higher_is_better, error.n) == ("mm", False, 13)
    assert error.value > 0
    assert "choreography_vqvae/fid.essential.raw/test/all" in results


def test_a_codec_and_a_generator_are_not_compared(
    models: dict[str, Path], stages: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(stages["vqvae"]), str(models["t2m_gpt"]), "--out", "out"]
    assert cli.run(evaluation.main, argv) == 2
    assert "two stages" in capsys.readouterr().err


def test_a_resumed_codec_keeps_its_codebook(stages: dict[str, Path], tmp_path: Path) -> None:
    words = CODECS["vqvae"]
    whole = trained("choreography_vqvae", tmp_path / "whole", *words)
    part = tmp_path / "part"
    argv = ["choreography_vqvae", "--out", str(part), "--device", "cpu", *DATA, *TINY, *words]
    half = [*argv, "--training.steps", "2"]
    assert train.command(half) == 0
    for file in ("config.json", "record.json"):  # as if the longer training had been stopped
        text = (part / file).read_text().replace('"steps": 2', '"steps": 4')
        (part / file).write_text(text)
    assert train.command([*argv, "--resume"]) == 0
    one, other = (checkpoint.load_tensors(run / checkpoint.WEIGHTS) for run in (whole, part))
    assert any("cluster_size" in name for name in one)
    decayed = json.loads((whole / "config.json").read_text())["training"]["decay"]
    same = [name for name in one if torch.equal(one[name], other[name])]
    assert len(same) == len(one) or decayed  # the cosine of a shorter training is another one


def test_mistakes_are_one_line(
    models: dict[str, Path], stages: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--out", str(tmp_path / "out"), "--device", "cpu", *DATA, *TINY, *WRITER]

    def behind(recipe: str, stage: Path | str, *more: str) -> str:
        return refused(capsys, [recipe, "--first-stage", str(stage), *base, *more])

    assert "vectors of width" in behind("choreography_t2m_gpt_casim", stages["motion_vae"])
    assert "70 groups; use como" in behind("choreography_t2m_gpt_casim", stages["pose_codes"])
    assert "denoises vectors, not codes" in behind("choreography_mld_casim", stages["vqvae"])
    assert "it trained no codec" in behind("choreography_t2m_gpt_casim", models["mld"])
    assert "unknown run" in behind("choreography_t2m_gpt_casim", tmp_path / "none")
    assert "other statistics" in behind("choreography_t2m_gpt_casim", stages["vqvae"], "--data.seed", "1")
    assert not (tmp_path / "out").exists()


STAGE_OF = {
    name: setup.first_stage.run
    for name in RECIPES
    if isinstance(setup := named(name).setup, Setup) and setup.first_stage.run
}


@pytest.mark.parametrize("name", STAGE_OF)
def test_a_missing_first_stage_names_the_command_that_trains_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    error = refused(capsys, [name])
    stage = STAGE_OF[name]
    codec, _, seed = stage.rpartition("_seed")
    assert f"the first stage {stage} is missing; train it: python -m casim.train {codec}, or" in error
    assert "--first-stage RUN" in error
    assert train.parse([codec])[0].training.seed == int(seed)
    assert not any(tmp_path.iterdir())


def test_another_first_stage_is_no_reason_to_resume(
    models: dict[str, Path], stages: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = shutil.copytree(stages["vqvae"], tmp_path / "stage")
    run = trained("choreography_t2m_gpt_casim", tmp_path / "run", "--first-stage", str(stage), *WRITER)
    other = MotionCodec.load(stage)
    torch.nn.init.zeros_(next(other.parameters()))
    checkpoint.save_tensors(stage / checkpoint.WEIGHTS, other.state_dict())
    capsys.readouterr()
    argv = ["choreography_t2m_gpt_casim", "--out", str(run), "--device", "cpu", "--resume", *DATA, *TINY, *WRITER]
    assert "first_stage.sha256 was" in refused(capsys, [*argv, "--first-stage", str(stage)])
