"""Every backbone with both injections on the built-in benchmark, each under a million parameters; and its codecs.

`python -m casim.suite backbones` trains them. The decoder's pair is the demo pair itself. Both arms of a pair have
the same trainable text layer and as many parameters; the pooled arm averages its output to one token. All are
sampled with guidance 2.5, the autoregressive ones too, whose papers use none.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from casim.backbones.como import Como
from casim.backbones.mdm_encoder import MdmEncoder
from casim.backbones.mld import Mld
from casim.backbones.t2m_gpt import T2mGpt
from casim.codecs.motion_vae import MotionVae
from casim.codecs.pose_codes import PoseCodes
from casim.codecs.vqvae import Vqvae
from casim.data.choreography import Choreography
from casim.injection import Casim, Fixed
from casim.nn.temporal import TemporalConfig
from casim.recipes._choreography import DDIM, ONE_LAYER, QUICK, SMALL
from casim.recipes._core import RECIPES, Recipe, Training, recipe
from casim.setups import CodecSetup, FirstStage, SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text.minilm import MiniLM

FIRST_STAGES = {"t2m_gpt": "vqvae", "como": "pose_codes", "mld": "motion_vae"}
"""The codec of each backbone that has one."""
BACKBONES = ("mdm_encoder", "t2m_gpt", "como", "mld")
"""Beside the decoder, whose recipes are `choreography_casim` and `choreography_fixed`."""
INJECTIONS = {"casim": Casim.Config(context=ONE_LAYER), "fixed": Fixed.Config(pool="mean", context=ONE_LAYER)}

STEPS = {"mdm_encoder": 2400, "t2m_gpt": 2000, "como": 2000, "mld": 1600}
"""So that each cell takes at most six minutes on one thread."""
NETWORK = TemporalConfig(width=96, depth=2)
CODEC = replace(QUICK, steps=2400, learning_rate=1e-3, ema=0.0, text_dropout=0.0)
WRITER: dict[str, Any] = {
    "width": 96,
    "layers": 4,
    "heads": 4,
    "ff": 192,
}
"""Size of the autoregressive ones."""
LATENT = MotionVae.Config(width=64, layers=3, ff=128, dropout=0.0, is_pre_norm=True, positions=128)


def codec_setup(codec: Any) -> CodecSetup:
    """A first stage on the benchmark."""
    return CodecSetup(Choreography.Config(), codec)


@recipe
def choreography_vqvae() -> tuple[CodecSetup, Training]:
    """First stage of t2m_gpt: every four frames as one code of 256."""
    return codec_setup(Vqvae.Config(codes=256, width=64, network=NETWORK, window=32)), CODEC


@recipe
def choreography_pose_codes() -> tuple[CodecSetup, Training]:
    """First stage of como: every four frames as 70 readable codes; the way back is learned."""
    return codec_setup(PoseCodes.Config(width=64, network=NETWORK, window=32)), CODEC


@recipe
def choreography_motion_vae() -> tuple[CodecSetup, Training]:
    """First stage of mld: a clip of any length as one latent vector."""
    return codec_setup(LATENT), replace(CODEC, steps=3200, batch_size=32, learning_rate=2e-3)


@dataclass(frozen=True)
class Ground:
    """Data on which all backbones are trained alike."""

    data: Any
    text: Any
    patch: int
    """Frames per token of MDM's encoder."""
    text_places: int
    max_codes: int
    steps: dict[str, int]
    """By backbone or codec."""
    batch_size: int = 64


def grounds() -> dict[str, Ground]:
    """By the prefix of the recipes' names."""
    from casim.data.humanml3d import HumanML3D

    real = dict.fromkeys((*STEPS, *FIRST_STAGES.values()), 1000)
    return {
        "choreography": Ground(Choreography.Config(), Hashed.Config(), SMALL.patch, 40, 24, STEPS),
        "mocap": Ground(HumanML3D.Config(folder="data/mocap"), MiniLM.Config(), 4, 128, 49, real, batch_size=32),
    }


def backbone_of(name: str, ground: Ground) -> tuple[Any, SamplingConfig]:
    """A backbone at benchmark size, and how it is sampled."""
    if name == "mdm_encoder":
        shared = {field: getattr(SMALL, field) for field in ("width", "layers", "heads", "ff", "diffusion")}
        return MdmEncoder.Config(**shared, patch=ground.patch, dropout=0.0, is_pre_norm=True), DDIM
    if name == "mld":
        sizes: dict[str, Any] = {"width": 96, "layers": 5, "heads": 4, "ff": 192, "time_width": 96}
        return Mld.Config(**sizes, dropout=0.0, max_frames=1), replace(DDIM, steps=50)
    kind = {"t2m_gpt": T2mGpt, "como": Como}[name]
    return kind.Config(**WRITER, max_codes=ground.max_codes, text_places=ground.text_places), SamplingConfig()


def backbone_recipe(prefix: str, backbone: str, injection: str) -> Recipe:
    """One cell of the matrix."""
    ground = grounds()[prefix]
    config, sampling = backbone_of(backbone, ground)
    codec = FIRST_STAGES.get(backbone)
    stage = FirstStage(f"{prefix}_{codec}_seed0") if codec else FirstStage()
    setup = Setup(ground.data, ground.text, INJECTIONS[injection], config, sampling, stage)
    words = {"casim": "every token", "fixed": "one pooled token"}[injection]
    rate = 2e-3 if backbone == "mdm_encoder" else 1e-3
    training = replace(QUICK, steps=ground.steps[backbone], learning_rate=rate, batch_size=ground.batch_size)
    return Recipe(f"{prefix}_{backbone}_{injection}", f"{backbone} with {words}.", setup, training)


def mocap_codec(codec: str) -> Recipe:
    """A first stage on real motion."""
    plain, ground = RECIPES[f"choreography_{codec}"](), grounds()["mocap"]
    assert isinstance(plain.setup, CodecSetup)
    own = plain.setup.codec
    if isinstance(own, MotionVae.Config):
        own = replace(own, positions=256)
    setup = replace(plain.setup, data=ground.data, codec=own)
    training = replace(plain.training, steps=ground.steps[codec], batch_size=ground.batch_size)
    return Recipe(f"mocap_{codec}", f"{plain.about.rstrip('.')}, on a folder of free mocap.", setup, training)


RECIPES |= {
    f"{prefix}_{backbone}_{injection}": partial(backbone_recipe, prefix, backbone, injection)
    for prefix in ("choreography", "mocap")
    for backbone in BACKBONES
    for injection in ("casim", "fixed")
}
RECIPES |= {f"mocap_{codec}": partial(mocap_codec, codec) for codec in FIRST_STAGES.values()}
