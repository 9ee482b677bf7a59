"""The record of a finding, and the words it is made of."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from avzsl.data.verify import findings
from avzsl.data.verify.findings import Finding, Findings, count, nearest, some
from avzsl.errors import DataError

ROOT = Path("/data/Toy")


def test_paths_are_told_from_inside_the_folder() -> None:
    found = Findings(ROOT)
    found.add("error", "kind", ROOT / "a.txt", f"{ROOT / 'a.txt'} differs from {ROOT / 'b.txt'}", f"see {ROOT}")
    assert list(found.found) == [Finding("error", "kind", "a.txt", "differs from b.txt", "see .")]


def test_a_message_of_the_loader_is_split_into_what_and_mend() -> None:
    found = Findings(ROOT).of("main")
    with found.heed("kind", ROOT / "a.h5", "warning"):
        raise DataError(f"{ROOT / 'a.h5'}: row 3; or so; extract it again")
    with found.heed("kind", ROOT / "a.h5"):
        raise DataError("something is odd")
    assert list(found.found) == [
        Finding("warning", "kind", "a.h5", "row 3; or so", "extract it again", "main"),
        Finding("error", "kind", "a.h5", "something is odd", "download or extract it again", "main"),
    ]


def test_views_share_one_list_and_nothing_is_told_twice() -> None:
    found = Findings(ROOT)
    view = found.of("cls")
    view.add("note", "b", "x", "y")
    found.add("error", "a", "x", "y")
    found.add("error", "a", "x", "y")
    assert (found.errors, view.errors, len(found.found)) == (1, 1, 2)
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


def test_the_page_explains_every_kind() -> None:
    """Kinds are looked up in the source: the second argument of `add`, the first of `failed` and `heed`."""
    place = {"add": 1, "failed": 0, "heed": 0}
    kinds = set()
    for path in Path(findings.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if name in place and (len(node.args) > 2 or name == "heed"):  # the `add` of a set has one argument
                words = ast.walk(node.args[place[name]])
                kinds |= {n.value for n in words if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert len(kinds) > 40
    page = (Path(__file__).parents[3] / "docs" / "verify.md").read_text(encoding="utf-8")
    assert {kind for kind in kinds if f"`{kind}`" not in page} == set()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)} == kinds
