"""`python -m casim.prepare asf_amc FOLDER --out OUT`: Acclaim files, as CMU's database has them, to a folder."""

from functools import cache
from pathlib import Path
from typing import Annotated

from casim.cli import FLAT, Folder
from casim.prepare.acclaim import read_motion, read_skeleton
from casim.prepare.folder import Output, write_folder
from casim.prepare.mocap import Selection, files, read_clips
from casim.prepare.takes import Reading, Take


def asf_amc(
    folder: Folder,
    output: Annotated[Output, FLAT],
    reading: Annotated[Reading, FLAT],
    selection: Annotated[Selection, FLAT],
) -> None:
    """ASF skeletons and AMC motion to a HumanML3D-layout folder.

    Args:
        folder: Folder with .amc files at any depth, each beside its .asf: one of the same name, or the only one.
        output: The folder to make.
        reading: How the files are read.
        selection: Which clips are made of them.
    """
    tagger = output.check()
    skeleton = cache(read_skeleton)

    def read(path: Path) -> Take:
        return read_motion(path, skeleton(_skeleton_of(path)))

    clips, notes = read_clips(files(folder, ".amc"), folder, read, reading, selection)
    sources = {"source": folder, **selection.sources}
    write_folder(clips, output, tagger, sources, {"command": "asf_amc", "notes": notes})


def _skeleton_of(motion: Path) -> Path:
    """The ASF file beside a file of motion."""
    beside = sorted(path for path in motion.parent.iterdir() if path.suffix.lower() == ".asf")
    own = [path for path in beside if path.stem == motion.stem]
    if len(own or beside) != 1:
        raise ValueError(
            f"{motion} needs one .asf file beside it, of its name or the only one; found {len(beside)}"
        )
    return (own or beside)[0]
