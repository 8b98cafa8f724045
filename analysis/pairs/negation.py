"""Done or not done: the same action, affirmed or denied by one word."""

from analysis.minimal_pairs import contrast, grow

CLASSES = ("done", "not done")
WHO = ("a person", "the man", "a woman", "someone", "the figure", "a dancer")
DOING = ("waving", "jumping", "turning", "bending the knees", "lifting the arms", "nodding")
DO = ("wave", "jump", "turn", "bend the knees", "lift the arms", "nod")
WHILE = [contrast("while = whilst", "without = not", ("before", "after", "despite"))]
ALWAYS = [contrast("always = constantly", "never = at no time", ("gladly", "slowly", "there"))]
DOES = [contrast("does = will", "doesn't = won't", ("might", "could", "should"))]
SOME = [contrast("some = several", "no = not any", ("quiet", "funny", "heavy"))]
NOUN = ("steps", "jumps", "kicks", "turns", "squats", "punches")

PAIRS = (
    grow(
        CLASSES,
        ("{who} walks forward {x} {doing}.", "{who} stands there {x} {doing} for long", "{x} {doing} {who} runs."),
        {"who": WHO, "doing": DOING},
        WHILE,
    )
    + grow(
        CLASSES,
        (
            "when walking, {who} is {x} {doing}.",
            "{who} is {x} {doing} during the dance.",
            "{who} starts to run and is {x} {doing}",
        ),
        {"who": WHO, "doing": DOING},
        ALWAYS,
    )
    + grow(
        CLASSES,
        ("{who} {x} {do}.", "{who} sits down and {x} {do} afterwards.", "at the end {who} {x} {do} again"),
        {"who": WHO, "do": DO},
        DOES,
    )
    + grow(
        CLASSES,
        ("{who} takes {x} {noun}.", "with {x} {noun} {who} moves on.", "{who} turns and does {x} {noun} in place"),
        {"who": WHO, "noun": NOUN},
        SOME,
    )
)
