"""Base of the embedders: frozen networks that turn clips, and most of them captions, into vectors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim import checkpoint, plugins
from casim.features import FeatureSpec


class Embedder(nn.Module, ABC):
    """Reads denormalised features of `spec`, and standardises them itself with statistics in its state dict."""

    Config: ClassVar[type]
    config: Any
    """The instance of `Config` it was built from."""
    spec: FeatureSpec
    """The features it reads."""
    width: int
    """Width of its vectors."""
    has_text: ClassVar[bool] = True
    """False if it reads no captions."""

    @property
    def caveat(self) -> str:
        """What its numbers must not be compared with, in one sentence; empty if there is nothing to say."""
        return ""

    @abstractmethod
    def motion(
        self, features: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch width"]:
        """Vectors of clips from denormalised features; what is padded changes nothing.

        Raises:
            ValueError: the features are not those of `spec`, or a clip holds NaN.
        """

    def text(
        self, texts: Sequence[str], tags: Sequence[Sequence[str]] | None = None
    ) -> Float[Tensor, "batch width"]:
        """Vectors of captions; `tags` are their word/POS tokens, None has them tagged by `casim.tagger`.

        Raises:
            ValueError: this embedder reads no captions, or a tag is unknown.
        """
        raise ValueError(f"{type(self).__name__} reads no captions")


def check_finite(features: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]) -> None:
    """Raises ValueError, with clip and frame, if a real frame is NaN or infinite."""
    bad = (mask & ~features.isfinite().all(2)).nonzero()
    if len(bad):
        clip, frame = bad[0].tolist()
        raise ValueError(f"clip {clip} of the batch is NaN or infinite at frame {frame}; leave it out")


def save(embedder: Embedder, folder: Path, *, half: bool = True) -> None:
    """Writes config and weights of an embedder; `half` stores them as float16, too coarse for authors' weights."""
    checkpoint.save_config(folder, {"embedder": plugins.describe(embedder.config)})
    checkpoint.save_tensors(folder / checkpoint.WEIGHTS, embedder.state_dict(), half=half)


def load(folder: Path, kind: str | None = None) -> Embedder:
    """The embedder saved in a folder, frozen and in evaluation mode; `kind` refuses others.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: it holds something else, or its weights are damaged.
    """
    values = checkpoint.load_config(folder).get("embedder", {})
    found = values.get("plugin")
    if found is None or found != (kind or found):
        wanted = kind or "embedder"
        raise ValueError(
            f"{folder} holds no {wanted}; train one with: python -m evaluators.train {kind or 'NAME'} --out FOLDER"
        )
    loaded: Any = plugins.load(Embedder, "evaluators.embed", found)
    embedder = loaded(plugins.restore(loaded.Config, values))
    checkpoint.load_into(
        embedder, checkpoint.load_tensors(folder / checkpoint.WEIGHTS), str(folder / checkpoint.WEIGHTS)
    )
    return embedder.requires_grad_(False).eval()
