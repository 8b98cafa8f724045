"""The authors' layout: a randomly initialised file comes over and back, and wrong files are refused."""

import json

import numpy as np
import pytest
import torch
from glove_files import WORDS, write_glove

from casim import cli, record
from casim.features import FeatureSpec
from casim.types import frame_mask
from evaluators import embedder
from evaluators.embed.guo import AUTHORS, Guo
from evaluators.official import guo as official
from evaluators.official.__main__ import COMMANDS
from evaluators.words import AUTHORS_SIZES, LISTS

SPECS = (FeatureSpec(), FeatureSpec(21, 12.5))
SIZES = {"text_hidden": 5, "movement_hidden": 7, "movement_width": 11, "motion_hidden": 13, "width": 17}


def random_file(path, spec=SPECS[0], change=lambda parts: None):
    """A file as the authors save it: three state dicts, an epoch, and the state of an optimiser."""
    torch.manual_seed(3)
    guo = Guo(Guo.Config(spec=spec, **SIZES))
    parts = official.to_official(guo.state_dict())
    change(parts)
    adam = torch.optim.Adam(guo.parameters())
    torch.save({**parts, "epoch": 19, "opt_motion_encoder": adam.state_dict()}, path)
    return guo


def write_statistics(folder, spec=SPECS[0], factor=1.0):
    folder.mkdir(exist_ok=True)
    std = np.zeros(spec.dims)
    for columns, value in zip(spec.groups.values(), official.RELEASED_STD[spec.joints], strict=True):
        std[columns] = value * factor
    np.save(folder / "mean.npy", np.random.default_rng(0).normal(size=spec.dims))
    np.save(folder / "std.npy", std)
    return folder


def write_lists(path):
    path.write_text(
        json.dumps({n: [f"{n}{i}" for i in range(s)] for n, s in zip(LISTS, AUTHORS_SIZES, strict=True)})
    )
    return path


@pytest.fixture
def argv(tmp_path):
    random_file(tmp_path / "finest.tar")
    return [
        "guo",
        str(tmp_path / "finest.tar"),
        *("--meta", str(write_statistics(tmp_path / "meta"))),
        *("--glove", str(write_glove(tmp_path / "glove"))),
        *("--out", str(tmp_path / "out")),
    ]


def refused(argv, capsys, tmp_path):
    assert cli.run(COMMANDS, argv) == 2
    assert not (tmp_path / "out").exists()
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    return message


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.dims}")
def test_round_trip(tmp_path, spec):
    theirs = random_file(tmp_path / "finest.tar", spec)
    meta, glove = write_statistics(tmp_path / "meta", spec), write_glove(tmp_path / "glove")
    lists = official.read_lists(write_lists(tmp_path / "lists.json"))
    ours = official.convert(tmp_path / "finest.tar", meta, glove, lists)
    assert ours.spec == spec
    assert ours.config.origin == AUTHORS
    assert ours.config.vocabulary == WORDS
    assert ours.caveat == ""
    assert np.allclose(ours.mean, np.load(meta / "mean.npy"))
    saved = official.read(tmp_path / "finest.tar")
    for part, tensors in official.to_official(ours.state_dict()).items():
        assert set(tensors) == set(saved[part])
        assert all(torch.equal(tensors[name], saved[part][name]) for name in tensors)
    x, mask = torch.randn(3, 23, theirs.read), frame_mask([23, 13, 19])
    torch.testing.assert_close(ours.motion_vectors(x, mask.sum(1)), theirs.eval().motion_vectors(x, mask.sum(1)))


def test_command(argv, tmp_path, capsys):
    assert cli.run(COMMANDS, [*argv, "--lists", str(write_lists(tmp_path / "lists.json"))]) == 0
    assert "caveat" not in capsys.readouterr().out
    loaded = embedder.load(tmp_path / "out", "guo")
    lists = official.read_lists(tmp_path / "lists.json")
    direct = official.convert(tmp_path / "finest.tar", tmp_path / "meta", tmp_path / "glove", lists)
    assert loaded.config == direct.config
    for name, tensor in direct.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name  # whole precision on disk
    found = record.load(tmp_path / "out")
    assert (found.kind, found.status) == ("prepare", "done")
    assert set(found.inputs) == {"weights", "statistics", "glove", "lists"}
    assert str(tmp_path) not in (tmp_path / "out" / record.FILE).read_text()


