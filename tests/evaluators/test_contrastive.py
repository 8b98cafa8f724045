import math

import pytest
import torch
import torch.nn.functional as F

from evaluators import contrastive
from evaluators.contrastive import LossConfig, Reading

BATCH, FRAMES, FEATS, WIDTH = 5, 11, 3, 7


def reading(seed, slots=2):
    random = torch.Generator().manual_seed(seed)
    outputs = torch.randn(BATCH, slots, WIDTH, generator=random)
    return Reading(outputs, outputs[:, 0], torch.randn(BATCH, FRAMES, FEATS, generator=random))


def test_divergence_of_known_gaussians():
    def outputs(mean, variance):
        return contrastive.gaussian(torch.tensor([[[mean], [math.log(variance)]]]))

    assert float(contrastive.kl(outputs(1.0, 1.0), outputs(0.0, 1.0))) == pytest.approx(0.5)
    assert float(contrastive.kl(outputs(0.0, 4.0), outputs(0.0, 1.0))) == pytest.approx(0.5 * (4 - 1 - math.log(4)))
    assert float(contrastive.kl(outputs(2.0, 3.0), outputs(2.0, 3.0))) == 0


def test_latents_are_means_unless_there_is_noise_and_variance():
    outputs, noise = torch.zeros(BATCH, 2, WIDTH), torch.ones(BATCH, WIDTH)
    outputs[:, 1] = math.log(9.0)
    torch.testing.assert_close(contrastive.draw(outputs, noise), torch.full((BATCH, WIDTH), 3.0))
    assert not contrastive.draw(outputs, None).any()
    assert not contrastive.draw(outputs[:, :1], noise).any()


def test_info_nce_is_two_softmaxes_over_the_batch():
    x, y = torch.randn(2, BATCH, WIDTH, generator=torch.Generator().manual_seed(0))
    cosines = torch.stack([F.cosine_similarity(row[None], y) for row in x]) / 0.3
    shares = [cosines.softmax(dim).diagonal() for dim in (0, 1)]
    expected = -sum(share.log().mean() for share in shares) / 2
    torch.testing.assert_close(contrastive.info_nce(x, y, 0.3), expected)
    torch.testing.assert_close(contrastive.info_nce(2 * x, 5 * y, 0.3), expected)


def test_excluded_pairs_are_no_negatives():
    x, y = torch.randn(2, BATCH, WIDTH, generator=torch.Generator().manual_seed(1))
    everything = ~torch.eye(BATCH, dtype=torch.bool)
    assert float(contrastive.info_nce(x, y, 0.1, everything)) == pytest.approx(0.0)
    pair = torch.zeros(BATCH, BATCH, dtype=torch.bool)
    pair[1, 3] = True
    assert contrastive.info_nce(x, y, 0.1, pair) < contrastive.info_nce(x, y, 0.1)


def test_captions_above_the_threshold_are_too_alike_but_never_with_themselves():
    similarity = torch.tensor([[1.0, 0.61, 0.59], [0.61, 1.0, -1.0], [0.59, -1.0, 1.0]])
    assert contrastive.too_alike(similarity, 0.8).nonzero().tolist() == [[0, 1], [1, 0]]


def test_total_is_the_weighted_sum():
    target = torch.zeros(BATCH, FRAMES, FEATS)
    config = LossConfig(recons=2.0, kl=3.0, latent=5.0, contrastive=7.0)
    losses = contrastive.losses(reading(0), reading(1), target, None, config)
    weighted = sum(getattr(config, name) * part for name, part in losses.parts.items())
    torch.testing.assert_close(losses.total, weighted)
    assert set(losses.parts) == {"recons", "kl", "latent", "contrastive"}
    points = contrastive.losses(reading(0, 1), reading(1, 1), target, None, config)
    assert set(points.parts) == {"recons", "latent", "contrastive"}


def test_divergence_has_four_terms():
    text, motion = reading(2), reading(3)
    losses = contrastive.losses(text, motion, torch.zeros(BATCH, FRAMES, FEATS), None, LossConfig())
    m, t = contrastive.gaussian(motion.outputs), contrastive.gaussian(text.outputs)
    unit = contrastive.gaussian(torch.zeros(BATCH, 2, WIDTH))
    expected = sum(contrastive.kl(p, q) for p, q in ((t, m), (m, t), (m, unit), (t, unit)))
    torch.testing.assert_close(losses.parts["kl"], expected)
