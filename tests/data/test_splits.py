"""Loading whole folders: the three benchmarks as distributed, and every way in which a folder can be wrong."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import torch

from avzsl.data.classes import read_class_index, read_vector_keys
from avzsl.data.splits import load_benchmark
from avzsl.errors import DataError, SettingError
from avzsl.features.store import read_word_vectors, write_class_file, write_word_vectors
from avzsl.layout import Layout
from avzsl.types import ExtractorIdentity, TextVectors

if TYPE_CHECKING:
    from tests.conftest import TinyBenchmark

Publish = Callable[..., Path]
CANDIDATES = {
    ("UCF", "main"): (42, 51),
    ("UCF", "cls"): (42, 48),
    ("ActivityNet", "main"): (150, 200),
    ("ActivityNet", "cls"): (150, 198),
    ("VGGSound", "main"): (207, 276),
    ("VGGSound", "cls"): (207, 271),
}
SLOW = {("ActivityNet", "main"), ("VGGSound", "cls")}


def stored(layout: Layout, split: str) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Class name of all_class.txt, clip name, audio row and visual row of a split's clips, read the plain way."""
    proper = {line.strip().lower(): line.strip() for line in layout.all_class.read_text().split("\n")}
    listed = [line.strip() for line in layout.split_txt(split).read_text().split("\n") if line.strip()]
    folders = [layout.family_dir / modality / split for modality in ("audio", "video")]
    for name in sorted(proper[line.lower()] for line in listed):
        (file,) = (f.name for f in folders[0].iterdir() if f.name.lower() == f"{name}.h5".lower())
        with h5py.File(folders[0] / file) as audio, h5py.File(folders[1] / file) as visual:
            for place, clip in enumerate(audio["video_urls"]):
                yield name, clip.decode(), audio["data"][place], visual["data"][place]


@pytest.mark.parametrize(
    ("dataset", "family"), [pytest.param(*c, marks=pytest.mark.slow if c in SLOW else ()) for c in CANDIDATES]
)
def test_a_folder_as_distributed_is_read_clip_by_clip(publish: Publish, dataset: str, family: str) -> None:
    root = publish(dataset, family)
    benchmark = load_benchmark(root, family=family)
    layout = Layout(root, family)
    assert (benchmark.name, benchmark.family, benchmark.identity.name) == (dataset, family, "unknown")
    index = read_class_index(layout)
    keys, raw = read_vector_keys(layout, index), read_word_vectors(layout.word_vectors)
    rows = {name: raw.vectors[i] for i, name in enumerate(raw.names)}
    for stage, parts in (
        (1, ("stage_1_val_seen", "stage_1_val_unseen")),
        (2, ("stage_2_test_seen", "stage_2_test_unseen")),
    ):
        evaluation = benchmark.evaluation(stage)
        assert len(evaluation.class_names) == CANDIDATES[dataset, family][stage - 1]
        assert list(evaluation.class_names) == sorted(evaluation.class_names)
        for name, vector in zip(evaluation.class_names, evaluation.classes, strict=True):
            assert torch.equal(vector, rows[keys[index.names.index(name)]])
        clips = evaluation.features.clips()
        assert clips.audio is not None and clips.visual is not None
        row = 0
        for split in parts:
            for name, clip, audio, visual in stored(layout, split):
                assert np.array_equal(clips.audio[row, 0], audio.astype(np.float32))
                assert np.array_equal(clips.visual[row, 0], visual.astype(np.float32))
                assert evaluation.clip_names[row] == clip
                assert evaluation.class_names[evaluation.labels[row]] == name
                assert bool(evaluation.seen[evaluation.labels[row]]) == split.endswith("_seen")
                row += 1
        assert row == len(evaluation) == len(evaluation.clip_names)
        pool = benchmark.training(stage)
        assert set(pool.class_names) == {n for n, s in zip(evaluation.class_names, evaluation.seen, strict=True) if s}
        assert pool.labels.unique().tolist() == list(range(len(pool.class_names)))


