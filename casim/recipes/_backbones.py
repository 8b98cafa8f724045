"""Every backbone with both injections on the built-in benchmark, each under a million parameters; and its codecs.

`python -m casim.suite backbones` trains them. The decoder's pair is the demo pair itself. Both arms of a pair have
the same trainable text layer and as many parameters; the pooled arm averages its output to one token. All are
sampled with guidance 2.5, the autoregressive ones too, whose papers use none.
"""

from collections.abc import Callable
from dataclasses import replace
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
    "max_codes": 24,
    "text_places": 40,
}
"""Size of the autoregressive ones; 40 places hold every caption of the benchmark."""
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


def backbone_of(name: str) -> tuple[Any, SamplingConfig]:
    """A backbone at benchmark size, and how it is sampled."""
    if name == "mdm_encoder":
        shared = {
            field: getattr(SMALL, field) for field in ("width", "layers", "heads", "ff", "patch", "diffusion")
        }
        return MdmEncoder.Config(**shared, dropout=0.0, is_pre_norm=True), DDIM
    if name == "mld":
        return Mld.Config(width=96, layers=5, heads=4, ff=192, dropout=0.0, max_frames=1, time_width=96), replace(
            DDIM, steps=50
        )
    kind = {"t2m_gpt": T2mGpt, "como": Como}[name]
    return kind.Config(**WRITER), SamplingConfig()


def backbone_recipe(backbone: str, injection: str) -> Recipe:
    """One cell of the matrix."""
    config, sampling = backbone_of(backbone)
    codec = FIRST_STAGES.get(backbone)
    stage = FirstStage(f"choreography_{codec}_seed0") if codec else FirstStage()
    setup = Setup(Choreography.Config(), Hashed.Config(), INJECTIONS[injection], config, sampling, stage)
    words = {"casim": "every token", "fixed": "one pooled token"}[injection]
    training = replace(QUICK, steps=STEPS[backbone], learning_rate=2e-3 if backbone == "mdm_encoder" else 1e-3)
    return Recipe(f"choreography_{backbone}_{injection}", f"{backbone} with {words}.", setup, training)


def _listed() -> dict[str, Callable[[], Recipe]]:
    return {f"choreography_{b}_{i}": partial(backbone_recipe, b, i) for b in BACKBONES for i in ("casim", "fixed")}


RECIPES |= _listed()
