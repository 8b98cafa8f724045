"""The page as a whole: what it says, that it is safe, that it is the same every time, and what it refuses."""

import base64
import hashlib
import json
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import synthetic_records as synthetic

from casim import cli, record
from reports import build
from reports.archive import pack
from reports.build import compile_report
from reports.marks import marks, notices
from reports.page import page
from reports.pages import Cell, Figure, Player, Table, Verdict, walk
from reports.players import payload
from reports.stored import hashes, stored

HOSTILE = synthetic.HOSTILE
DATA = {"application/json", "application/octet-stream", "application/x-xz"}
"""Types of elements that no browser runs."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.everything(tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def report(root):
    return compile_report(stored([root]))


@pytest.fixture(scope="module")
def html(report, root) -> str:
    found = stored([root])
    return page(report, pack(found), hashes(found))


class Tags(HTMLParser):
    """Collects tags with their attributes, and complains about tags left open."""

    VOID = frozenset({"meta", "br", "img", "link", "image", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def run(*words: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = cli.run(build.main, [str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_sections_stand_in_order(report):
    ids = [section.id for section in report.sections]
    assert ids == [
        "verdict",
        "metrics",
        "backbones",
        "confounds",
        "attention",
        "capacity",
        "encoders",
        "transitions",
        "training",
        "bench",
        "provenance",
    ]


VARYING = ("records",)
"""Tables that name the state of the machine."""


def told(table: Table) -> list[str]:
    """The heading and the rows of a table, each in one line."""
    lines = [[Cell(c.label, c.note) for c in table.columns], *table.rows]
    cells = [
        [c if isinstance(c, str) else f"{c.text} [{c.note}]" if c.note else c.text for c in row] for row in lines
    ]
    return [" | ".join(row).replace("\u00a0", " ") for row in cells]


def shown(player: Player) -> dict:
    """What a player is given: tracks, and where the attention of the mean and of every head lies."""
    heads = [] if player.heads is None else [[h.mean().round(1).item() for h in run] for run in player.heads]
    tracks = [f"{t.name}: {float(np.abs(np.diff(t.joints, axis=0)).mean()):.5f}" for t in player.tracks]
    return {
        "tracks": tracks,
        "seeds": list(player.seeds),
        "heat": round(float(player.heat.mean()), 5),
        "heads": heads,
    }


def page_data(report) -> dict:
    """What the page says, apart from its markup."""
    blocks = [block for section in report.sections for block in walk(section.blocks)]
    verdicts = {v.id: v for section in report.sections for v in section.verdicts}
    return {
        "verdicts": {
            name: {
                "word": v.word,
                "gates": {gate.name: gate.outcome for gate in v.gates},
                "effects": {effect.label: round(effect.value, 3) for effect in v.effects},
            }
            for name, v in verdicts.items()
        },
        "figures": {b.id: told(b.data) if b.data else [] for b in blocks if isinstance(b, Figure)},
        "tables": {b.id: told(b) for b in blocks if isinstance(b, Table) and b.id not in VARYING},
        "players": {b.id: shown(b) for b in blocks if isinstance(b, Player)},
        "notices": list(report.notices),
    }


def test_page_data(report):
    """Golden: on an intended change, write `page_data(report)` to the file and look at the difference."""
    golden = Path(__file__).with_name("page_data.json")
    assert page_data(report) == json.loads(golden.read_text())


def test_differences_name_the_better_arm(report):
    """Of a score of which less is better, the arm with less."""
    tables = [b for s in report.sections for b in walk(s.blocks) if isinstance(b, Table)]
    table = next(t for t in tables if t.id.endswith("-casim-fixed"))
    rows = {row[0]: row for row in table.rows}
    name = next(name for name in rows if "fid" in name.lower())
    assert rows[name][1].startswith("−")
    assert rows[name][3] == "casim"


def test_heads_stand_beside_their_own_motion(report):
    """Trainings are called by their seeds, and the motion of each that has heads is there."""
    player = next(b for s in report.sections for b in walk(s.blocks) if isinstance(b, Player))
    assert player.seeds == (5, 7)
    assert [(track.arm, track.seed) for track in player.tracks] == [
        ("", None),
        ("casim", 5),
        ("casim", 7),
        ("fixed", 5),
    ]
    raw = zlib.decompress(base64.b64decode(payload(player)))
    size = int.from_bytes(raw[:4], "little")
    head, at, arrays = json.loads(raw[4 : 4 + size]), 4 + size, {}
    for name, kind, shape in head["arrays"]:
        arrays[name] = np.frombuffer(raw, kind, int(np.prod(shape)), at).reshape(shape)
        at += -(-arrays[name].nbytes // 4) * 4
    np.testing.assert_array_equal(arrays["heads"], player.heads // 32 * 32)


def test_probes_of_another_version_are_told(tmp_path):
    """Settings that a section needs and a record lacks are named; the page is made all the same."""
    for folder in (synthetic.capacity(tmp_path), synthetic.transitions(tmp_path)):
        item = record.load(folder)
        item.config = {}
        record.save(item, folder)
    text = page(compile_report(stored([tmp_path])))
    assert "lacks its protocol, representations, beside" in text
    assert "lacks its protocol, at_blend, window, cells" in text


def test_real_clips_need_no_other_probe(tmp_path):
    folder = synthetic.probe(tmp_path)
    item = record.load(folder)
    item.results = {"casim/event_rho": record.Measure(value=0.1, interval=(0.0, 0.2), n=9, protocol="p")}
    item.artifacts = {}
    record.save(item, folder)
    figures = [b.id for s in compile_report(stored([tmp_path])).sections for b in s.blocks if isinstance(b, Figure)]
    assert "attention-events0" in figures


def test_the_headline_is_the_record(report, root):
    verdict = next(b for b in walk(report.sections[0].blocks) if isinstance(b, Verdict))
    key = "choreography_casim - choreography_fixed/exact_prompt/held_out/pair"
    measure = record.load(root / "evaluation").results[key]
    assert verdict.effects[0].value == measure.value
    assert verdict.effects[0].interval == measure.interval


def test_same_records_same_bytes(root, html):
    again = subprocess.run(
        [sys.executable, "-m", "reports.build", str(root), "--out", str(root.parent / "again.html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert (root.parent / "again.html").read_bytes() == html.encode()
    assert "MB" in again.stdout
    assert " s\n" in again.stdout


def test_nothing_is_loaded(html):
    found = Tags(html)
    assert not found.open
    for tag, attributes in found.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        if tag == "script":  # the player, which the policy names by its hash, and data that nothing runs
            assert attributes == {} or attributes.get("type") in DATA
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in ("href", "src", "xlink:href"):
                assert (value or "").startswith(("#", "data:text/csv", "data:image/png")), (tag, value)
    running = re.sub(r'<script type="application/[^>]*>[^<]*</script>', "", html)  # base64 holds slashes
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", running)


def test_policy_names_the_style(html):
    style = re.search(r"<style>(.*?)</style>", html, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1).replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    run = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    assert policy.startswith(f"default-src 'none'; script-src {run}; style-src 'sha256-{digest}'; img-src data:")
    assert len(scripts) == 2
    assert all(len(script) <= 15_000 for script in scripts)
    assert "unsafe" not in policy


def test_hostile_text_is_inert(tmp_path):
    for arm in ("casim", "fixed"):
        synthetic.training(tmp_path, arm, 0)
    synthetic.evaluation(tmp_path, text=HOSTILE)
    folder = synthetic.probe(tmp_path, prompts=(HOSTILE, "word " * 2000))
    item = record.load(folder)
    item.argv.append(HOSTILE)
    record.save(item, folder)
    made = page(compile_report(stored([tmp_path])))
    found = Tags(made)
    assert not found.open
    assert "img" not in {tag for tag, _ in found.tags}
    scripts = [attributes for tag, attributes in found.tags if tag == "script"]
    assert all(a == {} or a.get("type") in DATA for a in scripts)
    players = re.findall(r"<script[^>]*data-player[^>]*>(.*?)</script>", made, re.S)
    assert len(players) == 2
    for data in players:
        raw = zlib.decompress(base64.b64decode(data))
        assert json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")])["prompt"]
    summary = re.search(r'id="summary">(.*?)</script>', made, re.S).group(1)
    assert "<" not in summary
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(" in made


def test_headings_never_skip_a_level(html):
    levels = [int(tag[1]) for tag, _ in Tags(html).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_no_torch_is_loaded(root):
    code = (
        "import sys\nfrom pathlib import Path\nfrom reports.build import main\n"
        f"main((Path({str(root)!r}),), Path({str(root.parent / 'light.html')!r}))\n"
        "loaded = [m for m in sys.modules if m.split('.')[0] in ('torch', 'evaluators', 'analysis') "
        "or m.startswith('casim.backbones')]\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_marked_record_is_announced(report):
    assert any("uncommitted code" in notice for notice in report.notices)
    text = page(report)
    assert text.count("uncommitted code") >= 3


def test_changed_weights_are_stale(tmp_path):
    run_folder = synthetic.training(tmp_path, "casim", 0)
    folder = synthetic.evaluation(tmp_path)
    item = record.load(folder)
    name = record.relative(run_folder)
    item.inputs = {name: record.Source(run=name, sha256="1" * 64)}
    record.save(item, folder)
    assert any("Stale" in notice for notice in notices(stored([tmp_path])))
    weights = record.load(run_folder).artifacts["model.safetensors"].sha256
    item.inputs = {name: record.Source(run=name, sha256=weights)}
    record.save(item, folder)
    assert not notices(stored([tmp_path]))


def test_runs_of_several_commits_are_marked(tmp_path):
    folders = [synthetic.training(tmp_path, arm, 0) for arm in ("casim", "fixed")]
    item = record.load(folders[1])
    item.revision.commit = "b" * 40
    record.save(item, folders[1])
    folder = synthetic.evaluation(tmp_path)
    item = record.load(folder)
    for run_folder in folders:
        name = record.relative(run_folder)
        weights = record.load(run_folder).artifacts["model.safetensors"].sha256
        item.inputs[name] = record.Source(run=name, sha256=weights)
    record.save(item, folder)
    found = stored([tmp_path])
    marked = {item.id: [mark.word for mark in marks(item, found)] for item in found}
    assert marked.pop(record.relative(folder)) == ["mixed commits"]
    assert not any(marked.values())
    assert any("different commits" in notice or "written at" in notice for notice in notices(found))


def test_no_records(tmp_path, capsys):
    code, _, err = run(tmp_path, "--out", tmp_path / "r.html", capsys=capsys)
    assert code == 2
    assert "no records below" in err
    assert "make demo" in err
    assert not (tmp_path / "r.html").exists()


def test_a_folder_that_is_not_there(tmp_path, capsys):
    code, _, err = run(tmp_path / "nowhere", "--out", tmp_path / "r.html", capsys=capsys)
    assert code == 2
    assert "nowhere" in err
    assert err.count("\n") == 1


def _truncate(folder: Path) -> None:
    file = folder / record.FILE
    file.write_bytes(file.read_bytes()[:-200])


def _other_version(folder: Path) -> None:
    file = folder / record.FILE
    file.write_text(file.read_text().replace('"version": 1', '"version": "next"'))


def _not_a_number(folder: Path) -> None:
    item = record.load(folder)
    next(iter(item.results.values())).value = float("nan")
    record.save(item, folder)


def _lost_artifact(folder: Path) -> None:
    (folder / "items.csv").unlink()


def _changed_artifact(folder: Path) -> None:
    (folder / "items.csv").write_text("arm\n")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_truncate, "not a record"),
        (_other_version, "not a record of version 1"),
        (_not_a_number, "finite"),
        (_lost_artifact, "lacks its artifact items.csv"),
        (_changed_artifact, "was changed after"),
    ],
)
def test_broken_records_are_refused(spoil, told, tmp_path, capsys):
    spoil(synthetic.evaluation(tmp_path))
    code, _, err = run(tmp_path, "--out", tmp_path / "r.html", capsys=capsys)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("*.html*"))


def test_two_records_with_one_name(tmp_path, capsys):
    for parent in ("a", "b"):
        synthetic.evaluation(tmp_path / parent)
    code, _, err = run(tmp_path, "--out", tmp_path / "r.html", capsys=capsys)
    assert code == 2
    assert "two records are called" in err


def test_a_page_too_large_is_refused(tmp_path, capsys, monkeypatch):
    synthetic.bench(tmp_path)
    monkeypatch.setattr(build, "LIMIT", 1000)
    code, _, err = run(tmp_path, "--out", tmp_path / "r.html", capsys=capsys)
    assert code == 2
    assert "name fewer records" in err
    assert not (tmp_path / "r.html").exists()


def test_out_is_a_folder(tmp_path, capsys):
    synthetic.bench(tmp_path)
    code, _, err = run(tmp_path, "--out", tmp_path, capsys=capsys)
    assert code == 2
    assert "is a folder" in err


def test_map_is_drawn_from_the_arrays(tmp_path):
    folder = synthetic.probe(tmp_path)
    arrays = stored([folder])[0].arrays("arrays.npz")
    report = compile_report(stored([tmp_path]))
    figure = next(b for s in report.sections for b in walk(s.blocks) if getattr(b, "id", "") == "player0").strip
    words = list(arrays["example0/words"])
    assert [row[0] for row in figure.data.rows] == words
    strongest = float(np.argmax(arrays["example0/map"][2])) / 20
    assert figure.data.rows[2][2] == f"{strongest:.2f} s"
