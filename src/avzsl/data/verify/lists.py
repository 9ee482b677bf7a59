"""Class names and splits: the text files of a benchmark folder, checked against each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from avzsl.data.classes import ClassIndex, read_lines, read_split_csv
from avzsl.data.verify.class_names import KnownNames, tell_case
from avzsl.data.verify.findings import Findings, count, some
from avzsl.layout import SPLITS, Layout

_UNSEEN = {"stage_1_val_unseen": "stage_1_train", "stage_2_test_unseen": "stage_2_train"}
_SEEN = {"stage_1_val_seen": "stage_1_train", "stage_2_test_seen": "stage_2_train"}
# The training splits and those they are judged on, stage by stage (docs/protocol.md section 5).
STAGES = (
    (("stage_1_train",), ("stage_1_val_seen", "stage_1_val_unseen")),
    (("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen"), ("stage_2_test_seen", "stage_2_test_unseen")),
)


@dataclass
class SplitLists:
    """The classes of every split, as far as they could be read.

    Attributes:
        classes: split name to class ids, sorted; `stage_2_train` is the union of the two that make it.
        listed: splits whose class list is there.
        clips: split name to class id to clip names of its csv; only splits whose csv could be read.
        spelt: class names as the lists spell them.
    """

    classes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    clips: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    spelt: list[str] = field(default_factory=list)

    @property
    def used(self) -> tuple[int, ...]:
        """Every class that the loader needs a vector for, sorted."""
        parts = ("stage_2_train", "stage_2_test_unseen")
        return tuple(sorted({number for split in parts for number in self.classes.get(split, ())}))


def check_splits(layout: Layout, index: ClassIndex, findings: Findings) -> SplitLists:
    """The class lists and clip lists of one split folder."""
    lists = SplitLists()
    for split in SPLITS:
        _read_list(layout, split, index, lists, findings)
    tell_case(lists.spelt, index, layout.split_dir, findings)
    _check_relations(layout, index, lists, findings)
    absent = [path.name for path in map(layout.split_csv, SPLITS) if not path.is_file()]
    if absent and layout.split_dir.is_dir():
        what = f"{some(absent)} {'is' if len(absent) == 1 else 'are'} not there; only checks would use such files"
        findings.add("note", "missing-csv", layout.split_dir, what)
    for split in SPLITS:
        if layout.split_csv(split).is_file():
            _read_clips(layout, split, index, lists, findings)
    _check_clip_lists(layout, lists, findings)
    return lists


def _read_list(layout: Layout, split: str, index: ClassIndex, lists: SplitLists, findings: Findings) -> None:
    path = layout.split_txt(split)
    if split == "stage_2_train" and not path.is_file():
        findings.add("note", "missing-list", path, "is not there; it is the union of two others, so nothing needs it")
        return
    with findings.heed("missing-list" if not path.exists() else "split-list", path):
        names = read_lines(path)
        known = KnownNames(index, findings)
        numbers = [number for number in (known.find(name, path) for name in names) if number is not None]
        twice = [index.names[number] for number, times in sorted(Counter(numbers).items()) if times > 1]
        if twice:
            findings.add("warning", "duplicate-class", path, f"lists {some(twice)} twice", "remove one of the lines")
        if not names:
            needed = split not in _SEEN
            findings.add(
                "error" if needed else "warning", "split-list", path, "names no class", "write the class split again"
            )
        lists.spelt += names
        lists.classes[split] = tuple(sorted(set(numbers)))
        lists.listed.add(split)


def _check_relations(layout: Layout, index: ClassIndex, lists: SplitLists, findings: Findings) -> None:
    """Set relations of docs/protocol.md section 5; also fills in the classes of `stage_2_train`."""
    train, validation = (set(lists.classes.get(s, ())) for s in ("stage_1_train", "stage_1_val_unseen"))
    both = train | validation
    if "stage_2_train" in lists.listed and {"stage_1_train", "stage_1_val_unseen"} <= lists.listed:
        odd = sorted(set(lists.classes["stage_2_train"]) ^ both)
        if odd:
            findings.add(
                "error",
                "split-relation",
                layout.split_txt("stage_2_train"),
                f"must list the classes of stage_1_train and stage_1_val_unseen, but {_names(odd, index)} is only in"
                " one of the two",
                "write stage_2_train.txt from the other two lists",
            )
    lists.classes["stage_2_train"] = tuple(sorted(both))
    sets = {split: set(numbers) for split, numbers in lists.classes.items()}
    for split, training in _UNSEEN.items():
        shared = sorted(sets.get(split, set()) & sets.get(training, set()))
        if shared:
            findings.add(
                "error",
                "not-unseen",
                layout.split_txt(split),
                f"{_names(shared, index)} is also trained on (in {training}), so it is not unseen",
                "take it out of one of the lists",
            )
    for split, training in _SEEN.items():
        if split not in sets or training not in sets:
            continue
        strange, left = sorted(sets[split] - sets[training]), sorted(sets[training] - sets[split])
        if strange:
            findings.add(
                "error",
                "not-seen",
                layout.split_txt(split),
                f"{_names(strange, index)} is not in {training}, so it is not seen",
                "move it to the unseen split",
            )
        if left:
            findings.add(
                "note",
                "split-list",
                layout.split_txt(split),
                f"leaves out {count(len(left), 'class', 'classes')} of {training} ({_names(left, index)});"
                " clips of them are judged all the same where features are there",
            )


def _read_clips(layout: Layout, split: str, index: ClassIndex, lists: SplitLists, findings: Findings) -> None:
    """The csv of a split; training never opens it, so nothing in it is an error."""
    path = layout.split_csv(split)
    with findings.heed("split-csv", path, "warning"):
        clips: dict[int, list[str]] = defaultdict(list)
        wrong, unknown = [], Counter[str]()
        known = index.numbers()
        for row in read_split_csv(path):
            number = known.get(index.key(row["label"].strip()))
            if number is None:
                unknown[row["label"].strip()] += 1
                continue
            clips[number].append(row["filename"].strip())
            if row["label_code"].strip() != str(number):
                wrong.append(row["filename"].strip())
        if unknown:
            findings.add(
                "warning", "unknown-class", path,
                f"{count(sum(unknown.values()), 'row')} of classes that are not in all_class.txt:"
                f" {some(sorted(unknown))}",
                "correct the names",
            )  # fmt: skip
        if wrong:
            findings.add(
                "warning", "label-code", path,
                f"{count(len(wrong), 'row')} with a label_code that is not the rank of the class in the sorted"
                f" all_class.txt: {some(wrong)}",
                "programs that trust label_code would mix up classes; write the file again",
            )  # fmt: skip
        lists.clips[split] = dict(clips)


def _check_clip_lists(layout: Layout, lists: SplitLists, findings: Findings) -> None:
    """Clips named twice, and the union that stage_2_train should be."""
    for split, clips in lists.clips.items():
        twice = sorted(name for name, times in Counter(_all(clips)).items() if times > 1)
        if twice:
            findings.add(
                "warning", "duplicate-clip", layout.split_csv(split),
                f"lists {count(len(twice), 'clip')} more than once: {some(twice)}", "remove the other rows",
            )  # fmt: skip
    for stage, (training, judging) in enumerate(STAGES, start=1):
        trained = {name for split in training for name in _all(lists.clips.get(split, {}))}
        for split in judging:
            shared = sorted(trained.intersection(_all(lists.clips.get(split, {}))))
            if shared:
                findings.add(
                    "warning", "clip-in-two-splits", layout.split_csv(split),
                    f"{count(len(shared), 'clip')} also in what stage {stage} trains on: {some(shared)}",
                    "remove them from one of the splits",
                )  # fmt: skip
    if set(SPLITS[:4]) <= set(lists.clips):
        union = {name for split in SPLITS[:3] for name in _all(lists.clips[split])}
        odd = sorted(union.symmetric_difference(_all(lists.clips["stage_2_train"])))
        if odd:
            findings.add(
                "warning", "split-relation", layout.split_csv("stage_2_train"),
                f"is not the union of the three stage-1 files: {some(odd)}",
                "training uses the union; write the file again so that both agree",
            )  # fmt: skip


def _names(numbers: Sequence[int], index: ClassIndex) -> str:
    return some([index.names[number] for number in numbers])


def _all(clips: Mapping[int, Sequence[str]]) -> list[str]:
    return [name for names in clips.values() for name in names]
