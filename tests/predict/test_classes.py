"""Lists of class names, and which vectors they get."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avzsl.errors import AvzslError, DataError, ModelError, SettingError
from avzsl.features.store import write_word_vectors
from avzsl.features.text import HashNgramEncoder
from avzsl.methods._checkpoint import ModelCard
from avzsl.predict.classes import choose_candidates, own_candidates, parse_class_list
from avzsl.types import Dimensions, ExtractorIdentity, TextVectors


def _card(encoder: str = "hash-ngram", size: int = 256) -> ModelCard:
    vectors = torch.nn.functional.normalize(torch.randn(3, size, generator=torch.Generator().manual_seed(1)), dim=1)
    classes = TextVectors(("PlayingPiano", "dog", "fly, housefly buzzing"), vectors, encoder)
    return ModelCard("toy", {}, Dimensions(5, 7, size), classes, (True, False, True), 0.5, ExtractorIdentity("builtin"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog", ["dog"]),
        ("dog, red ball ,cat", ["dog", "red ball", "cat"]),
        ('"fly, housefly buzzing", dog', ["fly, housefly buzzing", "dog"]),
        ('dog, "bee, wasp, etc. buzzing"', ["dog", "bee, wasp, etc. buzzing"]),
    ],
)
def test_names_are_separated_by_commas_and_quotes_protect_them(text: str, expected: list[str]) -> None:
    assert parse_class_list(text) == expected


def test_in_a_file_every_line_is_one_name(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\ufefffly, housefly buzzing\n\n  dog  \nHündin\n", encoding="utf-8")
    assert parse_class_list(f"@{path}") == ["fly, housefly buzzing", "dog", "Hündin"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", SettingError, "the class list is empty"),
        (" , ", SettingError, "the class list is empty"),
        ("dog,,cat", SettingError, "has an empty name; remove the extra comma"),
        ("dog,", SettingError, "has an empty name"),
        ('"dog, cat', SettingError, "open or misplaced quote"),
        ("@missing.txt", DataError, "cannot read missing.txt.*check the path after @"),
    ],
)
def test_a_broken_list_is_one_sentence(text: str, error: type[AvzslError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_class_list(text)


@pytest.mark.parametrize(("content", "message"), [(b"", "holds no class names"), (b"\xff\xfe\x00x", "is not UTF-8")])
def test_a_broken_file_of_names_is_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(AvzslError, match=message):
        parse_class_list(f"@{tmp_path / 'names.txt'}")


def test_known_names_keep_the_vectors_of_the_model_however_they_are_written() -> None:
    card = _card()
    found = choose_candidates(card, ["playing piano", "DOG", "fly, housefly buzzing"])
    assert found.names == ("playing piano", "DOG", "fly, housefly buzzing")
    assert torch.equal(found.vectors, card.classes.vectors)
    assert found.seen.tolist() == [True, False, True]


def test_new_names_are_encoded_as_the_training_names_were_and_count_as_unseen() -> None:
    card = _card()
    found = choose_candidates(card, ["FlyingKite", "dog", "red ball"])
    expected = HashNgramEncoder().encode(["Flying Kite", "red ball"]).vectors
    assert torch.equal(found.vectors[[0, 2]], expected)
    assert torch.equal(found.vectors[1], card.classes.vectors[1])
    assert found.seen.tolist() == [False, False, False]


def test_unseen_only_leaves_out_what_the_model_was_trained_on() -> None:
    assert own_candidates(_card()).names == ("PlayingPiano", "dog", "fly, housefly buzzing")
    assert own_candidates(_card(), unseen_only=True).names == ("dog",)
    assert choose_candidates(_card(), ["dog", "PlayingPiano", "kite"], unseen_only=True).names == ("dog", "kite")
    with pytest.raises(SettingError, match="was trained on all of these classes"):
        choose_candidates(_card(), ["PlayingPiano"], unseen_only=True)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "a class name is empty"),
        (["dog", " "], "a class name is empty"),
        (["dog", "dog"], "class 'dog' is given twice"),
        (["playing piano", "PlayingPiano"], "'playing piano' and 'PlayingPiano' are the same class"),
        (["kite", "Kite"], "'kite' and 'Kite' are the same class"),
        ("dog, cat", "give a list of names"),
    ],
)
def test_empty_and_double_names_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        choose_candidates(_card(), names)


def test_a_model_of_a_file_of_vectors_asks_for_that_file(tmp_path: Path) -> None:
    card = _card("vectors:word_embeddings_ucf_normed", 6)
    with pytest.raises(
        ModelError, match=r"word_embeddings_ucf_normed\); give that file with --vectors; did you mean 'dog'"
    ):
        choose_candidates(card, ["dogs"])
    assert choose_candidates(card, ["dog"]).names == ("dog",)
    path = tmp_path / "words.safetensors"
    words = torch.nn.functional.normalize(torch.randn(2, 6), dim=1)
    write_word_vectors(path, TextVectors(("Red Ball", "Kite"), words, "vectors:word_embeddings_ucf_normed"))
    found = choose_candidates(card, ["dog", "RedBall"], vectors=path)
    assert torch.equal(found.vectors[0], card.classes.vectors[1])
    torch.testing.assert_close(found.vectors[1], words[0])
    write_word_vectors(path, TextVectors(("Red Ball", "Kite"), words, "vectors:other"))
    with pytest.raises(ModelError, match="holds vectors of 'vectors:other', the model was trained on"):
        choose_candidates(card, ["RedBall"], vectors=path)


def test_an_encoder_that_is_not_here_or_has_another_size_is_named() -> None:
    with pytest.raises(ModelError, match="its text encoder 'lost' is not here to encode it; it knows 3 other classes"):
        choose_candidates(_card("lost"), ["kite"])
    with pytest.raises(ModelError, match="gives 256 numbers per name, the model was trained on 6"):
        choose_candidates(_card("hash-ngram", 6), ["kite"])
