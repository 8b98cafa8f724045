"""Named training configurations: one function per demo model, control and paper row.

`choreography_*` run on a laptop with the built-in benchmark; their settings were chosen on its validation split.
`mocap_*` show the path on real motion. `confound_*` take apart what CASIM's released code changes at once
(`python -m casim.suite confounds` trains them). The paper rows follow the released code of MDM (Tevet et al. 2023)
and of CASIM (arXiv 2502.02063): see `casim/official/`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import Any

from casim import plugins
from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.data.choreography import Choreography
from casim.diffusion import DiffusionConfig
from casim.injection import Casim, ContextConfig, Fixed
from casim.setups import CodecSetup, SamplingConfig, Setup, entry, restored
from casim.text.bert import Bert
from casim.text.clip import Clip
from casim.text.hashed import Hashed
from casim.text.minilm import MiniLM

PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class Training:
    """Optimisation of a run."""

    steps: int = 600_000
    """Optimiser steps."""
    batch_size: int = 64
    """Clips per step over all processes."""
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    beta1: float = 0.9
    """First moment decay of AdamW."""
    beta2: float = 0.999
    """Second moment decay of AdamW."""
    warmup: int = 0
    """Steps of linear warm-up."""
    decay: bool = False
    """Cosine decay of the learning rate to zero at the last step; otherwise constant."""
    drop_at: int = 0
    """Step from which the learning rate is `drop_to` of what it was; 0: never."""
    drop_to: float = 0.05
    """Share of the learning rate that is left from `drop_at` on."""
    clip_norm: float = 0.0
    """Gradient norm limit; 0: none."""
    ema: float = 0.0
    """Decay of the average of the weights that is saved; 0: the weights themselves are saved."""
    text_dropout: float = 0.1
    """Share of training clips whose text is dropped, for classifier-free guidance."""
    seed: int = 10
    """Seed of initial weights, data order, noise and dropout."""
    checkpoint_every: int = 1_000
    """Steps between checkpoints from which an interrupted run resumes."""
    precision: str = "no"
    """Automatic mixed precision: no, bf16 or fp16."""

    def __post_init__(self) -> None:
        """Checks every number.

        Raises:
            ValueError: one is out of range, or there is no such precision.
        """
        # comparisons with NaN are false, so that NaN is refused too
        ranges: dict[str, tuple[tuple[str, ...], Callable[[float], bool]]] = {
            "at least 1": (("steps", "batch_size", "checkpoint_every"), lambda x: x >= 1),
            "at least 0": (("weight_decay", "warmup", "drop_at", "clip_norm", "seed"), lambda x: x >= 0),
            "more than 0 and finite": (("learning_rate",), lambda x: 0 < x < math.inf),
            "at least 0 and less than 1": (("beta1", "beta2", "ema"), lambda x: 0 <= x < 1),
            "between 0 and 1": (("text_dropout", "drop_to"), lambda x: 0 <= x <= 1),
        }
        for words, (names, is_allowed) in ranges.items():
            for name in names:
                if not is_allowed(value := getattr(self, name)):
                    raise ValueError(f"training.{name} must be {words}, got {value}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"training.precision must be {', '.join(PRECISIONS)}, got {self.precision!r}")


@dataclass(frozen=True)
class Recipe:
    """A model, its data and its training."""

    name: str
    about: str
    setup: Setup | CodecSetup
    training: Training

    def to_json(self) -> dict[str, Any]:
        """The recipe as it stands in a run's config."""
        return {"recipe": self.name, "training": asdict(self.training), **self.setup.to_json()}

    @staticmethod
    def from_json(config: Mapping[str, Any]) -> "Recipe":
        """The recipe of a run's config; fields that are newer than the run have their defaults.

        Raises:
            ValueError: an unknown plugin or field, a missing part, or a value of another type.
        """
        training = plugins.restore(Training, entry(config, "training"))
        return Recipe(entry(config, "recipe"), "", restored(config), training)


