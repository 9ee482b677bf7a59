"""What this installation should consist of, as its own package metadata say, and what is there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*([^;]*?)\s*(?:;\s*(.*))?$")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_PYTHON = re.compile(r"""python_version\s*([<>=!]=?)\s*['"]([0-9.]+)['"]""")
_BOUND = re.compile(r"(>=|<=|==|!=|~=|<|>)\s*([0-9][^,\s]*)")
# Modules that several packages bring along, and that tell nothing about any of them.
_BYSTANDERS = {"tests", "test", "docs", "examples", "scripts"}


@dataclass(frozen=True)
class Requirement:
    """One line of the metadata.

    Attributes:
        name: name of the package, as registries know it.
        bounds: versions that will do, such as `>=14`.
        extra: the optional extra that asks for it; None for the core.
    """

    name: str
    bounds: str
    extra: str | None

    @property
    def text(self) -> str:
        """What an installer understands."""
        return f"{self.name}{self.bounds}"

    def allows(self, version: str) -> bool:
        """Whether a version lies within the bounds; letters at its end (`2.13.0+cpu`, `1.0rc1`) do not matter."""
        return all(_within(version, sign, bound) for sign, bound in _BOUND.findall(self.bounds))


def read_requirements(lines: Sequence[str]) -> tuple[Requirement, ...]:
    """The requirements that apply to this Python; an extra that only gathers others is left out."""
    found = []
    for line in lines:
        match = _NAME.match(line)
        marker = (match.group(4) or "") if match else ""
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if match and all(_within(python, sign, bound) for sign, bound in _PYTHON.findall(marker)):
            extra = _EXTRA.search(marker)
            found.append(Requirement(match.group(1), match.group(3).strip("() "), extra.group(1) if extra else None))
    packages = {name: {r.name for r in found if r.extra == name} for name in {r.extra for r in found} - {None}}
    gathering = {name for name, own in packages.items() if _gathers(own, [p for n, p in packages.items() if n != name])}
    return tuple(sorted((r for r in found if r.extra not in gathering), key=lambda r: (r.extra or "", r.name)))


def _gathers(own: set[str], others: Sequence[set[str]]) -> bool:
    """Whether an extra is the sum of others, and not merely part of one."""
    return own <= set().union(*others) and not any(own <= other for other in others)


def installed_version(name: str) -> str | None:
    """The version of a package; None when it is not there, or its metadata are broken."""
    try:
        return importlib.metadata.version(name) or None
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        return None


def module_of(name: str) -> str:
    """The module to import for an installed package."""
    try:
        package = importlib.metadata.distribution(name)
        declared = (package.read_text("top_level.txt") or "").split()
        files = [Path(str(file)) for file in package.files or ()]
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        declared, files = [], []
    own = declared or [
        f.parts[0] if len(f.parts) > 1 else f.stem for f in files if len(f.parts) > 1 or f.suffix == ".py"
    ]
    modules = sorted({m for m in own if m.isidentifier() and not m.startswith("_") and m not in _BYSTANDERS})
    same = [module for module in modules if _plain(module) == _plain(name)]
    return (same or modules or [_plain(name).replace("-", "_")])[0]


def python_bounds() -> str:
    """Versions of Python that will do, as the metadata say."""
    try:
        return str(importlib.metadata.metadata("avzsl")["Requires-Python"] or "")
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError, TypeError, KeyError):
        return ""


def where_from() -> tuple[str, str]:
    """The folder avzsl runs from with how it got there, and what an installer calls it."""
    import avzsl

    folder = Path(avzsl.__file__).resolve().parent
    try:
        record = importlib.metadata.distribution("avzsl").read_text("direct_url.json")
        url = json.loads(record) if record else {}
        source = urlparse(url.get("url", ""))
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        return f"{folder} (not installed as a package)", "avzsl"
    if source.scheme != "file" or "dir_info" not in url:
        return str(folder), "avzsl"
    project = unquote(source.path)
    if sys.platform == "win32":
        project = project.lstrip("/")
    editable = bool(url["dir_info"].get("editable"))
    return f"{folder} ({'editable' if editable else f'from {project}'})", f"{'-e ' if editable else ''}{project}"


def install_command(*what: str, uninstall: bool = False) -> str:
    """A command for this very Python that installs (or removes) what is named."""
    verb = "uninstall" if uninstall else "install"
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        start = ["uv", "pip", verb, "--python", sys.executable]
    else:
        start = [sys.executable, "-m", "pip", verb, *(["-y"] if uninstall else [])]
    return shlex.join([*start, *what])


def extra_command(extra: str) -> str:
    """The command that installs an extra of avzsl, from where avzsl itself came."""
    source = where_from()[1]
    if source.startswith("-e "):
        return install_command("-e", f"{source[3:]}[{extra}]")
    return install_command(f"{source}[{extra}]")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _within(version: str, sign: str, bound: str) -> bool:
    here, there = _numbers(version), _numbers(bound)
    width = max(len(here), len(there))
    first, second = ((*numbers, *[0] * (width - len(numbers))) for numbers in (here, there))
    if sign == "~=":
        return first >= second and here[: len(there) - 1] == there[:-1]
    return {
        ">=": first >= second, "<=": first <= second, "==": first == second, "!=": first != second,
        "<": first < second, ">": first > second,
    }[sign]  # fmt: skip


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version.strip())
    return tuple(int(part) for part in match.group().split(".")) if match else (0,)
