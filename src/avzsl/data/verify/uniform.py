"""Are all files of one kind alike: columns, maker, stored type; and do their columns say anything?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from avzsl.data.verify.files import ColumnRanges
from avzsl.data.verify.findings import Findings, count
from avzsl.layout import FOLDERS

if TYPE_CHECKING:
    from avzsl.data.verify.survey import Survey


def check_uniform(found: Survey, ranges: Mapping[str, ColumnRanges], findings: Findings) -> None:
    """Findings about what files of one kind should have in common."""
    _tell_widths(found, findings)
    _tell_makers(found, findings)
    _tell_types(found, findings)
    _tell_constant(found, ranges, findings)


def _tell_widths(found: Survey, findings: Findings) -> None:
    for modality, widths in found.columns.items():
        usual = found.width(modality)
        for width, paths in widths.items():
            if width != usual:
                findings.add(
                    "error", "columns-differ", paths[0],
                    f"{count(len(paths), f'{modality} file has', f'{modality} files have')} {width} columns, the others"
                    f" {usual}",
                    "do not mix extractors in one folder; extract them all with the same",
                )  # fmt: skip


def _tell_makers(found: Survey, findings: Findings) -> None:
    usual = max(found.makers, key=lambda maker: len(found.makers[maker]), default=None)
    for maker, paths in found.makers.items():
        if maker != usual:
            findings.add(
                "error", "mixed-extractors", paths[0],
                f"{count(len(paths), 'file was', 'files were')} made by {maker}, the others by {usual}",
                "extract all with the same extractor and settings",
            )  # fmt: skip


def _tell_types(found: Survey, findings: Findings) -> None:
    for modality, types in found.dtypes.items():
        others = [f"{files} of {kind}" for kind, files in sorted(types.items()) if kind != "float32"]
        if others:
            what = f"{sum(types.values())} files, {', '.join(others)}; all are read as float32"
            findings.add("note", "stored-type", found.base / FOLDERS[modality], what)


def _tell_constant(found: Survey, ranges: Mapping[str, ColumnRanges], findings: Findings) -> None:
    for modality, values in ranges.items():
        columns, width = values.constant, found.width(modality)
        if columns and width is not None:
            many = 2 * len(columns) > width
            findings.add(
                "warning" if many else "note", "constant-columns", found.base / FOLDERS[modality],
                f"{len(columns)} of {width} columns hold one value in all training clips: {_ranges(columns)}",
                "extract again: most of the features say nothing" if many else "",
            )  # fmt: skip


def _ranges(numbers: Sequence[int], most: int = 4) -> str:
    """Neighbouring numbers joined, such as `0-2, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    shown = ", ".join("-".join(map(str, run)) for run in runs[:most])
    return f"{shown}, ..." if len(runs) > most else shown
