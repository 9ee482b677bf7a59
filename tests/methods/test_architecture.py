"""The graph of a model: its numbers are the profile's, its arrows those of the paper, and settings change both."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from avzsl.errors import SettingError
from avzsl.methods._architecture import Architecture, part_of, read_architecture
from avzsl.methods._base import METHODS
from avzsl.methods._in_words import describe
from avzsl.methods._profile import profile, random_batch
from avzsl.methods.stft import Stft, StftConfig
from avzsl.types import Dimensions

SMALL = StftConfig(
    hidden=32, heads=2, head_width=8, attention_hidden=8, head_hidden=8, embedding=4, slots=2, time_steps=3, rank=4,
    largest_rank=4,
)  # fmt: skip
SIZES = Dimensions(6, 10, 12)


def built(**changes: object) -> Stft:
    torch.manual_seed(0)
    return Stft(replace(SMALL, **changes), SIZES)  # type: ignore[arg-type]


def read(**changes: object) -> Architecture:
    return read_architecture(built(**changes), random_batch(SIZES, pairs=8))


def sources(found: Architecture) -> dict[str, set[str]]:
    return {part.key: set(part.sources) for part in found.parts}


def test_arrows_of_stft_are_those_of_the_paper() -> None:
    found = sources(read())
    assert found == {
        "audio": set(), "visual": set(), "text": set(),
        "encoders.audio": {"audio"}, "encoders.visual": {"visual"},
        "latent": {"encoders.audio", "encoders.visual"}, "attention": {"latent"},
        "spiking.audio": {"audio"}, "spiking.visual": {"visual"},
        "fusion.audio": {"attention", "spiking.audio"}, "fusion.visual": {"attention", "spiking.visual"},
        "attention (2)": {"fusion.audio", "fusion.visual"}, "clip_head": {"attention (2)"}, "text_head": {"text"},
        "reconstruction_head": {"clip_head"}, "loss triplet": {"clip_head", "text_head"},
        "loss projection": {"clip_head", "text_head"}, "loss reconstruction": {"reconstruction_head", "text"},
    }  # fmt: skip


def test_every_part_stands_behind_what_it_takes_from() -> None:
    for name in ("stft", "avca"):
        torch.manual_seed(0)
        kind = METHODS.get(name)
        parts = read_architecture(kind(SMALL if name == "stft" else kind.Config(), SIZES), random_batch(SIZES, 8)).parts
        place = {part.key: i for i, part in enumerate(parts)}
        assert all(place[source] < place[part.key] for part in parts for source in part.sources)


@pytest.mark.parametrize(
    "changes",
    [{}, {"rank": 3}, {"hidden": 64}, {"time_steps": 5}, {"latent_combiner": False}, {"paths": "transformer"}],
    ids=str,
)
def test_numbers_are_those_of_the_profile(changes: dict[str, object]) -> None:
    found = read(**changes)
    expected = profile(built(**changes), random_batch(SIZES, pairs=8))
    assert (found.parameters, found.inference, found.training) == (
        expected.parameters, expected.inference, expected.training,
    )  # fmt: skip
    by_part: dict[str, list[int]] = {}
    for part in found.parts:
        if part.kind == "module":
            own = by_part.setdefault(part.path.split(".")[0], [0, 0])
            own[0] += part.parameters
            own[1] += part.inference
    for module in expected.modules:
        if module.name in by_part:
            assert by_part[module.name] == [module.parameters, module.inference], module.name
    assert found.outside == sum(m.inference for m in expected.modules if m.name not in by_part)


def test_two_visits_of_the_attention_share_their_weights_and_not_their_work() -> None:
    parts = {part.key: part for part in read().parts}
    assert parts["attention (2)"].parameters == 0 and parts["attention (2)"].visit == 1
    assert parts["attention"].inference > 0 and parts["attention (2)"].inference > 0
    assert parts["attention (2)"].shape == "2×32"


def test_settings_change_what_is_found() -> None:
    plain = {part.key: part for part in read().parts}
    wide = {part.key: part for part in read(rank=8, time_steps=6).parts}
    assert "free core 4×4×4" in plain["fusion.audio"].inside and "free core 8×8×8" in wide["fusion.audio"].inside
    assert "spikes 3×32" in plain["spiking.audio"].shape and "spikes 6×32" in wide["spiking.audio"].shape
    assert "latent" not in sources(read(latent_combiner=False))
    alone = sources(read(modality="audio"))
    assert "encoders.visual" not in alone and alone["latent"] == {"encoders.audio"}
    snn = sources(read(paths="snn"))
    assert not any(key.startswith(("encoders", "fusion", "latent")) for key in snn)
    assert snn["attention"] == {"spiking.audio", "spiking.visual"}
    assert "loss projection" not in sources(read(projection_loss=False))


def test_the_model_is_left_as_it_was() -> None:
    method = built()
    method.eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    state = torch.get_rng_state()
    read_architecture(method, random_batch(SIZES, pairs=8))
    assert not method.training and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    assert all(parameter.grad is None for parameter in method.parameters())


def test_a_method_without_a_network_is_refused() -> None:
    kind = METHODS.get("ridge")
    with pytest.raises(SettingError, match="ridge does not learn by gradient steps"):
        read_architecture(kind(kind.Config(), SIZES), random_batch(SIZES, pairs=8))


def test_repeated_layers_are_counted() -> None:
    layers = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(4)), torch.nn.ReLU(), torch.nn.LayerNorm(3))
    assert describe(layers) == ("Linear 3→3 ×4", "ReLU", "LayerNorm")


def test_entries_of_a_dictionary_are_parts_of_their_own() -> None:
    method = built()
    assert part_of(method, "encoders.audio.layers.0") == "encoders.audio"
    assert part_of(method, "attention.feed.layers.1") == "attention"
