"""What the clips of a family say when they are seen together: leaks, repetitions, gaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from avzsl.data.classes import ClassIndex
from avzsl.data.verify.findings import Findings, count, some
from avzsl.data.verify.listing import READ, judged_classes
from avzsl.data.verify.lists import STAGES, SplitLists
from avzsl.data.verify.survey import SeenClip, Survey
from avzsl.layout import FOLDERS


def check_leaks(found: Survey, findings: Findings) -> None:
    """A clip that is trained on and judged makes scores too high, by whatever name it goes."""
    for stage, (training, judging) in enumerate(STAGES, start=1):
        trained = [clip for clip in found.clips if clip.split in training]
        judged = [clip for clip in found.clips if clip.split in judging]
        names = {(clip.number, clip.name) for clip in trained}
        shared = [clip for clip in judged if (clip.number, clip.name) in names]
        if shared:
            findings.add(
                "error", "leak", _place(found, shared[0]),
                f"{count(len(shared), 'clip is', 'clips are')} both trained on and judged in stage {stage}:"
                f" {some([clip.name for clip in shared])}",
                "remove them from one of the splits; scores would be too high",
            )  # fmt: skip
        rows = {_both(clip): clip for clip in trained if _both(clip) is not None}
        copies = [clip for clip in judged if _both(clip) in rows and (clip.number, clip.name) not in names]
        if copies:
            original = rows[_both(copies[0])]
            findings.add(
                "error", "leak", _place(found, copies[0]),
                f"{count(len(copies), 'judged clip has', 'judged clips have')} exactly the features of a clip that"
                f" stage {stage} trains on: '{copies[0].name}' those of '{original.name}' ({original.split})",
                "remove one of each two; scores would be too high",
            )  # fmt: skip


def check_repetitions(found: Survey, index: ClassIndex, findings: Findings) -> None:
    """Names and rows that occur more than once."""
    of_name: dict[str, set[int]] = defaultdict(set)
    for clip in found.clips:
        of_name[clip.name].add(clip.number)
    several = [name for name, numbers in of_name.items() if len(numbers) > 1]
    if several:
        classes = [index.names[number] for number in sorted(of_name[several[0]])]
        findings.add(
            "note", "name-in-two-classes", found.base,
            f"{count(len(several), 'clip name occurs', 'clip names occur')} in more than one class: '{several[0]}' in"
            f" {some(classes)}",
        )  # fmt: skip
    _tell_same_rows(found, "both modalities", _both, "warning", findings)
    _tell_same_rows(found, "the same sound", lambda clip: clip.audio, "note", findings, but=_both)
    _tell_same_rows(found, "the same picture", lambda clip: clip.visual, "note", findings, but=_both)


def _tell_same_rows(
    found: Survey,
    what: str,
    key: Callable[[SeenClip], bytes | None],
    severity: str,
    findings: Findings,
    but: Callable[[SeenClip], bytes | None] | None = None,
) -> None:
    """Groups of different clips with equal rows; `but` is what makes them one clip, which is told elsewhere."""
    groups: dict[bytes, list[SeenClip]] = defaultdict(list)
    for clip in found.clips:
        rows = key(clip)
        if rows is not None:
            groups[rows].append(clip)
    alike = [group for group in groups.values() if len({(c.number, c.name) for c in group}) > 1]
    if but is not None:
        alike = [group for group in alike if len({but(clip) for clip in group}) > 1]
    if not alike:
        return
    clips = sum(len(group) for group in alike)
    examples = [clip.name for clip in alike[0]]
    crossing = sum(len({clip.number for clip in group}) > 1 for group in alike)
    across = f", {count(crossing, 'group')} of them across classes" if crossing else ""
    if but is None:
        findings.add(
            severity, "same-features", _place(found, alike[0][0]),
            f"{clips} clips in {count(len(alike), 'group')} have the same features in {what}{across}: {some(examples)}",
            "probably one video under several names; keep one of them",
        )  # fmt: skip
    else:
        findings.add(
            severity, "same-features", _place(found, alike[0][0]),
            f"{clips} clips in {count(len(alike), 'group')} have features of {what}{across}: {some(examples)}",
        )  # fmt: skip


def check_against_lists(found: Survey, index: ClassIndex, lists: SplitLists, findings: Findings) -> None:
    """Clips that the csv of a split lists and the features lack, and the other way round."""
    there: dict[tuple[str, int], set[str]] = defaultdict(set)
    for clip in found.clips:
        there[clip.split, clip.number].add(clip.name)
    for split in READ:
        if split not in lists.clips or not any(key[0] == split for key in there):
            continue
        missing, extra, listed = [], [], 0
        for number in judged_classes(lists, split):
            given, found_names = set(lists.clips[split].get(number, ())), there[split, number]
            listed += len(given)
            missing += [f"{index.names[number]}/{name}" for name in sorted(given - found_names)]
            extra += [f"{index.names[number]}/{name}" for name in sorted(found_names - given)]
        place = found.folder.features_dir("audio", split, temporal=found.reading.temporal)
        if missing:
            findings.add(
                "warning", "missing-clips", place,
                f"{len(missing)} of {listed} clips that {split}.csv lists have no features: {some(missing)}",
                "extract or download them; scores on the rest do not compare with scores on all",
            )  # fmt: skip
        if extra:
            findings.add(
                "warning", "unlisted-clips", place,
                f"{count(len(extra), 'clip')} that {split}.csv does not list: {some(extra)}",
                "they are trained on or judged like the others; remove them or add them to the csv",
            )  # fmt: skip


def check_temporal(averaged: Survey, temporal: Survey, index: ClassIndex, findings: Findings) -> None:
    """Averaged and temporal features should be of the same clips, by the same extractor."""
    first = {(clip.split, clip.number, clip.name) for clip in averaged.clips}
    second = {(clip.split, clip.number, clip.name) for clip in temporal.clips}
    for survey, only, other in ((averaged, first - second, temporal), (temporal, second - first, averaged)):
        if only and other.clips:
            names = [f"{index.names[number]}/{name} ({split})" for split, number, name in sorted(only)]
            findings.add(
                "warning", "temporal-differs", survey.base,
                f"{count(len(only), 'clip')} that {other.base.name} lacks ({len(first)} averaged, {len(second)}"
                f" temporal): {some(names)}",
                "results on averaged and on temporal features then are of different clips; extract both again",
            )  # fmt: skip
    if averaged.clips and temporal.clips and averaged.identity != temporal.identity:
        findings.add(
            "warning", "temporal-differs", temporal.base, f"was not made by the extractor of {averaged.base.name}",
            "extract both again with the same extractor and settings",
        )  # fmt: skip


def check_lengths(temporal: Survey, findings: Findings) -> None:
    """Clips with more segments of one modality than of the other, as a property to know."""
    audio, visual = (temporal.segments[modality] for modality in FOLDERS)
    uneven = sum(a != v for a, v in zip(audio, visual, strict=True))
    if uneven:
        longest = max(zip(audio, visual, strict=True), key=lambda pair: abs(pair[0] - pair[1]))
        findings.add(
            "note", "unequal-lengths", temporal.base,
            f"{uneven} of {len(audio)} clips have different numbers of audio and visual rows, at most"
            f" {longest[0]} and {longest[1]}; shorter ones are padded and masked",
        )  # fmt: skip


def _both(clip: SeenClip) -> bytes | None:
    return None if clip.audio is None or clip.visual is None else clip.audio + clip.visual


def _place(found: Survey, clip: SeenClip) -> str:
    return str(found.folder.features_dir("audio", clip.split, temporal=found.reading.temporal))
