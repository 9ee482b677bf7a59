"""A saved model comes back exactly, and a damaged one is refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from avzsl.errors import ModelError, OutputError, SettingError
from avzsl.files import hash_bytes
from avzsl.methods import _checkpoint
from avzsl.methods._base import METHODS, Method
from avzsl.methods._checkpoint import ModelCard, check_extractor, load_card, load_model, save_model
from avzsl.types import Clips, Dimensions, ExtractorIdentity, TextVectors


@pytest.fixture
def saved(toy: type[Method], tmp_path: Path) -> tuple[Path, Method, ModelCard]:
    torch.manual_seed(3)
    method = toy(toy.Config(width=4), Dimensions(5, 7, 6))
    method.embed_clips(Clips(torch.randn(9, 1, 5), torch.randn(9, 1, 7)))  # moves the running statistics
    card = ModelCard(
        method="toy",
        config={"width": 4, "dropout": 0.2},
        dimensions=method.dimensions,
        classes=TextVectors(("apple", "fish, fried"), torch.randn(2, 6), "toy-text"),
        seen=(True, False),
        bias=0.1 + 0.2,
        extractor=ExtractorIdentity("toy-extractor", settings={"rate": 2.5, "profile": "x"}),
        quirks={"beta_average": False},
        seed=7,
        versions={"torch": "2"},
    )
    save_model(tmp_path / "run", method, card)
    return tmp_path / "run", method, card


def _edit_card(run: Path, **changes: Any) -> None:
    path = run / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _edit_tensors(run: Path, tensors: dict[str, torch.Tensor]) -> None:
    import hashlib

    save_file(tensors, run / "model.safetensors")
    _edit_card(run, sha256=hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest())


def test_weights_statistics_and_card_come_back_exactly(saved: tuple[Path, Method, ModelCard]) -> None:
    run, method, card = saved
    again, found = load_model(run)
    assert not again.training
    assert found.as_dict() == card.as_dict()
    assert torch.equal(found.classes.vectors, card.classes.vectors)
    before, after = method.state_dict(), again.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[n], after[n]) and before[n].dtype == after[n].dtype for n in before)
    assert int(after["norm.num_batches_tracked"]) == 1
    clips = Clips(torch.randn(3, 1, 5), torch.randn(3, 1, 7))
    expected = method.eval().class_scores(clips, card.classes.vectors)
    assert torch.equal(again.class_scores(clips, found.classes.vectors), expected)


def test_a_method_makes_room_for_tensors_whose_size_follows_the_data(
    saved: tuple[Path, Method, ModelCard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(saved[1])
    real = kind.__init__

    def init(self: Method, config: Any, dimensions: Dimensions) -> None:
        real(self, config, dimensions)
        self.register_buffer("memory", torch.zeros(0, 3))

    def make_room(self: Method, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.register_buffer("memory", torch.zeros(shapes["memory"]))

    monkeypatch.setattr(kind, "__init__", init)
    method = kind(kind.Config(width=4), saved[1].dimensions)  # type: ignore[call-arg]
    method.register_buffer("memory", torch.randn(5, 3))
    save_model(tmp_path / "other", method, saved[2])
    with pytest.raises(ModelError, match="memory"):
        load_model(tmp_path / "other")
    monkeypatch.setattr(kind, "make_room", make_room)
    again, _ = load_model(tmp_path / "other")
    assert torch.equal(again.get_buffer("memory"), method.get_buffer("memory"))


def test_loading_leaves_the_random_stream_alone(saved: tuple[Path, Method, ModelCard]) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_model(saved[0])
    assert torch.equal(torch.rand(3), expected)


def test_saving_twice_writes_the_same_bytes(saved: tuple[Path, Method, ModelCard], tmp_path: Path) -> None:
    run, method, card = saved
    save_model(tmp_path / "again", method, card)
    for name in ("model.json", "model.safetensors"):
        assert hash_bytes((run / name).read_bytes()) == hash_bytes((tmp_path / "again" / name).read_bytes())


def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(saved: tuple[Path, Method, ModelCard]) -> None:
    run = saved[0]
    tensors = load_file(run / "model.safetensors")
    tensors["weights.strange"] = torch.zeros(1)
    tensors["weights.text.bias"] = torch.zeros(3)
    del tensors["weights.audio.weight"]
    _edit_tensors(run, tensors)
    with pytest.raises(ModelError) as raised:
        load_model(run)
    text = str(raised.value)
    assert "'audio.weight' is missing" in text
    assert "'strange' is not part of the method" in text
    assert "'text.bias' is float32 [3], the settings ask for float32 [4]" in text


def test_a_tensor_of_another_type_is_refused(saved: tuple[Path, Method, ModelCard]) -> None:
    tensors = load_file(saved[0] / "model.safetensors")
    _edit_tensors(saved[0], tensors | {"weights.text.bias": tensors["weights.text.bias"].double()})
    with pytest.raises(ModelError, match=r"'text.bias' is float64"):
        load_model(saved[0])


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_cut_off_tensor_file_is_refused(saved: tuple[Path, Method, ModelCard], keep: int) -> None:
    path = saved[0] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        load_model(saved[0])


def test_one_flipped_bit_is_noticed(saved: tuple[Path, Method, ModelCard]) -> None:
    path = saved[0] / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="damaged or belongs to another"):
        load_model(saved[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99, this version of avzsl reads up to 1; install a newer"),
        ({"format": None}, "is not a model card"),
        ({"method": "toi"}, "unknown method 'toi'; did you mean 'toy'"),
        ({"config": {"widht": 4}}, "unknown setting 'widht'.*did you mean 'width'"),
        ({"config": {"width": 5}}, "'audio.weight' is float32 .4, 5., the settings ask for float32 .5, 5."),
        ({"config": {"width": -5}}, "cannot be built"),
        ({"dimensions": {"audio": 5}}, "is incomplete"),
        ({"seen": [True]}, "1 seen flags"),
        ({"extractor": {}}, "is incomplete"),
        ({"classes": None}, "is incomplete"),
        ({"classes": {"names": ["a", "a"], "encoder": "t"}}, "a class is named twice"),
        ({"bias": float("inf")}, "not finite"),
        ({"bias": "much"}, "is incomplete"),
        ({"max_segments": 0}, "max_segments is 0"),
        ({"quirks": 3}, "is incomplete"),
        ({"dimensions": {"audio": 5, "visual": 7, "text": 9}}, "class vectors are float32 .2, 6. instead of rows of 9"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    saved: tuple[Path, Method, ModelCard], changes: dict[str, Any], message: str
) -> None:
    _edit_card(saved[0], **changes)
    with pytest.raises(ModelError, match=message):
        load_model(saved[0])


def test_a_card_cannot_ask_for_more_memory_than_its_tensors_take(saved: tuple[Path, Method, ModelCard]) -> None:
    _edit_card(saved[0], dimensions={"audio": 10**14, "visual": 7, "text": 6})
    with pytest.raises(ModelError, match=r"'audio.weight' is float32 .4, 5., the settings ask for"):
        load_model(saved[0])


@pytest.mark.parametrize("vectors", [torch.zeros(2), torch.zeros(2, 6).long(), torch.full((2, 6), torch.nan)])
def test_class_vectors_that_cannot_be_are_refused(saved: tuple[Path, Method, ModelCard], vectors: torch.Tensor) -> None:
    _edit_tensors(saved[0], load_file(saved[0] / "model.safetensors") | {"classes.vectors": vectors})
    with pytest.raises(ModelError, match="class vector"):
        load_model(saved[0])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_damaged_card_is_refused(saved: tuple[Path, Method, ModelCard], text: str) -> None:
    (saved[0] / "model.json").write_text(text)
    with pytest.raises(ModelError, match=r"model\.json"):
        load_card(saved[0])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model in .*: model\.json is missing"):
        load_model(tmp_path)


def test_a_full_disk_leaves_the_old_model_in_place(
    saved: tuple[Path, Method, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, method, card = saved

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device; free some disk space"):
        save_model(run, method, card)
    monkeypatch.undo()
    assert sorted(p.name for p in run.iterdir()) == ["model.json", "model.safetensors"]


def test_features_of_another_extractor_are_refused_and_the_difference_is_named() -> None:
    card = ModelCard(
        "toy", {}, Dimensions(1, 1, 1), TextVectors((), torch.zeros(0, 1), "t"), (), 0.0, ExtractorIdentity("a")
    )
    check_extractor(card, ExtractorIdentity("a"), "somewhere")
    with pytest.raises(ModelError, match=r"somewhere: .*\(version 2 instead of 1\)"):
        check_extractor(card, ExtractorIdentity("a", version=2), "somewhere")
    with pytest.raises(ModelError, match="name 'unknown' instead of 'a'"):
        check_extractor(card, ExtractorIdentity("unknown"), "somewhere")


def test_nothing_executable_is_written(saved: tuple[Path, Method, ModelCard]) -> None:
    assert json.loads((saved[0] / "model.json").read_text())["format"] == _checkpoint.FORMAT
    assert set(load_file(saved[0] / "model.safetensors")) > {"classes.vectors", "weights.norm.running_mean"}


@pytest.mark.parametrize(
    "changes",
    [
        {"method": ["toy"]}, {"method": {}}, {"versions": True}, {"versions": 0.5}, {"quirks": [1]}, {"config": "x"},
        {"temporal": 1}, {"seed": True}, {"epochs": "9"}, {"family": None}, {"seen": [1, 0]}, {"seen": ["yes", ""]},
        {"bias": 10**400}, {"seed": 1.5},
        {"extractor": {"name": "a", "profile": "b", "settings": {}, "version": float("inf")}},
    ],
    ids=str,
)  # fmt: skip
def test_a_card_with_a_value_of_another_type_is_refused(
    changes: Mapping[str, Any], saved: tuple[Path, Method, ModelCard]
) -> None:
    _edit_card(saved[0], **changes)
    with pytest.raises(ModelError, match="is incomplete"):
        load_model(saved[0])


def test_a_card_cannot_ask_for_more_layers_than_its_tensors_fill(tmp_path: Path) -> None:
    from avzsl.methods._contract import Case

    case = Case(METHODS.get("tcaf"), features="temporal")
    vectors = case.classes()
    names = tuple(f"class {n}" for n in range(len(vectors)))
    card = ModelCard(
        "tcaf", {"depth": 10**12}, case.dimensions, TextVectors(names, vectors, "x"), (True,) * len(names), 0.0,
        ExtractorIdentity("x"),
    )  # fmt: skip
    save_model(tmp_path, case.make(), card)
    with pytest.raises(ModelError, match=r"more than \d+ layers and weights"):
        load_model(tmp_path)


def test_settings_cannot_ask_for_layers_without_end() -> None:
    from avzsl.methods._profile import count_parameters

    kind = METHODS.get("tcaf")
    with pytest.raises(SettingError, match="ask for fewer layers"):
        count_parameters(kind, kind.Config(depth=10**12), Dimensions(5, 7, 6))
    assert count_parameters(kind, kind.Config(depth=2), Dimensions(5, 7, 6)) > 0  # nothing is left behind
