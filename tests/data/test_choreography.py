"""Choreography: the same clips everywhere, exact word intervals, unseen pairs, and motion that shows what is said.

python -m pytest tests/data/test_choreography.py
"""

import hashlib
from collections import Counter
from dataclasses import astuple, replace
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim.data._actions import ACTIONS, COUNTABLE, LOWER, Motions, angle_table, joints_of
from casim.data._captions import TAGS, tags
from casim.data.choreography import (
    SPLITS,
    VOCABULARY,
    Choreography,
    Plan,
    held_out_pairs,
    joints,
    plans,
)
from casim.features import place, to_joints
from casim.skeleton import HUMANML3D
from casim.types import words_of

CONFIG = Choreography.Config(train=211, validation=23, test=41, held_out=41)
SEEDS = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def dataset() -> Choreography:
    return Choreography(CONFIG)


def small(seed: int, **options: int) -> Choreography.Config:
    return Choreography.Config(**{"seed": seed, "train": 61, "validation": 7, "test": 19, "held_out": 19} | options)


def pairs_of(plan: Plan) -> set[tuple[int, int]]:
    """Actions of a clip, two by two, smaller index first."""
    pairs = combinations(sorted(told.action for told in plan.told), 2)
    return {(a, b) for a, b in pairs}


# The same clips on every machine


def test_captions_and_intervals_have_the_committed_digest() -> None:
    told = [
        (plan.id, plan.text, astuple(plan.alignment()), plan.frames)
        for split in SPLITS
        for plan in plans(CONFIG, split)
    ]
    assert hashlib.sha256(repr(told).encode()).hexdigest() == DIGEST


def test_joints_have_the_committed_sums() -> None:
    made = joints(plans(CONFIG, "test"))
    where = np.arange(made.shape[1])[None, :, None, None]
    # 1e-5 m in every coordinate; the weights notice joints or frames that change places
    assert np.abs(made[[3, 17, 40], 29][:, [0, 10, 15, 20, 21]] - np.array(POSES)).max() < 1e-5
    assert (made * (1 + where % 7)).mean() == pytest.approx(MEAN, abs=1e-5)


def test_another_seed_makes_other_clips_and_pairs() -> None:
    one, other = small(1), small(2)
    assert plans(one, "train") == plans(small(1), "train")
    assert [p.text for p in plans(one, "train")] != [p.text for p in plans(other, "train")]
    assert held_out_pairs(one) != held_out_pairs(other)


# Captions and intervals


@given(seed=SEEDS)
def test_every_word_has_the_interval_of_what_it_is_about(seed: int) -> None:
    for split in SPLITS:
        for plan in plans(small(seed), split):
            truth = plan.alignment()
            assert truth.words == words_of(plan.text)
            assert set(truth.words) <= set(VOCABULARY)
            assert [span.word for span in truth.spans] == list(range(len(truth.words)))
            for span in truth.spans:
                if span.segment < 0:
                    assert (span.start, span.end, span.is_content) == (0, plan.frames, False)
                else:
                    action = truth.actions[span.segment]
                    assert (span.start, span.end) == (action.start, action.end)


@given(seed=SEEDS)
def test_captions_name_side_and_every_action(seed: int) -> None:
    for plan in plans(small(seed), "train"):
        truth = plan.alignment()
        for segment, action in enumerate(truth.actions):
            words = {truth.words[s.word] for s in truth.spans if s.segment == segment and s.is_content}
            side = action.action.rpartition("_")[2]
            named = words & {"left", "right"}
            assert words
            assert named == ({side} if side in ("left", "right") else set())


@given(seed=SEEDS)
def test_actions_lie_inside_the_clip_and_in_order(seed: int) -> None:
    numbers = {"single": 1, "pair": 2, "while": 2, "triple": 3}
    for split in SPLITS:
        for plan in plans(small(seed), split):
            actions = plan.alignment().actions
            assert len(actions) == numbers[plan.kind]
            assert all(a.start >= 0 and a.end <= plan.frames and a.end - a.start >= 6 for a in actions)
            if plan.kind == "while":
                lower, upper = actions
                assert (lower.start, lower.end) == (upper.start, upper.end)
                assert lower.action in LOWER
                assert upper.action not in LOWER
            else:
                assert all(a.end <= b.start for a, b in pairwise(actions))


def test_order_in_the_text_tells_reversed_from_natural() -> None:
    for plan in plans(CONFIG, "train"):
        told = [word.segment for word in plan.words if word.segment >= 0]
        order = list(dict.fromkeys(told))
        if plan.kind != "while":
            assert (order != sorted(order)) == plan.is_reversed, plan.text


