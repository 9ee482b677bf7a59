"""The record of a finding, and the words it is made of."""

from __future__ import annotations

from pathlib import Path

from avzsl.data.verify.findings import Finding, Findings, count, nearest, some
from avzsl.errors import DataError

ROOT = Path("/data/Toy")


def test_paths_are_told_from_inside_the_folder() -> None:
    findings = Findings(ROOT)
    findings.add("error", "kind", ROOT / "a.txt", f"{ROOT / 'a.txt'} differs from {ROOT / 'b.txt'}", f"see {ROOT}")
    assert list(findings.found) == [Finding("error", "kind", "a.txt", "differs from b.txt", "see .")]


def test_a_message_of_the_loader_is_split_into_what_and_mend() -> None:
    findings = Findings(ROOT).of("main")
    with findings.heed("kind", ROOT / "a.h5", "warning"):
        raise DataError(f"{ROOT / 'a.h5'}: row 3; or so; extract it again")
    with findings.heed("kind", ROOT / "a.h5"):
        raise DataError("something is odd")
    assert list(findings.found) == [
        Finding("warning", "kind", "a.h5", "row 3; or so", "extract it again", "main"),
        Finding("error", "kind", "a.h5", "something is odd", "download or extract it again", "main"),
    ]


def test_views_share_one_list_and_nothing_is_told_twice() -> None:
    findings = Findings(ROOT)
    view = findings.of("cls")
    view.add("note", "b", "x", "y")
    findings.add("error", "a", "x", "y")
    findings.add("error", "a", "x", "y")
    assert (findings.errors, view.errors, len(findings.found)) == (1, 1, 2)
    assert [f.severity for f in view.sorted()] == ["error", "note"]


def test_nearest_names() -> None:
    assert nearest("Aple", ["apple", "bell"]) == "apple"
    assert nearest("CAT", ["cat", "dog"]) == "cat"
    assert nearest("zebra", ["apple", "bell"]) is None
    assert nearest("x", []) is None


def test_lists_and_numbers_in_words() -> None:
    assert some(["a"]) == "'a'"
    assert some(["a", "b", "c"]) == "'a', 'b', 'c'"
    assert some(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c' and 2 more"
    assert (count(1, "clip"), count(2, "clip"), count(0, "class", "classes")) == ("1 clip", "2 clips", "0 classes")
