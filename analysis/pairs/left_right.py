"""Left or right: the limb that moves, and the way that is taken.

English has no second word for the sides. The synonyms are the nearest there are: leftmost for a limb, leftward for
a way; they share letters with the word, which favours them in encoders that cut words into pieces.
"""

from analysis.minimal_pairs import contrast, grow

CLASSES = ("left", "right")
WHO = ("a person", "the man", "a woman", "someone", "the figure", "a dancer")
LIMB = ("hand", "arm", "foot", "leg", "knee", "elbow")
LIMBS = (
    "{who} raises the {x} {limb} slowly.",
    "with the {x} {limb} {who} points at something.",
    "{who} shakes their {x} {limb} and then walks away.",
    "the {x} {limb} of {who} swings back and forth.",
    "{who} stands still, then stretches out the {x} {limb}.",
    "{who} bends forward and touches the ground with the {x} {limb}",
)
WAYS = (
    "{who} walks {how} and turns {x}.",
    "turning {x}, {who} jumps {how}.",
    "{who} takes three {x} steps {how}",
    "after kneeling, {who} leans {x} {how} and gets up again.",
    "{who} moves {how} in a {x} arc.",
    "in a {x} circle {who} runs {how}.",
)
HOW = ("slowly", "quickly", "carefully", "forward", "calmly")

PAIRS = grow(
    CLASSES,
    LIMBS,
    {"who": WHO, "limb": LIMB},
    [contrast("left = leftmost", "right = rightmost", ("wet", "tired", "bare", "heavy", "injured"))],
) + grow(
    CLASSES,
    WAYS,
    {"who": WHO, "how": HOW},
    [contrast("left = leftward", "right = rightward", ("tired", "careful", "drunk", "sleepy", "playful"))],
)
