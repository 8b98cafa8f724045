"""The encoder probe on planted states, on tiny networks of the real kinds, and on mistakes."""

from pathlib import Path

import numpy as np
import pytest
from toy_bert import write_toy_bert
from toy_clip import write_toy_clip

from analysis import encoder_probe, minimal_pairs
from analysis.encoder_probe import Config, Found, _probed, _similar, task_of
from analysis.encoder_states import OUTPUT, Place, States
from analysis.encoder_verdicts import verdicts
from analysis.linear_readout import planted, probe
from analysis.minimal_pairs import Pair
from analysis.similarity import corrections, cosine
from casim import cli, record

PLACE = Place("token", OUTPUT)
WIDTH = 199


def planted_states(pairs: tuple[Pair, ...], strength: float, seed: int) -> dict[str, np.ndarray]:
    """A cone of states, as encoders have, in which a direction says the class with some strength."""
    random = np.random.default_rng(seed)
    cone, direction = 9 * random.standard_normal(WIDTH), random.standard_normal(WIDTH)
    direction /= np.linalg.norm(direction)
    anchor = cone + random.standard_normal((len(pairs), WIDTH))
    classes = sorted({name for pair in pairs for name in pair.classes})
    sign = np.array([1.0 if pair.classes[0] == classes[1] else -1.0 for pair in pairs])[:, None]
    noise = [0.3 * random.standard_normal(anchor.shape) for _ in range(3)]
    return {
        "first": anchor + strength * sign * direction,
        "second": anchor - strength * sign * direction + noise[0],
        "synonym": anchor + strength * sign * direction + noise[1],
        "random": cone + random.standard_normal(anchor.shape) + noise[2],
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("strength", "word"), [(4.0, "kept"), (0.0, "lost")])
def test_a_planted_distinction_is_found_and_a_missing_one_is_not(strength: float, word: str, seed: int) -> None:
    pairs = minimal_pairs.load("left_right")
    states = States({PLACE: planted_states(pairs, strength, seed)})
    found, config = Found(), Config(resamples=200, seed=seed)
    fixes = corrections(states.at[PLACE]["random"])
    _similar(found, "toy/left_right/token", states, PLACE, pairs, fixes, config)
    _probed(found, "toy/left_right/token", states, PLACE, pairs, config)
    results = found.results
    assert list(verdicts(results, {"toy": None}, {"left_right": pairs})) == [f"verdict/toy/left_right/{word}"]
    assert results["toy/left_right/token/opposite/raw"].value > 0.95  # in both: the cosine alone tells nothing
    closer = results["toy/left_right/token/closer/centred"].interval
    assert closer is not None
    assert (closer[0] > 0.1) == (word == "kept")
    assert results["toy/left_right/token/planted"].value > 0.75


def test_control_tasks_and_exchanged_answers_are_at_chance_where_nothing_can_be_learned_by_heart() -> None:
    pairs = minimal_pairs.load("left_right")
    states = planted_states(pairs, 4.0, 3)
    vectors = np.stack([states["first"], states["second"]], 1).reshape(-1, WIDTH)
    told = probe(vectors, task_of(pairs))
    assert told.accuracy.mean() > 0.95
    assert abs(np.nanmean(told.control) - 0.5) < 0.15
    assert abs(told.flipped.mean() - 0.5) < 0.1
    noise = np.random.default_rng(0).standard_normal(vectors.shape)
    assert planted(noise, task_of(pairs)).mean() < planted(20 * noise, task_of(pairs)).mean() + 0.05


def test_corrections_take_away_what_all_vectors_share() -> None:
    random = np.random.default_rng(0)
    cone = 30 * random.standard_normal(WIDTH)
    a, b, known = (cone + random.standard_normal((67, WIDTH)) for _ in range(3))
    fixes = corrections(known)
    assert cosine(a, b).mean() > 0.99
    for name in ("centred", "standardised", "top removed"):
        assert abs(cosine(fixes[name](a), fixes[name](b)).mean()) < 0.1
    same = fixes["rank"](a)
    np.testing.assert_allclose(cosine(same, fixes["rank"](a**3)), 1)


@pytest.fixture(scope="module")
def pair_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pairs") / "mine.csv"
    lines = [f"a {who} walks,a {who} jumps,walks,jumps,{who} t,{who}" for who in "abcd"]
    file.write_text("first,second,first_class,second_class,template,context\n" + "\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize(("kind", "write"), [("clip", write_toy_clip), ("bert", write_toy_bert)])
def test_tiny_networks_of_the_real_kinds(
    kind: str, write: object, pair_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(write)
    (tmp_path / kind).mkdir()
    write(tmp_path / kind)
    argv = ["--encoders", f"{kind}={tmp_path / kind}", "--pairs", str(pair_file), "--background", "20"]
    assert cli.run(encoder_probe.main, [*argv, "--resamples", "20", "--out", str(tmp_path / "out")]) == 0
    written = record.load(tmp_path / "out")
    results = written.results
    name = next(iter(written.config["encoders"]))
    assert f"{name}/mine/token/opposite/raw" in results
    assert f"{name}/mine/pooled@layer 0/opposite/rank" in results
    assert f"{name}/mine/token/probe" in results
    assert any(key.startswith(f"verdict/{name}/mine/") for key in results)
    assert "no evidence that a distinction is lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--pairs", "left_rihgt"], "left_right"),
        (["--pairs", "none.csv"], "no pair file"),
        (["--encoders", "clop"], "clip"),
        (["--encoders", "clip=nowhere"], "nowhere"),
        (["--encoders", "hashed", "--background", "3"], "background must be at least 20"),
        (["--encoders", "hashed", "--records", "nothing"], "nothing"),
    ],
)
def test_mistakes_are_one_line(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(encoder_probe.main, [*argv, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_equal_texts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "same.csv").write_text("first,second\na man walks,A man walks!\na man sits,a man jumps\n")
    argv = ["--encoders", "hashed", "--pairs", str(tmp_path / "same.csv"), "--out", str(tmp_path / "out")]
    assert cli.run(encoder_probe.main, argv) == 2
    assert "equal texts in one pair" in capsys.readouterr().err
