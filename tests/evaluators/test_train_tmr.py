import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from bodies import write_joint_folder

from casim import checkpoint, cli, record
from casim.data.choreography import Choreography
from casim.prepare.__main__ import COMMANDS as PREPARE
from casim.text.minilm import MiniLM
from evaluators import caption_similarity, embedder, real_retrieval
from evaluators.actor import ActorConfig
from evaluators.train import COMMANDS
from evaluators.training import _datasets as datasets
from evaluators.training import tmr as training
from evaluators.training.tmr import Inputs, Settings, Training

BENCHMARK = Choreography.Config(train=23, validation=37, test=101, held_out=5)
SIZES = ActorConfig(width=12, layers=1, heads=3, ff=17, dropout=0.1)
SMALL = Settings(Inputs(), SIZES, Training(clips=83, steps=41, batch_size=11, warmup=3, learning_rate=1e-2))
TOY = ["--width", "12", "--layers", "1", "--heads", "3", "--ff", "17", "--steps", "2", "--clips", "83"]


@pytest.fixture(autouse=True)
def small_benchmark(monkeypatch):
    monkeypatch.setattr(datasets, "BENCHMARK", BENCHMARK)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out, losses = tmp_path_factory.mktemp("tmr") / "toy", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "BENCHMARK", BENCHMARK)
        training.train(SMALL, out, report=losses.append)
    return out, losses


def test_loss_of_every_step_is_reported_and_falls(trained):
    out, losses = trained
    assert len(losses) == 41
    assert losses[-1] < 0.8 * losses[0]
    curve = pd.read_csv(out / "log.csv")
    assert curve["step"].tolist() == [20, 40, 41]
    assert {"loss", "learning_rate", "recons", "kl", "latent", "contrastive"} <= set(curve)
    total = curve["recons"] + 1e-5 * curve["kl"] + 1e-5 * curve["latent"] + 0.1 * curve["contrastive"]
    assert total.tolist() == pytest.approx(curve["loss"].tolist(), rel=1e-4)


def test_record_holds_settings_and_the_real_row_under_every_protocol(trained):
    found = record.load(trained[0])
    assert (found.kind, found.name, found.status, found.seed) == ("train", "toy", "done", 2_000_003)
    assert found.config["data"]["plugin"] == "choreography"
    assert found.config["data"]["held_out_pairs"] == 0
    assert found.config["embedder"] == checkpoint.load_config(trained[0])["embedder"]
    assert found.config["captions"] == caption_similarity.WORDS["actions"]
    assert set(found.artifacts) == {checkpoint.WEIGHTS, checkpoint.CONFIG, "log.csv"}
    ends = {"validation": ("", "_threshold", "_pool32"), "held_out": ("", "_threshold")}
    ends["test"] = ("", "_threshold", "_pool32", "_dissimilar")
    keys = {
        f"{row}/retrieval{end}{part}.tmr/{split}/all"
        for row in ("real", "floor: wrong caption")
        for split, names in ends.items()
        for end in names
        for part in ("@1.t2m", "@10.m2t", "_rank.t2m")
    }
    assert keys <= set(found.results)
    measure = found.results["real/retrieval_pool32@1.t2m.tmr/test/all"]
    assert (measure.n, measure.unit, measure.higher_is_better) == (96, "share", True)
    assert "101 real clips of test" in measure.protocol


def test_it_learns_to_retrieve():
    """Thirteen clips are learnt by heart."""
    inputs, shape = replace(SMALL.inputs, patch=8), replace(SIZES, width=24, ff=31, dropout=0.0)
    drill = Training(clips=13, steps=101, batch_size=13, warmup=3, learning_rate=1e-2)
    settings = Settings(inputs, shape, drill)
    learnt, _ = training.datasets(inputs, drill)
    made, alike = training.fresh(settings, learnt), caption_similarity.named("actions")

    def first_hits():
        return real_retrieval.measure(made, "tmr", learnt, "train", alike)["real/retrieval@1.t2m.tmr/train/all"]

    before = first_hits().value
    training.fit(made, learnt.split("train"), settings, alike)
    assert before < 0.4 < 0.6 < first_hits().value


def test_statistics_are_those_of_the_training_clips(trained):
    learnt, judged = training.datasets(SMALL.inputs, SMALL.training)
    made = embedder.load(trained[0])
    torch.testing.assert_close(made.mean, torch.as_tensor(learnt.mean), atol=2e-3, rtol=2e-3)
    assert made.spec == learnt.spec == judged.spec
    assert learnt.config.seed != judged.config.seed


def test_same_seed_same_weights(trained):
    learnt, _ = training.datasets(SMALL.inputs, SMALL.training)
    again = training.fresh(SMALL, learnt)
    state = torch.get_rng_state()
    training.fit(again, learnt.split("train"), SMALL, caption_similarity.named("actions"))
    assert torch.equal(torch.get_rng_state(), state)
    saved = embedder.load(trained[0]).state_dict()
    for name, tensor in again.state_dict().items():
        torch.testing.assert_close(tensor.half().float(), saved[name], rtol=0, atol=0)
    other = training.fresh(replace(SMALL, training=replace(SMALL.training, seed=7)), learnt).state_dict()
    assert not torch.equal(
        other["network.words.weight"], training.fresh(SMALL, learnt).state_dict()["network.words.weight"]
    )


