"""What every embedder promises. It is built from its defaults, or from a line in `TOYS`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from casim import plugins
from casim.features import FeatureSpec
from casim.text.hashed import Hashed
from casim.types import frame_mask
from evaluators import embedder as embedders
from evaluators.actor import ActorConfig
from evaluators.embedder import Embedder

LENGTHS = (23, 37, 29, 17, 31)
ORDER = [3, 0, 4, 2, 1]
TEXTS = (
    "a person walks forward and then waves with the left hand",
    "jump",
    "someone kicks with the right leg before sitting down on a chair",
    "",
    "a man turns left while clapping",
)
TOYS: dict[str, Callable[[], dict[str, Any]]] = {
    "oracle": lambda: {"actions": ("clap", "kick_left", "walk"), "width": 11, "dilations": (1, 2)},
    "guo": lambda: {
        "spec": FeatureSpec(converter="fixed", subset="essential"),
        "text_hidden": 5,
        "movement_hidden": 7,
        "movement_width": 11,
        "motion_hidden": 13,
        "width": 17,
        "padded_to": 37,  # one clip ends at the edge, the others in zeros
    },
    "tmr": lambda: {
        "text": plugins.describe(Hashed.Config(width=13)),
        "spec": FeatureSpec(converter="fixed", subset="essential"),
        "sizes": ActorConfig(width=12, layers=1, heads=2, ff=11),
    },
}
"""Options that make an embedder small."""


def toy(name: str) -> Embedder:
    """An embedder with random weights and statistics."""
    plugin = plugins.load(Embedder, "evaluators.embed", name)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        built = plugins.build(plugin.Config(**TOYS.get(name, dict)()))
        built.mean.normal_()
        built.std.uniform_(0.5, 2)
    return built.requires_grad_(False).eval()


NAMES = plugins.names("evaluators.embed")


@pytest.fixture(scope="module", params=NAMES)
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return toy(request.param)


@pytest.fixture(scope="module", params=[n for n in NAMES if plugins.load(Embedder, "evaluators.embed", n).has_text])
def reader(request: pytest.FixtureRequest) -> Embedder:
    return toy(request.param)


def clips(embedder: Embedder, further: int = 0) -> tuple[Tensor, Tensor]:
    """Clips of different lengths, with large numbers where they are padded."""
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(len(LENGTHS), max(LENGTHS), embedder.spec.dims, generator=generator)
    features = torch.cat([features, torch.full((len(LENGTHS), further, embedder.spec.dims), 1e3)], 1)
    return features, frame_mask(LENGTHS, max(LENGTHS) + further)


def test_rows_keep_their_order(embedder: Embedder) -> None:
    features, mask = clips(embedder)
    vectors = embedder.motion(features, mask)
    assert vectors.shape == (len(LENGTHS), embedder.width)
    assert torch.pdist(vectors).min() > 1e-3
    torch.testing.assert_close(embedder.motion(features[ORDER], mask[ORDER]), vectors[ORDER], atol=1e-5, rtol=1e-5)


def test_captions_keep_their_order(reader: Embedder) -> None:
    vectors = reader.text(TEXTS)
    assert vectors.shape == (len(TEXTS), reader.width)
    assert torch.pdist(vectors).min() > 1e-3
    moved = reader.text([TEXTS[i] for i in ORDER])
    torch.testing.assert_close(moved, vectors[ORDER], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("further", [1, 2, 3, 43])
def test_padding_changes_nothing(embedder: Embedder, further: int) -> None:
    wide, narrow = clips(embedder, further), clips(embedder)
    torch.testing.assert_close(embedder.motion(*wide), embedder.motion(*narrow), atol=1e-4, rtol=1e-4)


def test_a_clip_does_not_depend_on_its_batch(embedder: Embedder) -> None:
    features, mask = clips(embedder)
    together = embedder.motion(features, mask)
    for i, length in enumerate(LENGTHS):
        alone = embedder.motion(features[i : i + 1, :length], mask[i : i + 1, :length])
        torch.testing.assert_close(alone[0], together[i], atol=1e-4, rtol=1e-4)


def test_a_caption_does_not_depend_on_its_batch(reader: Embedder) -> None:
    together = reader.text(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(reader.text([text])[0], row, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_broken_motion_is_refused_by_name(embedder: Embedder, bad: float) -> None:
    features, mask = clips(embedder)
    features[3, 11, 2] = bad
    with pytest.raises(ValueError, match=r"clip 3\b"):
        embedder.motion(features, mask)


def test_other_features_are_refused(embedder: Embedder) -> None:
    features, mask = clips(embedder)
    with pytest.raises(ValueError, match=str(embedder.spec.dims)):
        embedder.motion(features[..., :-1], mask)


def test_saved_and_loaded_it_is_the_same_and_frozen(embedder: Embedder, tmp_path: Path) -> None:
    embedders.save(embedder, tmp_path, half=False)
    again = embedders.load(tmp_path)
    assert type(again) is type(embedder)
    assert again.config == embedder.config
    assert again.caveat == embedder.caveat
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
    with torch.enable_grad():
        vectors = again.motion(*clips(embedder))
        assert not vectors.requires_grad
        assert torch.equal(vectors, embedder.motion(*clips(embedder)))
        if embedder.has_text:
            assert not again.text(TEXTS).requires_grad
            assert torch.equal(again.text(TEXTS), embedder.text(TEXTS))
        else:
            with pytest.raises(ValueError, match="reads no captions"):
                again.text(TEXTS)


def test_half_precision_on_disk_is_nearly_the_same(embedder: Embedder, tmp_path: Path) -> None:
    embedders.save(embedder, tmp_path)
    given, expected = embedders.load(tmp_path).motion(*clips(embedder)), embedder.motion(*clips(embedder))
    torch.testing.assert_close(given, expected, atol=2e-2, rtol=2e-2)


def test_no_captions_are_refused(reader: Embedder) -> None:
    with pytest.raises(ValueError, match=r"caption|prompt"):
        reader.text([])
