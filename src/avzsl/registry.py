"""Find a class by name: one small registry, used for methods, extractors and text encoders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from avzsl.errors import SettingError, nearest_name

T = TypeVar("T")
S = TypeVar("S", bound=type[Any])


class Registry(Generic[T]):
    """Names to objects, with a refusal to register a name twice and a suggestion when a name is unknown.

    Args:
        kind: what is registered, in the singular, for messages (`"method"`).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files the decorated object under `name`.

        What was defined under the same name in the same file or module before gives way, so that a file or a notebook
        cell can be run again.

        Raises:
            SettingError: the name is taken by something else.
        """

        def add(entry: T) -> T:
            if name in self._entries and _origin(self._entries[name]) != _origin(entry):
                raise SettingError(f"{self.kind} '{name}' is registered already; choose another name")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """The object filed under `name`.

        Raises:
            SettingError: nothing has that name; the message carries the nearest one.
        """
        if name not in self._entries:
            raise SettingError(f"unknown {self.kind} '{name}'{nearest_name(name, self._entries)}")
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._entries))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)


def _origin(entry: Any) -> tuple[Any, Any]:
    """Where something was defined; an object without a definition is only itself."""
    module = getattr(entry, "__module__", None)
    file = getattr(sys.modules.get(str(module)), "__file__", None)
    return file or module, getattr(entry, "__qualname__", id(entry))


def class_decorator(registry: Registry[Any]) -> Callable[[str], Callable[[S], S]]:
    """The decorator of a room whose classes know their own name: files a class and sets its attribute `name`."""

    def register(name: str) -> Callable[[S], S]:
        def add(entry: S) -> S:
            registry.register(name)(entry)
            entry.name = name
            return entry

        return add

    return register
