from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casim.timeline import Layout, Segment, frames_shown, ramps, read_timeline, segments_of

PARTS = st.integers(0, 13).flatmap(
    lambda h: st.tuples(
        st.lists(st.integers(2 * h + 1, 2 * h + 41), min_size=1, max_size=7).map(tuple),
        st.just(h),
        st.integers(0, 11),
    )
)
"""Lengths, handshake and blend of a layout."""


@given(PARTS)
def test_the_whole_is_shorter_by_the_handshakes(parts: tuple[tuple[int, ...], int, int]) -> None:
    layout = Layout(*parts)
    n = len(layout.lengths)
    assert layout.total == sum(layout.lengths) - (n - 1) * layout.handshake
    assert layout.starts[-1] + layout.lengths[-1] == layout.total
    ends = [start + length for start, length in zip(layout.starts, layout.lengths, strict=True)]
    assert [(start, end) for start, end in zip(layout.starts[1:], ends, strict=False)] == list(layout.seams)


@given(PARTS)
def test_transitions_are_the_handshakes_seen_from_each_segment(parts: tuple[tuple[int, ...], int, int]) -> None:
    """Every handshake is marked in both neighbours; laid out in time the marks are the frames of kind 2."""
    layout = Layout(*parts)
    marks = layout.is_transition()
    assert marks.shape == (len(layout.lengths), max(layout.lengths))
    assert marks.sum() == 2 * (len(layout.lengths) - 1) * layout.handshake
    seen = np.zeros(layout.total, int)
    for row, start, length in zip(marks, layout.starts, layout.lengths, strict=True):
        assert not row[length:].any()
        seen[start : start + length] += row[:length]
    assert set(seen) <= {0, 2}
    assert np.array_equal(seen == 2, layout.kinds() == 2)


@given(PARTS)
def test_blended_frames_lie_beside_handshakes(parts: tuple[tuple[int, ...], int, int]) -> None:
    layout = Layout(*parts)
    kinds = layout.kinds()
    for frame in np.flatnonzero(kinds == 1):
        assert any(a - layout.blend <= frame < b + layout.blend for a, b in layout.seams)
    if layout.blend and len(layout.lengths) > 1 and layout.handshake:
        first = layout.seams[0][0]
        assert kinds[first - 1] == 1


@given(st.lists(st.integers(15, 90), min_size=2, max_size=6), st.integers(0, 14))
def test_segments_are_shown_as_long_as_asked(shown: list[int], handshake: int) -> None:
    layout = Layout.shown(shown, handshake)
    assert layout.total == sum(shown)
    assert np.diff(layout.boundaries).tolist() == shown
    for (first, end), middle in zip(layout.seams, layout.boundaries[1:-1], strict=True):
        assert first <= middle <= end == first + handshake


@given(st.integers(0, 400))
def test_ramps_have_exactly_the_length_asked(blend: int) -> None:
    """Counting with a float step gives 0.85, ..., a last value of 0 or just above it for some lengths."""
    before, behind = ramps(blend)
    assert len(before) == len(behind) == blend
    if blend:
        assert (before[0], behind[0]) == (pytest.approx(0.85), 0.0)
        assert 0 < before[-1] <= 0.85
        assert np.allclose(np.diff(before), -0.85 / blend)
        assert np.allclose(np.diff(behind), 0.85 / blend)


def test_a_float_step_would_be_one_too_long() -> None:
    """The reason why the ramps are counted: this is how the authors' are made."""
    assert any(len(np.arange(0.85, 0, -0.85 / blend)) != blend for blend in range(2, 100))
    assert all(len(ramps(blend)[0]) == blend for blend in range(2, 100))


@pytest.mark.parametrize(
    ("lengths", "handshake", "message"),
    [
        ((30, 20), 20, "handshake of 20 frames is not shorter than segment 2 of 20 frames"),
        ((30, 0), 0, "segment 2 is shorter than one frame"),
        ((30, 31), -1, "count frames, got -1 and 0"),
    ],
)
def test_impossible_layouts(lengths: tuple[int, ...], handshake: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout(lengths, handshake)
    assert Layout((5,), 20).total == 5  # a single segment has no handshake


def test_rounding_does_not_add_up() -> None:
    parts = [Segment("a", 0.125)] * 7
    assert sum(frames_shown(parts, 20.0)) == round(7 * 0.125 * 20)


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    files = {
        "a.json": '[{"text": "walk, then stop", "start": 0, "end": 3}, {"text": "wave", "start": 3, "end": 5.5}]',
        "b.json": '[{"text": "walk, then stop", "seconds": 3}, {"text": " wave ", "seconds": 2.5}]',
        "c.csv": 'text,start,end\n"walk, then stop",0,3\nwave,3,5.5\n',
        "d.csv": '\ufeffseconds,text\n3,"walk, then stop"\n2.5,wave\n',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        parts = read_timeline(tmp_path / name)
        assert parts == [Segment("walk, then stop", 3.0), Segment("wave", 2.5)], name


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "[1, 2]", "list of objects"),
        ("a.json", "{}", "list of objects"),
        ("a.json", "[", "Expecting value"),
        ("a.txt", "walk", "is .json or .csv, got '.txt'"),
        ("a.csv", "text,start\nwalk,0\n", "segment 1 has text, start; it wants text and seconds"),
        ("a.csv", "text,seconds\nwalk,3,4\n", "segment 1 has text, seconds, None"),
        ("a.csv", "text,seconds\nwalk\n", "seconds of segment 1 must be seconds, 0 or more, got None"),
    ],
)
def test_files_that_are_no_timeline(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_timeline(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 3), (2, 5)], "segment 2 starts at 2 s and overlaps the one before, until 3 s"),
        ([(3, 5), (0, 3)], "nothing is said from 0 to 3 s"),
        ([(0, 3), (4, 5)], "nothing is said from 3 to 4 s: segment 2 must start there"),
        ([(0, 3), (3, 3)], "segment 2 ends at 3 s, not behind its start"),
        ([(-1, 3)], "start of segment 1 must be seconds, 0 or more, got -1"),
        ([(0, "soon")], "end of segment 1 must be seconds, 0 or more, got 'soon'"),
        ([(0, True)], "end of segment 1 must be seconds"),
        ([(0, float("inf"))], "end of segment 1 must be seconds"),
    ],
)
def test_times_follow_each_other(rows: list[tuple[object, object]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segments_of([{"text": "walk", "start": start, "end": end} for start, end in rows])


def test_a_segment_says_something() -> None:
    for text in ("", "  ", None, 3):
        with pytest.raises(ValueError, match="segment 1 has no text"):
            segments_of([{"text": text, "seconds": 1}])
