"""The sizes of the three published benchmarks (class-split files of ExplainableML/AVCA-GZSL; its csv and txt files)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from avzsl.data.verify.findings import Findings
from avzsl.layout import SPLITS, Layout


@dataclass(frozen=True)
class Sizes:
    """What a published benchmark holds.

    Attributes:
        names: names in all_class.txt.
        classes: classes of each split, family `main`.
        clips: clips of each split, family `main`.
        cls_unseen: classes and clips of the test-unseen split of family `cls`, the only one that differs.
    """

    names: int
    classes: Mapping[str, int]
    clips: Mapping[str, int]
    cls_unseen: tuple[int, int]

    def of(self, family: str) -> tuple[dict[str, int], dict[str, int]]:
        """Classes and clips of each split of a family."""
        classes, clips = dict(self.classes), dict(self.clips)
        if family == "cls":
            classes["stage_2_test_unseen"], clips["stage_2_test_unseen"] = self.cls_unseen
        return classes, clips


def _sizes(
    names: int, classes: tuple[int, int, int], clips: tuple[int, int, int, int, int, int], cls_unseen: tuple[int, int]
) -> Sizes:
    train, validation, unseen = classes
    both = train + validation
    counts = (train, train, validation, both, both, unseen)
    return Sizes(names, dict(zip(SPLITS, counts, strict=True)), dict(zip(SPLITS, clips, strict=True)), cls_unseen)


PUBLISHED = {
    "ucf": _sizes(101, (30, 12, 9), (3174, 353, 1467, 4994, 555, 1267), (6, 845)),
    "activitynet": _sizes(200, (99, 51, 50), (9204, 1023, 4307, 14534, 1615, 4199), (48, 4052)),
    "vggsound": _sizes(309, (138, 69, 69), (70351, 7817, 3102, 81270, 9032, 3450), (64, 3200)),
}


def compare(
    layout: Layout,
    names: int,
    classes: Mapping[str, int],
    clips: Mapping[str, int],
    counted: str,
    findings: Findings,
) -> bool | None:
    """Compare a folder named like a published benchmark with what was published.

    Args:
        layout: the folder and a published family.
        names: names in all_class.txt.
        classes: split name to classes in its list.
        clips: split name to clips; a split that is absent is not compared.
        counted: where clips were counted, for the sentence.
        findings: takes a warning for what differs.

    Returns:
        Whether all is as published; None when it is no published benchmark and family.
    """
    if layout.stem not in PUBLISHED or layout.family not in ("main", "cls"):
        return None
    published = PUBLISHED[layout.stem]
    of_classes, of_clips = published.of(layout.family)
    differ = [f"{names} names in all_class.txt (published {published.names})"] if names != published.names else []
    for split in SPLITS:
        if split in classes and classes[split] != of_classes[split]:
            differ.append(f"{split} {classes[split]} classes (published {of_classes[split]})")
    for split in SPLITS:
        if split in clips and clips[split] != of_clips[split]:
            differ.append(f"{split} {clips[split]} clips {counted} (published {of_clips[split]})")
    if differ:
        findings.add(
            "warning",
            "not-as-published",
            ".",
            f"this is not the published benchmark '{layout.stem}': {', '.join(differ)}",
            "complete it before you compare with published tables, or say that numbers are of a part of it",
        )
    return not differ
