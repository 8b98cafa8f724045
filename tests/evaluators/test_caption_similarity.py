import pytest
import torch

from casim.text.hashed import Hashed
from casim.types import ActionSpan, Alignment, MotionBatch
from evaluators import caption_similarity
from evaluators.caption_similarity import by_actions, by_sentences, by_words


def plan(*actions, at_once=False):
    spans = tuple(ActionSpan(a, 0 if at_once else 9 * i, 9 * (i + 1)) for i, a in enumerate(actions))
    return Alignment((), (), spans, "while" if at_once else "pair", False)


def test_same_actions_in_the_same_order_are_alike():
    found = by_actions(
        [
            plan("walk", "sit"),
            plan("walk", "sit"),
            plan("sit", "walk"),
            plan("walk", "sit", at_once=True),
            plan("sit", "walk", at_once=True),
            plan("walk", "jump", "clap"),
            plan("kick"),
        ]
    )
    alike = found == 1
    assert (alike.triu(1)).nonzero().tolist() == [[0, 1], [3, 4]]
    assert torch.equal(found, found.T)
    assert bool(alike.diagonal().all())
    assert float(found[0, 2]) == float(found[0, 3]) == 0.5  # the same two actions, but not in this order
    assert float(found[0, 5]) == pytest.approx(0.5 / 4)
    assert float(found[0, 6]) == 0


def test_words():
    found = by_words(["A person walks.", "a person walks", "a person walked", ""])
    assert found.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_sentences_are_cosines_of_pooled_vectors():
    found = by_sentences(["walk", "walk", "sit"], Hashed(Hashed.Config(width=101)))
    torch.testing.assert_close(found.diagonal(), torch.ones(3))
    assert float(found[0, 1]) == pytest.approx(1)
    assert abs(float(found[0, 2])) < 0.5


def test_minilm_tells_paraphrases_from_other_captions(monkeypatch):
    monkeypatch.setenv("CASIM_CACHE", "off")
    batch = MotionBatch(
        torch.zeros(3, 2, 1),
        torch.ones(3, 2, dtype=torch.bool),
        ("a person walks forward", "someone is walking ahead", "a man plays the violin"),
        ("a", "b", "c"),
    )
    found = caption_similarity.named("sentences")(batch)
    assert float(found[0, 1]) > 0.6 > float(found[0, 2])
    with pytest.raises(ValueError, match="by sentences or words"):
        caption_similarity.named("actions")(batch)
