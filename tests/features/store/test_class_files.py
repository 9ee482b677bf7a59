from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from avzsl.errors import DataError, OutputError
from avzsl.features.store import check_same_clips, read_class_file, write_class_file
from avzsl.types import ExtractorIdentity

IDENTITY = ExtractorIdentity("builtin", "clean", {"size": 96, "ü": [1, 2]}, 3)


def rows(count: int = 3, columns: int = 4) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, columns)).astype(np.float32)


def write_raw(path: Path, **datasets: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def test_a_class_file_survives_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bee, wasp, etc. buzzing.h5"
    write_class_file(path, rows(), ["a", "käse", "日本"], IDENTITY)
    back = read_class_file(path)
    np.testing.assert_array_equal(back.data, rows())
    assert back.data.dtype == np.float32
    assert back.names == ("a", "käse", "日本")
    assert back.identity == IDENTITY


def test_the_file_has_the_shared_layout_and_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write_class_file(tmp_path / name, rows(), ["x", "y", "z"], IDENTITY)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == {"data", "video_urls"}
        assert [n.decode("utf-8") for n in file["video_urls"][...]] == ["x", "y", "z"]


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.float16, np.int32])
@pytest.mark.parametrize("fixed", [True, False])
def test_public_files_of_other_types_are_read(tmp_path: Path, dtype: type, fixed: bool) -> None:
    names = np.array([b"one", b"two"], dtype="S80") if fixed else ["one", "two"]
    path = write_raw(tmp_path / "a.h5", data=np.array([[1, 2], [3, 4]], dtype=dtype), video_urls=names)
    back = read_class_file(path)
    assert back.data.dtype == np.float32 and back.data.tolist() == [[1, 2], [3, 4]]
    assert back.names == ("one", "two") and back.identity is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_a_row_that_is_not_finite_is_named(tmp_path: Path, bad: float) -> None:
    data = rows().astype(np.float64)
    data[1, 2] = bad
    path = write_raw(tmp_path / "a.h5", data=data, video_urls=["a", "b", "c"])
    with pytest.raises(DataError, match=r"a\.h5: row 1 \(clip 'b'\)"):
        read_class_file(path)
    with pytest.raises(DataError, match="row 1"), np.errstate(over="ignore"):
        write_class_file(tmp_path / "b.h5", data, ["a", "b", "c"], IDENTITY)
    assert not (tmp_path / "b.h5").exists()


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"data": rows(3), "video_urls": ["a", "b"]}, "3 rows but 2 clip names"),
        ({"data": rows(3)[0], "video_urls": ["a", "b", "c", "d"]}, "shape"),
        ({"data": rows(3)[None], "video_urls": ["a"]}, "shape"),
        ({"data": np.zeros((0, 4)), "video_urls": np.array([], dtype="S4")}, "empty"),
        ({"video_urls": ["a"]}, "no dataset 'data'"),
        ({"data": rows(1)}, "video_urls"),
        ({"data": np.array([[b"x"]]), "video_urls": ["a"]}, "instead of numbers"),
        ({"data": rows(1), "video_urls": np.array([b"\xff\xfe"])}, "UTF-8"),
    ],
)
def test_a_wrong_content_is_named(tmp_path: Path, datasets: dict[str, object], message: str) -> None:
    path = write_raw(tmp_path / "wrong.h5", **datasets)
    with pytest.raises(DataError, match=message) as caught:
        read_class_file(path)
    assert "wrong.h5" in str(caught.value)


def test_a_damaged_file_is_named_wherever_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "cut.h5"
    write_class_file(path, rows(40, 30), [f"clip {i}" for i in range(40)], IDENTITY)
    whole = path.read_bytes()
    for end in (0, 7, 100, 900, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"cut\.h5"):
            read_class_file(path)


def test_a_missing_file_and_a_damaged_identity_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*none\.h5"):
        read_class_file(tmp_path / "none.h5")
    path = write_raw(tmp_path / "a.h5", data=rows(1), video_urls=["a"])
    with h5py.File(path, "a") as file:
        file.attrs["extractor"] = '{"name": "x"}'
    with pytest.raises(DataError, match="'extractor' is damaged"):
        read_class_file(path)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_class_file(path, rows(), ["a", "b", "c"], IDENTITY)
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_class_file(path, rows(), ["a", "b"], IDENTITY)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_a_folder_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="cannot write"):
        write_class_file(tmp_path / "a" / "b.h5", rows(), ["a", "b", "c"], IDENTITY)


def test_audio_and_video_that_list_other_clips_are_refused() -> None:
    one, two = Path("audio/x.h5"), Path("video/x.h5")
    check_same_clips(one, ["a", "b"], two, ["a", "b"])
    with pytest.raises(DataError, match=r"2 clips but video/x\.h5 has 3.*'c'"):
        check_same_clips(one, ["a", "b"], two, ["a", "b", "c"])
    with pytest.raises(DataError, match=r"row 0 is 'a' in audio/x\.h5 but 'b'"):
        check_same_clips(one, ["a", "b"], two, ["b", "a"])


@pytest.mark.parametrize(("name", "shape", "dtype"), [("data", (10**8, 512), "f4"), ("video_urls", (10**9,), "S80")])
def test_a_dataset_that_claims_more_than_its_file_is_refused_unread(
    tmp_path: Path, name: str, shape: tuple[int, ...], dtype: str
) -> None:
    path = write_raw(tmp_path / "a.h5", data=rows(1), video_urls=["a"])
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, shape=shape, chunks=(1000, *shape[1:]), dtype=dtype)
    with pytest.raises(DataError, match=f"'{name}' claims"):
        read_class_file(path)


def test_well_compressed_rows_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=np.zeros((70_000, 250), "f4"), compression="gzip", compression_opts=9)
        file["video_urls"] = np.full(70_000, b"a")
    assert read_class_file(tmp_path / "a.h5").data.shape == (70_000, 250)


@pytest.mark.parametrize("name", ["data", "video_urls"])
def test_a_dataset_without_a_shape_or_a_group_in_its_place_is_named(tmp_path: Path, name: str) -> None:
    for odd, message in ((h5py.Empty("f4"), f"'{name}' is empty"), (None, f"no dataset '{name}'")):
        path = write_raw(tmp_path / "a.h5", **{"data": rows(1), "video_urls": ["a"]} | ({name: odd} if odd else {}))
        if odd is None:
            with h5py.File(path, "r+") as file:
                del file[name]
                file.create_group(name)
        with pytest.raises(DataError, match=message):
            read_class_file(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_an_output_error_and_no_crash(tmp_path: Path) -> None:
    """HDF5's own writer cannot close a file on a full disk, and ends the process with a segmentation fault."""
    code = f"""
import pathlib
import numpy as np
from avzsl.errors import OutputError
from avzsl.features.store import write_class_file
from avzsl.types import ExtractorIdentity
real = pathlib.Path.write_bytes
pathlib.Path.write_bytes = lambda self, data: real(pathlib.Path("/dev/full"), data)
try:
    write_class_file(pathlib.Path({str(tmp_path / "a.h5")!r}), np.ones((2, 3)), ["a", "b"], ExtractorIdentity("toy"))
except OutputError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert "a.h5: No space left on device; free some disk space" in result.stdout
    assert list(tmp_path.iterdir()) == []
