"""Captions from labels: the built-in table fits its data and survives mirroring; broken tables are refused."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bodies import moving

from casim import cli, record
from casim.mirror import mirror_text
from casim.prepare.__main__ import COMMANDS
from casim.prepare.clips import drawn_splits
from casim.prepare.templates import BUILT_IN, Templates, read_templates

TABLE = {
    "about": "a test",
    "persons": ["a person", "someone"],
    "captions": [["{person} {does}"], ["{who} is {doing} {how}"]],
    "contents": {"wave-left": [["waves the left hand", "waving the left hand"]], "nod": [["nods", "nodding"]]},
    "styles": {"calm": {"who": ["a calm person"], "how": ["calmly"]}},
    "corrections": {"clip_7": "wave-left"},
}
BANDAI = read_templates("bandai")


def sided(text: str) -> set[str]:
    return set(re.findall(r"\b(?:left|right)\b", text))


def test_captions_are_filled_in() -> None:
    table = Templates.model_validate(TABLE)
    first, second = table.of("clip_1", "nod", "calm")
    assert first.text in ("a person nods", "someone nods")
    assert second.text == "a calm person is nodding calmly"
    assert table.of("clip_7", "nod", "calm")[1].text == "a calm person is waving the left hand calmly"
    assert {table.of(f"x{i}", "nod", "calm")[0].text for i in range(30)} == {"a person nods", "someone nods"}


def test_captions_depend_on_the_id_alone() -> None:
    for name in ("a", "dataset-2_walk_active_001"):
        assert BANDAI.of(name, "walk", "active") == read_templates("bandai").of(name, "walk", "active")


@pytest.mark.parametrize("content", BANDAI.contents)
def test_built_in_phrases(content: str) -> None:
    """Both forms of a phrase name the side of the content, and no side where it has none."""
    word = content.split("-")[-2] if content.endswith(("hand", "hands")) else content.rpartition("-")[2]
    for does, doing in BANDAI.contents[content]:
        if word in ("left", "right"):
            assert sided(does) == sided(doing) == {word}
        assert sided(does) == sided(doing)
        assert does.split()[0].endswith("s")
        assert doing.split()[0].endswith("ing")
    assert len(BANDAI.contents[content]) >= 3


def test_styles_say_nothing_of_sides() -> None:
    """Mirroring would exchange them."""
    for style in BANDAI.styles.values():
        for phrase in (*style.who, *style.how):
            assert mirror_text(phrase) == phrase


def test_every_clip_gets_three_captions_that_differ() -> None:
    for content in BANDAI.contents:
        for style in BANDAI.styles:
            texts = [caption.text for caption in BANDAI.of(f"{content}_{style}", content, style)]
            assert len(set(texts)) == 3
            assert not any("{" in text or "  " in text for text in texts)


def test_labels_of_the_data_are_all_known() -> None:
    if "CASIM_DATA" not in os.environ:
        pytest.skip("set CASIM_DATA to the folder with bandai/ to check its labels")
    clips = json.loads((Path(os.environ["CASIM_DATA"]) / "bandai" / "index.json").read_text())["clips"]
    assert {clip["content"] for clip in clips} == set(BANDAI.contents)
    assert {clip["style"] for clip in clips} == set(BANDAI.styles)
    assert set(BANDAI.corrections) <= {clip["id"] for clip in clips}
    splits = drawn_splits({clip["id"]: clip["content"] for clip in clips})
    counts = Counter(splits.values())
    assert counts["train"] / len(clips) == pytest.approx(0.8, abs=0.01)
    for content, total in Counter(clip["content"] for clip in clips).items():
        share = Counter(splits[clip["id"]] for clip in clips if clip["content"] == content)
        assert abs(share["test"] - 0.15 * total) <= 1
        assert abs(share["train"] - 0.8 * total) <= 1


def test_splits_are_by_hash_within_each_label() -> None:
    labels = {f"{label}{i}": label for label in "ab" for i in range(100)}
    splits = drawn_splits(labels)
    assert splits == drawn_splits(dict(reversed(labels.items())))
    for label in "ab":
        assert Counter(splits[name] for name in labels if labels[name] == label) == {
            "train": 80,
            "val": 5,
            "test": 15,
        }
    assert {i for i in range(100) if splits[f"a{i}"] == "test"} != {
        i for i in range(100) if splits[f"b{i}"] == "test"
    }


def write_labelled(folder: Path, labels: dict[str, dict[str, object]]) -> Path:
    folder.mkdir()
    arrays = {name: moving(45 + 2 * i, seed=i).numpy() for i, name in enumerate(labels)}
    np.savez(folder / "joints.npz", **arrays)
    clips = [{"id": name, **values} for name, values in labels.items()]
    (folder / "index.json").write_text(json.dumps({"clips": clips}))
    return folder


LABELS: dict[str, dict[str, object]] = {
    "c1": {"content": "wave-left", "style": "calm", "split": "train"},
    "c2": {
        "content": "nod",
        "style": "calm",
        "captions": ["he nods"],
        "tokens": ["he/PRON nod/VERB"],
        "split": "train",
    },
    "c3": {"split": "train"},
}


def test_prepare_says_which_captions_are_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, table = write_labelled(tmp_path / "raw", LABELS), tmp_path / "table.json"
    table.write_text(json.dumps(TABLE))
    assert cli.run(COMMANDS, ["joints", str(raw), "--out", str(tmp_path / "set"), "--templates", str(table)]) == 0
    out = tmp_path / "set"
    said = "as given (1 clips); templates made from labels, not annotations (1 clips); none (1 clips)"
    assert record.load(out).config["captions"] == said
    assert record.load(out).config["templates"] == "table: a test"
    assert record.load(out).config["tagger"] == "casim rules 1 (2 of 3 captions); the others as given"
    assert said in " ".join(capsys.readouterr().out.split())
    assert (out / "templated.txt").read_text().split() == ["c1", "Mc1"]
    assert (out / "uncaptioned.txt").read_text().split() == ["c3", "Mc3"]
    line = (out / "texts" / "Mc1.txt").read_text().splitlines()[1]
    assert line.startswith("a calm person is waving the right hand calmly#a/DET calm/")
    assert (out / "texts" / "c2.txt").read_text().startswith("he nods#")


def test_without_templates_labels_make_no_captions(tmp_path: Path) -> None:
    raw = write_labelled(tmp_path / "raw", LABELS)
    assert cli.run(COMMANDS, ["joints", str(raw), "--out", str(tmp_path / "set")]) == 0
    assert sorted(path.stem for path in (tmp_path / "set" / "texts").iterdir()) == ["Mc2", "c2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contents": {"nod": [["nods", "nodding"]]}}, "clip c1: unknown content of the templates 'wave-left'"),
        ({"styles": {"rash": {"who": ["x"], "how": ["y"]}}}, "unknown style of the templates 'calm'"),
        ({"contents": {"nod": []}}, "contents.nod"),
        ({"persons": "someone"}, "persons"),
        ({"extra": 1}, "extra"),
        ({"captions": [["{whom} {does}"]]}, "cannot be filled in: KeyError 'whom'"),
        ({"captions": [["{person {does}"]]}, "cannot be filled in"),
        ({"persons": ["a # b"]}, "clip c1: caption 'a # b"),
    ],
)
def test_bad_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], message: str
) -> None:
    raw, table = write_labelled(tmp_path / "raw", LABELS), tmp_path / "table.json"
    table.write_text(json.dumps(TABLE | change))
    assert cli.run(COMMANDS, ["joints", str(raw), "--out", str(tmp_path / "set"), "--templates", str(table)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "table.json"]


def test_unknown_tables(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no template file bandit.*built-in table: bandai"):
        read_templates("bandit")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ValueError, match="no table of templates"):
        read_templates(str(tmp_path / "x.json"))
    assert [path.stem for path in BUILT_IN.iterdir()] == ["bandai"]
