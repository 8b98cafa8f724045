"""The evaluator of Guo et al.: captions and clips as vectors that are close where they belong together.

What: movements (convolutions, one vector per four frames) and words each go through a bidirectional GRU. Paper: Guo
et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022; R-precision, matching distance and
FID of most papers are measured with its released weights (`python -m evaluators.official guo`). The parts and their
tensors have the names of those weights.

Where we differ from the authors' code: rows come out in the order in which they went in (theirs are sorted by
length); padding changes nothing (their convolutions see whatever is behind a clip, which is zero for ground truth:
here it is always zero); NaN is an error (some evaluation code sets it to zero). For clips padded with zeros to
`padded_to` frames the vectors are theirs.

Statistics: features come in raw units and are standardised here. The released weights want the evaluator's own
statistics, not those that generators are trained with: in them the deviations of turn, root velocity, root height
and contacts are smaller by 25 = 5 x 5 (`feat_bias` applied twice).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from casim import tagger
from casim.features import FeatureSpec, check_width
from casim.signs import signs
from casim.types import frame_mask
from evaluators.embedder import Embedder, check_finite
from evaluators.words import AUTHORS_SIZES, CLASSES, OTHER, UNKNOWN, WordLists, framed

STEP = 4
"""Frames per movement."""
AUTHORS = "the authors' weights and statistics"
"""Origin of an evaluator whose numbers may be compared with published ones."""


@dataclass(frozen=True)
class Words:
    """Captions as numbers."""

    vectors: Float[Tensor, "batch words width"]
    classes: Float[Tensor, "batch words classes"]
    """One-hot, in the order of `CLASSES`."""
    lengths: Int[Tensor, " batch"]
    """Words of each caption, markers of start and end included."""


class Guo(Embedder):
    """Text encoder, movement encoder and motion encoder."""

    @dataclass(frozen=True)
    class Config:
        """Sizes, words and features; the defaults are those of the released HumanML3D weights."""

        spec: FeatureSpec = field(default_factory=FeatureSpec)
        """Features that it reads; the contacts among them are dropped."""
        vocabulary: tuple[str, ...] = ()
        """Words that have a vector in the state dict; none: fixed rows of signs from a hash, for every word."""
        lists: WordLists = field(default_factory=WordLists)
        """Words with a class of their own."""
        origin: str = "untrained weights"
        """Where the weights come from, in words."""
        word_width: int = 300
        text_hidden: int = 512
        """Width of the text GRU, in each direction."""
        movement_hidden: int = 512
        """Channels of the first convolution."""
        movement_width: int = 512
        """Width of a movement."""
        motion_hidden: int = 1024
        """Width of the motion GRU, in each direction."""
        width: int = 512
        """Width of the vectors."""
        dropout: float = 0.2
        """In the movement encoder, while it is trained."""
        max_words: int = 20
        """Words of a caption that are read; further ones are cut off."""
        padded_to: int = 196
        """Frames to which the authors pad: a shorter clip ends in zeros, a longer one at the edge."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.spec, self.width = config, config.spec, config.width
        self.read = config.spec.dims - 4 * (config.spec.subset == "all")
        self.mean: Tensor
        self.std: Tensor
        self.vectors: Tensor
        self.register_buffer("mean", torch.zeros(config.spec.dims))
        self.register_buffer("std", torch.ones(config.spec.dims))
        self.register_buffer("vectors", torch.zeros(len(config.vocabulary), config.word_width))
        self.text_encoder = TextEncoder(config.word_width, config.text_hidden, config.width)
        self.movement_encoder = MovementEncoder(
            self.read, config.movement_hidden, config.movement_width, config.dropout
        )
        self.motion_encoder = SequenceEncoder(config.movement_width, config.motion_hidden, config.width)
        self._row = {word: row for row, word in enumerate(config.vocabulary)}
        self._class = {word: CLASSES.index(name) for word, name in config.lists.classes().items()}

    @property
    def caveat(self) -> str:
        """Why its numbers are not comparable with published ones; empty if they are."""
        config, reasons = self.config, []
        if config.origin != AUTHORS:
            reasons.append(config.origin)
        if not config.vocabulary:
            reasons.append("word vectors from a hash instead of GloVe")
        if config.lists == WordLists():
            reasons.append("word lists of our own instead of the authors'")
        elif config.lists.sizes != AUTHORS_SIZES:
            reasons.append(f"word lists of {config.lists.sizes} words, the authors' have {AUTHORS_SIZES}")
        if not reasons:
            return ""
        return f"not comparable with published numbers of the evaluator of Guo et al.: {'; '.join(reasons)}"

    @torch.no_grad()
    def motion(
        self, features: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch width"]:
        """Vectors of clips from denormalised features, in the order of the clips.

        Raises:
            ValueError: the features are not those of `spec`; a clip holds NaN or is shorter than a movement.
        """
        return self.motion_vectors(self.standardise(features, mask), mask.sum(1))

    @torch.no_grad()
    def text(
        self, texts: Sequence[str], tags: Sequence[Sequence[str]] | None = None
    ) -> Float[Tensor, "batch width"]:
        """Vectors of captions, in their order; `tags` are their word/POS tokens, None has them tagged here.

        Raises:
            ValueError: no captions, not as many captions as tags, or a token that is no word/POS.
        """
        return self.text_encoder.caption(self.words(texts, tags))

    def standardise(
        self, features: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames read"]:
        """What the encoders read: features in units of their deviation, zero where padded, without contacts.

        Raises:
            ValueError: as `motion`.
        """
        check_width(features, self.spec)
        check_finite(features, mask)
        keep = rearrange(mask, "batch frames -> batch frames 1")
        x = torch.where(keep, (features - self.mean) / self.std, 0.0)[..., : self.read]
        lengths = mask.sum(1)
        if (lengths < STEP).any():
            clip = int((lengths < STEP).nonzero()[0])
            raise ValueError(f"clip {clip} of the batch has {int(lengths[clip])} frames; at least {STEP} are read")
        return x

    def motion_vectors(
        self, standardised: Float[Tensor, "batch frames read"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Vectors of clips of `lengths` frames, from what `standardise` gives."""
        # The last movement looks up to three frames past the clip.
        seen = F.pad(standardised, (0, 0, 0, STEP))
        movements = self.movement_encoder(seen, lengths.clamp(min=self.config.padded_to))
        return self.motion_encoder(movements, lengths // STEP)

    def words(self, texts: Sequence[str], tags: Sequence[Sequence[str]] | None = None) -> Words:
        """Captions as numbers.

        Raises:
            ValueError: as `text`.
        """
        tags = [tagger.tag(text) for text in texts] if tags is None else tags
        if not texts or len(tags) != len(texts):
            raise ValueError(f"{len(texts)} captions with tags of {len(tags)}; give one or more, each with tags")
        captions = [framed(tokens, self.config.max_words) for tokens in tags]
        flat = [self._known(*token) for caption in captions for token in caption]
        lengths = torch.tensor([len(caption) for caption in captions])
        mask = frame_mask(lengths)
        vectors = torch.zeros(*mask.shape, self.config.word_width)
        vectors[mask] = self._vectors([word for word, _ in flat]).cpu()
        numbers = torch.zeros(mask.shape, dtype=torch.long)
        numbers[mask] = torch.tensor([number for _, number in flat])
        classes = F.one_hot(numbers, len(CLASSES)).float()
        device = self.mean.device
        return Words(vectors.to(device), classes.to(device), lengths.to(device))

    def _known(self, word: str, part: str) -> tuple[str, int]:
        """The word as it is looked up, and the number of its class."""
        if self._row and word not in self._row:
            return UNKNOWN, CLASSES.index(OTHER)
        name = part if part in CLASSES else OTHER
        return word, self._class.get(word, CLASSES.index(name))

    def _vectors(self, words: Sequence[str]) -> Float[Tensor, "rows width"]:
        if self._row:
            return self.vectors[[self._row[word] for word in words]]
        rows = {word: signs(word, self.config.word_width) for word in set(words)}
        return torch.stack([rows[word] for word in words])


class SequenceEncoder(nn.Module):
    """The last states of a bidirectional GRU with a learned first state, as one vector."""

    def __init__(self, width_in: int, hidden: int, width: int) -> None:
        super().__init__()
        self.input_emb = nn.Linear(width_in, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.hidden = nn.Parameter(torch.randn(2, 1, hidden))
        self.output_net = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, width)
        )

    def forward(
        self, x: Float[Tensor, "batch steps feats"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Vectors of the first `lengths` steps of every row."""
        packed = pack_padded_sequence(self.input_emb(x), lengths.cpu(), batch_first=True, enforce_sorted=False)
        start = repeat(self.hidden, "two 1 hidden -> two batch hidden", batch=len(x)).contiguous()
        last = self.gru(packed, start)[1]
        return self.output_net(rearrange(last, "two batch hidden -> batch (two hidden)"))


class TextEncoder(SequenceEncoder):
    """The vector of a caption from its words' vectors and classes."""

    def __init__(self, word_width: int, hidden: int, width: int) -> None:
        super().__init__(word_width, hidden, width)
        self.pos_emb = nn.Linear(len(CLASSES), word_width)

    def caption(self, words: Words) -> Float[Tensor, "batch width"]:
        """Vectors of captions as numbers."""
        return self(words.vectors + self.pos_emb(words.classes), words.lengths)


class MovementEncoder(nn.Module):
    """One vector per four frames, each of which sees ten."""

    def __init__(self, feats: int, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(feats, hidden, 4, stride=2, padding=1),
            nn.Dropout(dropout),
            nn.LeakyReLU(0.2),
            nn.Conv1d(hidden, width, 4, stride=2, padding=1),
            nn.Dropout(dropout),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "batch frames feats"], ends: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch steps width"]:
        """Movements of standardised features.

        `ends` gives for every row the frame count at which the input ends, as if it had been cut there; None takes
        all frames.
        """
        y = self.main[:3](rearrange(x, "batch frames feats -> batch feats frames"))
        if ends is not None:
            # Behind its edge a convolution sees zeros: of the features in the first, of the states in the second.
            y = y * rearrange(frame_mask(ends // 2, y.shape[2]), "batch halves -> batch 1 halves")
        return self.out_net(rearrange(self.main[3:](y), "batch width steps -> batch steps width"))
