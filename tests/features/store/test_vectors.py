from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.errors import DataError
from avzsl.features.store import read_word_vectors, write_word_vectors
from avzsl.types import TextVectors

VECTORS = TextVectors(("dog barking", "Straßenbahn, tram"), torch.eye(2, 5), "minilm")


def test_word_vectors_survive_a_round_trip_and_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        write_word_vectors(tmp_path / name, VECTORS)
    back = read_word_vectors(tmp_path / "a.safetensors")
    assert back.names == VECTORS.names and back.encoder == "minilm" and torch.equal(back.vectors, VECTORS.vectors)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize(("stem", "count"), [("ucf", 101), ("activity", 200), ("vggsound", 309)])
def test_the_benchmarks_own_vectors_are_read_with_unit_length(avca: Path, stem: str, count: int) -> None:
    vectors = read_word_vectors(avca / "word-vectors" / f"word_embeddings_{stem}_normed.npy")
    assert vectors.vectors.shape == (count, 300) and len(set(vectors.names)) == count
    torch.testing.assert_close(vectors.vectors.norm(dim=1), torch.ones(count), atol=1e-6, rtol=0)
    assert vectors.encoder == f"vectors:word_embeddings_{stem}_normed"


def test_the_restricted_reader_agrees_with_numpy_on_a_real_file(avca: Path) -> None:
    path = avca / "word-vectors" / "word_embeddings_ucf_normed.npy"
    theirs = np.load(path, **{"allow_pickle": True}).item()
    ours = read_word_vectors(path)
    assert ours.names == tuple(theirs)
    np.testing.assert_array_equal(ours.vectors.numpy(), np.stack(list(theirs.values())))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a dict"),
        ({}, "expected a dict"),
        ({1: np.ones(3)}, "expected a dict"),
        ({"a": "text"}, "'a' is not one row"),
        ({"a": np.ones((2, 2))}, "'a' is not one row"),
        ({"a": np.ones(2), "b": np.ones(3)}, "different sizes"),
        ({"a": np.array([np.nan, 1])}, "'a' is zero, NaN"),
        ({"a": np.zeros(2)}, "'a' is zero"),
    ],
)
def test_a_wrong_npy_is_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "w.npy"
    np.save(path, np.array(content, dtype=object) if isinstance(content, dict) else np.array(content))
    with pytest.raises(DataError, match=message):
        read_word_vectors(path)


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no word vectors"):
        read_word_vectors(tmp_path / "none.safetensors")
    path = tmp_path / "a.safetensors"
    write_word_vectors(path, VECTORS)
    whole = path.read_bytes()
    for content in (b"", whole[:20], whole[:-3], b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            read_word_vectors(path)


def test_safetensors_of_another_origin_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"vectors": torch.ones(2, 3)}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="no word vectors"):
        read_word_vectors(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (TextVectors(("a", "a"), torch.eye(2), "x"), "two vectors are called 'a'"),
        (TextVectors(("a",), torch.eye(2), "x"), "1 names"),
        (TextVectors(("a", "b"), torch.tensor([[1.0, 0.0], [0.0, 0.0]]), "x"), "'b' is zero"),
    ],
)
def test_wrong_vectors_are_not_written(tmp_path: Path, vectors: TextVectors, message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_word_vectors(tmp_path / "a.safetensors", vectors)
    assert not list(tmp_path.iterdir())
