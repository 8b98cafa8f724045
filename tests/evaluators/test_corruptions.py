"""Damage suite: real metrics keep their word on real clips, a metric that breaks it is told, wrong text is seen."""

from collections import Counter

import pytest
import torch

from casim import cli, plugins, record
from casim.data.choreography import Choreography
from evaluators import corruptions, generation
from evaluators.corruptions import Change, changes
from evaluators.damage import DAMAGES, wrong_text
from evaluators.embed.guo import Guo
from evaluators.generation import Observer
from evaluators.intervals import Estimate
from evaluators.protocol import Protocol
from evaluators.training import _data as data

DATA = Choreography.Config(train=53, validation=3, test=47, held_out=5)


@pytest.fixture(scope="module")
def observer() -> Observer:
    """Looks with a Guo embedder of random weights."""
    dataset = Choreography(DATA)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        guo = plugins.build(Guo.Config(spec=dataset.spec, text_hidden=5, movement_hidden=7, movement_width=11,
                                       motion_hidden=13, width=17))  # fmt: skip
    return Observer(dataset, {"guo": guo.requires_grad_(False).eval()})


@pytest.fixture(scope="module")
def found(observer: Observer) -> list[Change]:
    plain = Observer(observer.dataset, {})
    batches = generation.asked("test", plain.dataset.split("test"), Protocol(batch_size=29))
    return list(changes(plain, batches, lambda: None))


def test_metrics_keep_their_word_on_real_clips(found: list[Change]) -> None:
    assert [f"{c.metric} under {c.damage}" for c in found if not c.is_kept] == []
    promised = Counter(c.declared for c in found)
    assert promised["worse"] > 20
    assert promised["same"] > 20
    assert {c.damage for c in found} == set(DAMAGES)


def estimate(value: float, low: float, high: float, n: int = 40) -> Estimate:
    return Estimate(value, (low, high), n)


@pytest.mark.parametrize(
    ("declared", "higher", "difference", "kept"),
    [
        ("worse", True, estimate(-0.2, -0.3, -0.1), True),
        ("worse", True, estimate(-0.2, -0.5, 0.1), False),
        ("worse", False, estimate(0.2, 0.1, 0.3), True),
        ("worse", False, estimate(-0.2, -0.3, -0.1), False),
        ("same", True, estimate(0.0, 0.0, 0.0), True),
        ("same", True, estimate(0.0, -0.01, 0.01), False),
        ("", True, estimate(0.5, 0.4, 0.6), True),
        ("worse", True, estimate(0.0, 0.0, 0.0, n=3), True),  # too few clips to say
    ],
)
def test_a_broken_word_is_told(declared: str, higher: bool, difference: Estimate, kept: bool) -> None:
    one = estimate(0.5, 0.4, 0.6)
    assert Change("m", "noise_1cm", one, one, difference, declared, higher, "share").is_kept == kept


def test_captions_that_change_get_vectors_of_their_own(observer: Observer) -> None:
    batch = generation.asked("test", observer.dataset.split("test"), Protocol())[0]
    real = observer.real(batch)
    after = observer.look(wrong_text(real), batch.prompt)
    assert (after.space("guo").captions - real.space("guo").captions).abs().max() > 1e-4
    torch.testing.assert_close(after.space("guo").real, real.space("guo").real)


def test_command(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(data, "BENCHMARK", DATA)
    out = tmp_path / "out"
    code = cli.run(corruptions.main, ["--samples", "43", "--out", str(out)])
    written = record.load(out)
    assert code == (1 if written.config["broken"] else 0)
    assert "declarations kept" in capsys.readouterr().out
    assert "noise_1cm - real/peak_jerk/test/all" in written.results
    assert cli.run(corruptions.main, ["--samples", "4300", "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()