def test_stage_2_trains_on_the_union_of_stage_1_and_never_opens_its_own_folder(tiny_copy: Path) -> None:
    folder = tiny_copy / "features" / "main_features" / "audio" / "stage_2_train"
    folder.mkdir()
    (folder / "siren.h5").write_bytes(b"never read")
    benchmark = load_benchmark(tiny_copy)
    first, both = benchmark.training(1), benchmark.training(2)
    assert len(first) == 72 and len(both) == 72 + 36 + 18
    assert both.clip_names == first.clip_names + benchmark.evaluation(1).clip_names
    assert len(both.class_names) == 9


def test_pools_and_sets_share_the_memory_of_the_table(tiny_benchmark: TinyBenchmark) -> None:
    benchmark = tiny_benchmark.benchmark
    parts = [*map(benchmark.training, (1, 2)), *map(benchmark.evaluation, (1, 2))]
    assert {p.features.audio.data.untyped_storage().data_ptr() for p in parts} == {  # type: ignore[union-attr]
        benchmark.features.audio.data.untyped_storage().data_ptr()  # type: ignore[union-attr]
    }


def test_temporal_clips_average_to_the_averaged_ones(tiny_benchmark: TinyBenchmark) -> None:
    averaged = tiny_benchmark.benchmark.evaluation(2)
    one = load_benchmark(tiny_benchmark.root, temporal=True, max_segments=1).evaluation(2)
    assert averaged.clip_names == one.clip_names
    first, second = averaged.features.clips(), one.features.clips()
    assert torch.allclose(first.audio, second.audio, atol=1e-5)  # type: ignore[arg-type]
    assert torch.allclose(first.visual, second.visual, atol=1e-5)  # type: ignore[arg-type]
    three = load_benchmark(tiny_benchmark.root, temporal=True, max_segments=3)
    assert three.features.clips().audio.shape[1] == 3  # type: ignore[union-attr]
    assert tiny_benchmark.temporal.features.clips().audio.shape[1] == 5  # type: ignore[union-attr]


def test_public_temporal_pickles_are_read_when_trusted(tiny_copy: Path, tiny_benchmark: TinyBenchmark) -> None:
    for path in (tiny_copy / "features" / "main_features_non_averaged").rglob("*.h5"):
        with h5py.File(path) as file:
            clips = np.split(file["data"][()], file["offsets"][1:-1])
            content = {"features": clips, "video_names": list(file["video_urls"][()]), "fps": [25] * len(clips)}
        path.with_suffix(".pkl").write_bytes(pickle.dumps(content))
        path.unlink()
    with pytest.raises(DataError, match=r"is a pickle; .*trust"):
        load_benchmark(tiny_copy, temporal=True)
    benchmark = load_benchmark(tiny_copy, temporal=True, trust=True)
    assert benchmark.fingerprint == tiny_benchmark.temporal.fingerprint
    assert load_benchmark(tiny_copy, temporal=True, trust=True, max_segments=2).fingerprint != benchmark.fingerprint


def test_the_fingerprint_depends_on_content_and_not_on_storage(tiny_copy: Path, tiny_benchmark: TinyBenchmark) -> None:
    print_ = tiny_benchmark.benchmark.fingerprint
    assert len(print_) == 64
    moved = tiny_copy.rename(tiny_copy.parent / "Elsewhere")
    for path in (moved / "features" / "main_features").rglob("*.h5"):
        with h5py.File(path) as file:
            data, names = file["data"][()], [n.decode() for n in file["video_urls"][()]]
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=data.astype(np.float64), compression="gzip")
            file.create_dataset("video_urls", data=names, dtype=h5py.string_dtype("utf-8"))
    assert load_benchmark(moved).fingerprint == print_


def edit(path: Path, **changes: object) -> None:
    """Replace datasets of an HDF5 file."""
    with h5py.File(path, "r+") as file:
        for name, value in changes.items():
            del file[name]
            file[name] = value


AUDIO, VIDEO = (f"features/main_features/{m}/stage_1_val_seen/siren.h5" for m in ("audio", "video"))


