from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim import plugins
from casim.features import FeatureSpec
from casim.text.hashed import Hashed
from casim.types import frame_mask
from evaluators import contrastive, embedder
from evaluators.actor import ActorConfig
from evaluators.contrastive import LossConfig
from evaluators.embed.tmr import Network, Tmr, spec_of

TEXT = plugins.describe(Hashed.Config(width=13))
SIZES = ActorConfig(width=6, layers=2, heads=3, ff=11, dropout=0.0)
ESSENTIAL = FeatureSpec(converter="fixed", subset="essential")
CONFIG = Tmr.Config(TEXT, ESSENTIAL, SIZES, patch=3)
CAPTIONS = ("a person walks", "someone sits down and then claps twice", "jump", "", "a man turns left")


def fresh(config=CONFIG, seed=0):
    """Random weights, no zero bias, statistics that are not those of a normal distribution."""
    torch.manual_seed(seed)
    tmr = Tmr(config).eval()
    for parameter in tmr.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    tmr.mean += 3
    tmr.std *= 2
    return tmr


def clips(lengths, feats=67, seed=0):
    mask = frame_mask(lengths)
    motion = torch.randn(*mask.shape, feats, generator=torch.Generator().manual_seed(seed))
    return motion * mask[..., None], mask


@given(further=st.integers(1, 9), patch=st.integers(1, 5), seed=st.integers(0, 9))
def test_padding_of_clips_changes_nothing(further, patch, seed):
    tmr = fresh(replace(CONFIG, patch=patch))
    motion, mask = clips([17, 4, 1, 11], seed=seed)
    longer = torch.cat([motion, torch.full((4, further, 67), torch.nan)], 1)
    wider = torch.cat([mask, torch.zeros(4, further, dtype=torch.bool)], 1)
    torch.testing.assert_close(tmr.motion(longer, wider), tmr.motion(motion, mask), atol=1e-5, rtol=1e-5)


def test_clips_and_captions_are_independent_of_their_batch():
    tmr = fresh()
    motion, mask = clips([17, 4, 1, 11, 9])
    together, texts = tmr.motion(motion, mask), tmr.text(CAPTIONS)
    assert together.shape == texts.shape == (5, tmr.width)
    for i, n in enumerate(mask.sum(1).tolist()):
        alone = tmr.motion(motion[i : i + 1, :n], mask[i : i + 1, :n])
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(tmr.text([CAPTIONS[i]])[0], texts[i], atol=1e-5, rtol=1e-5)
    order = [3, 0, 4, 2, 1]
    torch.testing.assert_close(tmr.motion(motion[order], mask[order]), together[order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tmr.text([CAPTIONS[i] for i in order]), texts[order], atol=1e-5, rtol=1e-5)


def test_captions_are_read_in_chunks(monkeypatch):
    tmr = fresh()
    whole = tmr.text(CAPTIONS)
    monkeypatch.setattr("evaluators.embed.tmr.CHUNK", 2)
    torch.testing.assert_close(tmr.text(CAPTIONS), whole, atol=1e-5, rtol=1e-5)


def test_it_standardises_by_itself():
    tmr = fresh()
    motion, mask = clips([17, 4])
    plain = fresh()
    plain.mean.zero_()
    plain.std.fill_(1)
    torch.testing.assert_close(tmr.motion(motion * 2 + 3, mask), plain.motion(motion, mask))


def test_bad_clips_are_named():
    tmr = fresh()
    motion, mask = clips([17, 4, 1, 11])
    motion[2, 0, 5] = torch.nan
    motion[3, 7, 1] = torch.inf
    with pytest.raises(ValueError, match=r"the vector of clip 2 is NaN or infinite \(2 of 4 are\)"):
        tmr.motion(motion, mask)
    with pytest.raises(ValueError, match="features are 66 wide"):
        tmr.motion(motion[..., :66], mask)
    with pytest.raises(ValueError, match="no prompt to encode"):
        tmr.text([])
    with pytest.raises(ValueError, match="a prompt has 78 tokens"):
        tmr.text(["walk " * 77])


@pytest.mark.parametrize("spec", [FeatureSpec(), FeatureSpec(21, 12.5), ESSENTIAL], ids=lambda s: str(s.dims))
def test_features_of_every_kind(spec):
    tmr = fresh(replace(CONFIG, spec=spec))
    motion, mask = clips([17, 4], spec.dims)
    assert tmr.motion(motion, mask).shape == (2, 6)
    assert spec_of(spec.dims).dims == spec.dims
    assert spec_of(spec.dims).fps == spec.fps


def test_no_skeleton_has_so_many_features():
    with pytest.raises(ValueError, match="no skeleton has 66 features per frame; known: 263, 67, 251, 64"):
        spec_of(66)


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("patch", [1, 4])
def test_every_parameter_learns(slots, patch):
    torch.manual_seed(0)
    network = Network(SIZES, 7, 13, patch=patch, slots=slots)
    motion, mask = clips([17, 4, 11], 7)
    words, word_mask = clips([3, 5, 2], 13)
    readings = network((motion, mask), (words, word_mask), torch.randn(2, 3, 6))
    losses = contrastive.losses(*readings, motion, None, LossConfig(kl=1.0, latent=1.0))
    losses.total.backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent
    assert set(losses.parts) == {"recons", "latent", "contrastive"} | ({"kl"} if slots == 2 else set())


@pytest.mark.parametrize("patch", [1, 4])
def test_decoded_clips_end_where_the_mask_ends(patch):
    torch.manual_seed(0)
    network = Network(SIZES, 7, 13, patch=patch).eval()
    mask = frame_mask([17, 4, 11])
    latent = torch.randn(3, 6)
    decoded = network.decode(latent, mask)
    assert decoded.shape == (3, 17, 7)
    assert not decoded[~mask].any()
    assert bool((decoded[mask] != 0).all())
    alone = network.decode(latent[1:2], mask[1:2, :4])
    torch.testing.assert_close(alone[0], decoded[1, :4], atol=1e-5, rtol=1e-5)


def test_save_load(tmp_path):
    tmr = fresh()
    embedder.save(tmr, tmp_path)
    again = embedder.load(tmp_path, "tmr")
    assert again.config == tmr.config
    assert (again.spec, again.width, again.has_text) == (ESSENTIAL, 6, True)
    motion, mask = clips([17, 4])
    torch.testing.assert_close(again.motion(motion, mask), tmr.motion(motion, mask), atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(again.text(CAPTIONS), tmr.text(CAPTIONS), atol=2e-2, rtol=2e-2)


def test_caveat():
    assert "hashed token states" in fresh().caveat
    assert fresh(replace(CONFIG, is_official=True)).caveat == ""


def test_unknown_text_encoders():
    with pytest.raises(ValueError, match=r"unknown text 'hash'\. Did you mean hashed"):
        Tmr(replace(CONFIG, text={"plugin": "hash"}))
    with pytest.raises(ValueError, match="has no field 'weights'"):
        Tmr(replace(CONFIG, text={"plugin": "hashed", "weights": "x"}))
