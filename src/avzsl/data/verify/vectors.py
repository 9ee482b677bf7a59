"""Word vectors of the classes: is there one for each, by its name, and could a method tell them apart?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from avzsl.data.classes import ClassIndex, find_word_vectors
from avzsl.data.verify.findings import Findings, count, nearest, some
from avzsl.data.verify.lists import SplitLists
from avzsl.errors import DataError
from avzsl.features.store import read_word_vectors
from avzsl.layout import Layout
from avzsl.types import TextVectors

# Folder beside the dataset's in which word vectors are handed out without features; the loader does not look there.
_BESIDE = "word-vectors"
_UNIT, _SAME = 1e-3, 5  # tolerated deviation from length 1; digits in which two directions must agree


def check_word_vectors(
    layouts: Sequence[Layout], index: ClassIndex, keys: Mapping[int, str], lists: SplitLists, findings: Findings
) -> tuple[TextVectors | None, dict[str, object]]:
    """Word vectors of a family, and facts about them.

    Args:
        layouts: folders that may hold the vectors, the preferred one first.
        index: ids of all classes.
        keys: class id to key of its vector.
        lists: classes of the splits.
        findings: takes what is wrong.
    """
    path = _find(layouts, findings)
    if path is None:
        return None, {}
    try:
        vectors = read_word_vectors(path)
    except DataError as error:
        findings.failed("word-vectors", path, error)
        return None, {}
    if keys:  # without any, one finding says so already
        _check_names(vectors, path, layouts[0].class_names_csv, index, keys, lists, findings)
    _check_numbers(vectors, path, index, keys, findings)
    facts: dict[str, object] = {"encoder": vectors.encoder, "vectors": len(vectors.names)}
    facts["columns"] = int(vectors.vectors.shape[1])
    shifted = by_rank(vectors.names, index, keys)
    if shifted is not None:
        facts["by_rank"] = _tell_ranks(shifted, path, index, keys, lists, findings)
    return vectors, facts


def _find(layouts: Sequence[Layout], findings: Findings) -> Path | None:
    try:
        return find_word_vectors(layouts)
    except DataError as error:
        layout = layouts[0]
        for name in (layout.word_vectors_safetensors.name, layout.word_vectors.name):
            for folder in (layout.root / _BESIDE, layout.root.parent / _BESIDE):
                if (folder / name).is_file():
                    findings.add(
                        "error", "misplaced-vectors", folder / name,
                        "word vectors lie where the loader does not look; they are checked all the same",
                        f"copy them to {layout.word_vectors.parent / name}",
                    )  # fmt: skip
                    return folder / name
        findings.failed("word-vectors", layout.word_vectors, error)
        return None


def _check_names(
    vectors: TextVectors,
    path: Path,
    csv: Path,
    index: ClassIndex,
    keys: Mapping[int, str],
    lists: SplitLists,
    findings: Findings,
) -> None:
    there, used = set(vectors.names), set(lists.used)
    free = sorted(there - set(keys.values()))
    for number, name in enumerate(index.names):
        severity = "error" if number in used else "note"
        if number not in keys:
            findings.add(
                severity, "no-vector", csv, f"has no row that says which vector class '{name}' has",
                "add one, with the class name under 'original' and the name of its vector under 'manual'",
            )  # fmt: skip
        elif keys[number] not in there:
            called = "" if keys[number] == name else f" (called '{keys[number]}')"
            near = nearest(keys[number], free)
            findings.add(
                severity, "no-vector", path, f"has no vector for class '{name}'{called}",
                f"is '{near}' meant? correct the column 'manual' of the class-name csv" if near is not None
                else "add the vector, or extract again",
            )  # fmt: skip
    if free:
        what = f"{count(len(free), 'vector belongs', 'vectors belong')} to no class: {some(free)}"
        findings.add("note", "unused-vector", path, what)


def _check_numbers(
    vectors: TextVectors, path: Path, index: ClassIndex, keys: Mapping[int, str], findings: Findings
) -> None:
    lengths = vectors.vectors.norm(dim=1)
    odd = ((lengths - 1).abs() > _UNIT).nonzero().flatten().tolist()
    if odd:
        worst = max(odd, key=lambda row: abs(float(lengths[row]) - 1))
        findings.add(
            "warning", "not-unit", path,
            f"{count(len(odd), 'vector is', 'vectors are')} not of length 1; '{vectors.names[worst]}' has"
            f" {float(lengths[worst]):.4g}",
            "divide each vector by its length: methods expect unit vectors",
        )  # fmt: skip
    rows = {name: row for row, name in enumerate(vectors.names)}
    directions = np.round(torch.nn.functional.normalize(vectors.vectors, dim=1).numpy(), _SAME) + 0.0  # no -0
    alike: dict[bytes, dict[str, str]] = defaultdict(dict)
    for number, key in sorted(keys.items()):
        if key in rows:
            alike[directions[rows[key]].tobytes()].setdefault(key, index.names[number])
    for group in alike.values():
        if len(group) > 1:
            findings.add(
                "warning", "same-vector", path,
                f"{some(list(group.values()))} have the same vector, so no method can tell them apart",
                "give the classes names that the text encoder tells apart, or leave all but one out",
            )  # fmt: skip


def by_rank(names: Sequence[str], index: ClassIndex, keys: Mapping[int, str]) -> dict[int, str] | None:
    """P1: class id to key of the vector that a loader by sorted rank would take, where it is another than by name.

    Args:
        names: names of all vectors.
        index: ids of all classes.
        keys: class id to key of its own vector.

    Returns:
        None when ranks mean nothing, because there are more or fewer vectors than classes.
    """
    if len(names) != len(index.names):
        return None
    ranked = sorted(names)
    return {number: ranked[number] for number, key in sorted(keys.items()) if ranked[number] != key}


def _tell_ranks(
    shifted: Mapping[int, str],
    path: Path,
    index: ClassIndex,
    keys: Mapping[int, str],
    lists: SplitLists,
    findings: Findings,
) -> dict[str, int]:
    counts = {"classes": len(shifted), "of": len(index.names)}
    parts = ("stage_1_train", "stage_1_val_unseen", "stage_2_train", "stage_2_test_unseen")
    counts |= {split: sum(number in shifted for number in lists.classes.get(split, ())) for split in parts}
    if shifted:
        unseen = [number for number in lists.classes.get("stage_2_test_unseen", ()) if number in shifted]
        shown = (unseen or list(shifted))[:3]
        examples = ", ".join(
            f"'{index.names[number]}' that of '{shifted[number]}' instead of '{keys[number]}'" for number in shown
        )
        findings.add(
            "note", "by-rank", path,
            f"a loader that hands vectors out by sorted rank (P1) would be wrong for {len(shifted)} of"
            f" {len(index.names)} classes, {counts['stage_2_test_unseen']} of them in the test-unseen split:"
            f" {examples}",
            "nothing here: clean mode goes by name, and reference mode repeats it on purpose",
        )  # fmt: skip
    return counts
