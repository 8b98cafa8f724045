import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim import checkpoint, record
from casim.data.choreography import ACTIONS as ACTIONS_OF_CHOREOGRAPHY
from casim.data.choreography import Choreography
from casim.types import ActionSpan, Alignment, frame_mask
from evaluators import embedder
from evaluators.actions import is_exact
from evaluators.embed import oracle as oracles
from evaluators.embed.oracle import Oracle

ACTIONS = ("clap", "kick_left", "walk")
CONFIG = Oracle.Config(ACTIONS, feats=7, width=11, dilations=(1, 2))


def fresh(seed=0):
    torch.manual_seed(seed)
    oracle = Oracle(CONFIG).eval()
    oracle.mean += 3
    oracle.std *= 2
    return oracle


def tagged():
    """An oracle that reads the probability of each action straight from its first features."""
    oracle = Oracle(Oracle.Config(ACTIONS, feats=3, width=3, dilations=())).eval()
    with torch.no_grad():
        for layer in (oracle.input, oracle.output):
            layer.weight.copy_(torch.eye(3))
            layer.bias.zero_()
    return oracle


def test_spans_need_six_frames_in_a_row():
    logits = torch.full((1, 31, 3), -1.0)
    logits[0, 2:8, 0] = 1  # six
    logits[0, 10:15, 0] = 1  # five: not long enough
    logits[0, 25:31, 2] = 1  # up to the last frame
    logits[0, 0:9, 1] = 1  # from the first frame
    found = tagged().recognise(logits, torch.ones(1, 31, dtype=torch.bool))
    assert found == ((ActionSpan("kick_left", 0, 9), ActionSpan("clap", 2, 8), ActionSpan("walk", 25, 31)),)


def test_padded_frames_hold_no_action():
    logits = torch.ones(1, 31, 3)
    found = tagged().recognise(logits, frame_mask([13], 31))
    assert {(span.start, span.end) for span in found[0]} == {(0, 13)}


@given(batch=st.integers(1, 5), frames=st.integers(6, 40), further=st.integers(1, 9))
def test_padding_changes_nothing(batch, frames, further):
    oracle = fresh()
    features = torch.randn(batch, frames, 7, generator=torch.Generator().manual_seed(frames))
    mask = torch.ones(batch, frames, dtype=torch.bool)
    padded = torch.cat([features, torch.full((batch, further, 7), 1e3)], 1)
    longer = frame_mask([frames] * batch, frames + further)
    wide, narrow = (oracle(oracle.standardise(x), m) for x, m in ((padded, longer), (features, mask)))
    torch.testing.assert_close(wide[:, :frames], narrow, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(oracle.motion(padded, longer), oracle.motion(features, mask), atol=1e-4, rtol=1e-4)


def test_reads_the_first_features_of_longer_ones():
    oracle = fresh()
    features, mask = torch.randn(2, 17, 13), torch.ones(2, 17, dtype=torch.bool)
    torch.testing.assert_close(oracle.standardise(features), oracle.standardise(features[..., :7]))
    with pytest.raises(ValueError, match="first 7 features"):
        oracle.recognise(features[..., :5], mask)


def test_targets():
    alignment = Alignment((), (), (ActionSpan("walk", 0, 2), ActionSpan("clap", 1, 3)), "while", False)
    expected = torch.tensor([[[0.0, 0, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]]])
    torch.testing.assert_close(oracles.targets((alignment,), 4, ACTIONS), expected)


def test_save_load(tmp_path):
    oracle = fresh()
    embedder.save(oracle, tmp_path)
    again = embedder.load(tmp_path, "oracle")
    assert again.config == oracle.config
    x, mask = torch.randn(2, 19, 7), torch.ones(2, 19, dtype=torch.bool)
    torch.testing.assert_close(again(x, mask), oracle(x, mask), atol=1e-2, rtol=1e-2)  # float16 on disk


def test_foreign_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        embedder.load(tmp_path, "oracle")
    checkpoint.save_config(tmp_path, {"recipe": "choreography_casim"})
    with pytest.raises(ValueError, match="holds no oracle"):
        embedder.load(tmp_path, "oracle")
    embedder.save(fresh(), tmp_path)
    weights = tmp_path / checkpoint.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        embedder.load(tmp_path, "oracle")
    config = json.loads((tmp_path / checkpoint.CONFIG).read_text())
    config["embedder"]["width"] = 13
    embedder.save(fresh(), tmp_path)
    checkpoint.save_config(tmp_path, config)
    with pytest.raises(ValueError, match="other shapes"):
        embedder.load(tmp_path, "oracle")


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("seed", [0, 7])
def test_bundled_oracle_reads_real_clips(noise, seed):
    """Clips it was not trained on, of pairs that no generator sees; seed 7 is another benchmark altogether."""
    dataset = Choreography(Choreography.Config(seed=seed, train=101, validation=1, test=1, held_out=151))
    oracle, clips = oracles.bundled(), dataset.split("held_out")
    real = clips.batch(range(len(clips)))
    features = real.motion * torch.as_tensor(dataset.std) + torch.as_tensor(dataset.mean)
    random = torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))
    found = oracle.recognise(features + noise * oracle.std.mean() * random, real.mask)
    exact = [is_exact(f, wanted) for f, wanted in zip(found, real.alignment, strict=True)]
    assert sum(exact) / len(exact) >= 0.97


def test_bundled_oracle_reads_the_first_columns_of_all_features():
    dataset = Choreography(Choreography.Config(train=101, validation=11, test=1, held_out=1))
    real = dataset.split("validation").batch(range(11))
    features = real.motion * torch.as_tensor(dataset.std) + torch.as_tensor(dataset.mean)
    wide = torch.cat([features, torch.randn(11, features.shape[1], 196)], 2)  # as all 263 features would be
    oracle = oracles.bundled()
    assert oracle.recognise(wide, real.mask) == oracle.recognise(features, real.mask)


def test_bundled_oracle_is_small_and_knows_all_actions():
    assert (oracles.BUNDLED / checkpoint.WEIGHTS).stat().st_size < 1_500_000
    assert set(oracles.bundled().config.actions) == set(ACTIONS_OF_CHOREOGRAPHY)
    assert record.load(oracles.BUNDLED).status == "done"
