"""Load, merge, check and hash settings.

Settings are frozen dataclasses that stand beside the code they set. This file only fills them from plain
values: presets (TOML files in `presets/`) and `key=value` assignments. Unknown keys are errors.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from avzsl.errors import SettingError, nearest_name
from avzsl.files import read_text

C = TypeVar("C")
V = TypeVar("V")


def quirk(name: str, *, clean: V, reference: V) -> V:
    """A field of a settings dataclass that repeats a habit of public code in reference mode.

    Args:
        name: its id in docs/quirks.md, such as `"M1"`.
        clean: the default.
        reference: what reference mode takes where neither a preset nor the user says otherwise.
    """
    field: V = dataclasses.field(default=clean, metadata={"quirk": name, "reference": reference})
    return field


def quirk_names(config: type[Any]) -> dict[str, str]:
    """Fields of a settings dataclass that are quirks, with the id of each."""
    return {f.name: f.metadata["quirk"] for f in dataclasses.fields(config) if "quirk" in f.metadata}


def reference_values(config: type[Any]) -> dict[str, Any]:
    """What reference mode sets in a settings dataclass."""
    return {f.name: f.metadata["reference"] for f in dataclasses.fields(config) if "quirk" in f.metadata}


def fill(config: type[C], values: Mapping[str, Any], where: str) -> C:
    """Build a settings dataclass from plain values, checking names and types.

    Args:
        config: a frozen dataclass; all its fields have defaults.
        values: field names to plain values (strings are converted to the field's type).
        where: named in errors, such as `"[train]"`.

    Raises:
        SettingError: an unknown field (with the nearest name), a wrong type, a value out of range.
    """
    import pydantic

    fields = {f.name for f in dataclasses.fields(config)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise SettingError(f"unknown setting '{name}' in {where}{nearest_name(name, fields)}")
    try:
        return pydantic.TypeAdapter(config).validate_python(dict(values))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise SettingError(_of_whole(first["msg"].removeprefix("Value error, "), values, where)) from error
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise SettingError(f"setting '{place}' in {where} is {first['input']!r}: {message}") from error


def _of_whole(message: str, values: Mapping[str, Any], where: str) -> str:
    """The sentence of a check over several fields, with what was given for those it names."""
    given = [f"{name} = {value!r}" for name, value in values.items() if re.search(rf"\b{re.escape(name)}\b", message)]
    return f"wrong setting in {where}: {message}" + (f" (given: {', '.join(given)})" if given else "")


def plain(config: Any) -> dict[str, Any]:
    """A settings dataclass as plain JSON values (tuples become lists)."""
    values: dict[str, Any] = dataclasses.asdict(config)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        SettingError: not valid TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        values: dict[str, Any] = tomllib.loads(text)
        return values
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{where} is not valid TOML: {error}") from error
    except (RecursionError, ValueError) as error:  # brackets in brackets without end; a number of too many digits
        raise SettingError(f"{where} cannot be read: {error}") from error


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split `key=value`; the value is read as TOML where it is TOML and as a string otherwise.

    Raises:
        SettingError: there is no `=` or no key.
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key:
        raise SettingError(f"'{text}' is not a setting; write --set key=value")
    try:
        return key, parse_toml(f"value = {value}", "value")["value"]
    except SettingError:
        return key, value


def place_assignments(assignments: Iterable[str], sections: Mapping[str, type[Any]]) -> dict[str, dict[str, Any]]:
    """Sort `key=value` texts into sections.

    A key is `section.name`, or a bare `name` where only one section has it.

    Args:
        assignments: texts as the user wrote them.
        sections: section name to the dataclass that holds its settings.

    Raises:
        SettingError: no section, or more than one, has that name.
    """
    fields = {s: {f.name for f in dataclasses.fields(c)} for s, c in sections.items()}
    placed: dict[str, dict[str, Any]] = {s: {} for s in sections}
    for text in assignments:
        key, value = parse_assignment(text)
        section, dot, name = key.rpartition(".")
        owners = [section] if dot and section in fields and name in fields[section] else []
        if not dot:
            owners = [s for s, names in fields.items() if key in names]
            name = key
        if not owners:
            known = {n for names in fields.values() for n in names}
            known |= {f"{s}.{n}" for s, names in fields.items() for n in names} if dot else set()
            raise SettingError(f"unknown setting '{key}'{nearest_name(key, known)}")
        if len(owners) > 1:
            choices = " or ".join(f"{s}.{name}" for s in owners)
            raise SettingError(f"setting '{key}' is ambiguous; write {choices}")
        placed[owners[0]][name] = value
    return placed


def preset_names(method: str) -> tuple[str, ...]:
    """Names of the presets a method ships with, sorted."""
    folder = resources.files("avzsl") / "presets" / method
    if not folder.is_dir():
        return ()
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def is_preset_file(preset: str) -> bool:
    """Whether a preset is given as the path of a TOML file and not by name."""
    return preset.endswith(".toml") or len(Path(preset).parts) > 1


def load_preset(method: str, preset: str) -> dict[str, dict[str, Any]]:
    """The sections of a preset file, such as `{"method": {...}, "train": {...}, "paper": {...}}`.

    Args:
        method: registered name.
        preset: one of `preset_names(method)`, or the path of a TOML file, which suits any method.

    Raises:
        SettingError: the method has no preset of that name, or there is no such file.
    """
    if is_preset_file(preset):
        try:
            return parse_toml(read_text(preset), f"preset {preset}")
        except (OSError, ValueError) as error:  # also a path with a zero byte
            why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or error
            raise SettingError(f"cannot read the preset {preset}: {why}; check the path") from error
    names = preset_names(method)
    if preset not in names:
        raise SettingError(f"method '{method}' has no preset '{preset}'{nearest_name(preset, names)}")
    path = resources.files("avzsl") / "presets" / method / f"{preset}.toml"
    return parse_toml(path.read_text(encoding="utf-8"), f"preset {method}/{preset}")
