"""One denoiser behind motion representations of different size: does a small one cap what token-level text gains?

`python -m casim.suite capacity_small` trains the grid, `python -m analysis.capacity_probe` reads it. Everything but
the representation is equal: the denoiser, its schedule, its training, and latents of mean 0 and deviation 1.

MLD's matrix cell (`choreography_mld_*`) differs in these points, which are its paper's, and in what the network
gives: here the clean latents, there the noise. At equal training on the VQ latents, token-level, one seed, a
network that gives the noise got 8.7 % of the pairs of the validation split right and their order at chance (.51);
one that gives the latents 24.0 %, with order .80.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from casim.backbones.mld import LATENT_DIFFUSION, Mld
from casim.codecs.vqvae import Vqvae
from casim.data.choreography import NATURAL_RANGE, Choreography
from casim.recipes._backbones import CODEC, INJECTIONS, LATENT, NETWORK, codec_setup
from casim.recipes._choreography import DDIM, QUICK
from casim.recipes._core import RECIPES, Recipe
from casim.setups import FirstStage, Setup
from casim.text.hashed import Hashed

FRAMES = NATURAL_RANGE[1]
STRIDE = NETWORK.stride
"""Frames per latent of the VQ-VAE."""
VAES = {f"vae{count}": count for count in (1, 2, 4, 7, 16, FRAMES // STRIDE)}
"""Representations of a constant number of latents, with that number."""
REPRESENTATIONS = (*VAES, "vq", "frames")
"""vq: the VQ-VAE's vectors before quantisation, one for every four frames; frames: no codec."""
SMALL = ("vae1", "vae4", "vae16", "vq")
CLEAN = replace(LATENT_DIFFUSION, prediction="sample", ends_clean=True)
DENOISER = Mld.Config(
    width=96, layers=5, heads=4, ff=192, time_width=96, dropout=0.0, is_pre_norm=True, diffusion=CLEAN
)
TRAINING = replace(QUICK, steps=1600, learning_rate=2e-3)


def codec_recipe(representation: str) -> Recipe:
    """The first stage of a representation."""
    if representation in VAES:
        own: Any = replace(LATENT, latents=VAES[representation])
        training = replace(CODEC, steps=3200, batch_size=32, learning_rate=2e-3)
        about = f"A clip of any length as {VAES[representation]} latents."
    else:
        own, training = Vqvae.Config(codes=256, width=64, network=NETWORK, window=32, gives="latents"), CODEC
        about = "Every four frames as one latent, decoded through the nearest of 256 codes."
    return Recipe(f"capacity_{representation}", about, codec_setup(own), training)


def cell_recipe(representation: str, injection: str) -> Recipe:
    """The denoiser on a representation."""
    is_latent = representation != "frames"
    most = VAES.get(representation, FRAMES // STRIDE if is_latent else FRAMES)
    config = replace(DENOISER, max_frames=most, patch=1 if is_latent else STRIDE)
    stage = FirstStage(f"capacity_{representation}_seed0", is_standardised=True) if is_latent else FirstStage()
    sampling = replace(DDIM, steps=50)
    setup = Setup(Choreography.Config(), Hashed.Config(), INJECTIONS[injection], config, sampling, stage)
    words = {"casim": "every token", "fixed": "one pooled token"}[injection]
    about = f"One denoiser for all representations, here on {representation}, with {words}."
    return Recipe(f"capacity_{representation}_{injection}", about, setup, TRAINING)


RECIPES |= {f"capacity_{name}": partial(codec_recipe, name) for name in (*VAES, "vq")}
RECIPES |= {
    f"capacity_{name}_{injection}": partial(cell_recipe, name, injection)
    for name in REPRESENTATIONS
    for injection in INJECTIONS
}
