"""The real row of retrieval: how well an embedder finds real clips by their own captions, beside its floor."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from casim.features import denormalise
from casim.record import Measure
from casim.types import Clips, MotionBatch, MotionDataset
from evaluators import retrieval
from evaluators.embedder import Embedder

CHUNK = 100
"""Clips embedded at a time."""
PROTOCOLS = {
    "": "every caption against every clip",
    "_threshold": "every caption against every clip, those of captions alike above .9 are right too",
    "_dissimilar": f"the {retrieval.SUBSET} clips whose captions differ most",
    "_pool32": f"mean over pools of {retrieval.POOL}",
}
"""The protocols in words, by the end of their metrics' names."""
Alike = Callable[[MotionBatch], Float[Tensor, "batch batch"]]


def measure(embedder: Embedder, name: str, dataset: MotionDataset, split: str, alike: Alike) -> dict[str, Measure]:
    """Record entries of a split's real clips and first captions, under every protocol.

    `real/retrieval_pool32@1.t2m.NAME/SPLIT/all` and so on. The floor gives each clip the caption of another one.
    """
    texts, motions, similarity = _vectors(embedder, dataset, dataset.split(split), alike)
    results: dict[str, Measure] = {}
    for row, vectors in {"real": texts, "floor: wrong caption": texts.roll(len(texts) // 2, 0)}.items():
        for end, pools in retrieval.by_protocol(vectors, motions, similarity).items():
            words = f"{name} on {len(texts)} real clips of {split}: {PROTOCOLS[end]}"
            n = sum(pool.shape[1] for pool in pools)
            recalls = torch.stack([retrieval.recalls(pool) for pool in pools]).mean(0).tolist()
            medians = torch.stack([retrieval.median_ranks(pool) for pool in pools]).mean(0).tolist()
            for part, value in zip(retrieval.RECALL_PARTS, recalls, strict=True):
                key = f"{row}/retrieval{end}{part}.{name}/{split}/all"
                results[key] = Measure(value=value, n=n, unit="share", higher_is_better=True, protocol=words)
            for part, value in zip(retrieval.RANK_PARTS, medians, strict=True):
                key = f"{row}/retrieval{end}_rank{part}.{name}/{split}/all"
                results[key] = Measure(value=value, n=n, unit="rank", higher_is_better=False, protocol=words)
    return results


def _vectors(
    embedder: Embedder, dataset: MotionDataset, clips: Clips, alike: Alike
) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "batch width"], Float[Tensor, "batch batch"]]:
    """Captions, clips and likeness of captions in order of ids."""
    order = sorted(range(len(clips)), key=lambda item: clips.ids[item])
    mean, std = torch.as_tensor(dataset.mean), torch.as_tensor(dataset.std)
    parts = []
    for start in range(0, len(order), CHUNK):
        batch = clips.batch(order[start : start + CHUNK])
        parts.append(embedder.motion(denormalise(batch.motion, mean, std), batch.mask))
    whole = clips.batch(order)
    return embedder.text(whole.texts, whole.tags), torch.cat(parts), alike(whole)
