from dataclasses import replace
from itertools import combinations

import pytest
import torch

from casim import checkpoint, cli, record
from casim.data.choreography import ACTIONS, Choreography, plans
from evaluators import embedder
from evaluators.train import COMMANDS
from evaluators.training import oracle as training
from evaluators.training.oracle import Training

BENCHMARK = Choreography.Config(train=23, validation=3, test=13, held_out=11)
SMALL = Training(clips=83, steps=12, batch_size=11)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out, losses = tmp_path_factory.mktemp("oracle"), []
    training.train(SMALL, out, BENCHMARK, losses.append)
    return out, losses


def test_loss_of_every_step_is_reported_and_falls(trained):
    losses = trained[1]
    assert len(losses) == SMALL.steps
    assert losses[-1] < losses[0] / 2


def test_record_holds_scores_floors_and_what_was_saved(trained):
    out = trained[0]
    found = record.load(out)
    assert (found.kind, found.name, found.status, found.seed) == ("train", "oracle", "done", SMALL.seed)
    assert found.config["training"]["steps"] == SMALL.steps
    assert found.config["benchmark"]["test"] == 13
    for row in ("real", "real, noise 0.3"):
        assert {f"{row}/frame_exact/{s}/all" for s in ("test", "held_out")} <= set(found.results)
    assert "floor: wrong caption/exact_prompt/held_out/all" in found.results
    assert set(found.artifacts) == {checkpoint.WEIGHTS, checkpoint.CONFIG}


def test_actions_and_statistics_come_from_the_clips(trained):
    oracle = embedder.load(trained[0])
    assert set(oracle.config.actions) == set(ACTIONS)
    dataset = training.training_data(SMALL)
    torch.testing.assert_close(oracle.mean, torch.as_tensor(dataset.mean), atol=2e-3, rtol=2e-3)


def test_same_seed_same_weights(trained):
    again = training.fit(training.training_data(SMALL), SMALL)
    for name, tensor in embedder.load(trained[0]).state_dict().items():
        torch.testing.assert_close(again.state_dict()[name].half().float(), tensor, rtol=0, atol=0)


def test_no_pair_is_held_out_from_the_oracle():
    config = replace(training.training_data(SMALL).config, train=3000)
    told = [[t.action for t in plan.told] for plan in plans(config, "train")]
    seen = {frozenset(pair) for actions in told for pair in combinations(actions, 2)}
    assert len(seen) == len(ACTIONS) * (len(ACTIONS) - 1) // 2


def test_the_benchmarks_own_clips_are_refused(tmp_path):
    with pytest.raises(ValueError, match="train the oracle on others"):
        training.train(Training(seed=BENCHMARK.seed), tmp_path / "out", BENCHMARK)
    assert not (tmp_path / "out").exists()


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training, "BENCHMARK", BENCHMARK)
    argv = ["oracle", "--out", str(tmp_path), "--clips", "83", "--steps", "2", "--batch-size", "11"]
    assert cli.run(COMMANDS, argv) == 0
    printed = capsys.readouterr().out
    assert "real/exact_prompt/held_out/all" in printed
    assert record.load(tmp_path).config["training"]["steps"] == 2


def test_unknown_embedder(tmp_path, capsys):
    assert cli.run(COMMANDS, ["orakel", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
