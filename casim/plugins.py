"""A plugin is a file: names, loading and restoring of plugins, with a hint for a wrong name."""

import difflib
import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


@cache
def names(package: str) -> tuple[str, ...]:
    """Plugin names of `package` (file stems), sorted; files whose name begins with "_" are not plugins."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return tuple(sorted(module.name for module in found if not module.name.startswith("_")))


def closest(kind: str, name: str, known: Iterable[str]) -> str:
    """Error text for an unknown name: what was asked, the nearest names, and all names."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}"


def load(base: type[T], package: str, name: str) -> type[T]:
    """The subclass of `base` that the file `name` of `package` defines.

    Raises:
        ValueError: no such file; the message suggests the nearest names.
        TypeError: the file does not hold exactly one public subclass of `base`.
    """
    if name not in names(package):
        raise ValueError(closest(package.rsplit(".", 1)[-1].rstrip("s").replace("_", " "), name, names(package)))
    module = importlib.import_module(f"{package}.{name}")
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define one subclass of {base.__name__}, found {len(found)}")
    return found[0]


def owner(config: Any) -> type:
    """The plugin class whose nested `Config` this is an instance of."""
    config_type = type(config)
    outer = config_type.__qualname__.partition(".")[0]
    return getattr(sys.modules[config_type.__module__], outer)


def plugin_name(config: Any) -> str:
    """Name of the plugin a config belongs to: its file's stem, or the class where one file holds several."""
    stem, name = type(config).__module__.rpartition(".")[2], owner(config).__name__
    return stem if stem.replace("_", "") == name.lower() else name.lower()


def build(config: Any, *args: Any, **kwargs: Any) -> Any:
    """An instance of the plugin that `config` belongs to."""
    return owner(config)(config, *args, **kwargs)


def describe(config: Any) -> dict[str, Any]:
    """A plugin's config as JSON: its fields and the plugin's name under "plugin"."""
    return {"plugin": plugin_name(config), **asdict(config)}


def restore(config_type: type[T], values: Mapping[str, Any]) -> T:
    """A (nested) config dataclass from JSON values; tuples come back from lists.

    Raises:
        ValueError: a key that the config does not have, or a value that is not of its field's type.
    """
    known = {field.name: field for field in fields(config_type)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known) - {"plugin"})
    if unknown:
        raise ValueError(f"{config_type.__qualname__} has no field {unknown[0]!r}; its fields: {', '.join(known)}")
    restored = {}
    for name in known.keys() & values.keys():
        try:
            restored[name] = _restored(known[name].type, values[name])
        except ValidationError as error:
            what = error.errors()[0]["msg"][0].lower() + error.errors()[0]["msg"][1:]
            where = f"field {name!r} of {config_type.__qualname__}"
            raise ValueError(f"{where} is {values[name]!r}: {what}") from None
    return config_type(**restored)


_adapter = cache(TypeAdapter)


def _restored(annotation: Any, value: Any) -> Any:
    if isinstance(value, Mapping) and is_dataclass(annotation):
        return restore(annotation, value)  # type: ignore[type-var]
    # as JSON, where a list is a tuple, and strictly, so that "16" is no number
    return _adapter(annotation).validate_json(json.dumps(value), strict=True)
