"""Slow or fast: how an action is performed."""

from analysis.minimal_pairs import contrast, grow

CLASSES = ("slow", "fast")
WHO = ("a person", "the man", "a woman", "someone", "the figure", "a dancer")
DO = ("walks", "turns around", "lifts the arms", "sits down", "kneels", "bends over")
HOW = [
    contrast("slowly = sluggishly", "quickly = rapidly", ("outside", "proudly", "alone", "barefoot")),
    contrast("sluggishly = slowly", "rapidly = quickly", ("outside", "proudly", "alone", "barefoot")),
    contrast("very slowly = at a crawl", "very fast = at a sprint", ("all alone", "in shoes", "at home")),
]
KIND = [
    contrast("slow = sluggish", "fast = quick", ("strange", "funny", "small", "pretty")),
    contrast("leisurely = slow", "hasty = rapid", ("strange", "funny", "small", "pretty")),
    contrast("sluggish = leisurely", "rapid = swift", ("strange", "funny", "small", "pretty")),
]
NOUN = ("jump", "turn", "step", "kick", "bow", "wave")

PAIRS = grow(
    CLASSES,
    (
        "{who} {do} {x}.",
        "{x} {who} {do}.",
        "{who} {x} {do} and then stops.",
        "after a jump {who} {x} {do} again.",
        "{who} stands up, then {do} {x}",
        "on the left side {who} {do} {x} for a while.",
    ),
    {"who": WHO, "do": DO},
    HOW,
) + grow(
    CLASSES,
    (
        "{who} makes a {x} {noun}.",
        "with a {x} {noun} {who} moves on.",
        "{who} walks in a circle and does a {x} {noun}",
        "the {x} {noun} of {who} is repeated.",
        "{who} ends with one {x} {noun} forward.",
        "there is a {x} {noun} by {who} at the start.",
    ),
    {"who": WHO, "noun": NOUN},
    KIND,
)
