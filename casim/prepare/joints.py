"""`python -m casim.prepare joints FOLDER ... --out OUT`: joint positions with captions or labels to a folder."""

from pathlib import Path
from typing import Annotated

from casim.cli import FLAT, Folders
from casim.prepare.clips import JointClip
from casim.prepare.folder import Output, write_folder
from casim.prepare.joint_folder import read_joint_folder
from casim.prepare.templates import read_templates


def joints(
    folders: Folders,
    output: Annotated[Output, FLAT],
    *,
    templates: str = "",
) -> None:
    """Joint arrays and captions to a HumanML3D-layout folder.

    A FOLDER holds one .npz (or one .npy per clip) with arrays [frames, joints, 3] by clip id: 22 joints in metres
    at 20 fps (or KIT's 21 in millimetres at 12.5 fps), y up, +x the person's left when facing +z; and index.json
    with "clips": [{"id", "captions", "tokens", "split", "content", "style"}], of which only "id" is needed.

    Args:
        folders: Folders with joint arrays and index.json; several become one, their ids must differ.
        output: The folder to make.
        templates: Captions for clips that have a content and a style but no captions: a JSON file of phrases, or
            the name of a built-in one (bandai). Without it such clips stay without captions.
    """
    tagger = output.check()
    table = read_templates(templates) if templates else None
    clips = _merged([(folder, read_joint_folder(folder, table)) for folder in folders])
    many = len(folders) > 1
    sources = {f"source_{number}" if many else "source": folder for number, folder in enumerate(folders, 1)}
    said = f"{Path(templates).stem}: {table.about}" if table else ""
    write_folder(clips, output, tagger, sources, {"command": "joints", "templates": said})


def _merged(folders: list[tuple[Path, list[JointClip]]]) -> list[JointClip]:
    """The clips of all folders, which must have different ids and one skeleton."""
    if not folders:
        raise ValueError("no FOLDER to read; give at least one")
    owner: dict[str, Path] = {}
    for folder, clips in folders:
        for clip in clips:
            for name in (clip.name, f"M{clip.name}", clip.name.removeprefix("M")):
                if name in owner:
                    raise ValueError(
                        f"clip id {clip.name} of {folder} clashes with {name} of {owner[name]}; rename one"
                    )
        owner |= {clip.name: folder for clip in clips}
    kinds = {clips[0].joints.shape[1]: folder for folder, clips in folders}
    if len(kinds) > 1:
        said = " and ".join(f"{folder} has {joints}" for joints, folder in sorted(kinds.items()))
        raise ValueError(f"the folders have skeletons of different numbers of joints: {said}; prepare them apart")
    return [clip for _, clips in folders for clip in clips]