def test_learning_rate_warms_up_and_decays():
    rates = [Training(steps=100, warmup=10, learning_rate=1.0).rate(step) for step in range(100)]
    assert rates.index(max(rates)) == 9
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 1e-3
    assert Training(warmup=0, decay=False, learning_rate=0.5).rate(77) == 0.5


def test_command(tmp_path, capsys):
    assert cli.run(COMMANDS, ["tmr", "--out", str(tmp_path / "toy"), "--batch-size", "11", *TOY]) == 0
    assert "real/retrieval@1.t2m.tmr/validation/all" in capsys.readouterr().out
    assert record.load(tmp_path / "toy").config["training"]["steps"] == 2
    assert checkpoint.load_config(tmp_path / "toy")["embedder"]["sizes"]["width"] == 12


def test_the_authors_settings_are_flags(tmp_path, capsys):
    """The line in the module's docstring parses; it stops at the data."""
    words = (training.__doc__ or "").split()
    first, last = words.index("--text"), words.index("(500")
    argv = ["tmr", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out"), *words[first:last]]
    assert cli.run(COMMANDS, argv) == 2
    assert "no data folder" in capsys.readouterr().err


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two captioned clips and their mirrors to train on, one and its mirror to test."""
    folder = tmp_path_factory.mktemp("data")
    joints = write_joint_folder(folder / "joints")
    assert cli.run(PREPARE, ["joints", str(joints), "--out", str(folder / "made"), "--converter", "fixed"]) == 0
    return folder / "made"


def test_folder(prepared, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CASIM_DATA", str(prepared.parent))
    argv = ["tmr", "--data", "$CASIM_DATA/made", "--out", str(tmp_path / "toy"), "--batch-size", "2", *TOY]
    assert cli.run(COMMANDS, [*argv, "--similarity", "words", "--subset", "all"]) == 0
    found = record.load(tmp_path / "toy")
    assert found.inputs["data"].run == found.config["data"]["folder"] == "$CASIM_DATA/made"
    assert str(tmp_path) not in json.dumps(found.config)
    made = embedder.load(tmp_path / "toy")
    assert (made.spec.dims, made.spec.converter) == (263, "fixed")
    assert {key.split("/")[2] for key in found.results if "/" in key} == {"test"}


def test_text_weights_are_named_without_their_place(tmp_path, monkeypatch):
    from transformers import DistilBertConfig, DistilBertModel

    monkeypatch.setenv("CASIM_CACHE", "off")
    sizes = {"dim": 6, "n_layers": 1, "n_heads": 3, "hidden_dim": 7, "max_position_embeddings": 41}
    DistilBertModel(DistilBertConfig(vocab_size=30522, **sizes)).save_pretrained(tmp_path / "bert")
    shutil.copy(MiniLM(MiniLM.Config()).folder / "tokenizer.json", tmp_path / "bert")
    argv = ["tmr", "--out", str(tmp_path / "toy"), *TOY, "--batch-size", "11", "--text", "minilm"]
    assert cli.run(COMMANDS, [*argv, "--text-weights", str(tmp_path / "bert")]) == 0
    found = record.load(tmp_path / "toy")
    assert found.config["embedder"]["text"]["weights"] == found.config["inputs"]["text_weights"] == "bert"
    assert len(found.config["text_sha256"]) == 64
    assert embedder.load(tmp_path / "toy").text(["a person walks"]).shape == (1, 12)


MISTAKES = {
    "benchmark's seed": (["--seed", "0"], "train on others"),
    "too few clips": (["--batch-size", "84"], "do not fill one batch"),
    "unknown encoder": (["--text", "hash"], "Did you mean hashed"),
    "weights for none": (["--text-weights", "x"], "has no field 'weights'"),
    "no folder": (["--data", "nowhere"], "no data folder"),
    "heads": (["--heads", "5"], "not a multiple of heads"),
    "patch": (["--patch", "0"], "patch is 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name, tmp_path, capsys):
    options, expected = MISTAKES[name]
    argv = ["tmr", "--out", str(tmp_path / "out"), *TOY, "--batch-size", "11", *options]
    assert cli.run(COMMANDS, argv) == 2
    assert expected in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_mistakes_of_folders(prepared, tmp_path, capsys):
    argv = ["tmr", "--data", str(prepared), "--out", str(tmp_path / "out"), *TOY, "--batch-size", "2"]
    assert cli.run(COMMANDS, [*argv, "--similarity", "actions"]) == 2
    assert "compare captions by sentences or words" in " ".join(capsys.readouterr().err.split())
    (prepared / "test.txt").rename(prepared / "testing.txt")
    assert cli.run(COMMANDS, [*argv, "--similarity", "words"]) == 2
    assert "neither val.txt nor test.txt" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
