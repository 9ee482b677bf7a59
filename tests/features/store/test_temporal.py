from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from avzsl.errors import DataError
from avzsl.features.store import read_temporal_file, read_temporal_pickle, write_class_file, write_temporal_file
from avzsl.types import ExtractorIdentity

IDENTITY = ExtractorIdentity("builtin")
CLIPS = [np.full((length, 3), length, np.float32) for length in (2, 1, 4)]
NAMES = ["two", "one", "four"]


def test_clips_of_different_length_survive_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_temporal_file(path, CLIPS, NAMES, IDENTITY, 0.64)
    data, offsets, names, identity, step = read_temporal_file(path)
    assert offsets.tolist() == [0, 2, 3, 7] and offsets.dtype == np.int64
    for clip, first, last in zip(CLIPS, offsets, offsets[1:], strict=False):
        np.testing.assert_array_equal(data[first:last], clip)
    assert names == tuple(NAMES) and identity == IDENTITY and step == 0.64


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 2, 3], "need 4 offsets"),
        ([1, 2, 3, 7], "run from 1"),
        ([0, 2, 3, 8], "to 8, but there are 7"),
        ([0, 3, 3, 7], "'one' has no rows"),
        ([0, 5, 3, 7], "'one' has no rows"),
        ([0.0, 2.0, 3.0, 7.0], "whole numbers"),
    ],
)
def test_offsets_that_do_not_fit_are_refused(tmp_path: Path, offsets: list[float], message: str) -> None:
    path = tmp_path / "a.h5"
    write_temporal_file(path, CLIPS, NAMES, IDENTITY, 1.0)
    with h5py.File(path, "a") as file:
        del file["offsets"]
        file["offsets"] = np.array(offsets)
    with pytest.raises(DataError, match=message):
        read_temporal_file(path)


def test_an_averaged_file_is_told_apart(tmp_path: Path) -> None:
    write_class_file(tmp_path / "a.h5", CLIPS[0], ["a", "b"], IDENTITY)
    with pytest.raises(DataError, match="averaged file"):
        read_temporal_file(tmp_path / "a.h5")


def test_a_row_that_is_not_finite_is_named_with_its_clip(tmp_path: Path) -> None:
    clips = [clip.copy() for clip in CLIPS]
    clips[2][1, 0] = np.nan
    with pytest.raises(DataError, match=r"row 4 \(clip 'four'\)"):
        write_temporal_file(tmp_path / "a.h5", clips, NAMES, IDENTITY, 1.0)


@pytest.mark.parametrize(
    ("clips", "names", "message"),
    [
        ([], [], "no clips"),
        (CLIPS, NAMES[:2], "3 clips but 2"),
        ([CLIPS[0], CLIPS[1][:, :2]], NAMES[:2], "'one' has shape"),
        ([CLIPS[0], CLIPS[1][0]], NAMES[:2], "'one' has shape"),
        ([CLIPS[0], np.zeros((0, 3))], ["a", "empty"], "'empty' has no rows"),
    ],
)
def test_wrong_input_is_refused(tmp_path: Path, clips: list[np.ndarray], names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_temporal_file(tmp_path / "a.h5", clips, names, IDENTITY, 1.0)
    assert not list(tmp_path.iterdir())


def test_a_public_pickle_is_read_only_when_trusted(tmp_path: Path) -> None:
    path = tmp_path / "Archery.pkl"
    content = {"features": CLIPS, "video_names": [n.encode() for n in NAMES], "fps": [25] * 3}
    path.write_bytes(pickle.dumps(content, 4))
    with pytest.raises(DataError, match="trust"):
        read_temporal_pickle(path)
    read = read_temporal_pickle(path, trust=True, step_seconds=0.96)
    assert read.names == tuple(NAMES) and read.offsets.tolist() == [0, 2, 3, 7] and read.step_seconds == 0.96
    assert read.identity is None


@pytest.mark.parametrize("content", [[1, 2], {"features": []}, {"features": [], "video_names": []}])
def test_a_pickle_with_another_content_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"a\.pkl"):
        read_temporal_pickle(path, trust=True)


@pytest.mark.parametrize(
    ("features", "names", "message"),
    [
        ([[[1.0, 2.0]]], [b"a"], "'features' must be a list of arrays"),
        ({"a": CLIPS[0]}, [b"a"], "'features' must be a list"),
        ([np.array([["x"]])], [b"a"], "must hold numbers"),
        ([CLIPS[0]], [["a"]], "'video_names' must be a list of names"),
        ([np.zeros((1000, 10), np.float32)] * 20_000, [b"a"] * 20_000, "unfolds to arrays of 800000000"),
    ],
)
def test_a_pickle_that_would_unfold_without_end_is_refused(
    tmp_path: Path, features: object, names: object, message: str
) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"features": features, "video_names": names}, 2))
    with pytest.raises(DataError, match=message):
        read_temporal_pickle(path, trust=True)


def test_offsets_that_claim_more_than_the_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_temporal_file(path, CLIPS, NAMES, IDENTITY, 1.0)
    with h5py.File(path, "r+") as file:
        del file["offsets"]
        file.create_dataset("offsets", shape=(10**10,), chunks=(1000,), dtype="i8")
    with pytest.raises(DataError, match="'offsets' claims 80000000000 bytes"):
        read_temporal_file(path)
    with h5py.File(path, "r+") as file:
        del file["offsets"]
        file.create_group("offsets")
    with pytest.raises(DataError, match="no dataset 'offsets'"):
        read_temporal_file(path)
