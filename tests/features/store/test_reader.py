"""A file that hangs or crashes the HDF5 library costs a child; what a child hands over equals what is read here."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avzsl.errors import DataError
from avzsl.features.store import FeatureReader, read_class_file, read_temporal_file, reader, write_class_file
from avzsl.features.store.temporal import write_temporal_file
from avzsl.isolation import Parcel, memory_is_limited
from avzsl.types import ExtractorIdentity

IDENTITY = ExtractorIdentity("maker", profile="clean", settings={"rate": 16000}, version=3)


@pytest.fixture
def files() -> Iterator[FeatureReader]:
    with FeatureReader() as files:
        yield files


def averaged(path: Path, rows: int = 3, columns: int = 4) -> Path:
    data = np.random.default_rng(rows).random((rows, columns))
    write_class_file(path, data, [f"clip {n} ü" for n in range(rows)], IDENTITY)
    return path


def shrink_free_space(path: Path) -> None:
    """Make a heap of names tell of less free space than there is: HDF5 2.0 then looks for its end for ever."""
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    while struct.unpack_from("<H", content, place)[0] != 0:
        place += 16 + -(-struct.unpack_from("<Q", content, place + 8)[0] // 8) * 8
    size = struct.unpack_from("<Q", content, place + 8)[0]
    struct.pack_into("<Q", content, place + 8, size - 23)
    path.write_bytes(content)


@pytest.mark.parametrize("rows", [3, 2000])  # sent as bytes, and as shared memory
def test_a_child_hands_over_what_is_in_the_file(rows: int, files: FeatureReader, tmp_path: Path) -> None:
    path = averaged(tmp_path / "dog.h5", rows, 128)
    here, there = read_class_file(path), files.averaged(path)
    assert there.data.dtype == np.float32
    np.testing.assert_array_equal(there.data, here.data)
    assert there.names == here.names and there.identity == here.identity == IDENTITY
    there.data[0, 0] = 7  # averaging segments and joining work in place


@pytest.mark.parametrize("rows", [3, 900])
def test_a_child_hands_over_temporal_files(rows: int, files: FeatureReader, tmp_path: Path) -> None:
    path = tmp_path / "dog.h5"
    clips = [np.random.default_rng(n).random((1 + n % 4, 64)) for n in range(rows)]
    write_temporal_file(path, clips, [str(n) for n in range(rows)], IDENTITY, 0.96)
    here, there = read_temporal_file(path), files.temporal(path)
    np.testing.assert_array_equal(there.data, here.data)
    np.testing.assert_array_equal(there.offsets, here.offsets)
    assert there.offsets.dtype == np.int64
    assert there[2:] == here[2:]


def test_what_is_wrong_with_a_file_is_said_in_the_same_words(files: FeatureReader, tmp_path: Path) -> None:
    nan, no_names, cut = (averaged(tmp_path / f"{name}.h5") for name in ("nan", "no names", "cut"))
    with h5py.File(nan, "a") as file:
        file["data"][1, 2] = np.nan
    with h5py.File(no_names, "a") as file:
        del file["video_urls"]
    cut.write_bytes(cut.read_bytes()[:1500])
    for path in (nan, no_names, cut, tmp_path / "absent.h5", tmp_path):
        with pytest.raises(DataError) as here:
            read_class_file(path)
        with pytest.raises(DataError) as there:
            files.averaged(path)
        assert str(there.value) == str(here.value)


def test_a_trusted_file_is_opened_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "Helper", lambda *_, **__: pytest.fail("a child"))
    path = averaged(tmp_path / "dog.h5")
    monkeypatch.setattr(FeatureReader, "__init__", lambda self: setattr(self, "trusted", True))
    assert FeatureReader().averaged(path).names == read_class_file(path).names


def test_a_file_that_hangs_the_library_is_given_up_and_not_tried_again(tmp_path: Path) -> None:
    path, good = averaged(tmp_path / "dog.h5"), averaged(tmp_path / "cat.h5")
    shrink_free_space(path)
    with FeatureReader(seconds=1.0) as files:
        start = time.monotonic()
        try:
            files.averaged(path)
        except DataError as error:
            if "takes more than 1 s" not in str(error):
                pytest.skip("this version of HDF5 does not hang")
            assert str(error) == f"{path} is damaged: reading it takes more than 1 s; download or extract it again"
        assert time.monotonic() - start < 10
        start = time.monotonic()
        with pytest.raises(DataError, match="takes more than"):
            files.averaged(path)
        assert time.monotonic() - start < 0.5
        assert len(files.averaged(good).names) == 3


def _child(code: Callable[[Path], Any]) -> Callable[[tuple[str, str]], Parcel]:
    def read(item: tuple[str, str]) -> Parcel:
        code(Path(item[1]))
        return Parcel({"data": np.ones((1, 2), np.float32)}, {"names": ["a"], "identity": None})

    return read


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda _: ctypes.string_at(0), "signal SIGSEGV"),
        (lambda _: os.abort(), "signal SIGABRT"),
        (lambda _: os._exit(3), "exit code 3"),
        (lambda _: {}["gone"], "unexpected KeyError"),
    ],
)
def test_a_crash_costs_one_child(
    damage: Callable[[Path], Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_read", _child(lambda path: damage(path) if path.stem == "bad" else None))
    bad, good = averaged(tmp_path / "bad.h5"), averaged(tmp_path / "good.h5")
    with FeatureReader() as files:
        with pytest.raises(DataError, match=said) as caught:
            files.averaged(bad)
        assert str(caught.value).startswith(f"{bad} is damaged: ") and "\n" not in str(caught.value)
        assert files.averaged(good).names == ("a",)


@pytest.mark.skipif(not memory_is_limited(), reason="only Linux limits memory")
def test_a_file_that_wants_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MEMORY", 2**26)
    path = tmp_path / "claims.h5"
    with h5py.File(path, "w") as file:  # 256 MiB of zeros in a file of 1 MiB
        file.create_dataset("data", data=np.zeros((2**12, 2**14), np.float32), chunks=(2**8, 2**14), compression=9)
        file["padding"] = np.zeros(2**20, np.uint8)
    with FeatureReader() as files, pytest.raises(DataError, match=r"more memory|Unable|allocate"):
        files.averaged(path)


@pytest.mark.parametrize(
    "answer",
    [
        Parcel({"data": np.ones((1, 2), np.int64)}, {"names": ["a"], "identity": None}),
        Parcel({}, {"names": ["a"], "identity": None}),
        Parcel({"data": np.ones((1, 2), np.float32)}, {"names": 3, "identity": None}),
        Parcel({"data": np.ones((1, 2), np.float32)}, {}),
        Parcel({"data": np.ones((1, 2), np.float64)}, {"names": ["a"], "identity": None}),
        Parcel({"data": np.full((1, 2), np.nan, np.float32)}, {"names": ["a"], "identity": None}),
        Parcel({"data": np.ones((2, 2), np.float32)}, {"names": ["a"], "identity": None}),
        Parcel({"data": np.ones((1, 2), np.float32)}, {"names": ["a"], "identity": {"name": "x"}}),
    ],
)
def test_what_a_child_says_is_not_believed_blindly(
    answer: Parcel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_read", lambda _: answer)
    with FeatureReader() as files, pytest.raises(DataError):
        files.averaged(averaged(tmp_path / "dog.h5"))


def test_a_link_to_another_file_is_not_followed(files: FeatureReader, tmp_path: Path) -> None:
    other = averaged(tmp_path / "other.h5")
    paths = [tmp_path / f"{n}.h5" for n in range(3)]
    for path in paths:
        averaged(path)
        with h5py.File(path, "a") as file:
            del file["data"]
    with h5py.File(paths[0], "a") as file:
        file["data"] = h5py.ExternalLink(str(other), "data")
    with h5py.File(paths[1], "a") as file:
        file.create_dataset("data", (3, 4), "f4", external=[(str(other), 0, 48)])
    with h5py.File(paths[2], "a") as file:
        layout = h5py.VirtualLayout((3, 4), "f4")
        layout[:] = h5py.VirtualSource(str(other), "data", shape=(3, 4))
        file.create_virtual_dataset("data", layout)
    for path in paths:
        with pytest.raises(DataError, match="lies in another file"):
            files.averaged(path)


def test_many_and_long_names_do_not_bury_the_message(files: FeatureReader, tmp_path: Path) -> None:
    path = tmp_path / "dog.h5"
    with h5py.File(path, "w") as file:
        for number in range(300):
            file[f"x\n{number}" * 200] = [1.0]
    with pytest.raises(DataError) as caught:
        files.averaged(path)
    assert len(str(caught.value)) < 2000 and "\n" not in str(caught.value)


def _children(path: Path) -> tuple[int, int]:
    with FeatureReader() as files:
        names = files.averaged(path).names
        return len(names), len(multiprocessing.active_children())


def test_workers_of_a_pool_have_a_child_too(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_children, (averaged(tmp_path / "dog.h5"),)) == (3, 1)


def test_where_no_process_can_be_had_the_way_on_is_named(
    files: FeatureReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("no processes here")

    monkeypatch.setattr("avzsl.isolation.helper.Child", refuse)
    with pytest.raises(Exception, match="--trusted"):
        files.averaged(averaged(tmp_path / "dog.h5"))