def test_about_half_of_the_pairs_are_told_in_reverse() -> None:
    for kind in ("pair", "triple"):
        made = [plan for plan in plans(small(0, train=1009), "train") if plan.kind == kind]
        assert 0.4 < np.mean([plan.is_reversed for plan in made]) < 0.6


# Splits


@given(seed=SEEDS)
def test_held_out_pairs_occur_in_no_other_split(seed: int) -> None:
    config = small(seed)
    kept_out = held_out_pairs(config)
    assert len(kept_out) == 34
    for split in ("train", "validation", "test"):
        assert not any(pairs_of(plan) & kept_out for plan in plans(config, split))
    assert all(pairs_of(plan) & kept_out for plan in plans(config, "held_out"))


@given(seed=SEEDS, number=st.integers(1, 47))
def test_test_and_held_out_have_equal_kinds(seed: int, number: int) -> None:
    config = small(seed, test=number, held_out=number)
    test, held_out = (Counter(plan.kind for plan in plans(config, split)) for split in ("test", "held_out"))
    assert test == held_out
    assert test.total() == number


def test_with_no_pairs_held_out_all_pairs_are_in_train() -> None:
    config = small(0, held_out_pairs=0, train=2003)
    seen = set().union(*(pairs_of(plan) for plan in plans(config, "train")))
    assert len(seen) == len(ACTIONS) * (len(ACTIONS) - 1) // 2


def test_evaluation_captions_do_not_occur_in_train() -> None:
    config = small(0, train=8009, test=1999)  # large enough that some would by chance
    train = {plan.text for plan in plans(config, "train")}
    assert not any(plan.text in train for split in SPLITS[1:] for plan in plans(config, split))


@pytest.mark.parametrize(("low", "high"), [(20, 196), (20, 41), (101, 103), (36, 96), (157, 196)])
def test_lengths_follow_the_range(low: int, high: int) -> None:
    lengths = [plan.frames for plan in plans(small(0, min_frames=low, max_frames=high), "train")]
    assert low <= min(lengths)
    assert max(lengths) <= high


# Motion


def test_bones_keep_their_lengths() -> None:
    made = joints(plans(CONFIG, "train")[:97])
    bones = np.linalg.norm(made[:, :, 1:] - made[:, :, HUMANML3D.parents[1:]], axis=-1)
    assert np.ptp(bones, axis=1).max() < 1e-9
    assert bones.min() > 0.02


def test_clips_start_at_the_origin_facing_ahead_on_the_floor() -> None:
    made = joints(plans(CONFIG, "train"))
    assert np.abs(made[:, 0, 0, [0, 2]]).max() < 1e-9
    across = made[:, 0, 1] - made[:, 0, 2]  # right hip to left hip
    assert (across[:, 0] > 0).all()
    assert np.abs(across[:, 2]).max() < 1e-9
    assert made[..., 1].min() > -1e-9
    assert made[..., [7, 8, 10, 11], 1].min(axis=(1, 2)).max() < 0.03


def test_nothing_jumps_from_frame_to_frame() -> None:
    made = joints(plans(CONFIG, "train"))
    assert np.linalg.norm(np.diff(made, axis=1), axis=-1).max() < 0.9  # 18 m/s: the hand of three quick jumps


def show(name: str, *, count: int = 0, speed: float = 1.0, frames: int = 43) -> np.ndarray:
    """Joints of one action that fills a clip but for 4 still frames at either end."""
    one = np.ones(1)
    motions = Motions(
        clip=np.zeros(1, int),
        action=np.array([ACTIONS.index(name)]),
        start=np.array([4]),
        length=np.array([frames - 8]),
        count=np.array([count]),
        speed=speed * one,
        size=one,
        phase=0 * one,
    )
    return joints_of(angle_table(motions, 1, frames), np.ones((1, 3)))[0]


