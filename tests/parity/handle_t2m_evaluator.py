"""The evaluator of Guo et al. (EricGuo5513/text-to-motion): networks, and the wrapper that sorts by length.

Their convolutions see whatever is behind a clip; in these files that is noise, not zeros. So the networks are
compared on what they were given, and our own entry, which sees zeros there, on the clips that fill the batch. Where
theirs sorts rows, ours keeps the order, and the handler sorts.
"""

from golden import Case, Golden, close, unknown
from torch import Tensor

from casim.types import frame_mask
from evaluators.embed.guo import STEP, Guo, Words
from evaluators.official import guo as official
from evaluators.words import CLASSES

TOLERANCE = 1e-5


def check(golden: Golden) -> None:
    for case in golden.cases.values():
        if case.name == "sorted":
            check_sorted(golden, case)
        elif case.name == "wrapper_unsorted":
            check_wrapper(golden, case)
        else:
            unknown(case.name)


def check_sorted(golden: Golden, case: Case) -> None:
    """Lengths are given in movements; all rows are in order already."""
    model = built(golden, case.inputs["motions"].shape[1])
    movements = model.movement_encoder(case.inputs["motions"][..., : model.read])
    given = {
        "movements": movements,
        "motion_emb": model.motion_encoder(movements, case.inputs["m_lens_units"]),
        "text_emb": text(model, case),
    }
    compare(case, given)


def check_wrapper(golden: Golden, case: Case) -> None:
    """Lengths are given in frames, and may end within a movement."""
    motions, lengths = case.inputs["motions"], case.inputs["m_lens"]
    frames, order = motions.shape[1], case.outputs["align_idx"]
    model = built(golden, frames)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert lengths[order].tolist() == sorted(lengths.tolist(), reverse=True)
    seen = motions[..., : model.read]
    motion = model.motion_encoder(model.movement_encoder(seen), lengths // STEP)
    given = {
        "align_idx": order,
        "motion_embedding": motion[order],
        "motion_embedding_only": motion[order],
        "text_embedding": text(model, case)[order],
    }
    compare(case, given)
    check_entry(model, motions, lengths, motion)


def check_entry(model: Guo, motions: Tensor, lengths: Tensor, motion: Tensor) -> None:
    """Our entry gives the network's vectors of full clips, and of shorter ones on zeros behind them."""
    mask = frame_mask(lengths, motions.shape[1])
    ours = model.motion(motions, mask)
    is_full = lengths == motions.shape[1]
    close(ours[is_full], motion[is_full], TOLERANCE, "entry, clips that fill the batch")
    zeros = (motions * mask[..., None])[..., : model.read]
    theirs = model.motion_encoder(model.movement_encoder(zeros), lengths // STEP)
    close(ours, theirs, TOLERANCE, "entry, clips padded with zeros")


def compare(case: Case, given: dict[str, Tensor]) -> None:
    assert set(given) == set(case.outputs), f"{case.name}: outputs {sorted(case.outputs)}"
    for name, expected in case.outputs.items():
        close(given[name].detach(), expected, TOLERANCE, f"{case.name}/{name}")


def text(model: Guo, case: Case) -> Tensor:
    words = Words(case.inputs["word_embs"], case.inputs["pos_onehot"], case.inputs["cap_lens"])
    return model.text_encoder.caption(words)


def built(golden: Golden, frames: int) -> Guo:
    """Our networks with the file's weights, for batches padded to `frames`; its motions are z-scored already."""
    parts = {part: {} for part in official.PARTS}
    for name, tensor in golden.weights.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    tensors = official.to_ours(parts, golden.name)
    assert set(tensors) == set(golden.weights)
    assert official.to_official(tensors) == parts
    config = official.config_of(tensors, official.spec_of(tensors), padded_to=frames)
    check_config(golden, config)
    model = Guo(config)
    buffers = {name: getattr(model, name) for name in ("mean", "std", "vectors")}
    model.load_state_dict({**tensors, **buffers})
    return model.eval()


def check_config(golden: Golden, config: Guo.Config) -> None:
    """The sizes read from the weights are those of the file's config."""
    ours = {
        "dim_pose": config.spec.dims,
        "dim_word": config.word_width,
        "dim_pos_ohot": len(CLASSES),
        "dim_text_hidden": config.text_hidden,
        "dim_motion_hidden": config.motion_hidden,
        "dim_movement_enc_hidden": config.movement_hidden,
        "dim_movement_latent": config.movement_width,
        "dim_coemb_hidden": config.width,
    }
    for name, size in golden.config.items():
        assert name.startswith("_") or ours[name] == size, name