RECIPES: dict[str, Callable[[], Recipe]] = {}
"""Recipe functions by name."""


def named(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        ValueError: no such recipe; the message suggests the nearest names.
    """
    if name not in RECIPES:
        raise ValueError(plugins.closest("recipe", name, RECIPES))
    return RECIPES[name]()


def recipe(function: Callable[[], tuple[Setup | CodecSetup, Training]]) -> Callable[[], Recipe]:
    """Lists a function as a recipe under its own name; its docstring says what it is for."""

    def build() -> Recipe:
        setup, training = function()
        return Recipe(function.__name__, (function.__doc__ or "").strip(), setup, training)

    RECIPES[function.__name__] = build
    return build


# The built-in benchmark

SMALL = MdmDecoder.Config(
    width=96,
    layers=3,
    heads=4,
    ff=192,
    dropout=0.0,
    patch=2,
    is_pre_norm=True,
    diffusion=DiffusionConfig(snr_shift=0.2),
)
"""Small enough for a laptop. The noise is 5 times stronger than MDM's at equal steps: with 60 to 100 frames the
text matters only where the motion is hidden almost completely, and the plain schedule hardly ever gets there."""
QUICK = Training(
    steps=3200,
    learning_rate=2e-3,
    weight_decay=0.01,
    beta2=0.98,
    warmup=100,
    decay=True,
    clip_norm=1.0,
    ema=0.998,
    seed=0,
    checkpoint_every=800,
)
DDIM = SamplingConfig(sampler="ddim", steps=20)
ONE_LAYER = ContextConfig(layers=1, dropout=0.0)


def _choreography(injection: Any, **training: Any) -> tuple[Setup, Training]:
    setup = Setup(Choreography.Config(), Hashed.Config(), injection, SMALL, DDIM)
    return setup, replace(QUICK, **training)


@recipe
def choreography_casim() -> tuple[Setup, Training]:
    """Demo pair, token-level arm: every token, after one trainable text layer."""
    return _choreography(Casim.Config(context=ONE_LAYER))


@recipe
def choreography_fixed() -> tuple[Setup, Training]:
    """Demo pair, pooled arm: the same text layer and as many parameters, its tokens averaged to one."""
    return _choreography(Fixed.Config(pool="mean", context=ONE_LAYER))


@recipe
def choreography_fixed_strong() -> tuple[Setup, Training]:
    """Control: first token of two text layers, as the one memory token and added to every frame."""
    return _choreography(Fixed.Config(pool="cls", to_frames=True, context=replace(ONE_LAYER, layers=2)))


@recipe
def choreography_fixed_long() -> tuple[Setup, Training]:
    """Control: the pooled arm trained three times as long."""
    return _choreography(Fixed.Config(pool="mean", context=ONE_LAYER), steps=3 * QUICK.steps)


# Real motion on a laptop: proves the path, not the paper


def _mocap(injection: Any) -> tuple[Setup, Training]:
    from casim.data.humanml3d import HumanML3D

    data = HumanML3D.Config(folder="data/mocap")
    backbone = replace(SMALL, patch=4, width=128)
    return Setup(data, MiniLM.Config(), injection, backbone, DDIM), replace(QUICK, batch_size=32, steps=1000)


@recipe
def mocap_casim() -> tuple[Setup, Training]:
    """Token-level arm on a folder of free mocap made by `casim.prepare joints`, with MiniLM."""
    return _mocap(Casim.Config(context=ONE_LAYER))


@recipe
def mocap_fixed() -> tuple[Setup, Training]:
    """Pooled arm on the same folder: MiniLM's own sentence vector."""
    return _mocap(Fixed.Config(pool="mean", context=ONE_LAYER))


# What CASIM's released MDM changes at once, factor by factor

WINDOWS = (22, 77)
"""Most text tokens of a caption, markers included: MDM's and CASIM's."""


@dataclass(frozen=True)
class Factors:
    """The four things in which CASIM's released decoder differs from MDM's; all off is MDM, all on is CASIM."""

    tokens: bool
    """Every token instead of one pooled vector: the only one that is CASIM's idea."""
    window: bool
    """Captions are cut to 77 text tokens instead of 22."""
    mask: bool
    """Padded frames are hidden from attention instead of shown."""
    norm: bool
    """A LayerNorm closes the decoder."""

    @property
    def name(self) -> str:
        """The levels in words, like tokens_77_mask_norm or pooled_22_nomask_nonorm."""
        parts = ("tokens" if self.tokens else "pooled", str(WINDOWS[self.window]))
        return "_".join((*parts, "mask" if self.mask else "nomask", "norm" if self.norm else "nonorm"))

    @staticmethod
    def of(setup: Setup) -> "Factors":
        """The levels of a setup with the decoder."""
        return Factors(
            tokens=isinstance(setup.injection, Casim.Config),
            window=setup.text.max_words > WINDOWS[0],
            mask=setup.backbone.use_frame_mask,
            norm=setup.backbone.has_final_norm,
        )

    def apply(self, setup: Setup) -> Setup:
        """The setup at these levels.

        Both injections run the same trainable text layer over all tokens that the window leaves; the pooled arm
        averages its output. So neither has more parameters, and the pooled arm, too, reads words in their context,
        as CLIP's pooled vector does in the papers. A model that sees padded frames must see as many in every batch.
        """
        injection = Casim.Config(ONE_LAYER) if self.tokens else Fixed.Config("mean", context=ONE_LAYER)
        return replace(
            setup,
            injection=injection,
            text=replace(setup.text, max_words=WINDOWS[self.window], truncate=True),
            backbone=replace(setup.backbone, use_frame_mask=self.mask, has_final_norm=self.norm),
            data=replace(setup.data, is_padded_full=not self.mask),
        )


FACTORS = tuple(Factors(*levels) for levels in product((False, True), repeat=4))
"""All 16 cells, from MDM to CASIM."""
HALF = tuple(factors for factors in FACTORS if sum(vars(factors).values()) % 2 == 0)
"""The half with an even number of factors on; what it can tell apart: `casim.suites.confounds`."""


CONFOUNDS: dict[str, Callable[[], tuple[Setup, Training]]] = {
    "confound": lambda: _choreography(Casim.Config(), steps=1600, checkpoint_every=200),
    "mocap_confound": lambda: _mocap(Casim.Config()),
}
"""What the factors are applied to, by the prefix of the recipes' names."""


def confound(prefix: str, factors: Factors) -> Recipe:
    """A cell of the four-factor ablation, on the post-norm decoder of the authors at laptop size."""
    setup, training = CONFOUNDS[prefix]()
    setup = factors.apply(replace(setup, backbone=replace(setup.backbone, is_pre_norm=False)))
    return Recipe(f"{prefix}_{factors.name}", f"Four-factor ablation, cell {factors.name}.", setup, training)


RECIPES |= {f"{prefix}_{f.name}": partial(confound, prefix, f) for prefix in CONFOUNDS for f in FACTORS}

# Paper rows on HumanML3D: days on an accelerator. Sizes, loss and optimiser are the defaults; what is written out
# here is where a paper's released code does otherwise, or does what it does on purpose.

SHOWN_PADDING: dict[str, Any] = {"use_frame_mask": False, "has_final_norm": False}
"""MDM's published models: padded frames take part in attention, and no LayerNorm closes the stack."""
MDM_CLIP = Clip.Config(window=22, truncate=True)
"""MDM cuts captions to 20 tokens between the markers."""
CASIM_CLIP = Clip.Config(window=77, truncate=True)
"""CASIM cuts captions to CLIP's 77 tokens only; all states behind the final LayerNorm."""
CASIM_BERT = Bert.Config(weights="bert-base-uncased")
"""CASIM's other text encoder: last hidden states, [CLS] and [SEP] kept, 512 tokens at most. Where the authors keep
the states of padding, ours are zero; attention sees neither."""
MDM_BERT = Bert.Config(weights="distilbert/distilbert-base-uncased")
"""MDM's token-level text encoder since February 2025."""
CASIM_TRAINING = Training(steps=200_000, batch_size=512)
"""The released code's README finds 1,000-step models best at 200k optimiser steps."""


def _humanml3d(
    text: Clip.Config | Bert.Config, injection: Any, backbone: Any, training: Training
) -> tuple[Setup, Training]:
    from casim.data.humanml3d import HumanML3D

    # a model that sees padded frames must see as many as the authors' loader gives it
    data = HumanML3D.Config(is_padded_full=not backbone.use_frame_mask)
    return Setup(data, text, injection, backbone), training


@recipe
def mdm_encoder_humanml3d() -> tuple[Setup, Training]:
    """Paper row: MDM's encoder with one pooled CLIP vector (Tevet et al. 2023)."""
    backbone = MdmEncoder.Config(**SHOWN_PADDING, first_frame=None)
    return _humanml3d(MDM_CLIP, Fixed.Config(), backbone, Training())


@recipe
def mdm_decoder_humanml3d() -> tuple[Setup, Training]:
    """Paper row: MDM's decoder with one pooled CLIP vector as its memory (Tevet et al. 2023)."""
    return _humanml3d(MDM_CLIP, Fixed.Config(), MdmDecoder.Config(**SHOWN_PADDING), Training())


@recipe
def casim_mdm_decoder_humanml3d() -> tuple[Setup, Training]:
    """Paper row: CASIM's headline MDM, cross-attention from frames to all CLIP tokens (arXiv 2502.02063)."""
    backbone = MdmDecoder.Config(use_frame_mask=True, has_final_norm=True)
    return _humanml3d(CASIM_CLIP, Casim.Config(), backbone, CASIM_TRAINING)


@recipe
def casim_mdm_encoder_humanml3d() -> tuple[Setup, Training]:
    """Paper row: CASIM's encoder, CLIP tokens and frames in one sequence (arXiv 2502.02063)."""
    # the authors pad every caption to CLIP's window, so that the first frame always has this position
    backbone = MdmEncoder.Config(use_frame_mask=True, has_final_norm=False, first_frame=CASIM_CLIP.window)
    return _humanml3d(CASIM_CLIP, Casim.Config(), backbone, CASIM_TRAINING)


@recipe
def casim_mdm_decoder_bert_humanml3d() -> tuple[Setup, Training]:
    """Paper row: CASIM's decoder with BERT in place of CLIP (arXiv 2502.02063, text encoder ablation)."""
    backbone = MdmDecoder.Config(use_frame_mask=True, has_final_norm=True)
    return _humanml3d(CASIM_BERT, Casim.Config(), backbone, CASIM_TRAINING)


@recipe
def casim_mdm_encoder_bert_humanml3d() -> tuple[Setup, Training]:
    """Paper row: CASIM's encoder with BERT in place of CLIP (arXiv 2502.02063, text encoder ablation)."""
    # The authors pad captions to the batch's longest, and the first frame's position follows the padding: a motion
    # depends on the captions beside it. A number here, 128 by default, would end that.
    backbone = MdmEncoder.Config(use_frame_mask=True, has_final_norm=False, first_frame=None)
    return _humanml3d(CASIM_BERT, Casim.Config(), backbone, CASIM_TRAINING)


@recipe
def mdm_decoder_distilbert_humanml3d() -> tuple[Setup, Training]:
    """Paper row: MDM's own token-level decoder: all DistilBERT tokens, 50 steps, frame mask and weight average."""
    backbone = MdmDecoder.Config(
        use_frame_mask=True, has_final_norm=False, time_policy="add", diffusion=DiffusionConfig(steps=50)
    )
    return _humanml3d(MDM_BERT, Casim.Config(), backbone, Training(ema=0.9999))
