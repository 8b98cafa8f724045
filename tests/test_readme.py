"""Every command of the README runs; training is cut to a few steps, real data replaced by moving bodies."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
MAKEFILE = README.parent / "Makefile"
SHORTER = {
    "casim.train": "--training.steps 3 --training.batch-size 2 --training.checkpoint-every 3 --device cpu",
    "casim.bench": "--clips 2 --frames 40 --repeats 1",
    "evaluators.run": "--samples 13 --splits test",
    "analysis.attention_probe": "",
    "analysis.transition_probe": "--samples 9 --sequences 3",
}
"""What is added to a command so that it takes seconds."""
MINUTES = {"analysis.capacity_probe"}
"""Trains a grid; run on toy models by the contract test of probes."""


def commands() -> list[str]:
    text = README.read_text()
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)).splitlines()
    inline = re.findall(r"`(python -m [^`]+)`", text)
    lines = [line.split("#")[0].strip() for line in (*blocks, *inline)]
    return [line for line in dict.fromkeys(lines) if line.startswith("python")]


def test_the_readme_is_short_and_has_commands() -> None:
    assert len(README.read_text().splitlines()) <= 200
    assert len(commands()) >= 8


def test_what_commands_write_is_ignored() -> None:
    ignored = (README.parent / ".gitignore").read_text().split()
    written = {word for line in commands() for word in re.findall(r"--out (\S+)", line)}
    assert "samples_long" in written
    tops = {Path(path).parts[0] for path in written if not path.startswith("/")}
    assert not [top for top in tops if not {f"/{top}/", f"/{top}"} & set(ignored)]


def test_make_gives_every_command_one_thread() -> None:
    commands = re.findall(r"^\t.*\$\(BIN\)/python -m .*$", MAKEFILE.read_text(), re.M)
    assert len(commands) >= 5
    assert all("$(ONE_THREAD)" in command for command in commands)


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    from bodies import write_joint_folder

    write_joint_folder(tmp_path / "FOLDER")
    for line in commands():
        words = shlex.split(line)
        module = words[2]
        if module in MINUTES:
            continue
        argv = [sys.executable, *words[1:], *shlex.split(SHORTER.get(module, "") if "--help" not in words else "")]
        done = subprocess.run(
            argv,
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
