"""The whole model: saved and loaded, sampled by seed, and its refusals."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from casim import checkpoint, plugins
from casim.backbones.mdm_decoder import MdmDecoder
from casim.data.choreography import Choreography
from casim.injection import Casim, Fixed
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion

DATA = Choreography.Config(train=41, validation=7, test=7, held_out=7, min_frames=20, max_frames=37)
BACKBONE = MdmDecoder.Config(width=14, layers=1, heads=2, ff=23, patch=2)
TEXTS = ["a person jumps", "someone waves the left hand and then sits down"]


@pytest.fixture(scope="module", params=[Casim.Config(), Fixed.Config(pool="mean")], ids=["casim", "fixed"])
def model(request: pytest.FixtureRequest) -> TextToMotion:
    setup = Setup(DATA, Hashed.Config(width=19), request.param, BACKBONE, SamplingConfig("ddim", 3))
    torch.manual_seed(5)
    return TextToMotion.for_dataset(setup, plugins.build(DATA)).eval()


@pytest.fixture(scope="module")
def run(model: TextToMotion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    model.save(folder, {"recipe": "toy", "training": {}})
    return folder


def test_loaded_is_the_same_model(model: TextToMotion, run: Path) -> None:
    loaded = TextToMotion.load(run)
    assert loaded.setup == model.setup
    assert loaded.config["recipe"] == "toy"
    torch.testing.assert_close(loaded.sample(TEXTS, [31, 23], seed=1), model.sample(TEXTS, [31, 23], seed=1))


def test_seed_decides_the_sample(model: TextToMotion) -> None:
    one, same, other = (model.sample(TEXTS, [31, 23], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert one.shape == (2, 31, 67)
    assert (one[1, 23:] == 0).all()
    assert torch.isfinite(model.joints(one)).all()


def sampled(use_frame_mask: bool, texts: list[str], lengths: list[int]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A sample of a fresh model, and the states that its backbone went through."""
    backbone = replace(BACKBONE, use_frame_mask=use_frame_mask)
    setup = Setup(DATA, Hashed.Config(width=19), Casim.Config(), backbone, SamplingConfig("ddim", 3))
    torch.manual_seed(5)
    model = TextToMotion.for_dataset(setup, plugins.build(DATA)).eval()
    states: list[torch.Tensor] = []
    return model.sample(texts, lengths, seed=1, after_step=lambda step: states.append(step.x_0)), states


def test_a_model_that_sees_padding_works_on_all_its_frames() -> None:
    motion, states = sampled(False, TEXTS, [31, 23])
    assert {state.shape for state in states} == {(2, 37, 67)}
    assert motion.shape == (2, 31, 67)
    assert (motion[1, 23:] == 0).all()
    torch.testing.assert_close(motion[0], states[-1][0, :31])  # the last step adds no noise
    longer, _ = sampled(False, TEXTS, [31, 31])  # it is not told how many are wanted
    torch.testing.assert_close(longer[1, :23], motion[1, :23])
    assert longer[1, 23:].any()


def test_a_model_that_hides_padding_works_on_the_frames_wanted() -> None:
    _, states = sampled(True, TEXTS, [31, 23])
    assert {state.shape for state in states} == {(2, 31, 67)}


def test_both_start_from_the_same_noise_in_the_frames_wanted() -> None:
    """A network that gives zero leaves the noise to be seen: x_1 is then a multiple of x_T."""
    found = []
    for use_frame_mask in (True, False):
        backbone = replace(BACKBONE, use_frame_mask=use_frame_mask)
        setup = Setup(DATA, Hashed.Config(width=19), Casim.Config(), backbone, SamplingConfig("ddpm", 3))
        model = TextToMotion.for_dataset(setup, plugins.build(DATA))
        for parameter in model.parameters():
            torch.nn.init.zeros_(parameter)
        states: list[torch.Tensor] = []
        model.sample(TEXTS, [31, 23], seed=1, after_step=lambda step, kept=states: kept.append(step.x))
        found.append(torch.stack(states))
    assert found[0].std() > 0.1
    torch.testing.assert_close(found[0], found[1][:, :, :31])
    assert found[1][0, :, 31:].std() > 0.1


def test_untrained_differs_and_leaves_the_random_state_alone(model: TextToMotion) -> None:
    before = torch.get_rng_state()
    fresh = model.untrained(seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.allclose(fresh.sample(TEXTS, [31, 23]), model.sample(TEXTS, [31, 23]))


def test_refusals(model: TextToMotion) -> None:
    with pytest.raises(ValueError, match="trained for at most 37 frames"):
        model.sample(TEXTS, [38, 23])
    with pytest.raises(ValueError, match="at least one prompt"):
        model.sample([], [])
    with pytest.raises(ValueError, match="tokens"):
        model.sample(["jump " * 200], [31])


def test_unknown_field_and_foreign_weights(run: Path, tmp_path: Path) -> None:
    config = checkpoint.load_config(run)
    checkpoint.save_config(tmp_path, config | {"backbone": config["backbone"] | {"widht": 3}})
    with pytest.raises(ValueError, match="widht"):
        TextToMotion.load(tmp_path)
    checkpoint.save_config(tmp_path, config)
    checkpoint.save_tensors(tmp_path / checkpoint.WEIGHTS, {"mean": torch.ones(67), "std": torch.ones(67)})
    with pytest.raises(ValueError, match="does not fit"):
        TextToMotion.load(tmp_path)
    data = (run / checkpoint.WEIGHTS).read_bytes()
    (tmp_path / checkpoint.WEIGHTS).write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="truncated"):
        TextToMotion.load(tmp_path)
    (tmp_path / checkpoint.WEIGHTS).write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(ValueError, match="pickled"):
        TextToMotion.load(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda config: config["backbone"].pop("plugin"), "'backbone' of the run's config has no 'plugin'"),
        (lambda config: config.pop("sampling"), "config has no 'sampling'"),
        (lambda config: config.pop("spec"), "config has no 'spec'"),
        (lambda config: config.update(text=3), "'text' of the run's config has no 'plugin'"),
        (lambda config: config["backbone"].update(width="abc"), "field 'width' of MdmDecoder.Config is 'abc'"),
        (lambda config: config["backbone"].update(width="14"), "field 'width' of MdmDecoder.Config is '14'"),
        (lambda config: config["sampling"].update(sampler="euler"), "field 'sampler' of SamplingConfig is 'euler'"),
        (lambda config: config["backbone"]["diffusion"].update(steps=None), "field 'steps' of DiffusionConfig"),
    ],
)
def test_a_broken_config_names_file_and_field(
    run: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], object], words: str
) -> None:
    config = checkpoint.load_config(run)
    spoil(config)
    checkpoint.save_config(tmp_path, config)
    (tmp_path / checkpoint.WEIGHTS).write_bytes((run / checkpoint.WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match=rf"{checkpoint.CONFIG}: .*{re.escape(words)}"):
        TextToMotion.load(tmp_path)
