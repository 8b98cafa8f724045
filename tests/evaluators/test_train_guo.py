from dataclasses import replace

import numpy as np
import pytest
import torch
from glove_files import WORDS, write_glove

from casim import checkpoint, cli, record
from casim.data.choreography import Choreography
from casim.types import frame_mask
from evaluators import embedder
from evaluators.train import COMMANDS
from evaluators.training import _data as data
from evaluators.training import guo as training
from evaluators.training._guo_stages import MATCHING, MOVEMENTS, Fitting, Training, contrast, cut

BENCHMARK = Choreography.Config(train=61, validation=37, test=41, held_out=43)
SMALL = Training(
    movement_steps=7, movement_batch_size=29, steps=11, batch_size=19, negatives=5, validate_every=3, window=16
)
TINY = {"text_hidden": 19, "movement_hidden": 23, "movement_width": 29, "motion_hidden": 31, "width": 17}


@pytest.fixture(scope="module", autouse=True)
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "SIZES", {"laptop": TINY, "paper": {}})
        yield


@pytest.fixture(scope="module")
def opened():
    return data.of_choreography(BENCHMARK)


@pytest.fixture(scope="module")
def trained(opened, tiny, tmp_path_factory):
    tmp_path, losses = tmp_path_factory.mktemp("guo"), []
    guo = training.untrained(opened, SMALL)
    written = training.train(guo, opened, SMALL, tmp_path, report=lambda *step: losses.append(step))
    return tmp_path, written, losses


def test_record_holds_figures_of_real_clips_with_chance_and_ceiling(trained):
    folder, written, losses = trained
    assert record.load(folder) == written
    assert (written.kind, written.name, written.status, written.seed) == ("train", "guo", "done", 0)
    for split in ("validation", "test", "held_out"):
        for k in (1, 2, 3):
            end = f"r_precision@{k}.guo/{split}/all"
            assert written.results[f"chance/{end}"].value == k / 32
            assert 0 <= written.results[f"real/{end}"].value <= written.results[f"ceiling/{end}"].value <= 1
            assert written.results[f"real/{end}"].n == len(Choreography(BENCHMARK).split(split))
        assert written.results[f"real/mm_dist.guo/{split}/all"].value > 0
    assert "not comparable with published numbers" in written.config["caveat"]
    assert written.config["data"]["train"] == 61
    assert set(written.artifacts) == {checkpoint.WEIGHTS, checkpoint.CONFIG, training.CURVE}
    assert [stage for stage, _ in losses] == [MOVEMENTS] * 7 + [MATCHING] * 11


def test_curve_has_every_step_and_the_validations(trained):
    folder, _, losses = trained
    rows = [line.split(",") for line in (folder / training.CURVE).read_text().splitlines()]
    assert rows[0] == ["stage", "step", "loss", "validation"]
    assert [row[:2] for row in rows[1:8]] == [[MOVEMENTS, str(step)] for step in range(1, 8)]
    checked = [int(step) for stage, step, _, value in rows[1:] if value]
    assert checked == [3, 6, 9, 11]
    assert float(rows[-1][2]) == pytest.approx(losses[-1][1], rel=1e-3)


def test_both_stages_learn_and_the_second_leaves_movements_alone(opened):
    rates = {"movement_learning_rate": 1e-2, "learning_rate": 5e-3}
    long = replace(SMALL, steps=41, movement_steps=41, negatives=18, validate_every=41, **rates)
    guo = training.untrained(opened, long)
    movements = {}

    def watch(stage, loss):
        if stage == MATCHING and not movements:
            movements.update({n: t.clone() for n, t in guo.movement_encoder.state_dict().items()})

    curve = Fitting(guo, opened, long, watch).run()
    losses = {stage: [loss for name, _, loss, _ in curve.rows if name == stage] for stage in (MOVEMENTS, MATCHING)}
    assert np.mean(losses[MOVEMENTS][-5:]) < 0.85 * np.mean(losses[MOVEMENTS][:5])
    assert np.mean(losses[MATCHING][-5:]) < 45  # 50: all distances half the margin, which tells nothing apart
    for name, tensor in guo.movement_encoder.state_dict().items():
        assert torch.equal(tensor, movements[name])
    assert not any(parameter.requires_grad for parameter in guo.parameters())


def test_the_weights_of_the_least_validation_loss_are_kept(opened, monkeypatch):
    values = iter([5.0, 2.0, 3.0, 4.0])
    seen = []

    def rigged(text, motion, shifts, margin):
        loss = contrast(text, motion, shifts, margin)
        if len(text) != 37:  # a training batch
            return loss
        seen.append({n: t.clone() for n, t in guo.state_dict().items()})
        return torch.tensor(next(values))

    monkeypatch.setattr("evaluators.training._guo_stages.contrast", rigged)
    guo = training.untrained(opened, SMALL)
    Fitting(guo, opened, SMALL).run()
    for name, tensor in guo.state_dict().items():
        assert torch.equal(tensor, seen[1][name])
    assert any(not torch.equal(seen[1][name], seen[3][name]) for name in seen[1])


def test_same_seed_same_weights_whatever_was_drawn_before(opened):
    def weights(seed):
        torch.rand(seed + 3)
        settings = replace(SMALL, seed=seed, steps=3, movement_steps=3)
        guo = training.untrained(opened, settings)
        Fitting(guo, opened, settings).run()
        return torch.cat([t.flatten() for t in guo.state_dict().values()])

    first = weights(0)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


def test_a_right_motion_is_never_taken_for_a_wrong_one():
    """Motions on top of their captions and far from all others cost nothing, whatever the shift."""
    text = torch.arange(7.0)[:, None] * 20
    for shift in range(1, 7):
        assert contrast(text, text, torch.tensor([shift]), margin=10.0) == 0
    assert contrast(text, text, torch.tensor([0]), margin=10.0) == 100


