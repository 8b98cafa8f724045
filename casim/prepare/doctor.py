"""`python -m casim.prepare doctor FOLDER`: what is wrong with a folder of HumanML3D's layout, and what helps."""

from collections import Counter
from pathlib import Path

from rich.console import Console

from casim import record as records
from casim.cli import Folder
from casim.prepare.checks import findings
from casim.prepare.inventory import take_inventory


def doctor(folder: Folder, *, out: Path | None = None) -> int:
    """Checks a folder of HumanML3D's or KIT's layout: one line per finding, with what helps.

    The exit code is 1 if there is an error, which training would stumble over or learn from, and 0 otherwise.

    Args:
        folder: Folder with new_joint_vecs/, texts/, lists of ids, Mean.npy and Std.npy.
        out: Folder for a record of the findings.
    """
    record = records.begin("prepare", "doctor", {"command": "doctor", "folder": records.relative(folder)})
    inventory = take_inventory(folder)
    found = findings(inventory)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for finding in found:
        console.print(f"{finding.severity:<8}{finding.kind}: {finding.what}; {finding.remedy}")
    severities = Counter(finding.severity for finding in found)
    counted = ", ".join(f"{severities[name]} {name}s" for name in ("error", "warning", "note"))
    verdict = "unhealthy" if severities["error"] else "healthy"
    motions = f"{len(inventory.frames)} motions, {sum(inventory.frames.values())} frames"
    console.print(f"{folder}: {verdict}: {motions}, {len(inventory.texts)} caption files; {counted}")
    if out:
        with records.opened(record, out):
            record.config["findings"] = [f"{f.severity} {f.kind}: {f.what}" for f in found]
            kinds = Counter(finding.kind for finding in found)
            record.results |= {kind: records.Measure(value=count) for kind, count in kinds.items()}
            record.results["motions"] = records.Measure(value=len(inventory.frames))
    return int(bool(severities["error"]))
