"""Faults in feature files and their folders."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from avzsl.data.splits import load_benchmark
from avzsl.data.verify import verify_benchmark
from avzsl.types import ExtractorIdentity

if TYPE_CHECKING:
    from tests.conftest import TinyBenchmark

AUDIO, VIDEO = "features/main_features/audio", "features/main_features/video"
CAT = "stage_1_train/cat.h5"


def _data(folder: Path, place: str) -> np.ndarray:
    with h5py.File(folder / place) as file:
        return np.asarray(file["data"][()])


def _set(folder: Path, place: str, **parts: Any) -> None:
    """Replace datasets or attributes of a feature file."""
    with h5py.File(folder / place, "r+") as file:
        for name, value in parts.items():
            if name == "identity":
                file.attrs["extractor"] = value
            else:
                if name in file:
                    del file[name]
                if value is not None:
                    file[name] = value


def _each(folder: Path, modality: str, change: Any) -> None:
    """Change every file of a modality; `change` gets its rows."""
    for path in sorted((folder / modality).rglob("*.h5")):
        place = str(path.relative_to(folder))
        _set(folder, place, data=change(_data(folder, place)))


def test_facts_are_what_is_there(folder: Path) -> None:
    found = verify_benchmark(folder)
    (facts,) = found.families
    benchmark = load_benchmark(folder)
    assert facts.averaged is not None and facts.temporal is None
    assert facts.averaged["fingerprint"] == benchmark.fingerprint
    assert facts.averaged["columns"] == {"audio": 5, "visual": 7}
    assert facts.averaged["types"] == {"audio": {"float32": 18}, "visual": {"float32": 18}}
    assert facts.averaged["extractor"] == benchmark.identity.as_dict()
    assert {split: n["clips"] for split, n in facts.averaged["splits"].items()} == {
        split: len(rows) for split, rows in benchmark.splits.items()
    }
    assert facts.averaged["splits"]["stage_1_train"] == {
        "classes": 4, "clips": 24, "fewest": 6, "median": 6, "most": 6,
    }  # fmt: skip
    assert facts.classes["stage_2_test_unseen"] == 2


def test_temporal_features_are_checked_beside_averaged_ones(tiny_benchmark: TinyBenchmark) -> None:
    found = verify_benchmark(tiny_benchmark.root)
    (facts,) = found.families
    assert facts.averaged is not None and facts.temporal is not None
    assert facts.averaged["fingerprint"] == tiny_benchmark.benchmark.fingerprint
    assert facts.temporal["fingerprint"] == tiny_benchmark.temporal.fingerprint
    lengths = tiny_benchmark.temporal.features.audio.offsets.diff()  # type: ignore[union-attr]
    assert facts.temporal["segments"]["audio"] == {
        "fewest": int(lengths.min()), "median": float(np.median(lengths)), "most": int(lengths.max()),
    }  # fmt: skip
    assert {f.kind for f in found.findings} == {"missing-csv", "unequal-lengths"}
    assert not found.of("error") and not found.of("warning")


@pytest.mark.parametrize(("gone", "name"), [(AUDIO, "audio"), (VIDEO, "visual")])
def test_a_missing_modality_is_an_error(gone: str, name: str, folder: Path, expect: Any) -> None:
    shutil.rmtree(folder / gone)
    expect(
        folder, "error", "missing-folder", gone, f"there are no {name} features", "still needs both here",
    )  # fmt: skip


def test_a_missing_split_is_an_error(folder: Path, expect: Any) -> None:
    for modality in (AUDIO, VIDEO):
        shutil.rmtree(folder / modality / "stage_1_val_unseen")
    found = verify_benchmark(folder)
    places = [f.where for f in found.findings if f.kind == "missing-folder"]
    assert places == [f"{AUDIO}/stage_1_val_unseen", f"{VIDEO}/stage_1_val_unseen"]
    assert {f.kind for f in found.of("error")} == {"missing-folder"}


def test_a_split_without_clips_is_an_error(folder: Path, expect: Any) -> None:
    for modality in (AUDIO, VIDEO):
        for path in (folder / modality / "stage_2_test_seen").iterdir():
            path.unlink()
    expect(folder, "error", "no-clips", f"{AUDIO}/stage_2_test_seen", "there are no clips of this split")


def test_a_trained_class_without_clips_is_an_error(folder: Path, expect: Any) -> None:
    for modality in (AUDIO, VIDEO):
        (folder / modality / CAT).unlink()
    expect(folder, "error", "class-without-clips", f"{AUDIO}/stage_1_train", "no file for 1 class of the split: 'cat'")


def test_a_judged_class_without_clips_is_a_warning(folder: Path, expect: Any) -> None:
    for modality in (AUDIO, VIDEO):
        (folder / modality / "stage_2_test_unseen/horn.h5").unlink()
    expect(
        folder, "warning", "class-without-clips", f"{AUDIO}/stage_2_test_unseen", "'horn' (P19)",
        "they stay candidates but are left out of the means",
    )  # fmt: skip


@pytest.mark.parametrize(("gone", "there"), [(AUDIO, VIDEO), (VIDEO, AUDIO)])
def test_a_class_with_one_modality_is_an_error(gone: str, there: str, folder: Path, expect: Any) -> None:
    (folder / gone / CAT).unlink()
    expect(folder, "error", "missing-modality", f"{gone}/{CAT}", f"is missing, but {there}/{CAT} is there")


def test_a_file_of_an_unknown_class_is_an_error(folder: Path, expect: Any) -> None:
    shutil.copy(folder / AUDIO / CAT, folder / AUDIO / "stage_1_train/cta.h5")
    expect(
        folder, "error", "unknown-class", f"{AUDIO}/stage_1_train/cta.h5",
        "is of class 'cta', which is not in class-split/all_class.txt", "is 'cat' meant?",
    )  # fmt: skip


def test_files_of_another_split_are_a_note(folder: Path, expect: Any) -> None:
    for modality in (AUDIO, VIDEO):
        shutil.copy(folder / modality / CAT, folder / modality / "stage_2_test_unseen/cat.h5")
    expect(
        folder, "note", "extra-class", f"{AUDIO}/stage_2_test_unseen",
        "holds 1 class that stage_2_test_unseen.txt does not list: 'cat' (P15)", "they are left alone",
    )  # fmt: skip


def test_two_files_for_one_class_are_an_error(folder: Path, expect: Any) -> None:
    (folder / "class-split/toy_w2v_class_names.csv").rename(folder / "class-split/ucf_w2v_class_names.csv")
    text = folder / "features/main_features/text"
    (text / "word_embeddings_toy_normed.safetensors").rename(text / "word_embeddings_ucf_normed.safetensors")
    for modality in (AUDIO, VIDEO):
        shutil.copy(folder / modality / CAT, folder / modality / "stage_1_train/Cat.h5")
    found = verify_benchmark(folder)
    (first, second) = (f for f in found.findings if f.kind == "duplicate-class")
    assert (first.where, second.where) == (f"{AUDIO}/stage_1_train", f"{VIDEO}/stage_1_train")
    assert first.what == "has two files for one class: 'Cat.h5' and 'cat.h5'"
    assert first.mend == "remove one of them"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(b"bad"), "is damaged or not HDF5"),
        (lambda path: path.write_bytes(path.read_bytes()[:-900]), "is damaged or not HDF5"),
        (lambda path: path.write_bytes(b""), "is damaged or not HDF5"),
        (lambda path: (path.unlink(), path.mkdir()), "there is no file"),
    ],
)
def test_a_damaged_file_is_an_error(damage: Any, words: str, folder: Path, expect: Any) -> None:
    damage(folder / AUDIO / CAT)
    expect(folder, "error", "damaged-file", f"{AUDIO}/{CAT}", words, "extract")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"data": None}, "has no dataset 'data'"),
        ({"video_urls": None}, "has no dataset 'video_urls'"),
        ({"data": np.zeros(6)}, "'data' must be [clips, columns]"),
        ({"data": np.zeros((0, 5))}, "'data' is empty"),
        ({"data": np.ones((5, 5))}, "5 rows but 6 clip names"),
        ({"data": np.array([b"x"] * 6)}, "instead of numbers"),
        ({"identity": "{"}, "attribute 'extractor' is damaged"),
    ],
)
def test_a_file_with_other_content_is_an_error(parts: Any, words: str, folder: Path, expect: Any) -> None:
    _set(folder, f"{AUDIO}/{CAT}", **parts)
    expect(folder, "error", "damaged-file", f"{AUDIO}/{CAT}", words)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_is_an_error_with_its_row(value: float, folder: Path, expect: Any) -> None:
    rows = _data(folder, f"{VIDEO}/{CAT}")
    rows[4, 2] = rows[5, 0] = value
    _set(folder, f"{VIDEO}/{CAT}", data=rows)
    expect(
        folder, "error", "not-finite", f"{VIDEO}/{CAT}",
        "row 4 (clip 'cat stage_1_train 4') holds NaN or infinity, 2 such rows in all", "leave them out",
    )  # fmt: skip


def test_a_file_with_nan_still_tells_its_clips(folder: Path) -> None:
    """Else the clips of the file would be called missing."""
    rows = _data(folder, f"{AUDIO}/{CAT}")
    rows[0] = np.nan
    for modality in (AUDIO, VIDEO):
        _set(folder, f"{modality}/{CAT}", data=np.full((6, 3), np.nan))
    found = verify_benchmark(folder)
    assert found.families[0].averaged["splits"]["stage_1_train"]["clips"] == 24


def test_rows_of_zeros_are_a_warning(folder: Path, expect: Any) -> None:
    rows = _data(folder, f"{AUDIO}/{CAT}")
    rows[1:3] = 0.0
    rows[2, 3] = -0.0
    _set(folder, f"{AUDIO}/{CAT}", data=rows)
    expect(
        folder, "warning", "zero-rows", f"{AUDIO}/{CAT}, row 1",
        "2 clips have zeros only, for example 'cat stage_1_train 1'", "failed extraction",
    )  # fmt: skip


def test_a_repeated_clip_name_is_a_warning(folder: Path, expect: Any) -> None:
    names = [f"cat stage_1_train {i}" for i in (0, 1, 1, 3, 4, 5)]
    for modality in (AUDIO, VIDEO):
        _set(folder, f"{modality}/{CAT}", video_urls=names)
    found = verify_benchmark(folder)
    first, second = (f for f in found.findings if f.kind == "duplicate-clip")
    assert (first.severity, first.where, second.where) == ("warning", f"{AUDIO}/{CAT}", f"{VIDEO}/{CAT}")
    assert first.what == "holds 1 clip more than once: 'cat stage_1_train 1'"
    assert not found.of("error")


def test_clips_in_another_order_are_an_error(folder: Path, expect: Any) -> None:
    names = [f"cat stage_1_train {i}" for i in (0, 1, 3, 2, 4, 5)]
    _set(folder, f"{VIDEO}/{CAT}", video_urls=names)
    expect(
        folder, "error", "modality-mismatch", f"{AUDIO}/{CAT}", "row 2 is 'cat stage_1_train 2'",
        "'cat stage_1_train 3' in features/main_features/video", "extract both again",
    )  # fmt: skip


def test_a_clip_of_one_modality_only_is_an_error(folder: Path, expect: Any) -> None:
    rows = _data(folder, f"{VIDEO}/{CAT}")
    _set(folder, f"{VIDEO}/{CAT}", data=rows[:5], video_urls=[f"cat stage_1_train {i}" for i in range(5)])
    expect(folder, "error", "modality-mismatch", f"{AUDIO}/{CAT}", "has 6 clips but", "has 5", "'cat stage_1_train 5'")


def test_files_of_other_widths_are_an_error(folder: Path, expect: Any) -> None:
    for name in ("cat", "dog"):
        place = f"{AUDIO}/stage_1_train/{name}.h5"
        _set(folder, place, data=_data(folder, place)[:, :4])
    expect(
        folder, "error", "columns-differ", f"{AUDIO}/{CAT}", "2 audio files have 4 columns, the others 5", "do not mix"
    )


def test_files_of_another_extractor_are_an_error(folder: Path, expect: Any) -> None:
    import json

    other = ExtractorIdentity("toy-extractor", settings={"rate": 3})
    _set(folder, f"{VIDEO}/{CAT}", identity=json.dumps(other.as_dict()))
    expect(
        folder, "error", "mixed-extractors", f"{VIDEO}/{CAT}", "1 file was made by 'toy-extractor'", '{"rate": 3}',
        "the others by 'toy-extractor'", '{"rate": 2}', "extract all with the same",
    )  # fmt: skip


def test_another_stored_type_is_a_note(folder: Path, expect: Any) -> None:
    _each(folder, AUDIO, lambda rows: rows.astype(np.float64))
    expect(folder, "note", "stored-type", AUDIO, "18 files, 18 of float64; all are read as float32")


def test_constant_columns_are_a_note_and_many_a_warning(folder: Path, expect: Any) -> None:
    def still(rows: np.ndarray, columns: list[int]) -> np.ndarray:
        rows[:, columns] = 3.5
        return rows

    _each(folder, VIDEO, lambda rows: still(rows, [1, 2, 5]))
    expect(folder, "note", "constant-columns", VIDEO, "3 of 7 columns hold one value in all training clips: 1-2, 5")
    _each(folder, VIDEO, lambda rows: still(rows, [0]))
    expect(folder, "warning", "constant-columns", VIDEO, "4 of 7 columns", "0-2, 5", "extract again")


def test_a_column_that_moves_in_one_clip_is_not_constant(folder: Path) -> None:
    def still(rows: np.ndarray) -> np.ndarray:
        rows[:, 1] = 3.5
        return rows

    _each(folder, VIDEO, still)
    rows = _data(folder, f"{VIDEO}/{CAT}")
    rows[3, 1] = 3.6
    _set(folder, f"{VIDEO}/{CAT}", data=rows)
    assert not any(f.kind == "constant-columns" for f in verify_benchmark(folder).findings)


def test_only_clips_to_train_on_tell_whether_a_column_is_constant(folder: Path, expect: Any) -> None:
    def still(rows: np.ndarray) -> np.ndarray:
        rows[:, 1] = 3.5
        return rows

    _each(folder, VIDEO, still)
    place = f"{VIDEO}/stage_2_test_seen/cat.h5"
    _set(folder, place, data=_data(folder, place) + 1)
    expect(folder, "note", "constant-columns", VIDEO, "1 of 7 columns hold one value in all training clips: 1")


def test_progress_counts_every_file(folder: Path) -> None:
    from avzsl import progress

    seen: list[int] = []
    totals: list[int | None] = []

    class Count:
        def task(self, name: str, total: int | None) -> Any:
            import contextlib

            totals.append(total)

            class Task:
                def advance(self, steps: int = 1, note: str = "") -> None:
                    seen.append(steps)

            return contextlib.nullcontext(Task())

    with progress.listen(Count()):
        verify_benchmark(folder)
    assert totals == [36]
    assert sum(seen) == 36