def test_command_without_lists_says_so(argv, tmp_path, capsys):
    assert cli.run(COMMANDS, argv) == 0
    assert "word lists of our own" in capsys.readouterr().out
    assert "word lists of our own" in embedder.load(tmp_path / "out").caveat


def test_statistics_of_generators_are_noticed(argv, tmp_path, capsys):
    write_statistics(tmp_path / "meta", factor=25)
    assert cli.run(COMMANDS, argv) == 0
    assert "deviation of turn 0.01287, theirs 0.0005147" in capsys.readouterr().out
    assert "other statistics" in embedder.load(tmp_path / "out").caveat


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["text_encoder"].pop("gru.bias_hh_l0_reverse"), "lacks text_encoder.gru.bias_hh_l0_reverse"),
        (lambda p: p["motion_encoder"].update(extra=torch.ones(2)), "unknown motion_encoder.extra"),
        (
            lambda p: p["motion_encoder"].update({"gru.bias_ih_l0": torch.ones(38)}),
            "motion_encoder.gru.bias_ih_l0 ((38,) instead of (39,))",
        ),
        (lambda p: p.pop("movement_encoder"), "no weights called 'movement_encoder'"),
        (lambda p: p["text_encoder"].pop("hidden"), "no 'text_encoder.hidden'"),
        (lambda p: p["text_encoder"].update({"pos_emb.weight": torch.ones(300, 17)}), "17 classes of words"),
        (
            lambda p: p["movement_encoder"].update({"main.0.weight": torch.ones(7, 63, 4)}),
            "reads 63 features, known are 259 (22 joints) or 247 (21 joints)",
        ),
    ],
)
def test_weights_must_fit_exactly(argv, tmp_path, capsys, change, message):
    random_file(tmp_path / "finest.tar", change=change)
    assert message in refused(argv, capsys, tmp_path)


def test_evaluator_of_the_other_data_set(argv, tmp_path, capsys):
    random_file(tmp_path / "finest.tar", SPECS[1])
    assert "(263,), but these weights read 251 features (21 joints)" in refused(argv, capsys, tmp_path)


def test_features_of_the_other_data_set_are_refused(tmp_path):
    random_file(tmp_path / "finest.tar")
    ours = official.convert(
        tmp_path / "finest.tar",
        write_statistics(tmp_path / "meta"),
        write_glove(tmp_path / "glove"),
        official.WordLists(),
    )
    with pytest.raises(ValueError, match="251 wide, but 22 joints"):
        ours.motion(torch.zeros(1, 23, 251), frame_mask([23]))


def test_foreign_and_missing_files(argv, tmp_path, capsys):
    (tmp_path / "finest.tar").write_bytes(b"not a checkpoint")
    assert "finest.tar is refused" in refused(argv, capsys, tmp_path)
    torch.save(cli.run, tmp_path / "finest.tar")  # a function would have to be imported
    assert "only tensors and plain values are read" in refused(argv, capsys, tmp_path)
    torch.save([1], tmp_path / "finest.tar")
    assert "holds a list" in refused(argv, capsys, tmp_path)
    (tmp_path / "finest.tar").unlink()
    assert "no file" in refused(argv, capsys, tmp_path)


def test_broken_statistics_and_vectors(argv, tmp_path, capsys):
    np.save(tmp_path / "meta" / "std.npy", np.zeros(263))
    assert "not positive" in refused(argv, capsys, tmp_path)
    (tmp_path / "meta" / "std.npy").write_bytes(b"x")
    assert "std.npy is no array file" in refused(argv, capsys, tmp_path)
    (tmp_path / "meta" / "std.npy").unlink()
    assert "std.npy; --meta names" in refused(argv, capsys, tmp_path)
    write_statistics(tmp_path / "meta")
    write_glove(tmp_path / "glove", width=50)
    assert "vectors of 50 numbers" in refused(argv, capsys, tmp_path)
