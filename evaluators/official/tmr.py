"""The authors' TMR weights <-> ours: names, sizes, and the command that makes an embedder of them.

Source: Mathux/TMR (MIT). Weights are three files, one per network; what they do not say (number of heads) is an
option. The statistics of the features are files of their own, `mean.pt` and `std.pt`.
"""

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from casim import checkpoint, cli, plugins, record
from casim.official import mdm
from casim.text.minilm import MiniLM
from evaluators.actor import ActorConfig
from evaluators.embed.tmr import Tmr, spec_of

FILES = ("motion_encoder", "text_encoder", "motion_decoder")
"""Names of the files without `.pt`, and first part of the names of their tensors here."""
STATISTICS = (("mean.pt", "std.pt"), ("Mean.npy", "Std.npy"))
"""Files of the statistics; the first pair that is there is read."""
NAMES = {
    "motion_encoder.projection": "frames.embed",
    "text_encoder.projection": "words",
    "motion_decoder.final_layer": "frames.unembed",
}
"""Official module -> ours, outside the blocks; the learned tokens have the same name."""
TOKENS = ("motion_encoder.tokens", "text_encoder.tokens")
DISTILBERT = "distilbert"


def main(folder: cli.Folder, *, stats: Path, text: str, out: Path, heads: int = 4) -> None:
    """Makes an embedder of the authors' TMR weights.

    Args:
        folder: folder with motion_encoder.pt, text_encoder.pt and motion_decoder.pt.
        stats: folder with the statistics of TMR's features: mean.pt and std.pt, or Mean.npy and Std.npy.
        text: folder, or hub name, of DistilBERT-base-uncased.
        out: folder of the embedder.
        heads: attention heads of the networks.
    """
    tmr = converted(folder, stats, text, heads)
    described = plugins.describe(tmr.config)
    written = record.begin("prepare", out.name, {"command": "tmr", "text_sha256": tmr.encoder.identity()})
    for name, place in {"weights": folder, "statistics": stats}.items():
        written.inputs[name] = record.Source(run=record.relative(place), sha256=record.sha256(place))
    with record.opened(written, out):
        checkpoint.save_config(out, {"embedder": described})
        checkpoint.save_tensors(out / checkpoint.WEIGHTS, tmr.state_dict())  # float32, as they were
        record.attach(written, out, out / checkpoint.WEIGHTS, out / checkpoint.CONFIG)
    print(f"embedder: {out}")


def converted(folder: Path, stats: Path, text: str, heads: int = 4) -> Tmr:
    """The embedder with the weights of a folder of the authors' files.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or not TMR's, or the text encoder is not of the kind that the weights read.
    """
    tensors = {f"{name}.{key}": t for name in FILES for key, t in _state(folder / f"{name}.pt").items()}
    ours = {f"network.{name}": tensor for name, tensor in to_ours(tensors).items()}
    tmr = Tmr(config_of(tensors, plugins.describe(_distilbert(text)), heads))
    if tmr.encoder.width != text_width_of(tensors):
        raise ValueError(
            f"{text} gives states of width {tmr.encoder.width}, the weights read {text_width_of(tensors)}; "
            "give DistilBERT-base-uncased"
        )
    checkpoint.load_into(tmr, ours | _statistics(stats), str(folder))
    return tmr.eval()


def to_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors, their names led by that of their file, under the names of our `Network`.

    Raises:
        ValueError: a tensor that has no place in our model.
    """
    ours: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found = _our_name(name)
        if found is None:
            raise ValueError(f"unknown tensor {name!r} in the authors' weights; are these files TMR's?")
        ours[found] = tensor
    return ours


def to_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of our `Network` under the official names.

    Raises:
        ValueError: a tensor that the authors' model has no place for.
    """
    official: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found = _official_name(name)
        if found is None:
            raise ValueError(f"{name!r} has no counterpart in the authors' model")
        official[found] = tensor
    return official


def config_of(tensors: Mapping[str, Tensor], text: Mapping[str, Any], heads: int = 4) -> Tmr.Config:
    """The config of the authors' weights.

    Raises:
        ValueError: features of no known skeleton, or a tensor is missing.
    """
    sizes, slots = sizes_of(tensors, heads), len(_named(tensors, "motion_encoder.tokens"))
    spec = spec_of(_named(tensors, "motion_encoder.projection.weight").shape[1])
    return Tmr.Config(text, spec, sizes, is_variational=slots == 2, is_official=True)


def sizes_of(tensors: Mapping[str, Tensor], heads: int = 4) -> ActorConfig:
    """Width, layers and ff of the official tensors.

    Raises:
        ValueError: these are no networks of TMR.
    """
    found = (re.match(r"motion_encoder\.seqTransEncoder\.layers\.(\d+)\.", name) for name in tensors)
    layers = {int(match[1]) for match in found if match}
    if not layers:
        raise ValueError("motion_encoder.pt holds no seqTransEncoder layers; is it TMR's?")
    first = _named(tensors, "motion_encoder.seqTransEncoder.layers.0.linear1.weight")
    return ActorConfig(width=first.shape[1], layers=max(layers) + 1, heads=heads, ff=first.shape[0])


def text_width_of(tensors: Mapping[str, Tensor]) -> int:
    """Width of the token states that the official text encoder reads."""
    return _named(tensors, "text_encoder.projection.weight").shape[1]


def _named(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise ValueError(f"the authors' weights lack {name}; give all three files of one model")
    return tensors[name]


def _our_name(name: str) -> str | None:
    if name in TOKENS:
        return name
    module, _, leaf = name.rpartition(".")
    if module in NAMES:
        return f"{NAMES[module]}.{leaf}"
    network, _, rest = name.partition(".")
    found = mdm.our_name(rest) if network in FILES and rest.startswith("seqTrans") else None
    return None if found is None else f"{network}.{found.removeprefix('backbone.')}"


def _official_name(name: str) -> str | None:
    if name in TOKENS:
        return name
    module, _, leaf = name.rpartition(".")
    outside = {ours: theirs for theirs, ours in NAMES.items()}
    if module in outside:
        return f"{outside[module]}.{leaf}"
    network, _, rest = name.partition(".")
    found = mdm.official_name(f"backbone.{rest}", is_decoder=network == "motion_decoder")
    return None if found is None or network not in FILES else f"{network}.{found}"


def _state(path: Path) -> dict[str, Tensor]:
    found = _load(path)
    if not isinstance(found, Mapping) or not all(isinstance(t, Tensor) for t in found.values()):
        raise ValueError(f"{path} holds no state dict; give the folder that TMR's extraction wrote")
    return dict(found)


def _statistics(folder: Path) -> dict[str, Float[Tensor, " feats"]]:
    for names in STATISTICS:
        paths = [folder / name for name in names]
        if all(path.is_file() for path in paths):
            mean, std = (torch.as_tensor(_load(path)).float() for path in paths)
            return {"mean": mean, "std": std}
    raise FileNotFoundError(f"{folder} has neither mean.pt and std.pt nor Mean.npy and Std.npy")


def _load(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is damaged, or holds more than tensors: {str(error).splitlines()[0]}") from None


def _distilbert(text: str) -> MiniLM.Config:
    """The config of the text encoder, which must be of the authors' kind."""
    config = MiniLM.Config(weights=text)
    found = json.loads((MiniLM(config).folder / "config.json").read_bytes()).get("model_type")
    if found != DISTILBERT:
        raise ValueError(f"{text} holds a {found!r}; the authors' weights read a distilbert (base, uncased)")
    return config