def peaks(curve: np.ndarray) -> int:
    """How often a curve rises above the middle of its range."""
    above = curve > (curve.min() + curve.max()) / 2
    return int(np.sum(above[1:] & ~above[:-1]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_left_is_plus_x(side: str) -> None:
    sign = 1 if side == "left" else -1
    near = {name: HUMANML3D.index(f"{side[0]}_{name}") for name in ("wrist", "foot")}
    far = {name: HUMANML3D.index(f"{'lr'[side == 'left']}_{name}") for name in ("wrist", "foot")}
    assert sign * show(f"sidestep_{side}")[-1, 0, 0] > 0.5
    turned = show(f"turn_{side}")[-1]
    ahead = turned[10] - turned[7] + turned[11] - turned[8]  # ankles to toes
    assert sign * ahead[0] > 0.1
    for name in ("wave", "raise"):
        hands = show(f"{name}_{side}")[..., 1]
        assert hands[:, near["wrist"]].max() > hands[:, 15].max()  # above the head
        assert hands[:, far["wrist"]].max() < 1.1
    kick, punch = show(f"kick_{side}"), show(f"punch_{side}")
    assert kick[:, near["foot"], 1].max() > 0.4 > 0.2 > kick[:, far["foot"], 1].max()
    assert punch[:, near["wrist"], 2].max() > 0.4 > 0.2 > punch[:, far["wrist"], 2].max()


def test_each_action_is_what_its_name_says() -> None:
    stood = show("clap")[0, 0, 1]
    assert show("walk_forward")[-1, 0, 2] > 0.8
    assert show("walk_backward")[-1, 0, 2] < -0.8
    assert show("jump")[:, HUMANML3D.feet_left, 1].min(axis=1).max() > 0.2  # both feet in the air
    for name in ("squat", "sit"):
        assert show(name)[:, 0, 1].min() < 0.7 * stood
    assert show("bow")[:, 15, 1].min() < show("bow")[0, 15, 1] - 0.25
    hands = np.linalg.norm(show("clap")[:, 20] - show("clap")[:, 21], axis=-1)
    assert hands.min() < 0.6 * hands[0]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", COUNTABLE)
def test_counts_show_in_the_motion(name: str, count: int) -> None:
    made = show(name, count=count, frames=67)
    side = "r" if name.endswith("right") else "l"
    wrist, elbow, foot = (HUMANML3D.index(f"{side}_{joint}") for joint in ("wrist", "elbow", "foot"))
    curves = {
        "jump": made[:, foot, 1],
        "squat": -made[:, 0, 1],
        "bow": -made[:, 15, 1],
        "kick": made[:, foot, 1],
        "raise": made[:, wrist, 1],
        "punch": made[:, elbow, 2],  # the wrist also rises to the guard, the elbow only with a blow
        "wave": -made[10:-10, wrist, 1],  # from when the arm is up until it goes down
        "clap": made[10:-10, 21, 0] - made[10:-10, 20, 0],
    }
    verb = name.removesuffix("_left").removesuffix("_right")
    # a beat that spans the edge of the middle part is not seen to rise
    allowed = (count - 1, count) if verb in ("wave", "clap") else (count,)
    assert peaks(curves[verb]) in allowed


def test_speed_shows_in_the_motion() -> None:
    slow, fast = show("walk_forward", speed=0.7), show("walk_forward", speed=1.4)
    assert fast[-1, 0, 2] > 1.7 * slow[-1, 0, 2]
    strides = [peaks(made[:, 10, 2] - made[:, 0, 2]) for made in (slow, fast)]
    assert strides[1] > strides[0]


def test_actions_told_slowly_last_longer() -> None:
    lengths = {-1: [], 0: [], 1: []}
    for plan in plans(small(0, train=1009), "train"):
        for told, (start, end) in zip(plan.told, plan.spans, strict=True):
            if plan.kind == "single" and not told.count:
                lengths[told.speed].append(end - start)
    slow, plain, fast = (np.mean(lengths[speed]) for speed in (-1, 0, 1))
    assert slow > plain >= fast


# Batches


def test_batches_are_normalised_padded_and_aligned(dataset: Choreography) -> None:
    clips = dataset.split("train")
    assert len(clips) == 211 == len(clips.ids) == len(clips.lengths)
    batch = clips.batch(range(211))
    assert batch.motion.shape == (211, clips.lengths.max(), 67)
    assert batch.motion.dtype == torch.float32
    assert batch.mask.sum(1).tolist() == clips.lengths.tolist()
    assert not batch.motion[~batch.mask].any()
    rows = batch.motion[batch.mask]
    assert rows.mean(0).abs().max() < 1e-4
    assert rows.std(0).max() < 1.001
    assert batch.alignment is not None
    assert [a.words for a in batch.alignment] == [words_of(text) for text in batch.texts]
    assert batch.keywords is None


def test_a_clip_is_the_same_alone_and_in_company(dataset: Choreography) -> None:
    clips = dataset.split("test")
    together, alone = clips.batch([5, 2, 7]), clips.batch([2])
    length = int(clips.lengths[2])
    assert torch.equal(together.motion[1, :length], alone.motion[0])
    assert together.texts[1] == alone.texts[0]
    assert together.ids == ("test_00005", "test_00002", "test_00007")


def test_padded_full_is_the_same_with_more_padding(dataset: Choreography) -> None:
    full = Choreography(replace(CONFIG, is_padded_full=True))
    assert (full.mean == dataset.mean).all()
    for split, items in (("train", [3, 0]), ("held_out", range(41))):
        short, long = (made.split(split).batch(list(items)) for made in (dataset, full))
        width = short.motion.shape[1]
        assert long.motion.shape[1] == long.mask.shape[1] == CONFIG.max_frames
        assert torch.equal(long.motion[:, :width], short.motion)
        assert torch.equal(long.lengths, short.lengths)
        assert not long.motion[~long.mask].any()


def test_features_give_the_joints_back(dataset: Choreography) -> None:
    clips = dataset.split("held_out")
    for item in (0, 11, 40):
        batch = clips.batch([item])
        features = batch.motion * torch.from_numpy(dataset.std) + torch.from_numpy(dataset.mean)
        made = torch.from_numpy(clips.joints([item])).float()
        assert made.shape[1] == clips.lengths[item] + 1
        expected = place(made, dataset.spec)[:, :-1]
        found = to_joints(features, dataset.spec)
        # the converter fixes facing by its smoothed direction: compare what no turn about y changes
        assert (found[..., 1] - expected[..., 1]).abs().max() < 1e-3
        assert (found.norm(dim=-1) - expected.norm(dim=-1)).abs().max() < 1e-2


def test_mistakes_are_errors(dataset: Choreography) -> None:
    with pytest.raises(ValueError, match=r"unknown split 'tset'.*train, validation, test, held_out"):
        dataset.split("tset")
    for low, high in ((19, 50), (50, 197), (60, 50)):
        with pytest.raises(ValueError, match=f"{low} to {high} frames"):
            Choreography(Choreography.Config(min_frames=low, max_frames=high))


def test_every_word_has_a_tag_and_no_other(dataset: Choreography) -> None:
    assert {*TAGS, "left", "right"} == set(VOCABULARY)
    for split in SPLITS:
        batch = dataset.split(split).batch(range(len(dataset.split(split))))
        assert batch.tags is not None
        for text, tokens in zip(batch.texts, batch.tags, strict=True):
            assert len(tokens) == len(words_of(text))
            lemmas = [token.partition("/")[0] for token in tokens]
            assert all(word[0] == lemma[0] for word, lemma in zip(words_of(text), lemmas, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a man kicks the left foot twice", "a/DET man/NOUN kick/VERB the/DET left/ADJ foot/NOUN twice/ADV"),
        ("someone sidesteps to the right", "someone/PRON sidestep/VERB to/ADP the/DET right/NOUN"),
        ("after turning left someone boxes", "after/ADP turn/VERB left/NOUN someone/PRON box/VERB"),
    ],
)
def test_tags_are_lemmas_and_a_side_is_told_by_what_follows(text: str, expected: str) -> None:
    assert " ".join(tags(text.split())) == expected


DIGEST = "e5f5b4478012eea542f92a0f955bfe8a0502cee7e6579c1f22c4996677be3b87"
"""Of captions and intervals of every split of `CONFIG`."""
MEAN = 1.04900501
"""Of the coordinates of its test clips, weighted by 1 + frame modulo 7."""
POSES = [
    [
        [0.0, 0.9259171, 0.0],
        [0.0688924, 0.0036389, 0.1192478],
        [0.0, 1.6005424, 0.0033749],
        [0.6035965, 1.6189736, -0.0449506],
        [-0.2621836, 0.9043408, 0.0449874],
    ],
    [
        [-0.6752849, 0.8634232, 0.0],
        [-0.6113078, 0.0069466, 0.1107399],
        [-0.6752849, 1.4915672, -0.0004908],
        [-0.4152102, 0.7449965, 0.045205],
        [-0.9353595, 0.8308591, 0.2756053],
    ],
    [
        [0.0, 0.8803834, 0.0],
        [0.0755398, 0.0, 0.2994816],
        [0.0, 1.5294901, 0.125622],
        [0.2657691, 0.904452, 0.4139591],
        [-0.2657691, 0.904452, 0.4139591],
    ],
]
"""Pelvis, left foot, head and wrists of three of them at frame 29."""
