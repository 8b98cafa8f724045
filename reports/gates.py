"""Gates and the word of a verdict as probes write them: `gate/NAME`, and one `verdict/WORD`."""

from collections.abc import Mapping

from casim.record import Measure
from reports.pages import Gate


def word_of(results: Mapping[str, Measure]) -> str | None:
    """The word of the record's verdict; None if it has none."""
    found = (key.partition("/")[2] for key, m in results.items() if key.startswith("verdict/") and m.value)
    return next(found, None)


def gates(results: Mapping[str, Measure], observed: str = "; observed ") -> tuple[Gate, ...]:
    """The gates in the record's order.

    Args:
        results: of a record.
        observed: what stands between rule and observation in a gate's protocol.
    """
    found = []
    for key, measure in results.items():
        if key.startswith("gate/"):
            rule, _, told = measure.protocol.partition(observed)
            name = key.partition("/")[2]
            outcome = "passed" if measure.value else "failed"
            found.append(Gate(name[:1].upper() + name[1:], rule, told, outcome))
    return tuple(found)
