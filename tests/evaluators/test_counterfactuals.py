from dataclasses import replace

import pytest
import torch
from judged import batch_of, choreography, standing, walkers

from casim.mirror import mirror_text
from evaluators import phrases
from evaluators.counterfactuals import (
    CHOREOGRAPHY,
    GENERAL,
    mirror_consistency,
    mirrored_prompts,
    paraphrase_stability,
    paraphrased_prompts,
    pose_distance,
)
from evaluators.damage import DAMAGES


def asking(batch, texts):
    return replace(batch, reference=replace(batch.reference, texts=tuple(texts)))


def test_mirrored_prompts_are_those_of_one_moving_limb():
    captions = ["a person waves the left hand", "a person dances", "he kicks with the right leg then turns left"]
    found = mirrored_prompts(captions)
    assert found.rows == (0, 2)
    assert found.texts == ("a person waves the right hand", "he kicks with the left leg then turns right")


def test_paraphrases_of_choreography_ask_for_the_same():
    texts = choreography().reference.texts
    found = paraphrased_prompts(texts, CHOREOGRAPHY)
    assert found.rows == tuple(range(len(texts)))
    for row, text in zip(found.rows, found.texts, strict=True):
        assert text != texts[row]
        for asked in (phrases.limbs, phrases.directions):
            assert asked(text) == asked(texts[row])
        counts = [phrases.count(caption) for caption in (text, texts[row])]
        assert len({(c.number, c.kind, c.sign) for c in counts if c}) <= 1
        assert counts.count(None) != 1


def test_paraphrases_are_drawn_with_the_seed():
    texts = choreography().reference.texts
    first, again, other = (paraphrased_prompts(texts, CHOREOGRAPHY, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_general_paraphrases():
    captions = ["a person walks forward slowly", "he stops", "The person jumps, and then spins"]
    found = paraphrased_prompts(captions, GENERAL)
    assert found.rows == (0, 2)
    assert found.texts[0] in {f"{who} strides forwards at a slow pace" for who in ("someone", "a human")}
    assert found.texts[1] == "the figure leaps, then twirls"


def test_groups_are_disjoint():
    for groups in (GENERAL, CHOREOGRAPHY):
        wordings = [wording for group in groups for wording in group]
        assert len(wordings) == len(set(wordings))
        assert all(len(group) > 1 for group in groups)


def test_a_mirrored_motion_is_consistent_and_the_same_motion_is_not():
    batch = choreography()
    mirrored = asking(DAMAGES["mirrored_side"](batch), map(mirror_text, batch.reference.texts))
    values = mirror_consistency(batch, mirrored)
    assert (~values.isnan()).sum() > 80
    assert values.nanmean() > 0.97
    assert mirror_consistency(batch, asking(batch, mirrored.reference.texts)).nanmean() < 0.03


def test_a_body_that_stands_still_decides_nothing():
    one = batch_of(standing(count=2), ["a person waves the left hand", "a person walks"])
    other = asking(one, ["a person waves the right hand", "a person walks"])
    values = mirror_consistency(one, other)
    assert values[0] == 0.5
    assert values[1].isnan()


def test_prompts_that_are_no_mirror_images_are_refused():
    batch = batch_of(standing(), ["a person waves the left hand"])
    with pytest.raises(ValueError, match="make them with mirrored_prompts"):
        mirror_consistency(batch, batch)


def test_pose_distance_is_in_metres_and_sees_poses_only():
    body = standing()
    raised = body.clone()
    raised[..., 20, 1] += 0.22  # one of 22 joints
    moved = body + torch.tensor([3.0, 0, -2.0])
    assert pose_distance(batch_of(body), batch_of(raised)).tolist() == pytest.approx([0.01])
    assert pose_distance(batch_of(body), batch_of(moved)).tolist() == pytest.approx([0], abs=1e-6)


def test_paraphrase_stability_is_relative_to_the_spread_of_seeds():
    body = walkers(3)
    near, far = (batch_of(body + scale * (walkers(5)[2:] - body)) for scale in (0.1, 0.4))
    found = paraphrase_stability(batch_of(body), near, far)
    assert found.tolist() == pytest.approx([0.25, 0.25, 0.25], rel=0.2, nan_ok=True)
    assert paraphrase_stability(batch_of(body), batch_of(body), far)[0] == 0


def test_motions_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="equal lengths"):
        pose_distance(batch_of(walkers(2)), batch_of(walkers(2), lengths=[61, 50]))
