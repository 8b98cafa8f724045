"""Records inside a page come back; two sets of records side by side; several reports in an index."""

import re
from pathlib import Path

import numpy as np
import pytest
import synthetic_records as synthetic

from casim import cli
from reports import build
from reports.archive import load, pack
from reports.build import compile_report
from reports.comparison import compare
from reports.page import page
from reports.pages import Table, walk
from reports.stored import stored


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.everything(tmp_path_factory.mktemp("all"))


def run(*words: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = cli.run(build.main, [str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_records_and_arrays_come_back(root, tmp_path):
    found = stored([root])
    (tmp_path / "r.html").write_text(page(compile_report(found), pack(found)))
    back = load(tmp_path / "r.html")
    assert [*back] == [item.id for item in found]
    for item in found:
        assert back[item.id].record == item.record
        for name, arrays in back[item.id].arrays.items():
            own = item.arrays(name)
            assert set(arrays) == set(own)
            for key, values in own.items():
                np.testing.assert_array_equal(arrays[key], values)
    assert any(loaded.arrays for loaded in back.values())


def test_pages_without_records_or_with_others_give_nothing_back(root, tmp_path):
    (tmp_path / "plain.html").write_text("<p>no report</p>")
    with pytest.raises(ValueError, match="holds no records"):
        load(tmp_path / "plain.html")
    made = page(compile_report(stored([root])), pack(stored([root])))
    (tmp_path / "other.html").write_text(re.sub(r'data-sha256="..', 'data-sha256="00', made))
    with pytest.raises(ValueError, match="were changed after it was built"):
        load(tmp_path / "other.html")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.html")


def test_two_sets_side_by_side(tmp_path, capsys):
    for name, gain in (("a", 1.0), ("b", 1.2)):
        synthetic.confounds(tmp_path / name, gain=gain)
        synthetic.bench(tmp_path / name)
    synthetic.transitions(tmp_path / "b")
    out = tmp_path / "compared.html"
    code, printed, err = run("--compare", tmp_path / "a", tmp_path / "b", "--out", out, capsys=capsys)
    assert code == 0, err
    assert "5 records" in printed
    made = out.read_text()
    report = compare(stored([tmp_path / "a"]), stored([tmp_path / "b"]), ("a", "b"))
    table = next(b for b in walk(report.sections[0].blocks) if isinstance(b, Table))
    rows = {row[0].text: row[1:] for row in table.rows}
    assert rows["features"][:3] == ("equal to the last digit", rows["features"][1], "0")
    assert rows["confound"][0] == "numbers differ"
    assert rows["transitions"][0] == "only in b"
    numbers = next(
        b for s in report.sections for b in walk(s.blocks) if isinstance(b, Table) and b.id.startswith("numbers")
    )
    assert all(row[3] != "+0" for row in numbers.rows)
    assert made.count("<table>") == 2
    code, _, err = run("--compare", tmp_path / "a", tmp_path / "b", tmp_path / "a", "--out", out, capsys=capsys)
    assert code == 2
    (tmp_path / "c").mkdir()
    synthetic.bench(tmp_path / "c", "elsewhere")
    code, _, err = run("--compare", tmp_path / "a", tmp_path / "c", "--out", out, capsys=capsys)
    assert code == 2
    assert "has the name of one of" in err


def test_an_index_of_reports(root, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        found = stored([root])
        (tmp_path / "sub" / f"{name}.html").write_text(page(compile_report(found), b"", len(found)))
    pages = sorted((tmp_path / "sub").glob("*.html"))
    code, printed, err = run(*pages, "--out", tmp_path / "index.html", capsys=capsys)
    assert code == 0, err
    assert "2 reports" in printed
    made = (tmp_path / "index.html").read_text()
    assert '<a href="sub/one.html">one.html</a>' in made
    assert "Does token-level injection help on this benchmark?" in made
    (tmp_path / "other.html").write_text("<p>hello</p>")
    code, _, err = run(tmp_path / "other.html", "--out", tmp_path / "i2.html", capsys=capsys)
    assert code == 2
    assert "is no report" in err
