"""Run records: the only thing the project writes for others to read. One JSON file per run, no torch."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

VERSION = 1
FILE = "record.json"
PACKAGES = ("casim", "torch", "transformers", "diffusers", "accelerate", "numpy", "scipy", "safetensors")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Measure(_Strict):
    """One number with what is needed to judge it."""

    value: float
    interval: tuple[float, float] | None = None
    """Lower and upper end of a 95 % interval."""
    n: int | None = None
    """Independent items behind the number."""
    unit: str = ""
    higher_is_better: bool | None = None
    protocol: str = ""
    """The protocol in words: split, samples, guidance, resampling."""


class Revision(_Strict):
    """State of the source tree."""

    commit: str = "unknown"
    dirty: bool = False


class Source(_Strict):
    """Something a run read: another run or a data folder, by relative name and content hash."""

    run: str
    sha256: str


class Artifact(_Strict):
    """A file beside the record."""

    path: str
    sha256: str


class RunRecord(_Strict):
    """What was run, from what, with what result."""

    version: int = VERSION
    kind: str
    """train, sample, evaluate, probe, bench, prepare."""
    name: str
    status: Literal["running", "done", "failed", "interrupted"] = "running"
    argv: list[str] = []
    config: dict[str, Any] = {}
    seed: int | None = None
    revision: Revision = Revision()
    packages: dict[str, str] = {}
    device: str = "cpu"
    threads: int | None = None
    started: str = ""
    finished: str = ""
    inputs: dict[str, Source] = {}
    results: dict[str, Measure] = {}
    artifacts: dict[str, Artifact] = {}
    error: str = ""


def sha256(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names, as hex."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def relative(path: Path | str) -> str:
    """A path without host, user or absolute part: below `$CASIM_DATA`, the package or the working folder."""
    path = Path(path).resolve()
    roots = {
        "$CASIM_DATA": os.environ.get("CASIM_DATA"),
        "casim": str(Path(__file__).parent),
        "": str(Path.cwd()),
    }
    for name, root in roots.items():
        if root and path.is_relative_to(Path(root).resolve()):
            return (Path(name) / path.relative_to(Path(root).resolve())).as_posix()
    return path.name


def write_atomic(path: Path, data: bytes) -> None:
    """Writes `data` under a temporary name, then renames: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say which file did not fit
        raise
    finally:
        temporary.unlink(missing_ok=True)


def claim(folder: Path, kind: str) -> None:
    """Refuses a folder whose record another command wrote: a record of `kind` there would replace it.

    Raises:
        NotADirectoryError: it is a file.
        ValueError: it holds a record of another kind.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; --out wants a folder")
    if (folder / FILE).exists() and (other := load(folder).kind) != kind:
        raise ValueError(f"{folder} holds the record of another command ({other}); give --out another folder")


def check_replaceable(folder: Path, kind: str) -> None:
    """Refuses to delete a folder with `--overwrite` unless it is empty, missing, or what `kind` once wrote.

    Raises:
        NotADirectoryError: it is a file.
        ValueError: it holds something else.
    """
    claim(folder, kind)
    if folder.exists() and any(folder.iterdir()) and not (folder / FILE).exists():
        raise ValueError(
            f"--overwrite would delete {folder}, which has no {FILE} and is not what {kind} wrote; "
            "give --out another folder, or empty it yourself"
        )


def save(record: RunRecord, folder: Path) -> Path:
    """Writes `folder/record.json` atomically; gives its path."""
    write_atomic(folder / FILE, dump(record))
    return folder / FILE


def dump(record: RunRecord) -> bytes:
    """The text of a record: keys in order, one line for every result."""
    data = record.model_dump()
    results = data["results"]
    lines = [f"  {json.dumps(key)}: {json.dumps(results[key], sort_keys=True)}" for key in sorted(results)]
    data["results"] = {}
    whole = json.dumps(data, indent=1, sort_keys=True)
    if lines:  # no other key of a record has this name at this depth
        whole = whole.replace('\n "results": {}', '\n "results": {\n' + ",\n".join(lines) + "\n }", 1)
    return (whole + "\n").encode()


def load(path: Path) -> RunRecord:
    """The record in a file or folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a record of this version.
    """
    file = path / FILE if path.is_dir() else path
    if not file.exists():
        raise FileNotFoundError(f"no record at {path} (expected {FILE})")
    return parse(file.read_bytes(), str(file))


def parse(data: bytes, where: str) -> RunRecord:
    """The record in these bytes, which come from `where`.

    Raises:
        ValueError: it is not a record of this version.
    """
    try:
        return RunRecord.model_validate_json(data)
    except ValueError as error:
        raise ValueError(f"{where} is not a record of version {VERSION}: {str(error).splitlines()[0]}") from error


def find(*roots: Path) -> list[tuple[Path, RunRecord]]:
    """All records below the roots, as (folder, record), sorted by folder."""
    files = sorted({file for root in roots for file in ([root] if root.is_file() else root.rglob(FILE))})
    return [(file.parent, load(file)) for file in files]


def begin(
    kind: str,
    name: str,
    config: Mapping[str, Any],
    *,
    seed: int | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> RunRecord:
    """A record with status "running" and the provenance of this process filled in; paths become relative names."""
    return RunRecord(
        kind=kind,
        name=name,
        argv=_argv(),
        config={name: without_host(value) for name, value in config.items()},
        seed=seed,
        revision=_revision(),
        packages={"python": platform.python_version()} | {p: v for p in PACKAGES if (v := _installed(p))},
        device=device,
        threads=threads,
        started=_now(),
    )


@contextmanager
def opened(record: RunRecord, folder: Path) -> Iterator[RunRecord]:
    """Writes the record at start and again at the end, so that a crash leaves a record with its error.

    Raises:
        ValueError: the folder holds a record of another kind (`claim`).
    """
    claim(folder, record.kind)
    save(record, folder)
    try:
        yield record
        record.status = "done" if record.status == "running" else record.status
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        record.status = "interrupted" if stopped else "failed"
        record.error = "".join(traceback.format_exception_only(error)).strip()
        raise
    finally:
        record.finished = _now()
        save(record, folder)


def attach(record: RunRecord, folder: Path, *files: Path) -> None:
    """Lists files below the record's folder as its artifacts, with their hashes."""
    for file in files:
        path = file.relative_to(folder).as_posix()
        record.artifacts[path] = Artifact(path=path, sha256=sha256(file))


def _argv() -> list[str]:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    head = ["python", "-m", spec.name.removesuffix(".__main__")] if spec else ["python", Path(sys.argv[0]).name]
    return head + [_argument(word) for word in sys.argv[1:]]


def _argument(word: str) -> str:
    """A word of the command line with its path, alone or behind "--flag=", as a relative name."""
    flag, has_value, value = word.partition("=")
    return f"{flag}={without_host(value)}" if has_value and flag.startswith("--") else without_host(word)


def without_host(value: Any) -> Any:
    """A value of a config with every absolute path in it as a relative name."""
    if isinstance(value, Mapping):
        return {name: without_host(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_host(inner) for inner in value]
    return relative(value) if isinstance(value, str) and value.startswith("/") else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _revision() -> Revision:
    def git(*words: str) -> str:
        run = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    try:
        return Revision(commit=git("rev-parse", "HEAD"), dirty=bool(git("status", "--porcelain", "-uno")))
    except (OSError, subprocess.CalledProcessError):
        return Revision()
