"""Arm or leg: which kind of limb moves."""

from analysis.minimal_pairs import contrast, grow

CLASSES = ("arm", "leg")
WHO = ("a person", "the man", "a woman", "someone", "the figure", "a dancer")
RANDOM = ("bottle", "umbrella", "candle", "basket", "hammer", "ribbon")
ONE = [
    contrast("hand = palm", "foot = sole", RANDOM),
    contrast("arm = forearm", "leg = thigh", RANDOM),
    contrast("wrist = forearm", "ankle = shin", RANDOM),
    contrast("fist = hand", "heel = foot", RANDOM),
]
SIDE = ("left", "right")
TEMPLATES = (
    "{who} lifts the {side} {x} up high.",
    "the {side} {x} is moved in circles by {who}.",
    "{who} walks forward and then shakes the {side} {x}",
    "with one {side} {x} {who} pushes a box away.",
    "{who} is hurt and holds the {side} {x} still.",
    "using the {side} {x}, {who} hits a ball.",
    "{who} swings the {side} {x} while standing.",
    "{who} slowly puts the {side} {x} down again.",
    "first the {side} {x} goes up, then {who} turns around.",
    "{who} stretches and rubs the {side} {x}.",
    "a ball is stopped by {who} with the {side} {x}",
    "{who} balances something on the {side} {x} for a while.",
)

PAIRS = grow(CLASSES, TEMPLATES, {"who": WHO, "side": SIDE}, ONE)
