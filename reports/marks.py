"""What a reader must know before trusting a record: uncommitted code, mixed commits, changed weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.stored import Stored, of_kind
from reports.words import listed

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Mark:
    """A warning on a record."""

    word: str
    detail: str


def marks(item: Stored, records: Sequence[Stored]) -> tuple[Mark, ...]:
    """The warnings on one record, seen among all others."""
    entry, found = item.record, []
    if entry.status != "done":
        found.append(Mark(entry.status, entry.error or "its command did not finish; nothing is taken from it"))
    if entry.revision.dirty:
        found.append(Mark("uncommitted code", "the source differed from the commit named, so it cannot be rebuilt"))
    if entry.revision.commit == "unknown":
        found.append(Mark("commit unknown", "written outside a git checkout"))
    trained = _trainings(item, records)
    commits = sorted({run.record.revision.commit[:8] for run in trained})
    if len(commits) > 1:
        found.append(Mark("mixed commits", f"the runs compared were trained at {listed(commits)}"))
    changed = [run.id for run in trained if not _same_weights(item, run)]
    if changed:
        found.append(Mark("stale", f"the weights of {listed(changed)} changed after this record was written"))
    return tuple(found)


def notices(records: Sequence[Stored]) -> tuple[str, ...]:
    """The warnings for the head of the page."""
    found = []
    dirty = [item.id for item in records if item.record.revision.dirty]
    if dirty:
        verb = "comes" if len(dirty) == 1 else "come"
        found.append(
            f"{len(dirty)} of the {len(records)} records {verb} from uncommitted code; Provenance marks which."
        )
    commits = sorted({item.record.revision.commit[:8] for item in records})
    if len(commits) > 1:
        shown = listed(commits) if len(commits) <= 4 else f"{len(commits)} different commits"
        found.append(f"The records were written at {shown}; Provenance marks comparisons that mix them.")
    stale = [item.id for item in records if any(mark.word == "stale" for mark in marks(item, records))]
    if stale:
        found.append(f"Stale: {listed(stale)} used weights that have changed since; run its command again.")
    return tuple(found)


def _trainings(item: Stored, records: Sequence[Stored]) -> list[Stored]:
    """The training records of the runs that a record read."""
    named = {source.run.removesuffix(f"/{WEIGHTS}") for source in item.record.inputs.values()}
    return [run for run in of_kind(records, "train") if run.id in named]


def _same_weights(item: Stored, run: Stored) -> bool:
    own = run.record.artifacts.get(WEIGHTS)
    used = [s.sha256 for s in item.record.inputs.values() if s.run.removesuffix(f"/{WEIGHTS}") == run.id]
    return own is None or own.sha256 in used
