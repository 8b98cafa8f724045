from dataclasses import replace

import pytest
import torch

from casim.features import FeatureSpec
from casim.types import frame_mask
from evaluators.embed.guo import AUTHORS, Guo
from evaluators.words import AUTHORS_SIZES, CLASSES, WordLists

SPEC = FeatureSpec(converter="fixed", subset="essential")
SMALL = Guo.Config(
    spec=SPEC, text_hidden=5, movement_hidden=7, movement_width=11, motion_hidden=13, width=17, padded_to=52
)
WORDS = ("unk", "sos", "eos", "walk", "left", "man")


def fresh(**changes) -> Guo:
    torch.manual_seed(1)
    guo = Guo(replace(SMALL, **changes)).requires_grad_(False).eval()
    guo.vectors.normal_()
    return guo


@pytest.mark.parametrize(
    ("spec", "read"),
    [
        (FeatureSpec(), 259),
        (FeatureSpec(21, 12.5), 247),
        (SPEC, 67),
        (FeatureSpec(21, 12.5, subset="essential"), 64),
    ],
)
def test_contacts_are_dropped_where_there_are_any(spec, read):
    guo = fresh(spec=spec)
    assert guo.read == read
    features, mask = torch.randn(2, 23, spec.dims), frame_mask([23, 13])
    vectors = guo.motion(features, mask)
    features[..., read:] = 5.0
    assert torch.equal(guo.motion(features, mask), vectors)
    features[..., read - 1] += 1.0
    assert not torch.allclose(guo.motion(features, mask), vectors)


def test_sizes_of_the_released_weights():
    with torch.device("meta"):
        guo = Guo(Guo.Config())
    shapes = {name: tuple(tensor.shape) for name, tensor in guo.state_dict().items()}
    assert shapes["text_encoder.input_emb.weight"] == (512, 300)
    assert shapes["text_encoder.hidden"] == (2, 1, 512)
    assert shapes["movement_encoder.main.0.weight"] == (512, 259, 4)
    assert shapes["motion_encoder.hidden"] == (2, 1, 1024)
    assert shapes["motion_encoder.output_net.0.weight"] == (1024, 2048)
    assert shapes["motion_encoder.output_net.3.weight"] == (512, 1024)


@pytest.mark.parametrize("length", [4, 27, 49, 50, 51, 52])
def test_a_clip_is_embedded_as_if_padded_with_zeros_to_the_authors_length(length):
    """The networks themselves, on a batch of `padded_to` frames, are what the authors compute."""
    guo = fresh()
    features = torch.randn(1, length, SPEC.dims)
    zeros = torch.zeros(1, SMALL.padded_to, SPEC.dims)
    zeros[:, :length] = features
    theirs = guo.motion_encoder(guo.movement_encoder(zeros), torch.tensor([length // 4]))
    torch.testing.assert_close(guo.motion(features, frame_mask([length])), theirs, atol=1e-6, rtol=1e-6)


def test_a_longer_clip_ends_at_the_edge_whatever_shares_its_batch():
    guo = fresh()
    features, mask = torch.randn(2, 71, SPEC.dims), frame_mask([61, 71])
    alone = guo.motion_encoder(guo.movement_encoder(features[:1, :61]), torch.tensor([15]))
    torch.testing.assert_close(guo.motion(features, mask)[:1], alone, atol=1e-6, rtol=1e-6)


def test_statistics_are_applied_to_raw_units():
    guo, features, mask = fresh(), torch.randn(2, 23, SPEC.dims), frame_mask([23, 19])
    vectors = guo.motion(features, mask)
    guo.mean += 3
    guo.std *= 2
    torch.testing.assert_close(guo.motion(2 * features + 3, mask), vectors, atol=1e-5, rtol=1e-5)


def test_too_short_a_clip():
    with pytest.raises(ValueError, match="clip 1 of the batch has 3 frames; at least 4"):
        fresh().motion(torch.randn(3, 13, SPEC.dims), frame_mask([13, 3, 2], 13))


def test_nan_in_padding_is_not_read():
    features, mask = torch.randn(1, 23, SPEC.dims), frame_mask([19], 23)
    vectors = fresh().motion(features, mask)
    features[:, 19:] = float("nan")
    assert torch.equal(fresh().motion(features, mask), vectors)


def test_classes_of_words():
    guo = fresh(lists=WordLists(("left",), ("arm",), (), ("walk",), ()))
    tags = [["a/DET", "man/NOUN", "walk/NOUN", "left/ADJ", "and/CCONJ", "not/PART", "fast/ADV"]]
    words = guo.words(["..."], tags)
    found = [CLASSES[i] for i in words.classes[0].argmax(1)]
    assert found == ["OTHER", "DET", "NOUN", "Act_VIP", "Loc_VIP", "OTHER", "OTHER", "ADV", "OTHER"]
    assert words.lengths.tolist() == [9]


def test_a_word_without_vector_is_unknown_whatever_it_is():
    guo = fresh(vocabulary=WORDS)
    words = guo.words(["..."], [["man/NOUN", "arm/NOUN", "walk/VERB"]])
    assert torch.equal(words.vectors[0], guo.vectors[[1, 5, 0, 3, 2]])
    found = [CLASSES[i] for i in words.classes[0].argmax(1)]
    assert found == ["OTHER", "NOUN", "OTHER", "Act_VIP", "OTHER"]  # "arm" is a listed word, but has no vector


def test_hashed_vectors_are_equal_for_equal_words_only():
    words = fresh().words(["", ""], [["walk/VERB", "run/VERB"], ["run/VERB"]])
    assert torch.equal(words.vectors[0, 2], words.vectors[1, 1])
    assert not torch.equal(words.vectors[0, 1], words.vectors[0, 2])
    assert words.vectors.abs().sum(2)[1].tolist() == [300, 300, 300, 0]


def test_twenty_words_are_read():
    guo, tokens = fresh(), [f"{word}/NOUN" for word in "abcdefghijklmnopqrstuvw"]
    texts = [""]
    assert guo.words(texts, [tokens]).lengths.tolist() == [22]
    assert torch.equal(guo.text(texts, [tokens]), guo.text(texts, [tokens[:20]]))
    assert not torch.equal(guo.text(texts, [tokens]), guo.text(texts, [tokens[:19]]))


def test_captions_without_tags_are_tagged():
    guo = fresh()
    assert torch.equal(guo.text(["A man walks"]), guo.text(["?"], [["a/DET", "man/NOUN", "walk/VERB"]]))


@pytest.mark.parametrize(
    ("tags", "message"),
    [([["walk"]], "'walk' is no token"), ([["walk/VRB"]], "Did you mean VERB"), ([], "1 captions with tags of 0")],
)
def test_broken_tags(tags, message):
    with pytest.raises(ValueError, match=message):
        fresh().text(["walk"], tags)


def test_caveat_names_what_is_not_the_authors():
    sized = WordLists(*(tuple(f"{i}{j}" for j in range(size)) for i, size in enumerate(AUTHORS_SIZES)))
    official = {"origin": AUTHORS, "vocabulary": WORDS, "lists": sized}
    assert fresh(**official).caveat == ""
    for name, words in (("origin", "untrained"), ("vocabulary", "hash"), ("lists", "our own")):
        changed = {**official, name: getattr(Guo.Config(), name)}
        assert words in fresh(**changed).caveat
        assert fresh(**changed).caveat.startswith("not comparable with published numbers")
    assert "words, the authors' have" in fresh(**{**official, "lists": replace(sized, body=("arm",))}).caveat