def test_the_fingerprint_notices_every_kind_of_change(tiny_copy: Path) -> None:
    """Each change is made on top of those before it."""
    prints = [load_benchmark(tiny_copy).fingerprint]
    with h5py.File(tiny_copy / AUDIO) as file:
        data = file["data"][()]
    data[3, 2] = np.nextafter(data[3, 2], np.float32(9), dtype=np.float32)
    edit(tiny_copy / AUDIO, data=data)
    prints.append(load_benchmark(tiny_copy).fingerprint)
    for path in (AUDIO, VIDEO):
        edit(tiny_copy / path, video_urls=[f"clip {i}" for i in range(6)])
    prints.append(load_benchmark(tiny_copy).fingerprint)
    for modality in ("audio", "video"):  # two classes change places
        first, second = (
            tiny_copy / "features/main_features" / modality / "stage_1_train" / n for n in ("harp.h5", "siren.h5")
        )
        first.rename(first.with_suffix(".x"))
        second.rename(first)
        first.with_suffix(".x").rename(second)
    prints.append(load_benchmark(tiny_copy).fingerprint)
    csv = tiny_copy / "class-split" / "tiny_w2v_class_names.csv"
    csv.write_text(csv.read_text().replace('"flute","flute"', '"flute","keyboard"'))
    prints.append(load_benchmark(tiny_copy).fingerprint)
    assert len(set(prints)) == 5


def test_reference_mode_changes_the_text_and_nothing_else(publish: Publish) -> None:
    root = publish("UCF")
    clean, reference = load_benchmark(root), load_benchmark(root, mode="reference")
    assert (clean.text_assignment, reference.text_assignment) == ("by_name", "by_sorted_rank")
    assert (clean.text_lookup, reference.text_lookup) == ("by_id", "by_set_order")
    assert int((clean.classes.vectors != reference.classes.vectors).any(dim=1).sum()) == 31 + 5
    assert torch.equal(clean.labels, reference.labels) and clean.clip_names == reference.clip_names
    assert clean.fingerprint != reference.fingerprint
    one = load_benchmark(root, mode="reference", text_assignment="by_name", text_lookup="by_id")
    assert torch.equal(one.classes.vectors, clean.classes.vectors) and one.fingerprint == clean.fingerprint


def test_p2_is_without_effect_on_the_published_splits(publish: Publish) -> None:
    root = publish("UCF")
    clean, shuffled = (load_benchmark(root, text_lookup=lookup) for lookup in ("by_id", "by_set_order"))
    for stage in (1, 2):
        assert torch.equal(clean.training(stage).classes, shuffled.training(stage).classes)


def test_p2_shuffles_the_ids_5_40_and_99(tmp_path: Path) -> None:
    """That id set iterates as 40, 99, 5 in a hash set, so id 5 is looked up at place 2 of the table, and so on."""
    names = [f"c{number:03}" for number in range(100)]
    root = tmp_path / "Sparse"
    layout = Layout(root)
    layout.split_dir.mkdir(parents=True)
    layout.all_class.write_text("\n".join(names))
    layout.class_names_csv.write_text("original,manual\n" + "".join(f"{n},{n}\n" for n in names))
    write_word_vectors(layout.word_vectors_safetensors, TextVectors(tuple(names), torch.eye(100), "e"))
    train, unseen, test = [names[i] for i in (5, 40, 99)], [names[7]], [names[8]]
    lists = (train, train, unseen, train + unseen, test)
    splits = ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen", "stage_2_test_seen", "stage_2_test_unseen")
    for split, listed in zip(splits, lists, strict=True):
        layout.split_txt(split).write_text("\n".join(listed))
        for name in listed:
            for modality in ("audio", "visual"):
                path = layout.features_file(modality, split, name)
                write_class_file(path, np.zeros((1, 2)), [f"{split} {name}"], ExtractorIdentity("x"))
    clean = load_benchmark(root).training(1)
    assert clean.classes.argmax(1).tolist() == [5, 40, 99]
    assert load_benchmark(root, mode="reference").training(1).classes.argmax(1).tolist() == [99, 5, 40]


