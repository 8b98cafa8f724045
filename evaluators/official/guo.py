"""The authors' weights of the evaluator of Guo et al. <-> ours.

Source: EricGuo5513/text-to-motion (facts only). The file text_mot_match/model/finest.tar is a pickled dict of three
state dicts, whose tensors have the same names in ours, beside the epoch and states of optimisers, which are not
read. It holds neither statistics nor word vectors: they come in folders of their own.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from casim import checkpoint, cli, record
from casim.features import FeatureSpec
from casim.skeleton import SKELETONS
from evaluators import embedder
from evaluators.embed.guo import AUTHORS, Guo
from evaluators.glove import read as read_vectors
from evaluators.words import CLASSES, WordLists, read_lists

PARTS = ("text_encoder", "movement_encoder", "motion_encoder")
RELEASED_STD = {
    22: (0.00051467, 0.00067693, 0.00612082, 0.12255538, 0.30038649, 0.01954057, 0.01409494),
    21: (0.00099157, 1.17277, 4.58643, 93.6202, 0.342471, 29.1116, 0.00526644),
}
"""Deviations in the statistics that the released weights want, one for each of `FeatureSpec.groups`."""

File = Annotated[Path, cli.POSITIONAL]


def main(file: File, *, meta: Path, glove: Path, out: Path, lists: Path | None = None) -> None:
    """The authors' HumanML3D or KIT evaluator as an embedder of ours.

    Args:
        file: finest.tar of the text-motion matching network.
        meta: folder with mean.npy and std.npy of the evaluator (not those that generators are trained with).
        glove: folder with our_vab_data.npy, our_vab_words.pkl and our_vab_idx.pkl.
        out: folder of the embedder and its record.
        lists: JSON file with the authors' five lists of words (Loc_VIP, Body_VIP, Obj_VIP, Act_VIP, Desc_VIP);
            without it our own lists stand in, and numbers are not comparable with published ones.
    """
    converted = convert(file, meta, glove, WordLists() if lists is None else read_lists(lists))
    options = {"system": "guo", "origin": converted.config.origin, "caveat": converted.caveat}
    written = record.begin("prepare", "evaluator_guo", options, threads=torch.get_num_threads())
    with record.opened(written, out):
        for name, path in {"weights": file, "statistics": meta, "glove": glove, "lists": lists}.items():
            if path is not None:
                written.inputs[name] = record.Source(run=record.relative(path), sha256=record.sha256(path))
        embedder.save(converted, out, half=False)
        record.attach(written, out, out / checkpoint.WEIGHTS, out / checkpoint.CONFIG)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{out}: evaluator of {converted.spec.joints} joints, {converted.read} features read")
    if converted.caveat:
        console.print(f"[yellow]caveat:[/] {converted.caveat}")


def convert(file: Path, meta: Path, words: Path, lists: WordLists) -> Guo:
    """Ours from the authors' files.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file holds something else, or the weights and the statistics are of different data sets.
    """
    tensors = to_ours(read(file), str(file))
    spec = spec_of(tensors)
    mean, std = (_statistics(meta / name, spec) for name in ("mean.npy", "std.npy"))
    if not (std > 0).all():
        raise ValueError(f"{meta / 'std.npy'} holds values that are not positive")
    vectors = read_vectors(words)
    origin = AUTHORS
    if difference := other_statistics(std, spec):
        origin = f"the authors' weights with other statistics than theirs ({difference})"
    config = config_of(tensors, spec, vocabulary=vectors.words, lists=lists, origin=origin)
    if vectors.vectors.shape[1] != config.word_width:
        raise ValueError(
            f"{words} has vectors of {vectors.vectors.shape[1]} numbers, {file} reads {config.word_width}"
        )
    ours = Guo(config)
    buffers = {"mean": mean, "std": std, "vectors": torch.from_numpy(vectors.vectors)}
    checkpoint.load_into(ours, {**tensors, **buffers}, str(file))
    return ours.requires_grad_(False).eval()


def read(file: Path) -> Mapping[str, Any]:
    """The dict in the authors' file; nothing in it is run.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no file of tensors.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}; the weights are text_mot_match/model/finest.tar of the release")
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{file} is refused, only tensors and plain values are read: {reason}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds a {type(found).__name__}, expected a dict with {', '.join(PARTS)}")
    return found


