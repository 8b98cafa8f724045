"""The authors' TMR weights: names both ways, the command, what it refuses."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from casim import checkpoint, cli, record
from casim.text.minilm import MiniLM
from casim.types import frame_mask
from evaluators import embedder
from evaluators.actor import ActorConfig
from evaluators.embed.tmr import Network
from evaluators.official import tmr as official
from evaluators.official.__main__ import COMMANDS

FEATS, WIDTH, HEADS = 263, 24, 3
SIZES = ActorConfig(width=6, layers=11, heads=HEADS, ff=10)


def network(**changes):
    torch.manual_seed(0)
    return Network(SIZES, changes.get("feats", FEATS), WIDTH, slots=changes.get("slots", 2)).eval()


@pytest.fixture(scope="module")
def distilbert(tmp_path_factory):
    """A random DistilBERT of width 24 with the real vocabulary, as a folder."""
    from transformers import DistilBertConfig, DistilBertModel

    folder = tmp_path_factory.mktemp("distilbert")
    torch.manual_seed(0)
    sizes = {"dim": WIDTH, "n_layers": 2, "n_heads": 3, "hidden_dim": 31, "max_position_embeddings": 37}
    DistilBertModel(DistilBertConfig(vocab_size=30522, **sizes)).save_pretrained(folder)
    shutil.copy(MiniLM(MiniLM.Config()).folder / "tokenizer.json", folder)
    return folder


def write(folder, tensors):
    """The authors' three files, and statistics."""
    folder.mkdir(parents=True)
    for name in official.FILES:
        part = {k.removeprefix(f"{name}."): t for k, t in tensors.items() if k.startswith(f"{name}.")}
        torch.save(part, folder / f"{name}.pt")
    feats = tensors["motion_encoder.projection.weight"].shape[1]
    torch.save(torch.arange(feats) / 7, folder / "mean.pt")
    torch.save(1 + torch.arange(feats) / 5, folder / "std.pt")
    return folder


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "tmr", official.to_official(network().state_dict()))


def command(files, distilbert, out, *more):
    argv = ["tmr", str(files), "--stats", str(files), "--text", str(distilbert), "--out", str(out)]
    return cli.run(COMMANDS, [*argv, "--heads", str(HEADS), *more])


def test_names_round_trip():
    tensors = network().state_dict()
    there = official.to_official(tensors)
    assert {name.partition(".")[0] for name in there} == set(official.FILES)
    assert "motion_decoder.seqTransDecoder.layers.10.multihead_attn.in_proj_weight" in there
    back = official.to_ours(there)
    assert set(back) == set(tensors)
    assert all(back[name] is tensors[name] for name in tensors)
    sizes = official.sizes_of(there, HEADS)
    assert (sizes.width, sizes.layers, sizes.heads, sizes.ff) == (6, 11, HEADS, 10)


def test_published_sizes_have_the_published_shapes():
    with torch.device("meta"):
        tensors = official.to_official(Network(ActorConfig(), 263, 768).state_dict())
    assert tensors["motion_encoder.tokens"].shape == (2, 256)
    assert tensors["motion_encoder.projection.weight"].shape == (256, 263)
    assert tensors["text_encoder.projection.weight"].shape == (256, 768)
    assert tensors["motion_decoder.final_layer.weight"].shape == (263, 256)
    per_network = {name: {k for k in tensors if k.startswith(name)} for name in official.FILES}
    assert [len(keys) for keys in per_network.values()] == [3 + 6 * 12, 3 + 6 * 12, 2 + 6 * 18]


