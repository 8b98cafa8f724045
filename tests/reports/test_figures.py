"""Drawings are clean SVG: themed, without styles, outside references or repeated ids."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reports.charts import Dot, DotChart, DotSeries, Line, LineChart, thinned
from reports.figures import COLOURS
from reports.heat import WordMap, word_map

HOSTILE = "<script>alert('x')</script> \" & $x^2$"


def dots(label: str = "a") -> DotChart:
    series = tuple(DotSeries(f"s{k}", (Dot(0.1 * k, (0.0, 0.4), (0.05, 0.2)), None, Dot(0.3)), k) for k in range(3))
    return DotChart("c", "Title", (label, "b", "c"), series, "share", reference=0.0)


def test_svg_is_clean():
    figure = dots(HOSTILE).figure()
    for svg in (figure.wide, figure.narrow):
        assert "<style" not in svg
        assert "style=" not in svg
        assert "http" not in svg
        assert "<script" not in svg
        assert "&lt;script&gt;" in svg
        assert "font-family" not in svg
        assert not [colour for colour in COLOURS.values() if f'"{colour}"' in svg]
        assert 'fill="var(--ink)"' in svg
        for used in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg):
            assert svg.count(f'id="{used[0] or used[1]}"') == 1


def test_wide_and_narrow_share_no_id():
    figure = dots().figure()
    ids = [re.findall(r'\bid="([^"]+)"', svg) for svg in (figure.wide, figure.narrow)]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])


def test_drawing_twice_gives_the_same():
    assert dots().figure() == dots().figure()


def test_numbers_of_a_chart_are_all_there():
    data = dots().figure().data
    assert len(data.rows) == 6
    assert data.rows[0][3].replace("\u00a0", " ") == "0.000 to 0.400"


def test_lines_are_drawn_with_bands_and_logs():
    line = Line("a", (1.0, 2.0, 3.0), (1.0, 0.5, 0.1), (0.9, 0.4, 0.05), (1.1, 0.6, 0.2))
    figure = LineChart("l", "T", (line, line), "step", "loss", is_log=True, is_reversed=True).figure()
    assert "var(--c1)" in figure.wide
    assert "goes from 1 to 0.1" in figure.text


@given(st.integers(1, 1000), st.integers(2, 200))
def test_thinned_keeps_the_ends(count, most):
    xs = tuple(float(i) for i in range(count))
    kept = thinned(Line("a", xs, xs), most)
    assert kept.xs[0] == xs[0]
    assert kept.xs[-1] == xs[-1]
    assert len(kept.xs) <= most + 1
    assert kept.xs == kept.ys


@given(st.integers(1, 7), st.integers(2, 41), st.integers(0, 5))
def test_word_map_has_a_row_per_word(words, frames, seed):
    rng = np.random.default_rng(seed)
    what = WordMap(
        tuple(f"w{k}" for k in range(words)),
        rng.random((words, frames)).astype(np.float32),
        np.zeros(words, dtype=np.int64),
        np.full(words, frames),
        tuple(k % 2 == 0 for k in range(words)),
        20.0,
        rng.random((frames, 22, 3)).astype(np.float32),
    )
    for svg in word_map("m", HOSTILE, what):
        assert "<script" not in svg
        assert svg.count("<mask") == 1
        assert len(re.findall(r">w\d+</text>", svg)) == words
        assert svg.count('rx="2"') == (words + 1) // 2


def test_an_empty_map_does_not_divide_by_zero():
    what = WordMap(("a",), np.zeros((1, 3), np.float32), np.zeros(1, np.int64), np.ones(1, np.int64), (True,), 20.0)
    assert "NaN" not in word_map("m", "l", what)[0]
