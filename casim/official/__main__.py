"""`python -m casim.official SYSTEM FILE --out RUN`: the authors' checkpoints as runs, and back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from torch import Tensor, nn

from casim import checkpoint, cli, plugins, record
from casim.data.humanml3d import HumanML3D
from casim.data.kit import Kit
from casim.features import FeatureSpec
from casim.official import _files as files
from casim.official import casim_mdm, mdm
from casim.official._systems import SYSTEMS, Parts, System
from casim.recipes import Training
from casim.setups import FirstStage, Setup

DEAD = "official_dead.safetensors"
"""Tensors of a checkpoint that no computation uses, kept for a way back that gives the same file."""
DATASETS: dict[int, Callable[[], Any]] = {263: HumanML3D.Config, 251: Kit.Config}
EXPORTS = {"mdm": mdm, "casim_mdm": casim_mdm}
FileArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]


def _command(name: str, system: System) -> Callable[..., None]:
    def convert(
        file: FileArgument,
        out: Path,
        second: Path | None = None,
        statistics: Path | None = None,
        text_weights: str = "",
        set: Annotated[tuple[str, ...], cli.APPEND] = (),
        average: bool = False,
    ) -> None:
        """Makes a run of a checkpoint.

        Args:
            file: The authors' checkpoint; an args.json beside it is honoured.
            out: Folder of the run; must be empty or missing.
            second: Second file of systems that have two (T2M-GPT: its VQ-VAE, CoMo: its decoder).
            statistics: Folder with Mean.npy and Std.npy of the features; default: that of FILE.
            text_weights: Hub name or folder of the text encoder; default: the published one.
            set: What the weights do not say, as NAME=VALUE; may be given several times.
            average: Take the moving average of the weights, where the file holds one.
        """
        console = Console(soft_wrap=True, highlight=False)
        _convert(name, system, file, out, second, statistics, text_weights, set, average, console)

    known = ", ".join(f"{key}={value}" for key, value in system.defaults.items())
    told = cleandoc(convert.__doc__ or "").partition("\n")[2]
    about = f"{system.about} Makes a run of a checkpoint."
    convert.__doc__ = f"{about}\n\nKnown to --set, with the published values: {known}.\n{told}"
    return convert


def _convert(
    name: str,
    system: System,
    file: Path,
    out: Path,
    second: Path | None,
    statistics: Path | None,
    text_weights: str,
    given: Sequence[str],
    average: bool,
    console: Console,
) -> None:
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty; give another --out")
    if bool(system.second) != (second is not None):
        wanted = (
            f"needs its {system.second} too: --second FILE" if system.second else "has one file: leave out --second"
        )
        raise ValueError(f"{name} {wanted}")
    tensors = files.read_weights(file, use_average=average)
    more = files.read_weights(second) if second else {}
    settings, assumed = settled(system, files.read_args(file), given)
    try:
        parts = system.build(tensors, more, settings)
    except KeyError as error:
        raise ValueError(f"{file} lacks {error.args[0]!r}; is it a checkpoint of {name}?") from error
    if text_weights:
        parts = replace(parts, text=replace(parts.text, weights=text_weights))
    mean, std = files.read_statistics(statistics or file.parent, parts.feats)
    data = _data(parts.feats)
    source = record.sha256(file)
    _write(name, parts, data, mean, std, out, source)
    for line in (*assumed, *(f"dead in the authors' model, left out: {dead}" for dead in parts.dead)):
        console.print(line, markup=False)
    console.print(f"run: {out}", markup=False)


def settled(system: System, args: Mapping[str, Any], given: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Settings of a checkpoint, and in words those that were assumed.

    Raises:
        ValueError: an unknown name, or a value of another type.
    """
    told = {name: value for name, value in system.from_args(args).items() if name in system.defaults}
    for word in given:
        name, has_value, value = word.partition("=")
        if name not in system.defaults or not has_value:
            raise ValueError(
                f"--set {word}: give NAME=VALUE; " + plugins.closest("setting", name, list(system.defaults))
            )
        told[name] = _typed(name, value, system.defaults[name])
    assumed = [
        f"assumed (no args.json and no tensor tells): {name}={value}; other: --set {name}=VALUE"
        for name, value in system.defaults.items()
        if name not in told
    ]
    return {**system.defaults, **told}, assumed


