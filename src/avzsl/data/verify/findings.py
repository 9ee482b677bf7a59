"""What a check found: how bad, what, where, and how to mend it."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from avzsl.errors import DataError

SEVERITIES = ("error", "warning", "note")
_DEFAULT_MEND = "download or extract it again"


@dataclass(frozen=True)
class Finding:
    """One thing to know about a benchmark folder.

    Attributes:
        severity: `"error"` when training would fail or its numbers be wrong, `"warning"` for what is probably not
            meant, `"note"` for a property worth knowing.
        kind: a short fixed name, the same for all findings of this sort.
        where: a path inside the folder, with a row where there is one.
        what: a sentence without its full stop.
        mend: what to do about it; empty for a property that needs nothing done.
        family: the feature family it concerns; None for all.
    """

    severity: str
    kind: str
    where: str
    what: str
    mend: str = ""
    family: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Plain JSON values."""
        return asdict(self)


class Findings:
    """Collects findings about one folder; `of` gives a view whose findings carry a family's name.

    Args:
        root: the benchmark folder; paths are told relative to it.
        family: family that findings are about.
    """

    def __init__(self, root: Path, family: str | None = None) -> None:
        self.root, self.family = root, family
        # A dictionary is a set that keeps the order.
        self.found: dict[Finding, None] = {}

    def of(self, family: str | None) -> Findings:
        """A view on the same list for one family."""
        view = Findings(self.root, family)
        view.found = self.found
        return view

    @property
    def errors(self) -> int:
        """Number of errors so far."""
        return sum(finding.severity == "error" for finding in self.found)

    def add(self, severity: str, kind: str, where: Path | str, what: str, mend: str = "") -> None:
        """Note one finding; the same one a second time is dropped."""
        place, text = self._plain(str(where)), self._plain(what)
        # Messages of the loader begin with the path.
        text = text.removeprefix(place).lstrip(": ") if text.startswith((f"{place} ", f"{place}:")) else text
        self.found.setdefault(Finding(severity, kind, place, text, self._plain(mend), self.family))

    def failed(self, kind: str, where: Path, error: DataError, severity: str = "error") -> None:
        """Note an error that the loader would stop at; its message ends with the way on."""
        what, _, mend = str(error).rpartition("; ")
        self.add(severity, kind, where, what or str(error), mend if what else _DEFAULT_MEND)

    @contextlib.contextmanager
    def heed(self, kind: str, where: Path, severity: str = "error") -> Iterator[None]:
        """Turn a `DataError` inside the block into a finding and go on behind the block."""
        try:
            yield
        except DataError as error:
            self.failed(kind, where, error, severity)

    def sorted(self) -> tuple[Finding, ...]:
        """All findings, errors first, otherwise in the order in which they were made."""
        return tuple(sorted(self.found, key=lambda finding: SEVERITIES.index(finding.severity)))

    def _plain(self, text: str) -> str:
        """Paths as seen from the folder."""
        inside = text.replace(f"{self.root}{os.sep}", "").replace(str(self.root), ".")
        return " ".join(inside.split())


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that is most like the name, if one is."""
    folded = {choice.casefold(): choice for choice in sorted(choices)}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names in quotes, and how many more there are."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def count(number: int, thing: str, things: str | None = None) -> str:
    """A number with its word, such as `1 clip` and `2 clips`."""
    return f"{number} {thing if number == 1 else things or f'{thing}s'}"
