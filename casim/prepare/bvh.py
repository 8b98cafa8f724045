"""`python -m casim.prepare bvh FOLDER --out OUT`: BVH files of motion capture to a folder."""

from pathlib import Path
from typing import Annotated

from casim.cli import FLAT, Folder
from casim.prepare.folder import Output, write_folder
from casim.prepare.mocap import Selection, files, read_clips
from casim.prepare.takes import Reading, Take


def bvh(
    folder: Folder,
    output: Annotated[Output, FLAT],
    reading: Annotated[Reading, FLAT],
    selection: Annotated[Selection, FLAT],
) -> None:
    """BVH files to a HumanML3D-layout folder.

    Skeletons of CMU's database as cgspeed converted it, of MotionBuilder, Mixamo, Xsens, Daz and others are known
    by their joint names. Needs pip install "casim[prepare]".

    Args:
        folder: Folder with .bvh files, at any depth.
        output: The folder to make.
        reading: How the files are read.
        selection: Which clips are made of them.
    """
    tagger = output.check()
    clips, notes = read_clips(files(folder, ".bvh"), folder, read_bvh, reading, selection)
    sources = {"source": folder, **selection.sources}
    write_folder(clips, output, tagger, sources, {"command": "bvh", "notes": notes})


def read_bvh(path: Path) -> Take:
    """The motion in a BVH file.

    Raises:
        ValueError: the file is broken or has no frames, or pybvh is not installed.
    """
    try:
        from pybvh import read_bvh_file
    except ImportError:
        raise ValueError('reading BVH files needs pybvh: pip install "casim[prepare]"') from None
    try:
        found = read_bvh_file(path, world_up="+y")
        names = tuple(name.replace("EndSite", "end of ", 1) for name in found.node_index)
        return Take(names, found.node_positions(), found.fps)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