def to_ours(found: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Our names of the tensors of the three parts.

    Raises:
        ValueError: a part is missing, or is no dict of tensors.
    """
    ours: dict[str, Tensor] = {}
    for part in PARTS:
        tensors = found.get(part)
        if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
            raise ValueError(f"{source} has no weights called {part!r}; it must hold {', '.join(PARTS)}")
        ours |= {f"{part}.{name}": tensor for name, tensor in tensors.items()}
    return ours


def to_official(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The three state dicts of the authors' file, from ours; statistics and word vectors are no part of it."""
    return {
        part: {n.removeprefix(f"{part}."): t for n, t in tensors.items() if n.startswith(f"{part}.")}
        for part in PARTS
    }


def spec_of(tensors: Mapping[str, Tensor]) -> FeatureSpec:
    """The features that the weights read.

    Raises:
        ValueError: they are neither HumanML3D's nor KIT's.
    """
    read = _shape(tensors, "movement_encoder.main.0.weight", 3)[1]
    specs = [FeatureSpec(joints, skeleton.fps) for joints, skeleton in SKELETONS.items()]
    for spec in specs:
        if read == spec.dims - 4:
            return spec
    known = " or ".join(f"{spec.dims - 4} ({spec.joints} joints)" for spec in specs)
    raise ValueError(f"the movement encoder reads {read} features, known are {known}; is it this evaluator?")


def config_of(tensors: Mapping[str, Tensor], spec: FeatureSpec, **given: Any) -> Guo.Config:
    """The config under which ours computes what the authors' networks compute; `given` are its other fields.

    Raises:
        ValueError: a tensor that tells a size is missing, or the classes of words are not ours.
    """
    word_width, classes = _shape(tensors, "text_encoder.pos_emb.weight", 2)
    if classes != len(CLASSES):
        raise ValueError(f"the text encoder knows {classes} classes of words, ours are {len(CLASSES)}")
    movement_width, movement_hidden, _ = _shape(tensors, "movement_encoder.main.3.weight", 3)
    return Guo.Config(
        spec=spec,
        word_width=word_width,
        text_hidden=_shape(tensors, "text_encoder.hidden", 3)[2],
        movement_hidden=movement_hidden,
        movement_width=movement_width,
        motion_hidden=_shape(tensors, "motion_encoder.hidden", 3)[2],
        width=_shape(tensors, "motion_encoder.output_net.3.weight", 2)[0],
        **given,
    )


def other_statistics(std: Float[Tensor, " feats"], spec: FeatureSpec) -> str:
    """Where deviations differ by more than 2 % from those that the released weights want; empty if nowhere."""
    wanted = dict(zip(spec.groups, RELEASED_STD[spec.joints], strict=True))
    found = {name: float(std[columns].mean()) for name, columns in spec.groups.items()}
    wrong = [name for name in wanted if abs(found[name] / wanted[name] - 1) > 0.02]
    return ", ".join(f"deviation of {name} {found[name]:.4g}, theirs {wanted[name]:.4g}" for name in wrong)


def _shape(tensors: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    if name not in tensors or tensors[name].ndim != axes:
        raise ValueError(f"the weights have no {name!r} of {axes} axes; is it the evaluator of Guo et al.?")
    return tuple(tensors[name].shape)


def _statistics(path: Path, spec: FeatureSpec) -> Float[Tensor, " feats"]:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; --meta names the folder of the evaluator's mean.npy and std.npy")
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no array file: {error}") from None
    if values.shape != (spec.dims,) or not np.isfinite(values).all():
        raise ValueError(
            f"{path} is {values.shape}, but these weights read {spec.dims} features ({spec.joints} joints); take "
            "the statistics and the weights of one data set"
        )
    return torch.from_numpy(values.astype(np.float32))
