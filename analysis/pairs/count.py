"""How often: once or several times."""

from analysis.minimal_pairs import contrast, grow

CLASSES = ("once", "several times")
WHO = ("a person", "the man", "a woman", "someone", "the figure", "a dancer")
DO = ("jumps", "waves", "claps", "kicks", "bows", "turns around")
TIMES = [
    contrast("once = one time", "twice = two times", ("outside", "alone", "indoors", "happily")),
    contrast("one time = once", "three times = thrice", ("outside", "alone", "indoors", "happily")),
    contrast("just once = a single time", "four times = repeatedly", ("at home", "all alone", "in shoes")),
]
KINDS = ("strange", "funny", "small", "pretty")
TURNS = [
    contrast("single = lone", "double = twofold", KINDS),
    contrast("lone = single", "triple = threefold", KINDS),
    contrast("sole = single", "repeated = double", KINDS),
]
NOUN = ("step", "hop", "kick", "squat", "punch", "turn")
OFTEN = (
    "{who} {do} {x}.",
    "{x} {who} {do}.",
    "{who} {do} {x} and then walks away.",
    "{who} stands up and {do} {x}",
    "before sitting down {who} {do} {x} again.",
    "{who} carefully {do} {x} in place.",
)
MANY = (
    "{who} does a {x} {noun} forward.",
    "a {x} {noun} is what {who} does.",
    "{who} makes a {x} {noun} to the side.",
    "after a pause {who} makes a {x} {noun}",
    "{who} runs, does a {x} {noun}, and stops.",
    "slowly {who} performs a {x} {noun} in place.",
)

PAIRS = grow(CLASSES, OFTEN, {"who": WHO, "do": DO}, TIMES) + grow(CLASSES, MANY, {"who": WHO, "noun": NOUN}, TURNS)
