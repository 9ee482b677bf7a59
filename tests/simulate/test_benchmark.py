"""A simulated benchmark folder: complete, loadable, told apart from real ones, the same for the same seed."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.cli import main
from avzsl.data.splits import load_benchmark
from avzsl.errors import DataError, OutputError, SettingError
from avzsl.experiments.run import is_simulated, run_training
from avzsl.features.store import read_class_file, read_temporal_file, read_word_vectors, write_word_vectors
from avzsl.layout import Layout
from avzsl.simulate.benchmark import simulate_benchmark
from avzsl.simulate.model import SimulationConfig, Simulator
from avzsl.types import TextVectors

TRAIN, VALIDATION, TEST = ["apple", "bell", "cat, big"], ["dog", "egg"], ["fish", "goat"]
COUNTS = {
    "stage_1_train": 6,
    "stage_1_val_seen": 2,
    "stage_1_val_unseen": 5,
    "stage_2_test_seen": 3,
    "stage_2_test_unseen": 4,
}
SMALL = SimulationConfig(latent=16, hidden=32, shortest=1, longest=3)


@pytest.fixture
def like(tmp_path: Path) -> Path:
    """A made-up folder as its publishers would leave it: class splits with lists, vectors beside it, no features."""
    layout = Layout(tmp_path / "published" / "UCF")
    everything = [*TRAIN, *VALIDATION, *TEST]
    splits = {
        "stage_1_train": TRAIN, "stage_1_val_seen": TRAIN, "stage_1_val_unseen": VALIDATION,
        "stage_2_train": TRAIN + VALIDATION, "stage_2_test_seen": TRAIN + VALIDATION, "stage_2_test_unseen": TEST,
    }  # fmt: skip
    layout.split_dir.mkdir(parents=True)
    layout.all_class.write_text("\n".join([*everything, "unused"]) + "\n")
    with layout.class_names_csv.open("w", newline="") as file:
        csv.writer(file).writerows([("original", "manual"), *((n, n.title()) for n in [*everything, "unused"])])
    for split, classes in splits.items():
        layout.split_txt(split).write_text("\n".join(classes) + "\n")
        with layout.split_csv(split).open("w", newline="") as file:
            rows = [
                (f"v_{name}_g{i // 2:02d}_c{list(splits).index(split)}{i:02d}", name.upper(), len(name))
                for name in ([*classes, "unused"] if split == "stage_2_test_unseen" else classes)
                for i in range(COUNTS.get(split, 0))
            ]
            csv.writer(file).writerows([("filename", "label", "label_code"), *rows])
    shutil.copytree(layout.split_dir, Layout(layout.root, "cls").split_dir)
    vectors = torch.nn.functional.normalize(torch.randn(8, 12, generator=torch.Generator().manual_seed(0)), dim=1)
    names = tuple(n.title() for n in ["unused", *reversed(everything)])  # in an order of its own
    path = layout.root.parent / "word-vectors" / layout.word_vectors_safetensors.name
    write_word_vectors(path, TextVectors(names, vectors, "made-up"))
    return layout.root


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_loads_trains_and_says_that_it_is_simulated(like: Path, tmp_path: Path) -> None:
    report = simulate_benchmark(like, tmp_path / "UCF", config=SMALL)
    assert dict(report.splits) == {
        s: n * len(c)
        for (s, n), c in zip(COUNTS.items(), (TRAIN, TRAIN, VALIDATION, TRAIN + VALIDATION, TEST), strict=True)
    }
    loaded = load_benchmark(tmp_path / "UCF")
    assert {name: len(split) for name, split in loaded.splits.items()} == dict(report.splits)
    assert (loaded.dimensions.audio, loaded.dimensions.visual, loaded.dimensions.text) == (512, 512, 12)
    assert loaded.classes.encoder == "made-up"
    assert loaded.identity.name == "simulated"
    assert loaded.identity.settings["text"] == SMALL.text
    assert is_simulated(loaded)
    result = run_training(tmp_path / "UCF", "ridge", out=tmp_path / "run", device="cpu")
    assert result.simulated and result.extractor["name"] == "simulated"
    (tmp_path / "UCF" / "extract.json").unlink()  # copied without its record, the features still say so
    assert is_simulated(load_benchmark(tmp_path / "UCF"))


def test_the_same_seed_gives_the_same_bytes_and_others_change_features_only(like: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate_benchmark(like, tmp_path / name / "UCF", config=SMALL, seed=seed, temporal=True)
    first, second, other = (_hashes(tmp_path / name / "UCF") for name in "abc")
    assert first == second
    changed = {path for path in first if first[path] != other[path]}
    assert changed == {path for path in first if path.endswith(".h5")} | {"extract.json"}


def test_a_class_looks_the_same_whatever_stands_beside_it(like: Path, tmp_path: Path) -> None:
    simulate_benchmark(like, tmp_path / "a" / "UCF", config=SMALL)
    path = Layout(like).split_csv("stage_1_train")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *[line for line in lines[1:] if "APPLE" not in line or "g01" in line]]) + "\n")
    simulate_benchmark(like, tmp_path / "b" / "UCF", config=SMALL)
    whole, part = (
        read_class_file(Layout(tmp_path / n / "UCF").features_file("visual", "stage_1_train", "apple")) for n in "ab"
    )
    assert len(part.names) == 2 < len(whole.names)
    rows = [whole.names.index(name) for name in part.names]
    np.testing.assert_array_equal(whole.data[rows], part.data)


def test_features_follow_from_the_vector_of_the_classs_own_name(like: Path, tmp_path: Path) -> None:
    only = SimulationConfig(residual=0, group=0, clip=0, segment=0, column=0, latent=8, hidden=16)
    simulate_benchmark(like, tmp_path / "UCF", config=only, seed=5)
    layout = Layout(tmp_path / "UCF")
    words = read_word_vectors(layout.word_vectors_safetensors)
    simulator = Simulator(only, "visual", 512, 12, 5)
    for name, split in (("apple", "stage_1_train"), ("cat, big", "stage_1_train"), ("goat", "stage_2_test_unseen")):
        vector = words.vectors[words.names.index(name.title())].double().numpy()
        expected = simulator.rows(simulator.centre(name, vector), name, "any", 1)
        rows = read_class_file(layout.features_file("visual", split, name)).data
        np.testing.assert_allclose(rows, np.repeat(expected, len(rows), 0), atol=1e-6)


def test_averaged_rows_are_the_means_of_the_seconds_and_stay_without_them(like: Path, tmp_path: Path) -> None:
    simulate_benchmark(like, tmp_path / "UCF", config=SMALL, temporal=True, family="cls")
    layout = Layout(tmp_path / "UCF", "cls")
    temporal = read_temporal_file(layout.temporal_file("audio", "stage_2_test_seen", "dog"))
    averaged = read_class_file(layout.features_file("audio", "stage_2_test_seen", "dog"))
    assert averaged.data.shape == (3, 128)
    assert temporal.names == averaged.names
    means = [temporal.data[a:b].mean(0) for a, b in zip(temporal.offsets[:-1], temporal.offsets[1:], strict=True)]
    np.testing.assert_allclose(means, averaged.data, atol=1e-6)
    assert load_benchmark(tmp_path / "UCF", temporal=True).dimensions.visual == 4096
    simulate_benchmark(like, tmp_path / "UCF", config=SMALL, family="cls")
    np.testing.assert_array_equal(
        read_class_file(layout.features_file("audio", "stage_2_test_seen", "dog")).data, averaged.data
    )
    assert not layout.temporal_dir.exists()


def test_a_clip_has_the_same_row_in_the_union_of_stage_2(like: Path, tmp_path: Path) -> None:
    simulate_benchmark(like, tmp_path / "UCF", config=SMALL)
    layout = Layout(tmp_path / "UCF")
    union = read_class_file(layout.features_file("visual", "stage_2_train", "apple"))
    parts = [read_class_file(layout.features_file("visual", s, "apple")) for s in ("stage_1_train", "stage_1_val_seen")]
    assert union.names == parts[0].names + parts[1].names
    np.testing.assert_array_equal(union.data, np.concatenate([part.data for part in parts]))


def test_a_split_without_a_list_needs_a_number_of_clips(like: Path, tmp_path: Path) -> None:
    Layout(like).split_csv("stage_1_train").unlink()
    with pytest.raises(DataError, match=r"stage_1_train\.csv is missing, .* pass --clips"):
        simulate_benchmark(like, tmp_path / "UCF", config=SMALL)
    assert not (tmp_path / "UCF").exists()
    report = simulate_benchmark(like, tmp_path / "UCF", config=SMALL, clips=4)
    assert report.made_up == ("stage_1_train",)
    assert report.splits["stage_1_train"] == 12
    assert len(Layout(tmp_path / "UCF").split_csv("stage_1_train").read_text().splitlines()) == 13
    assert load_benchmark(tmp_path / "UCF").splits["stage_1_train"].stop == 12


def test_wrong_requests_say_what_is_wrong_and_write_nothing(like: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="the sizes of family 'cl' are not known; did you mean 'cls'"):
        simulate_benchmark(like, tmp_path / "UCF", family="cl")
    with pytest.raises(SettingError, match="seed is -1"):
        simulate_benchmark(like, tmp_path / "UCF", seed=-1)
    with pytest.raises(DataError, match="is no benchmark folder"):
        simulate_benchmark(tmp_path / "published" / "word-vectors", tmp_path / "UCF")
    with pytest.raises(OutputError, match="has a folder 'class-split' that no extraction has written"):
        simulate_benchmark(like, like)
    shutil.rmtree(like.parent / "word-vectors")
    with pytest.raises(DataError, match=r"UCF has no word_embeddings_ucf_normed\.npy; give its path with --vectors"):
        simulate_benchmark(like, tmp_path / "UCF")
    assert not (tmp_path / "UCF").exists()


def test_the_verb_writes_a_benchmark_and_tells_what_it_is(
    like: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["simulate", "--like", str(like), "--out", str(tmp_path / "UCF"), "--set", "latent=8", "--quiet"]
    assert main(base) == 0
    out = capsys.readouterr().out
    assert "of 57 clips of 7 classes" in out and "say nothing about real videos" in out
    assert out.splitlines()[-1].startswith("  next: avzsl train ridge --data ")
    run = str(tmp_path / "run")
    assert main(["train", "ridge", "--data", str(tmp_path / "UCF"), "--out", run, "--quiet"]) == 0
    assert "the features are simulated; these numbers say nothing about real ones" in capsys.readouterr().out
    assert main([*base, "--json", "--family", "cls"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["columns"] == {"audio": 128, "visual": 4096}
    assert main([*base, "--set", "residul=1"]) == 2
    assert "unknown setting 'residul'; did you mean 'residual'?" in capsys.readouterr().err
    assert main([*base, "--set", "text=-1"]) == 2
    assert (
        capsys.readouterr().err
        == "error: wrong setting in [simulation]: text must be 0 or more, and finite (given: text = -1)\n"
    )


@pytest.mark.slow
def test_on_the_real_splits_of_ucf_a_ridge_regression_is_in_the_middle_of_the_scale(avca: Path, tmp_path: Path) -> None:
    report = simulate_benchmark(avca / "UCF", tmp_path / "UCF")
    assert dict(report.splits) == {
        "stage_1_train": 3174, "stage_1_val_seen": 353, "stage_1_val_unseen": 1467, "stage_2_test_seen": 555,
        "stage_2_test_unseen": 1267,
    }  # fmt: skip
    result = run_training(tmp_path / "UCF", "ridge", out=tmp_path / "run", assignments=["bias_search=exact"])
    assert 25 < result.zsl < 50
    assert result.seen > result.unseen
    assert result.published_note == "" or "simulated" in result.published_note