def test_contrast_by_hand():
    text, motion = torch.tensor([[0.0, 0], [3, 4]]), torch.tensor([[0.0, 1], [3, 4]])
    wrong = [10 - 5, 10 - (3**2 + 3**2) ** 0.5]  # caption 0 to motion 1, caption 1 to motion 0
    expected = 1 / 2 + sum(w**2 for w in wrong) / 2
    assert float(contrast(text, motion, torch.tensor([1]), margin=10.0)) == pytest.approx(expected, rel=1e-6)


def test_windows_lie_within_their_clips():
    lengths, generator = torch.tensor([16, 29, 37]), torch.Generator().manual_seed(0)
    x = torch.arange(37.0)[None, :, None].expand(3, -1, 2) * frame_mask(lengths)[..., None]
    starts = set()
    for _ in range(50):
        windows = cut(x, lengths, 16, generator)
        assert windows.shape == (3, 16, 2)
        assert (windows.diff(dim=1) == 1).all()
        starts |= {(i, int(w[0, 0])) for i, w in enumerate(windows)}
    assert {s for i, s in starts if i == 0} == {0}
    assert {s for i, s in starts if i == 1} == set(range(14))


def test_some_features_count_more(opened):
    plain, biased = (training.untrained(opened, replace(SMALL, feat_bias=bias)).std for bias in (1.0, 5.0))
    assert torch.allclose(plain[:4] / biased[:4], torch.tensor(5.0))
    assert torch.equal(plain[4:], biased[4:])


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(data, "BENCHMARK", BENCHMARK)
    argv = ["guo", "--data", "choreography", "--out", str(tmp_path), "--steps", "2", "--movement-steps", "2"]
    argv += ["--batch-size", "19", "--negatives", "3", "--movement-batch-size", "11"]
    assert cli.run(COMMANDS, argv) == 0
    printed = capsys.readouterr().out
    assert "ceiling/r_precision@1.guo/held_out/all" in printed
    assert record.load(tmp_path).config["training"]["negatives"] == 3


WIDTHS = {263: 22, 251: 21}
CAPTION = "a man walks left#a/DET man/NOUN walk/VERB left/NOUN#0.0#0.0\n"


def write_folder(folder, width=263, clips=37):
    """A data folder of random features."""
    (folder / "new_joint_vecs").mkdir(parents=True)
    (folder / "texts").mkdir()
    names = [f"{i:06d}" for i in range(clips)]
    for seed, name in enumerate(names):
        motion = np.random.default_rng(seed).normal(size=(41 + seed % 7, width)).astype(np.float32)
        np.save(folder / "new_joint_vecs" / f"{name}.npy", motion)
        (folder / "texts" / f"{name}.txt").write_text(CAPTION)
    for split in ("train", "val"):
        (folder / f"{split}.txt").write_text("\n".join(names))
    np.save(folder / "Mean.npy", np.zeros(width, np.float32))
    np.save(folder / "Std.npy", np.ones(width, np.float32))
    return folder


@pytest.mark.parametrize("width", WIDTHS)
def test_folder_of_either_skeleton_with_word_vectors(tmp_path, width):
    folder = write_folder(tmp_path / "set", width)
    argv = ["guo", "--data", str(folder), "--out", str(tmp_path / "out"), "--steps", "2", "--movement-steps", "2"]
    argv += ["--batch-size", "19", "--negatives", "3", "--movement-batch-size", "11"]
    argv += ["--glove", str(write_glove(tmp_path / "glove"))]
    assert cli.run(COMMANDS, argv) == 0
    guo = embedder.load(tmp_path / "out", "guo")
    assert guo.spec.dims == width
    assert guo.spec.joints == WIDTHS[width]
    assert guo.config.vocabulary == WORDS
    assert "hash" not in guo.caveat
    found = record.load(tmp_path / "out")
    assert {key.split("/")[-2] for key in found.results} == {"val"}  # the folder has no test.txt
    assert found.results["ceiling/r_precision@1.guo/val/all"].value == pytest.approx(1 / 32)  # one caption for all
    assert str(tmp_path) not in (tmp_path / "out" / record.FILE).read_text()
    assert set(found.inputs) == {"data", "glove"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nowhere"], "--data is 'choreography' or a folder"),
        (["--window", "30"], "multiple of 4"),
        (["--negatives", "19"], "choose 1 to 18"),
        (["--steps", "0"], "steps must be at least 1"),
        (["--window", "44"], "the shortest clip has 40"),
        (["--batch-size", "38", "--negatives", "3"], "do not fill one batch of 38"),
        (["--glove", "nowhere"], "has no our_vab_data.npy"),
        (["--lists", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_input_writes_nothing(tmp_path, capsys, options, message):
    folder = write_folder(tmp_path / "set")
    argv = ["guo", "--data", str(folder), "--out", str(tmp_path / "out"), "--movement-batch-size", "11", *options]
    if "--batch-size" not in options:
        argv += ["--batch-size", "19"] + ["--negatives", "3"] * ("--negatives" not in options)
    assert cli.run(COMMANDS, argv) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_that_do_not_do(tmp_path, capsys):
    def refused():
        assert cli.run(COMMANDS, ["guo", "--data", str(folder), "--out", str(tmp_path / "out")]) == 2
        return capsys.readouterr().err

    folder = write_folder(tmp_path / "set", clips=31)
    assert "a pool holds 32 clips, but the split val has 31" in refused()
    (folder / "val.txt").unlink()
    assert "training needs train and val" in refused()
    np.save(folder / "Mean.npy", np.zeros(77))
    assert "77 values; HumanML3D has 263 and KIT 251" in refused()
