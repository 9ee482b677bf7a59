"""What a section found, as records that go to JSON and back, and the numbers that follow from the times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from benchmarks.clock import Times

# Our own code; the same without its fast paths; other people's code, or written as they do it; copies and products.
Kind = Literal["ours", "ours, plain", "other", "machine"]


@dataclass(frozen=True)
class Floor:
    """The least time a row could take: `share` times what the row `of` of the same comparison took.

    Attributes:
        of: name of a row that does nothing but move bytes or multiply matrices.
        share: bytes or FLOPs that the measured row needs, over those of row `of`.
    """

    of: str
    share: float


@dataclass(frozen=True)
class Row:
    """One variant of a comparison.

    Attributes:
        name: unique in its comparison.
        times: None where it does not run here.
        work: units of work in one call (neuron-steps, steps, seconds of video, FLOPs).
        kind: see `Kind`.
        floor: None where no floor was worked out.
        missing: why it has no times.
        cells: further columns, header to value.
    """

    name: str
    times: Times | None
    work: float = 1.0
    kind: Kind = "ours"
    floor: Floor | None = None
    missing: str = ""
    cells: Mapping[str, float | str] = field(default_factory=dict)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Row:
        """Inverse of `dataclasses.asdict`."""
        found = dict(values)
        found["times"] = None if values["times"] is None else Times.from_dict(values["times"])
        found["floor"] = None if values["floor"] is None else Floor(**values["floor"])
        return Row(**found)


@dataclass(frozen=True)
class Comparison:
    """Variants that were measured in turns.

    Attributes:
        name: a heading.
        rows: variants.
        unit: of the shown numbers, `"ms"` or `"GFLOP/s"`.
        scale: seconds for one unit of work (or units of work in one second, for a rate) times this is the shown number.
        rate: shown numbers are work per time, and larger ones are better.
        reference: the row that the column of ratios divides by; empty = no such column.
        checked: what was found equal before anything was timed.
        floor: in words, with the formula.
        notes: lines below the table.
    """

    name: str
    rows: tuple[Row, ...]
    unit: str = "ms"
    scale: float = 1e3
    rate: bool = False
    reference: str = ""
    checked: str = ""
    floor: str = ""
    notes: tuple[str, ...] = ()

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    def shown(self, row: Row, *, cpu: bool = False) -> float | None:
        """A row's number in the comparison's unit; None without times."""
        if row.times is None:
            return None
        seconds = row.times.cpu_median if cpu else row.times.median
        return self.scale * (row.work / seconds if self.rate else seconds / row.work)

    def floor_seconds(self, row: Row) -> float | None:
        """Seconds that one call takes at least."""
        base = None if row.floor is None else self.row(row.floor.of).times
        return None if row.floor is None or base is None else row.floor.share * base.median

    def shown_floor(self, row: Row) -> float | None:
        """The floor in the comparison's unit."""
        seconds = self.floor_seconds(row)
        if seconds is None:
            return None
        return self.scale * (row.work / seconds if self.rate else seconds / row.work)

    def times_floor(self, row: Row) -> float | None:
        """How many times its floor a row took."""
        seconds = self.floor_seconds(row)
        return None if seconds is None or row.times is None else row.times.median / seconds

    def times_reference(self, row: Row) -> float | None:
        """How many times as long as the reference a row took for the same work."""
        if not self.reference or row.times is None:
            return None
        base = self.row(self.reference)
        if base.times is None:
            return None
        return (row.times.median / row.work) / (base.times.median / base.work)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the numbers that follow from the times."""
        values = asdict(self)
        for row, stored in zip(self.rows, values["rows"], strict=True):
            stored["times"] = None if row.times is None else row.times.as_dict()
            stored["found"] = {
                "median": self.shown(row),
                "cpu median": self.shown(row, cpu=True),
                "floor": self.shown_floor(row),
                "times floor": self.times_floor(row),
                "times reference": self.times_reference(row),
            }
        return values

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Comparison:
        """Inverse of `as_dict`."""
        rows = tuple(Row.from_dict({k: v for k, v in row.items() if k != "found"}) for row in values["rows"])
        return Comparison(**{**values, "rows": rows, "notes": tuple(values["notes"])})
