import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casim.export.gif import CAPTIONS, LEFT, RIGHT, Camera, Caption, write_gif
from casim.skeleton import SKELETONS

SMALL = Camera(size=120)


def _standing(frames: int, count: int = 22) -> np.ndarray:
    """A person with stretched arms who drifts forward."""
    skeleton, pose = SKELETONS[count], np.zeros((count, 3))
    for chain in skeleton.chains:
        for parent, joint in pairwise(chain):
            pose[joint] = pose[parent] + 0.2 * skeleton.rest_directions[joint]
    joints = np.repeat(pose[None], frames, 0)
    joints[..., 2] += 0.03 * np.arange(frames)[:, None]
    return joints


def _count(image: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.abs(np.asarray(image.convert("RGB"), int) - colour).max(-1) < 40).sum())


@pytest.mark.parametrize(("fps", "total"), [(20.0, 650), (12.5, 1040), (30.0, 430)])
def test_frames_last_as_long_as_the_motion(tmp_path: Path, fps: float, total: int) -> None:
    write_gif(tmp_path / "clip.gif", [_standing(13)], fps, text="a person walks", camera=SMALL)
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 13
        assert image.info["loop"] == 0
        times = []
        for frame in range(13):
            image.seek(frame)
            times.append(image.info["duration"])
    assert sum(times) - 600 == total


def test_sides_have_their_colours_and_places(tmp_path: Path) -> None:
    """The camera stands before the figure: its left is on the right of the picture."""
    write_gif(tmp_path / "clip.gif", [_standing(3)], 20.0, camera=SMALL)
    with Image.open(tmp_path / "clip.gif") as image:
        pixels = np.asarray(image.convert("RGB"), int)[30:]  # below the legend
    middle = [np.flatnonzero((np.abs(pixels - c).max(-1) < 40).any(0)).mean() for c in (LEFT, RIGHT)]
    assert middle[0] > middle[1]


def test_motions_stand_side_by_side_and_the_shorter_one_holds(tmp_path: Path) -> None:
    write_gif(
        tmp_path / "two.gif", [_standing(5), _standing(11, 21)], 20.0, labels=["fixed", "casim"], camera=SMALL
    )
    with Image.open(tmp_path / "two.gif") as image:
        assert (image.n_frames, image.width) == (11, 240)
        for frame in (0, 10):
            image.seek(frame)
            for box in ((0, 0, 120, image.height), (120, 50, 240, image.height)):
                assert _count(image.crop(box), LEFT) > 20
        held = []
        for frame in (4, 10):
            image.seek(frame)
            held.append(np.asarray(image.convert("RGB").crop((0, 50, 120, image.height - 20)), int))
    assert np.abs(held[0] - held[1]).max() < 40


def test_a_long_prompt_wraps_and_any_script_is_drawn(tmp_path: Path) -> None:
    heights = []
    for text in ("", "jump", "un homme marche très lentement — человек идёт " * 3):
        write_gif(tmp_path / "clip.gif", [_standing(1)], 20.0, text=text, camera=SMALL)
        with Image.open(tmp_path / "clip.gif") as image:
            heights.append(image.height)
    assert heights[0] < heights[1] < heights[2]


def test_a_hundred_frames_take_less_than_three_seconds(tmp_path: Path) -> None:
    start = time.process_time()
    write_gif(tmp_path / "clip.gif", [_standing(100)], 20.0, text="a person walks")
    assert time.process_time() - start < 3


def test_bad_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clip to draw"):
        write_gif(tmp_path / "clip.gif", [], 20.0)
    with pytest.raises(ValueError, match="1 labels for 2 clips"):
        write_gif(tmp_path / "clip.gif", [_standing(2)] * 2, 20.0, labels=["one"])
    assert list(tmp_path.iterdir()) == []


def test_captions_take_turns_in_their_colours(tmp_path: Path) -> None:
    """Each is written above the figure while it is shown; the time line has all colours all the time."""
    captions = [Caption("a person walks", 4), Caption("waves", 9), Caption("sits down", 13), Caption("again", 14)]
    write_gif(tmp_path / "clip.gif", [_standing(14)], 20.0, text=captions, camera=SMALL)
    ends = [caption.end for caption in captions]
    with Image.open(tmp_path / "clip.gif") as image:
        for frame in range(14):
            image.seek(frame)
            page = image.convert("RGB")
            top, line = page.crop((0, 0, page.width, 30)), page.crop((0, page.height - 16, page.width, page.height))
            shown = CAPTIONS[sum(end <= frame for end in ends) % 3]
            assert _count(top, shown) > 20, frame
            assert all(_count(top, colour) == 0 for colour in CAPTIONS if colour != shown), frame
            assert all(_count(line, colour) > 5 for colour in CAPTIONS), frame


@pytest.mark.parametrize("ends", [(3,), (5, 3, 13), (4, 4, 13), (0, 13), (4, 14), ()])
def test_captions_must_follow_each_other_to_the_end(tmp_path: Path, ends: tuple[int, ...]) -> None:
    captions = [Caption("walk", end) for end in ends]
    with pytest.raises(ValueError, match="must follow each other to the end, 13"):
        write_gif(tmp_path / "clip.gif", [_standing(13)], 20.0, text=captions, camera=SMALL)
    assert not list(tmp_path.iterdir())