def _typed(name: str, value: str, like: Any) -> Any:
    kind = type(like)
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise ValueError(f"--set {name}={value}: true or false")
        return value.lower() == "true"
    try:
        return kind(value)
    except ValueError as error:
        raise ValueError(f"--set {name}={value}: a {kind.__name__} is wanted, like {like}") from error


def _data(feats: int) -> Any:
    """The data set whose features have so many columns.

    Raises:
        ValueError: none has.
    """
    if feats not in DATASETS:
        known = " and ".join(f"{width}" for width in DATASETS)
        raise ValueError(f"the model's frames have {feats} features; data sets here have {known}")
    return DATASETS[feats]()


def _write(name: str, parts: Parts, data: Any, mean: Any, std: Any, out: Path, source: str) -> None:
    """Checks that the tensors are exactly those of the model, and writes the run."""
    spec: FeatureSpec = data.spec
    modules = nn.ModuleDict()
    space: Any = spec.dims
    if parts.codec is not None:
        modules["codec"] = plugins.build(parts.codec, spec, mean, std)
        space = modules["codec"].space
    modules["backbone"] = plugins.build(parts.backbone, space)
    width: Any = modules["backbone"].condition_width
    modules["injection"] = plugins.owner(parts.injection)(parts.injection, parts.text_width, width)
    checkpoint.load_into(modules, parts.tensors, f"the checkpoint of {name}")
    stage = FirstStage(f"official_{name}", source, parts.codec) if parts.codec is not None else FirstStage()
    setup = Setup(data, parts.text, parts.injection, parts.backbone, parts.sampling, stage)
    config = {"recipe": f"official_{name}", "training": asdict(Training(seed=0)), **setup.to_json()}
    config |= {"spec": asdict(spec), "max_frames": data.max_frames, "official": {"system": name, "sha256": source}}
    tensors = {**modules.state_dict(), "mean": torch.from_numpy(mean), "std": torch.from_numpy(std)}
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.save_tensors(out / checkpoint.WEIGHTS, tensors)
    if parts.dead:
        checkpoint.save_tensors(out / DEAD, parts.dead)
    checkpoint.save_config(out, config)  # last: a folder with a config is a run


def export(run: cli.Run, out: Path) -> None:
    """Writes a run of MDM or CASIM-MDM in the authors' layout, which their strict loader takes.

    Args:
        run: Folder or name of the run.
        out: File to write.
    """
    folder = checkpoint.find_run(run)
    config = checkpoint.load_config(folder)
    system = config.get("official", {}).get("system") or _own_system(config)
    if system not in EXPORTS:
        raise ValueError(f"{run} is {system}; only MDM and CASIM-MDM have a layout to go back to")
    tensors = checkpoint.load_tensors(folder / checkpoint.WEIGHTS)
    ours = {name: tensor for name, tensor in tensors.items() if name.startswith(("backbone.", "injection."))}
    dead: dict[str, Tensor] = {}
    if (folder / DEAD).exists():
        dead = checkpoint.load_tensors(folder / DEAD)
    official = casim_mdm.to_official(ours, dead) if system == "casim_mdm" else mdm.to_official(ours)
    temporary = out.with_name(f".{out.name}.tmp")
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(official, temporary)
    temporary.replace(out)
    Console(soft_wrap=True).print(f"{len(official)} tensors: {out}", markup=False, highlight=False)


def _own_system(config: Mapping[str, Any]) -> str:
    """The system whose layout a run of our own has."""
    kind, injection = (config.get(part, {}).get("plugin") for part in ("backbone", "injection"))
    if kind not in ("mdm_encoder", "mdm_decoder"):
        return str(kind)
    return "casim_mdm" if injection == "casim" else "mdm"


COMMANDS = {name: _command(name, system) for name, system in SYSTEMS.items()} | {"export": export}
"""The sub-commands by name."""

if __name__ == "__main__":
    cli.main_exit(COMMANDS)