def test_command_makes_an_embedder(files, distilbert, tmp_path):
    out = tmp_path / "out"
    assert command(files, distilbert, out) == 0
    made = embedder.load(out, "tmr")
    assert made.caveat == ""
    assert made.spec.dims == FEATS
    ours, mask = network(), frame_mask([17, 5])
    features = torch.randn(2, 17, FEATS)
    x = (features - torch.arange(FEATS) / 7) / (1 + torch.arange(FEATS) / 5)
    torch.testing.assert_close(made.motion(features, mask), ours.encode_motion(x, mask)[:, 0].detach())
    states = MiniLM(MiniLM.Config(weights=str(distilbert))).encode(["a person walks", "jump"])
    expected = ours.encode_text(states.tokens, states.mask)[:, 0].detach()
    torch.testing.assert_close(made.text(["a person walks", "jump"]), expected)
    found = record.load(out)
    assert (found.status, found.config["command"]) == ("done", "tmr")
    assert set(found.inputs) == {"weights", "statistics"}
    assert set(found.artifacts) == {checkpoint.WEIGHTS, checkpoint.CONFIG}
    assert str(tmp_path) not in found.model_dump_json()


def test_statistics_may_be_arrays(files, distilbert, tmp_path):
    for name in ("mean", "std"):
        np.save(files / f"{name.title()}.npy", torch.load(files / f"{name}.pt", weights_only=True).numpy())
        (files / f"{name}.pt").unlink()
    assert command(files, distilbert, tmp_path / "out") == 0
    assert float(embedder.load(tmp_path / "out").std[5]) == 2.0


def test_latents_without_variance_and_other_skeletons(distilbert, tmp_path):
    tensors = official.to_official(network(feats=251, slots=1).state_dict())
    assert command(write(tmp_path / "kit", tensors), distilbert, tmp_path / "out") == 0
    made = embedder.load(tmp_path / "out")
    assert (made.spec.joints, made.spec.fps, made.config.is_variational) == (21, 12.5, False)


def change(folder, name, **tensors):
    state = torch.load(folder / name, weights_only=True)
    torch.save({k: v for k, v in (state | tensors).items() if v is not None}, folder / name)


BROKEN = {
    "no file": (lambda f: (f / "text_encoder.pt").unlink(), "no file"),
    "unknown tensor": (
        lambda f: change(f, "text_encoder.pt", pe=torch.ones(3)),
        "unknown tensor 'text_encoder.pe'",
    ),
    "missing tensor": (lambda f: change(f, "text_encoder.pt", tokens=None), "lacks network.text_encoder.tokens"),
    "other shape": (
        lambda f: change(f, "motion_decoder.pt", **{"final_layer.bias": torch.ones(5)}),
        "other shapes",
    ),
    "no layers": (lambda f: torch.save({}, f / "motion_encoder.pt"), "no seqTransEncoder layers"),
    "no state dict": (lambda f: torch.save([torch.ones(3)], f / "motion_encoder.pt"), "holds no state dict"),
    "cut short": (lambda f: (f / "std.pt").write_bytes((f / "std.pt").read_bytes()[:300]), "is damaged"),
    "code inside": (
        lambda f: (f / "motion_encoder.pt").write_bytes(pickle.dumps(print, 2)),
        "is damaged, or holds more",
    ),
    "no statistics": (lambda f: (f / "mean.pt").unlink(), "has neither mean.pt and std.pt"),
    "short statistics": (lambda f: torch.save(torch.ones(5), f / "mean.pt"), "other shapes for mean"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name, files, distilbert, tmp_path, capsys):
    damage, expected = BROKEN[name]
    damage(files)
    assert command(files, distilbert, tmp_path / "out") == 2
    assert expected in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_features_of_no_skeleton(distilbert, tmp_path, capsys):
    tensors = official.to_official(network(feats=7).state_dict())
    assert command(write(tmp_path / "odd", tensors), distilbert, tmp_path / "out") == 2
    assert "no skeleton has 7 features" in " ".join(capsys.readouterr().err.split())


def test_other_text_encoders_are_refused(files, distilbert, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(distilbert, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"dim": 12}))
    assert command(files, other, tmp_path / "out") == 2
    assert "states of width 12, the weights read 24" in " ".join(capsys.readouterr().err.split())
    assert command(files, MiniLM(MiniLM.Config()).folder, tmp_path / "out") == 2
    assert "holds a 'bert'; the authors' weights read a distilbert" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