def test_the_identity_of_the_extractor_is_kept(tiny_copy: Path) -> None:
    identity = ExtractorIdentity("mine", settings={"rate": 2})
    for path in (tiny_copy / "features" / "main_features").rglob("*.h5"):
        with h5py.File(path) as file:
            data, names = file["data"][()], [n.decode() for n in file["video_urls"]]
        write_class_file(path, data, names, identity)
    assert load_benchmark(tiny_copy).identity == identity
    path = tiny_copy / AUDIO
    with h5py.File(path) as file:
        data, names = file["data"][()], [n.decode() for n in file["video_urls"]]
    write_class_file(path, data, names, replace(identity, version=2))
    with pytest.raises(DataError, match=r"siren.h5 was made by 'mine' .*version 2.* with the same extractor"):
        load_benchmark(tiny_copy)
    with h5py.File(path, "r+") as file:
        del file.attrs["extractor"]
    with pytest.raises(DataError, match="by an extractor that left no name, but"):
        load_benchmark(tiny_copy)


def remove(path: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        target = root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return damage


def change(path: str, **values: object) -> Callable[[Path], None]:
    return lambda root: edit(root / path, **values)


NAN = np.zeros((6, 10), dtype=np.float32)
NAN[4, 1] = np.nan
DAMAGE = {
    "features folder": (
        remove("features/main_features"),
        r"temporal features only \(main_features_non_averaged\), main_features is missing",
    ),
    "all features": (remove("features"), r"no folder .*main_features; download"),
    "modality": (remove("features/main_features/audio"), r"main_features has no audio features"),
    "split folder": (remove("features/main_features/video/stage_2_test_seen"), r"no folder .*video/stage_2_test_seen"),
    "class of one modality": (remove(AUDIO), r"class 'siren' has visual but no audio features in .*stage_1_val_seen"),
    "class of both": (remove("features/main_features/video/stage_1_train/harp.h5"), r"'harp' has audio but no visual"),
    "rows": (
        change(AUDIO, data=np.zeros((5, 10)), video_urls=[f"stage_1_val_seen_siren_{i}" for i in range(5)]),
        r"audio/stage_1_val_seen/siren.h5 has 5 clips but .*video/stage_1_val_seen/siren.h5 has 6",
    ),
    "names and rows": (change(AUDIO, data=np.zeros((5, 10))), r"siren.h5: 5 rows but 6 clip names"),
    "order": (
        change(AUDIO, video_urls=[f"stage_1_val_seen_siren_{i}" for i in (0, 2, 1, 3, 4, 5)]),
        r"row 1 is 'stage_1_val_seen_siren_2' in .* but 'stage_1_val_seen_siren_1'",
    ),
    "NaN": (change(AUDIO, data=NAN), r"siren.h5: row 4 \(clip 'stage_1_val_seen_siren_4'\) holds NaN"),
    "columns": (change(AUDIO, data=np.zeros((6, 9))), r"siren.h5 has 9 columns, but the audio files before it have 10"),
    "HDF5": (
        lambda root: (root / AUDIO).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50)),
        r"siren.h5 is damaged or not HDF5",
    ),
    "class name": (
        lambda root: (root / AUDIO).rename((root / AUDIO).with_name("sirens.h5")),
        r"stage_1_val_seen: class 'sirens' is not in .*did you mean 'siren'",
    ),
    "word vectors": (remove("features/main_features/text"), r"no word vectors at"),
    "word vector of a class": (
        lambda root: (root / "class-split/tiny_w2v_class_names.csv").write_text(
            (root / "class-split/tiny_w2v_class_names.csv").read_text().replace('"flute","flute"', '"flute","piccolo"')
        ),
        r"has nothing for class 'flute' \(called 'piccolo' there\)",
    ),
    "class list": (remove("class-split/main_split/stage_1_train.txt"), r"cannot read .*stage_1_train.txt"),
    "class names": (remove("class-split/tiny_w2v_class_names.csv"), r"cannot read .*tiny_w2v_class_names.csv"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_folders_give_one_line_that_names_the_thing(tiny_copy: Path, kind: str) -> None:
    damage, message = DAMAGE[kind]
    damage(tiny_copy)
    with pytest.raises(DataError, match=message) as caught:
        load_benchmark(tiny_copy, family="main")
    assert "\n" not in str(caught.value)


def test_averaged_and_temporal_features_are_not_taken_for_each_other(tiny_copy: Path) -> None:
    features = tiny_copy / "features"
    shutil.rmtree(features / "main_features_non_averaged")
    with pytest.raises(DataError, match=r"averaged features only .*leave out the temporal option"):
        load_benchmark(tiny_copy, temporal=True)
    shutil.copytree(features / "main_features", features / "main_features_non_averaged")
    with pytest.raises(DataError, match="no dataset 'offsets'"):
        load_benchmark(tiny_copy, temporal=True)


def test_temporal_features_alone_say_how_to_average_them(tiny_copy: Path) -> None:
    features = tiny_copy / "features"
    (features / "main_features" / "text").rename(features / "main_features_non_averaged" / "text")
    shutil.rmtree(features / "main_features")
    with pytest.raises(DataError, match="max_segments 1"):
        load_benchmark(tiny_copy)
    assert load_benchmark(tiny_copy, temporal=True, max_segments=1).dimensions.audio == 10


def test_p19_a_class_without_clips_warns_in_an_evaluation_and_is_refused_in_training(
    tiny_copy: Path, tiny_benchmark: TinyBenchmark
) -> None:
    for path in (AUDIO, VIDEO):
        (tiny_copy / path).unlink()
    with pytest.warns(UserWarning, match=r"stage_1_val_seen has no clips of 1 class\(es\) \('siren'\)"):
        evaluation = load_benchmark(tiny_copy).evaluation(1)
    assert "siren" in evaluation.class_names and len(evaluation) == 48
    shutil.copytree(tiny_benchmark.root, tiny_copy, dirs_exist_ok=True)
    for modality in ("audio", "video"):
        (tiny_copy / "features/main_features" / modality / "stage_1_val_unseen" / "helicopter.h5").unlink()
    with pytest.raises(DataError, match=r"no file for 1 class\(es\) of the split \('helicopter'\)"):
        load_benchmark(tiny_copy)


def test_a_clip_that_is_trained_on_and_judged_is_warned_about(tiny_copy: Path) -> None:
    for path in (AUDIO, VIDEO):
        edit(tiny_copy / path, video_urls=[f"stage_1_train_siren_{i}" for i in range(6)])
    with pytest.warns(UserWarning, match=r"6 clip\(s\) are both trained on and judged in stage 1, for example"):
        load_benchmark(tiny_copy)


def test_a_validation_clip_in_the_test_is_warned_about_since_stage_2_trains_on_it(tiny_copy: Path) -> None:
    for folder in ("audio", "video"):
        path = tiny_copy / "features" / "main_features" / folder / "stage_2_test_seen" / "siren.h5"
        edit(path, video_urls=[f"stage_1_val_seen_siren_{i}" for i in range(6)])
    with pytest.warns(UserWarning, match=r"6 clip\(s\) are both trained on and judged in stage 2, for example"):
        load_benchmark(tiny_copy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "clan"}, "did you mean 'clean'"),
        ({"text_assignment": "name"}, "unknown text assignment 'name'"),
        ({"text_lookup": "by_ids"}, "did you mean 'by_id'"),
        ({"max_segments": 3}, "ask for temporal features too"),
        ({"max_segments": 0, "temporal": True}, "at least 1"),
    ],
)
def test_options_out_of_range_are_refused(tiny_benchmark: TinyBenchmark, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        load_benchmark(tiny_benchmark.root, **options)
    with pytest.raises(SettingError, match="no stage 3"):
        tiny_benchmark.benchmark.training(3)
