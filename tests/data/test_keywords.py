"""CoMo's keyword files: read, drawn from, refused when broken; and what a model makes of them."""

import json
from pathlib import Path

import pytest
import torch
from bodies import write_joint_folder

from casim import cli, plugins
from casim.backbones.como import Como
from casim.codecs.pose_codes import PoseCodes
from casim.data._folder import FolderClips
from casim.data.humanml3d import HumanML3D
from casim.injection import Fixed
from casim.prepare.__main__ import COMMANDS
from casim.setups import FirstStage, SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion

PLACES = 11
CLIPS = ("000001", "M000001", "000002", "M000002", "000003", "M000003", "000004", "M000004")


def words(clip: str) -> list[list[str]]:
    """One to three alternatives at every place."""
    return [[f"{clip} place {place} way {way}" for way in range(1 + place % 3)] for place in range(PLACES)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_joint_folder(tmp_path / "raw")
    assert cli.run(COMMANDS, ["joints", str(tmp_path / "raw"), "--out", str(tmp_path / "set")]) == 0
    (tmp_path / "keywords.json").write_text(json.dumps({clip: words(clip) for clip in CLIPS}))
    return tmp_path / "set"


def train(folder: Path, file: str = "keywords.json") -> FolderClips:
    return HumanML3D(HumanML3D.Config(folder=str(folder), keywords=str(folder.parent / file))).split("train")


def test_keywords_come_with_their_clip_and_are_drawn(folder: Path) -> None:
    clips = train(folder)
    plain = clips.batch(range(len(clips)))
    assert plain.keywords is not None
    for clip, told in zip(plain.ids, plain.keywords, strict=True):
        assert told == tuple(ways[0] for ways in words(clip))
    drawn = {clips.batch([0], seed=seed).keywords for seed in range(20)}
    assert len(drawn) > 3
    allowed = words(clips.ids[0])
    assert all(word in ways for one in drawn for word, ways in zip((one or ((),))[0], allowed, strict=True))
    assert clips.batch([0], seed=3).keywords == clips.batch([0], seed=3).keywords
    assert HumanML3D(HumanML3D.Config(folder=str(folder))).split("train").batch([0]).keywords is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "must map ids of clips"),
        ('{"000001": []}', "000001 is no list of places"),
        ('{"000001": [["a"], []]}', "every place needs a list"),
        ('{"000001": [["a"], "b"]}', "every place needs a list"),
        ('{"000001": [["a"], ["b"]], "000002": [["a"]]}', "000001 has 2 places, 000002 has 1"),
        ('{"000001": [["a"]]}', "has no keywords for clip"),
    ],
)
def test_broken_keyword_files(content: str, message: str, folder: Path) -> None:
    (folder.parent / "broken.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        train(folder, "broken.json")
    with pytest.raises(FileNotFoundError, match="no keyword file"):
        train(folder, "none.json")


def test_keywords_stand_behind_the_caption_in_fixed_como(folder: Path) -> None:

    data = HumanML3D.Config(folder=str(folder), keywords=str(folder.parent / "keywords.json"))
    stage = FirstStage("made", codec=PoseCodes.Config(width=12))
    backbone = Como.Config(width=16, heads=2)
    setup = Setup(data, Hashed.Config(width=23), Fixed.Config(), backbone, SamplingConfig(), stage)
    dataset = plugins.build(data)
    codec = plugins.build(stage.codec, dataset.spec, dataset.mean, dataset.std)
    torch.manual_seed(0)
    model = TextToMotion(setup, dataset.spec, dataset.mean, dataset.std, 196, codec)
    batch = dataset.split("train").batch([0, 1])
    text = model.encode(batch.texts, batch.keywords)
    assert model.injection(text).tokens.shape[1] == 1 + PLACES
    without = model.injection(model.encode(batch.texts)).tokens
    torch.testing.assert_close(model.injection(text).tokens[:, :1], without)
    other = [tuple(f"other {word}" for word in row) for row in batch.keywords or ()]
    changed = model.injection(model.encode(batch.texts, other)).tokens
    assert not torch.allclose(changed, model.injection(text).tokens)
