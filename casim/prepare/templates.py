"""Captions for clips that have labels only: sentences filled in from the clip's content and style.

A table is a JSON file; those in the folder `templates` can be named. For every content it holds verb phrases, for
every style adverbials and nouns, and the sentences of each caption to choose from. What is chosen depends on the
clip's id alone. Sides in a table must be those of the motion, because mirror images get theirs exchanged.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casim.data._caption_files import Caption
from casim.plugins import closest

T = TypeVar("T")
Some = Annotated[list[T], Field(min_length=1)]
"""At least one."""
BUILT_IN = Path(__file__).parent / "templates"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Style(_Strict):
    """Ways to speak of a style."""

    who: Some[str]
    """Nouns for one who moves so: "a tired person"."""
    how: Some[str]
    """Adverbials: "with heavy limbs"."""


class Templates(_Strict):
    """A table of templates."""

    about: str
    """Which labels it is for."""
    persons: Some[str]
    """Nouns that say nothing of the style."""
    captions: Some[Some[str]]
    """For each caption of a clip the sentences to choose from, with {person}, {who}, {does}, {doing} and {how}."""
    contents: dict[str, Some[tuple[str, str]]]
    """For each content verb phrases in third person and as a gerund."""
    styles: dict[str, Style]
    corrections: dict[str, str] = {}
    """The content of clips whose motion contradicts their label, by id."""

    def of(self, name: str, content: str, style: str) -> tuple[Caption, ...]:
        """The captions of the clip called `name`.

        Raises:
            ValueError: a content or style that the table does not have.
        """
        content = self.corrections.get(name, content)
        for kind, label, known in (("content", content, self.contents), ("style", style, self.styles)):
            if label not in known:
                raise ValueError(f"clip {name}: {closest(f'{kind} of the templates', label, known)}")
        random = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
        phrases = [self.contents[content][i] for i in random.permutation(len(self.contents[content]))]
        found = []
        for place, sentences in enumerate(self.captions):
            does, doing = phrases[place % len(phrases)]
            words = {
                "person": _pick(random, self.persons),
                "who": _pick(random, self.styles[style].who),
                "how": _pick(random, self.styles[style].how),
            }
            text = _pick(random, sentences).format(does=does, doing=doing, **words)
            found.append(Caption(text, ()))
        return tuple(found)


def read_templates(name: str) -> Templates:
    """The table in a file, or the built-in one called `name`.

    Raises:
        FileNotFoundError: neither; the message lists the built-in ones.
        ValueError: the file is no table, or a sentence of it cannot be filled in.
    """
    path = BUILT_IN / f"{name}.json"
    path = path if path.exists() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in BUILT_IN.glob("*.json")))
        raise FileNotFoundError(f"no template file {name}; give a JSON file, or a built-in table: {known}")
    try:
        found = Templates.model_validate_json(path.read_bytes())
        for sentence in (sentence for sentences in found.captions for sentence in sentences):
            sentence.format(person="", who="", does="", doing="", how="")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path} is no table of templates: {where}: {first['msg']}") from None
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{path}: a sentence cannot be filled in: {type(error).__name__} {error}") from None
    return found


def _pick(random: Any, choices: Sequence[T]) -> T:
    return choices[int(random.integers(len(choices)))]
