from __future__ import annotations

from pathlib import Path

import pytest

from avzsl.errors import DataError
from avzsl.features.catalog import Skipped, check_class_names, list_videos


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def table(root: Path, text: str | bytes) -> Path:
    path = root / "videos.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_folder_is_listed_by_class_and_name_and_the_rest_is_noted(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.mp4", "b/1.MKV", "a, or b (c)/deep/x.y.avi", "b/.hidden.mp4", ".git/x.mp4", "b/note.txt")
    touch(tmp_path, "loose.mp4", "readme.md", "empty/note.txt")
    skipped: list[Skipped] = []
    items = list_videos(tmp_path, skipped)
    assert [(i.class_name, i.name, i.split) for i in items] == [
        ("a, or b (c)", "x.y", None),
        ("b", "1", None),
        ("b", "2", None),
    ]
    assert {(s.path.name, s.stage) for s in skipped} == {
        ("note.txt", "list"),
        ("loose.mp4", "list"),
        ("empty", "list"),
    }


def test_a_folder_with_a_table_is_read_through_it(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.mp4", "y/2.mp4")
    table(tmp_path, 'path,class\nx/1.mp4,"fly, housefly"\n')
    (item,) = list_videos(tmp_path)
    assert item.class_name == "fly, housefly" and item.path == tmp_path / "x/1.mp4"


def test_a_table_may_have_more_columns_short_splits_and_a_byte_order_mark(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4")
    path = table(
        tmp_path,
        "\ufeffid,Class,Path,Split\r\n7,cat,1.mp4,train\r\n8,dog,2.mp4,stage_2_test_unseen\r\n",
    )
    assert [(i.name, i.class_name, i.split) for i in list_videos(path)] == [
        ("1", "cat", "stage_1_train"),
        ("2", "dog", "stage_2_test_unseen"),
    ]


def test_absolute_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.mp4")
    path = table(tmp_path, f"path,class\n{tmp_path / 'elsewhere' / '1.mp4'},a\n")
    assert list_videos(path)[0].path == tmp_path / "elsewhere" / "1.mp4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n1.mp4,a\n", "no column 'class'"),
        ("", "no column 'path'"),
        ("path,class\n", "has no rows below its header"),
        (" , \n1.mp4,a\n", "has no column 'path'.*must be: path,class or"),
        ("path,class\n1.mp4,red, ball\n", "row 2 has more cells than the first row; put .* in double quotes"),
        ("path,class\n1.mp4,a\n\nnone.mp4,a\n", "row 4: there is no file"),
        (f"path,class\n{'x' * 300}.mp4,a\n", "row 2: there is no file"),
        ("path,class\n1.mp4,\n", "row 2 has no class"),
        ("path,class\n,a\n", "row 2 has no path"),
        ("path,class\n1.mp4,a\n1.mp4,b\n", "rows 2 and 3 name the same file"),
        ("path,class\n1.mp4,a\n./1.mp4,a\n", "rows 2 and 3 name the same file"),
        ("path,class,split\n1.mp4,a,stage_1_trian\n", "unknown split 'stage_1_trian'; did you mean 'stage_1_train'"),
        ("path,class,split\n1.mp4,a,stage_2_train\n", "union of the three"),
        ("path,class,split\n1.mp4,a,train\n2.mp4,a,\n", "row 2 has a split but row 3 has no split"),
        ("path,class,split\n1.mp4,a,seen\n2.mp4,a,train\n", "row 2 has a class mark but row 3 has a split"),
        ("path,class,split\n1.mp4,a,seen\n2.mp4,a,unseen\n", "'a' is seen in row 2 but unseen in row 3"),
        ("path,class\n1.mp4,a/b\n", "'a/b' holds a slash"),
        ("path,class\n1.mp4\0,a\n", "NUL|not csv"),
        ("path,class\n1.mp4,caf\xe9\n".encode("latin-1"), r"not UTF-8 \(byte 20\)"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    touch(tmp_path, "1.mp4", "2.mp4")
    with pytest.raises(DataError, match=message) as caught:
        list_videos(table(tmp_path, text))
    assert "videos.csv" in str(caught.value)


def test_files_of_one_name_get_different_names(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.mp4", "b/x.mp4", "b/x.avi", "b/y.mp4", "c/deep/z.mp4", "d/deep/z.mp4")
    names = [item.name for item in list_videos(tmp_path)]
    assert names == ["a_x", "b_x.avi", "b_x.mp4", "y", "deep_z.mp4", "deep_z.mp4_2"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        (".hidden", "full stop"),
        ("..", "full stop"),
        ("a/b", "slash"),
        ("a\\b", "slash"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\u2028b", "control"),
        (" a", "space"),
        ("ü" * 101, "202 bytes"),
        ("\ud800", "Unicode"),
    ],
)
def test_class_names_that_no_file_can_have_are_refused(name: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        check_class_names(["fine", name], Path("videos"))


def test_every_real_class_name_is_accepted(avca: Path) -> None:
    for dataset in ("UCF", "ActivityNet", "VGGSound"):
        path = avca / dataset / "class-split" / "all_class.txt"
        check_class_names(path.read_text().splitlines(), path)
    check_class_names(["bee, wasp, etc. buzzing", "日本", "ü" * 100, "100% 'x' \"y\" *?"], Path("x"))


def test_names_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(DataError, match="differ in case only"):
        check_class_names(["HandStand", "Handstand"], Path("x"))


@pytest.mark.parametrize("name", ["none", "clip.mp4"])
def test_a_source_that_is_no_folder_or_table_is_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "clip.mp4")
    with pytest.raises(DataError, match=name):
        list_videos(tmp_path / name)


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one sub-folder per class"):
        list_videos(tmp_path)


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_table_as_spreadsheets_write_it_is_read(tmp_path: Path, between: str) -> None:
    """Byte order mark, Windows line ends, the separator of the country, empty rows at the end."""
    touch(tmp_path, "1.mp4", "2.mp4")
    rows = [("Path", "Class "), ("1.mp4", "a"), ("2.mp4", '"red, ball; big"'), ("", ""), ("", "")]
    text = "\ufeff" + "".join(f"{between.join(row)}\r\n" for row in rows)
    found = list_videos(table(tmp_path, text))
    assert [(i.path.name, i.class_name) for i in found] == [("1.mp4", "a"), ("2.mp4", "red, ball; big")]


def test_videos_that_lie_loose_are_told_where_to_go(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4")
    with pytest.raises(DataError, match="holds 2 videos, but none in a sub-folder; move them into one sub-folder per"):
        list_videos(tmp_path)
