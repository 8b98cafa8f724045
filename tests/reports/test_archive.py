"""Records inside a page come back; two sets of records side by side; several reports in an index."""

import re
from pathlib import Path

import numpy as np
import pytest
import synthetic_records as synthetic

from casim import cli, record
from reports import build
from reports.archive import element, load, pack
from reports.build import compile_report
from reports.comparison import compare
from reports.index import changed
from reports.page import page
from reports.pages import Table, walk
from reports.stored import hashes, stored


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
    report = compare(stored([tmp_path / "a"]), stored([tmp_path / "b"]), (tmp_path / "a", tmp_path / "b"))
    table = next(b for b in walk(report.sections[0].blocks) if isinstance(b, Table))
    rows = {row[0].text: row[1:] for row in table.rows}
    count = len(record.load(tmp_path / "a" / "features").results)
    assert rows["features"] == ("equal to the last digit", str(count), "0", "0")
    assert rows["confound"][0] == "numbers differ"
    assert rows["transitions"][0] == f"only in {tmp_path / 'b'}"
    numbers = next(
        b for s in report.sections for b in walk(s.blocks) if isinstance(b, Table) and b.id.startswith("numbers")
    )
    before, after = (record.load(tmp_path / name / "confound").results for name in ("a", "b"))
    for key, one, other, difference, apart, *_ in numbers.rows:
        a, b = before[key], after[key]
        assert (one.text, other.text) == tuple(f"{m.value:.4g}".replace("-", "−") for m in (a, b))
        assert float(difference.replace("−", "-")) == pytest.approx(b.value - a.value, rel=1e-3)
        is_apart = a.interval and b.interval and (a.interval[1] < b.interval[0] or b.interval[1] < a.interval[0])
        assert getattr(apart, "text", apart) == ("yes" if is_apart else "no")
    assert made.count("<table>") == 2
    code, _, err = run("--compare", tmp_path / "a", tmp_path / "b", tmp_path / "a", "--out", out, capsys=capsys)
    assert code == 2
    (tmp_path / "c").mkdir()
    synthetic.bench(tmp_path / "c", "elsewhere")
    code, _, err = run("--compare", tmp_path / "a", tmp_path / "c", "--out", out, capsys=capsys)
    assert code == 2
    assert "lies at the place of one of" in err


def test_only_equal_places_are_compared(tmp_path, capsys, monkeypatch):
    """Records of one name in two folders of a set stay apart; two single records pair whatever they are called."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        for cell in ("x", "y"):
            synthetic.bench(tmp_path / name / cell)
    item = record.load(tmp_path / "b" / "y" / "features")
    key = next(iter(item.results))
    item.results[key].n = 7
    record.save(item, tmp_path / "b" / "y" / "features")
    failed = record.load(tmp_path / "b" / "x" / "features")
    failed.status, failed.results = "failed", {}
    record.save(failed, tmp_path / "b" / "x" / "features")
    roots = tmp_path / "a", tmp_path / "b"
    report = compare(stored([roots[0]]), stored([roots[1]]), roots)
    table = next(b for b in walk(report.sections[0].blocks) if isinstance(b, Table))
    rows = {row[0].text: row[1:] for row in table.rows}
    assert rows["y/features"][::2] == ("numbers differ", "1")
    assert rows["x/features"][0] == "done against failed"
    synthetic.bench(tmp_path / "c", "alone")
    single = (tmp_path / "a" / "x" / "features", tmp_path / "c" / "alone")
    code, _, err = run("--compare", *single, "--out", tmp_path / "one.html", capsys=capsys)
    assert code == 0, err


def test_an_index_of_reports(root, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        found = stored([root])
        (tmp_path / "sub" / f"{name}#1.html").write_text(page(compile_report(found), b"", hashes(found)))
    pages = sorted((tmp_path / "sub").glob("*.html"))
    code, printed, err = run(*pages, "--out", tmp_path / "index.html", capsys=capsys)
    assert code == 0, err
    assert "2 reports" in printed
    made = (tmp_path / "index.html").read_text()
    assert '<a href="./sub/one%231.html">one#1.html</a>' in made
    assert "Does token-level injection help on this benchmark?" in made
    (tmp_path / "other.html").write_text("<p>hello</p>")
    code, _, err = run(tmp_path / "other.html", "--out", tmp_path / "i2.html", capsys=capsys)
    assert code == 2
    assert "is no report" in err
    code, _, err = run(*pages, "--out", pages[0], capsys=capsys)
    assert code == 2
    assert "is one of the files to read" in err
    broken = re.sub(r'id="summary">.*?<', 'id="summary">{"title": 1}<', pages[0].read_text(), count=1)
    pages[0].write_text(broken)
    code, _, err = run(pages[0], "--out", tmp_path / "i2.html", capsys=capsys)
    assert code == 2
    assert f"{pages[0]} was built by another version" in err


def test_a_report_whose_records_changed_is_stale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = synthetic.bench(tmp_path / "results")
    held = hashes(stored([Path("results")]))
    assert changed(held) == ([], 0)
    assert changed({**held, "elsewhere": "0"}) == ([], 1)
    item = record.load(folder)
    next(iter(item.results.values())).value += 1
    record.save(item, folder)
    assert changed(held) == ([record.relative(folder)], 0)


def test_what_is_packed(tmp_path):
    """Arrays in folders of their own come back; sampled motions stay out; nothing outside a folder is read."""
    folder = synthetic.bench(tmp_path / "one", "a")
    item = record.load(folder)
    (folder / "sub").mkdir()
    np.savez(folder / "sub" / "x.npz", x=np.arange(3))
    digest = record.sha256(folder / "sub" / "x.npz")
    item.artifacts = {"sub/x.npz": record.Artifact(path="sub/x.npz", sha256=digest)}
    record.save(item, folder)
    (tmp_path / "r.html").write_text(element(pack(stored([tmp_path]))))
    (back,) = load(tmp_path / "r.html").values()
    assert back.arrays["sub/x.npz"]["x"].tolist() == [0, 1, 2]
    item.kind = "sample"
    record.save(item, folder)
    (tmp_path / "r.html").write_text(element(pack(stored([tmp_path]))))
    assert not next(iter(load(tmp_path / "r.html").values())).arrays
    np.savez(tmp_path / "secret.npz", x=np.arange(3))
    digest = record.sha256(tmp_path / "secret.npz")
    item.kind, path = "probe", "../../secret.npz"
    item.artifacts = {path: record.Artifact(path=path, sha256=digest)}
    record.save(item, folder)
    with pytest.raises(ValueError, match="outside its folder"):
        pack(stored([tmp_path]))
