"""Captions of everyday motion that are no test pairs: what an encoder's states look like in general.

Mean, spread and main directions of the states, which the corrections of a cosine take away, are fitted on these.
"""

from itertools import product
from random import Random

WHO = (
    "a person",
    "a man",
    "the woman",
    "he",
    "she",
    "someone",
    "a child",
    "the figure",
    "an old man",
    "the player",
)
FIRST = (
    "walks in a straight line",
    "sits down on a chair",
    "picks something up from the floor",
    "throws a ball",
    "climbs some stairs",
    "waves hello with the right hand",
    "crawls on hands and knees",
    "jogs in place",
    "dances the waltz",
    "steps over an obstacle to the left",
    "plays the violin",
    "stumbles and almost falls",
    "does three jumping jacks",
    "pours a drink",
    "stretches both arms above the head",
    "rubs the back of the neck",
    "kicks a ball with the left foot",
    "swims through the air",
    "turns around quickly",
    "crosses the legs",
)
SECOND = (
    "and then comes back to the start",
    "while looking around",
    "before lying down",
    "and stops",
    "with arms hanging at the sides",
    "as if being tired",
    "twice",
    "slowly and carefully",
    "without moving the head",
    "in a large circle",
    "to the right",
    "and raises the arms",
)


def captions(count: int, seed: int = 0) -> tuple[str, ...]:
    """`count` different captions, the same for a seed; all there are (2,400) if `count` is larger."""
    every = [" ".join(parts) + "." for parts in product(WHO, FIRST, SECOND)]
    return tuple(Random(seed).sample(every, min(count, len(every))))
