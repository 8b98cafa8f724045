"""A prompt longer than the encoder's window: refused with both numbers, or cut on demand as MDM and CASIM do."""

from collections.abc import Sequence
from typing import ClassVar

from casim.types import TextEncoder


class Windowed(TextEncoder):
    """A text encoder whose config says by `truncate` what becomes of a prompt of more than `max_words` tokens."""

    has_end_marker: ClassVar[bool] = True
    """The last token is a marker, which a cut keeps."""

    def check(self, texts: Sequence[str], counts: Sequence[int]) -> None:
        """Refuses an empty list, and prompts longer than the window."""
        try:
            super().check(texts, counts)
        except ValueError as error:
            if not texts:
                raise
            raise ValueError(f"{error}, or set truncate to cut such prompts as MDM and CASIM do") from None

    def cut(self, row: Sequence[int]) -> list[int]:
        """What is left of a prompt's tokens: all of them if they fit or nothing is to be cut."""
        if not self.config.truncate or len(row) <= self.max_words:
            return list(row)
        return [*row[: self.max_words - 1], row[-1]] if self.has_end_marker else list(row[: self.max_words])
