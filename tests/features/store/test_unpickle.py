from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avzsl.errors import DataError
from avzsl.features.store.unpickle import read_npy, read_pickle

CONTENT = {
    "features": [np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))],
    "video_names": [b"one", b"zwei \xc3\xa4"],
    "fps": [25, np.float64(25.5), np.int32(-3), True, None],
    "strings": np.array(["ab", "c"]),
    "bytes": np.array([b"ab", b"c"]),
    "big endian": np.arange(4, dtype=">i2"),
    "objects": np.array(["x", None, 3], dtype=object),
    "bool": np.array([True, False]),
    "tuple": (1, "a", {"b": np.zeros((0, 4), np.float16)}),
    "scalar array": np.array(2.5),
}


def assert_same(one: Any, two: Any) -> None:
    if isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            assert_same(one[key], two[key])
    elif isinstance(one, (list, tuple)):
        assert type(one) is type(two) and len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype == two.dtype and one.shape == two.shape
        assert (one == two).all()
    else:
        assert one == two


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_content_of_every_protocol_is_read_as_the_standard_library_reads_it(
    tmp_path: Path, protocol: int
) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    assert_same(read_pickle(path), CONTENT)


def test_a_file_of_numpy_1_is_read(tmp_path: Path) -> None:
    data = pickle.dumps(CONTENT, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in data
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    assert_same(read_pickle(path), CONTENT)


def test_npy_with_a_dict_and_plain_npy_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "dict.npy", np.array({"a": np.ones(3, np.float32)}, dtype=object), allow_pickle=True)
    np.save(tmp_path / "plain.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert_same(read_npy(tmp_path / "dict.npy"), {"a": np.ones(3, np.float32)})
    assert_same(read_npy(tmp_path / "plain.npy"), np.arange(6.0).reshape(2, 3))


def test_ordered_dict_becomes_a_dict(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(OrderedDict(a=1, b=2), 4))
    assert read_pickle(path) == {"a": 1, "b": 2}


class Attack:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (Attack(os.system, "touch pwned"), "system"),
        (Attack(eval, "1+1"), "builtins.eval"),
        (Attack(getattr, "a", "upper"), "builtins.getattr"),
        (Attack(np.lib.format.open_memmap, "x"), "open_memmap"),
        (Attack(np.ndarray, (10**9,)), "ndarray"),
        (Path("x"), "pathlib"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), "V12"),
        (np.datetime64("2020-01-01"), "M8"),
        (os.path.join, "join"),
    ],
)
def test_anything_else_is_refused_by_name(
    tmp_path: Path, attack: Any, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.array({"a": attack}, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=named):
        read_npy(path)
    assert not (tmp_path / "pwned").exists()


def test_stand_ins_cannot_be_altered_by_a_file(tmp_path: Path) -> None:
    # GLOBAL numpy._core.multiarray._reconstruct, then BUILD with a state: must not change the stand-in for later files.
    data = b"\x80\x02cnumpy._core.multiarray\n_reconstruct\n}X\x05\x00\x00\x00_makeNsb."
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(DataError, match="changed function"):
        read_pickle(path)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr': evil()", b"hello"])
def test_a_file_that_is_no_npy_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.npy"):
        read_npy(path)


def test_a_cut_pickle_and_an_endless_one_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    whole = pickle.dumps(CONTENT, 4)
    for end in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError):
            read_pickle(path)
    endless: list[Any] = []
    endless.append(endless)
    path.write_bytes(pickle.dumps(endless))
    with pytest.raises(DataError, match="without end"):
        read_pickle(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_pickle(tmp_path / "none.pkl")


def test_an_array_of_arrays_of_one_shape_keeps_its_elements(tmp_path: Path) -> None:
    rows = np.empty(2, dtype=object)
    rows[:] = [np.arange(3.0), np.arange(3.0)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(rows, 4))
    back = read_pickle(tmp_path / "a.pkl")
    assert back.shape == (2,) and all(np.array_equal(row, np.arange(3.0)) for row in back)


def test_lists_of_lists_of_lists_stay_small(tmp_path: Path) -> None:
    levels: list[Any] = ["lol"]
    for _ in range(40):  # 10^40 entries, were each mention a copy
        levels = [levels] * 10
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(levels))
    back = read_pickle(tmp_path / "a.pkl")
    assert all(entry is back[0] for entry in back)


_TYPE = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R"


@pytest.mark.parametrize(
    ("program", "named"),
    [
        (b"Nr\xff\xff\xff\x3f.", "1073741823 places"),
        (b"Np999999999\n.", "999999999 places"),
        (b"\x82\x01.", "registered extension"),
        # bytes(10**11) is made of a number of six bytes
        (b"cnumpy.core.numeric\n_frombuffer\n\x8a\x05\x00\xe8vH\x17" + _TYPE + b"K\x01\x85\x87R.", "without content"),
        (
            _TYPE + b"(K\x03X\x0f\x00\x00\x00i8,(99999999999NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
            "array of type",
        ),
    ],
)
def test_a_few_bytes_cannot_ask_for_much_memory(tmp_path: Path, program: bytes, named: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02" + program)
    with pytest.raises(DataError, match=named):
        read_pickle(path)
