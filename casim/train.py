"""`python -m casim.train RECIPE`: trains a model, resumes exactly, saves and exits cleanly when stopped."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from rich.console import Console

from casim import checkpoint, cli, record
from casim.checkpoint import STATE
from casim.motion_codec import with_first_stage
from casim.recipes import CONFOUNDS, FACTORS, RECIPES, Recipe, Training, named
from casim.setups import Setup
from casim.trainer import Trainer

SWAPS = (
    "--data, --text, --injection, --backbone or --codec NAME puts another plugin in the place of the recipe's own."
)


FIRST_STAGE = "--first-stage"
STAGES = f"{FIRST_STAGE} RUN names the run of the codec that the backbone works behind."


@dataclass(frozen=True)
class Options:
    """Where and how to run, as opposed to what."""

    out: Path | None = None
    """Run folder; default runs/RECIPE_seedSEED."""
    resume: bool = False
    """Continue the run in the folder from its last checkpoint, bit for bit."""
    overwrite: bool = False
    """Delete the run in the folder and start again; a folder that holds no run is refused."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the accelerator, if there is one."""
    threads: int = 0
    """CPU threads; 0: as torch decides. Small models gain little from several, and where other processes want the
    cores too, one thread is many times faster. Results are bit-identical for equal numbers of threads."""


def command(argv: Sequence[str] | None = None) -> int:
    """The command line: a recipe's name, then options and overrides of any of its fields; gives the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        Console().print(_overview(), soft_wrap=True, highlight=False)
        return 0 if argv else 2
    return cli.guarded(lambda: train(*parse(argv)))


def _overview() -> str:
    shown = [name for name in RECIPES if not name.startswith(tuple(CONFOUNDS))]
    rows = "\n".join(f"  [bold]{name}[/]  {named(name).about.splitlines()[0]}" for name in shown)
    families = "\n".join(f"  [bold]{p}_{FACTORS[0].name} ... {p}_{FACTORS[-1].name}[/]" for p in CONFOUNDS)
    return (
        "usage: python -m casim.train RECIPE [--out FOLDER] [--resume] [--training.seed N] ...\n"
        f"       python -m casim.train RECIPE --help   lists every field with its default\n\n{SWAPS}\n"
        f"\nrecipes:\n{rows}\n"
        f"\nfour-factor ablation, {len(FACTORS)} cells each (python -m casim.suite trains them):\n{families}"
    )


def parse(argv: Sequence[str]) -> tuple[Recipe, Options]:
    """The recipe with its overrides, and the options, that a command line asks for.

    Raises:
        ValueError: no such recipe or plugin.
    """
    recipe, argv = _swapped(named(argv[0]), argv[1:])

    def given(
        options: Annotated[Options, tyro.conf.arg(name="")],
        setup: Annotated[Any, tyro.conf.arg(name="")] = recipe.setup,
        training: Training = recipe.training,
    ) -> tuple[Recipe, Options]:
        return Recipe(recipe.name, recipe.about, setup, training), options

    given.__doc__ = f"{recipe.about}\n\n{SWAPS}\n\n{STAGES}"
    return tyro.cli(given, args=argv, prog=f"python -m casim.train {recipe.name}")


def _swapped(recipe: Recipe, argv: Sequence[str]) -> tuple[Recipe, list[str]]:
    """The recipe with the plugins that flags like `--backbone NAME` name, and the arguments without these flags.

    Read before all others, because the plugin decides which fields there are to override.
    """
    setup, rest, words = recipe.setup, [], iter(argv)
    for word in words:
        flag, has_value, name = word.partition("=")
        part = flag.removeprefix("--")
        if flag == FIRST_STAGE and isinstance(setup, Setup):
            run = name if has_value else next(words, "")
            setup = replace(setup, first_stage=replace(setup.first_stage, run=run))
        elif flag.startswith("--") and part in setup.parts:
            setup = setup.with_plugin(part, name if has_value else next(words, ""))
        else:
            rest.append(word)
    return replace(recipe, setup=setup), rest


def train(recipe: Recipe, options: Options) -> int:
    """Trains `recipe`; gives 0 when done and 130 when stopped by a signal.

    Raises:
        FileNotFoundError: the recipe's first stage has not been trained.
        ValueError: the folder holds another run, or the config changed since the checkpoint.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    if isinstance(recipe.setup, Setup):
        _check_stage(recipe.setup.first_stage.run)
        recipe = replace(recipe, setup=with_first_stage(recipe.setup))
    folder = options.out or Path("runs") / f"{recipe.name}_seed{recipe.training.seed}"
    is_first = os.environ.get("RANK", "0") == "0"
    if is_first:  # the others would see what the first has written already
        _check_folder(folder, recipe, options)
    with cli.if_stopped("nothing was saved" if not options.resume else f"{folder} is as it was"):
        trainer = Trainer(recipe, folder, is_cpu=options.device == "cpu")
        if options.resume:
            trainer.load_state()
    if options.overwrite and not options.resume and is_first and folder.exists():
        shutil.rmtree(folder)  # only now: whatever wrong input can spoil has been built
    return trainer.run()


def _check_stage(run: str) -> None:
    """Where a first stage is called as its recipe's training calls it, says how to train it."""
    recipe, _, seed = run.rpartition("_seed")
    if recipe not in RECIPES or run in checkpoint.runs() or Path(run).exists():
        return
    more = "" if seed == str(named(recipe).training.seed) else f" --training.seed {seed}"
    raise FileNotFoundError(
        f"the first stage {run} is missing; train it: python -m casim.train {recipe}{more}, or name another run of "
        f"its codec: {FIRST_STAGE} RUN"
    )


def _check_folder(folder: Path, recipe: Recipe, options: Options) -> None:
    has_state = (folder / STATE).exists()
    if options.resume:
        if not has_state:
            raise FileNotFoundError(f"nothing to resume in {folder}: it has no {STATE}; leave --resume out")
        _check_same(folder, recipe)
    elif options.overwrite:
        record.check_replaceable(folder, "train")
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; use --resume, --overwrite or another --out")


def _check_same(folder: Path, recipe: Recipe) -> None:
    saved = checkpoint.load_config(folder)
    try:
        changed = differences(saved, recipe.to_json())
    except ValueError as error:
        raise ValueError(f"{folder / checkpoint.CONFIG}: {error}") from error
    if changed:
        raise ValueError(f"cannot resume with another config: {changed}; use the old value or another --out")


def differences(saved: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """What a saved config has otherwise than `config`, in words; empty if nothing.

    What is newer than the saved config counts as its default, with which the run was trained.

    Raises:
        ValueError: the saved config is none of a run.
    """
    own, before = _flat(config), _flat(Recipe.from_json(saved).to_json())
    differing = [key for key in own if own[key] != before.get(key)]
    if not differing:
        return ""
    key = differing[0]
    return f"{key} was {before.get(key)!r} and is now {own[key]!r} ({len(differing)} fields differ)"


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        inner = (_flat(value, f"{prefix}.{key}" if prefix else key) for key, value in values.items())
        return {key: value for part in inner for key, value in part.items()}
    return {prefix: list(values) if isinstance(values, tuple) else values}


if __name__ == "__main__":
    sys.exit(command())
