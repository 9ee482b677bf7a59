"""STFT as a whole: its size, its ablations, its inputs, and that it learns to name classes it never saw."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from avzsl.config import fill, load_preset, preset_names
from avzsl.errors import ModelError, SettingError
from avzsl.experiments.settings import assemble
from avzsl.methods._profile import profile, random_batch
from avzsl.methods.stft import Stft, StftConfig
from avzsl.nn.latent import align
from avzsl.nn.spiking import SpikingConfig
from avzsl.nn.tucker import energy_rank
from avzsl.types import Batch, Clips, Dimensions

SMALL = StftConfig(
    hidden=16, heads=2, head_width=8, attention_hidden=8, head_hidden=12, embedding=8, slots=2, time_steps=4, rank=5,
    largest_rank=5,
)  # fmt: skip
SIZES = Dimensions(10, 12, 6)


def make(seed: int = 0, sizes: Dimensions = SIZES, **changes: object) -> Stft:
    torch.manual_seed(seed)
    return Stft(dataclasses.replace(SMALL, **changes), sizes)  # type: ignore[arg-type]


def ragged(rows: int = 4, seed: int = 0) -> Clips:
    """Audio of up to 5 segments and video of up to 3."""
    generator = torch.Generator().manual_seed(seed)
    audio_mask = torch.arange(5) < torch.tensor([[5], [2], [1], [4]])[:rows]
    visual_mask = torch.arange(3) < torch.tensor([[2], [3], [1], [3]])[:rows]
    audio, visual = torch.randn(rows, 5, 10, generator=generator), torch.randn(rows, 3, 12, generator=generator)
    return Clips(audio, visual, audio_mask, visual_mask)


def preset(name: str) -> StftConfig:
    return fill(StftConfig, load_preset("stft", name)["method"], name)


def trained(method: Stft, steps: int = 12) -> Stft:
    """Move weights and statistics away from where they start."""
    optimizer = torch.optim.Adam(method.parameters(), 1e-3, fused=True)
    method.train()
    for step in range(steps):
        optimizer.zero_grad()
        method.fit_step(random_batch(method.dimensions, 8, 2, seed=step))["loss"].backward()
        optimizer.step()
    return method.eval()


# Size


def test_vggsound_preset_stays_within_ten_percent_of_the_published_size() -> None:
    model = Stft(preset("vggsound"), Dimensions(512, 512, 300))
    count = sum(p.numel() for p in model.parameters())
    published = load_preset("stft", "vggsound")["paper"]["parameters"]
    assert published == 4.16e6
    assert count <= 1.1 * published
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    h, r = 512, 60
    assert parts["encoders"] == 2 * 2 * (h * h + h + 2 * h)
    assert parts["latent"] == 4 * h * h + 2 * (h * h + h) + 1
    assert parts["attention"] == 4 * (h * h + h) + 2 * h + (h * 64 + 64) + (64 * h + h)
    assert parts["fusion"] == 2 * (3 * h * r + r**3)
    assert parts["spiking"] < 1000
    assert sum(parts.values()) + 2 * h == count


@pytest.mark.parametrize("name", preset_names("stft"))
def test_presets_name_known_sections_and_consistent_numbers(name: str) -> None:
    sections = load_preset("stft", name)
    assert set(sections) <= {"method", "train", "data", "protocol", "paper"}
    if "paper" in sections:
        seen, unseen, hm = (sections["paper"][key] for key in ("seen", "unseen", "hm"))
        assert hm == pytest.approx(2 * seen * unseen / (seen + unseen), abs=0.02)
    assert (sections["data"].get("family") == "cls") == name.endswith("_cls")


def test_presets_carry_the_results_of_the_paper() -> None:
    """Copied once more from Tables II and XI (S, U, HM, ZSL), so that one slip shows."""
    printed = {
        "vggsound": "19.22 6.81 10.06 8.24",
        "ucf": "56.47 22.89 32.58 29.72",
        "activitynet": "22.34 11.73 15.38 12.91",
        "vggsound_cls": "11.74 8.83 10.08 8.79",
        "ucf_cls": "61.42 43.81 51.14 49.74",
        "activitynet_cls": "25.12 9.83 14.13 9.46",
    }
    for name, numbers in printed.items():
        values = load_preset("stft", name)["paper"]
        assert [values[key] for key in ("seen", "unseen", "hm", "zsl")] == [float(n) for n in numbers.split()]


def test_presets_carry_the_settings_of_the_paper() -> None:
    rows = {"vggsound": (0.20, 0.25, 4), "ucf": (0.25, 0.20, 3), "activitynet": (0.10, 0.15, 5)}
    for name, (encoder, decoder, slots) in rows.items():
        config = preset(name)
        assert (config.encoder_dropout, config.decoder_dropout, config.slots) == (encoder, decoder, slots)
        assert (config.text_dropout, config.time_steps, config.rank, config.hidden) == (0.1, 8, 60, 512)
        train = load_preset("stft", name)["train"]
        assert (train["epochs"], train["batch_size"], train["learning_rate"]) == (60, 256, 1e-4)


# Ablations


ABLATIONS: dict[str, dict[str, object]] = {
    "full": {},
    "no projection loss (Table III)": {"projection_loss": False},
    "no reconstruction loss (Table III)": {"reconstruction_loss": False},
    "triplet only (Table III)": {"projection_loss": False, "reconstruction_loss": False},
    "no GLP (Table IV)": {"pooling": False},
    "no TSF (Table IV)": {"time_step_factor": False},
    "no DTH (Table IV)": {"dynamic_threshold": False, "threshold": 0.4},
    "no LKC (Table IV)": {"latent_combiner": False},
    "weights (Table V)": {"alpha": 0.2, "beta": 0.8},
    "transformer and MLP (Table VI)": {"spiking": "mlp"},
    "Spikformer and SNN (Table VI)": {"reasoning": "spiking_attention"},
    "one slot (Table VII)": {"slots": 1},
    "transformer only (Table IX)": {"paths": "transformer"},
    "SNN only (Table IX)": {"paths": "snn"},
    "two time steps (Fig. 3)": {"time_steps": 2},
    "rank (Fig. 3)": {"rank": 3},
    "audio (Fig. 3)": {"modality": "audio"},
    "visual (Fig. 3)": {"modality": "visual"},
    "printed threshold": {"threshold_sign": "printed"},
    "slice rank": {"slice_rank": 2},
    "adaptive rank": {"rank": "adaptive"},
    "SNN of another width": {"paths": "snn", "channels": 4},
}


@pytest.mark.parametrize("changes", ABLATIONS.values(), ids=ABLATIONS.keys())
@pytest.mark.parametrize("segments", [1, 3])
def test_each_ablation_trains_and_differs_from_the_full_model(changes: dict[str, object], segments: int) -> None:
    method = make(**changes).train()
    batch = random_batch(SIZES, 8, segments)
    terms = method.fit_step(batch)
    terms["loss"].backward()
    idle = {
        # With one token there is one key, so nothing to choose between.
        "attention.attend.query", "attention.attend.key",
    } if "modality" in changes and segments == 1 else set()  # fmt: skip
    if changes.get("pooling") is False and changes.get("dynamic_threshold") is False:
        idle.add("spiking")
    for name, parameter in method.named_parameters():
        if any(name.startswith(part) for part in idle):
            continue
        assert parameter.grad is not None, name
        if not name.endswith("bias") and changes.get("pooling") is not False:
            assert parameter.grad.abs().max() > 0, name
    if changes:
        other = make().train().fit_step(batch)
        assert terms.keys() != other.keys() or not torch.equal(terms["loss"], other["loss"])


def test_each_dropout_rate_goes_to_its_own_parts() -> None:
    rates = {"encoder_dropout": 0.11, "decoder_dropout": 0.22, "text_dropout": 0.33}
    expected = {"encoders": 0.11, "clip_head": 0.22, "text_head": 0.33, "reconstruction_head": 0.22}
    for method in (make(**rates), make(spiking="mlp", **rates)):
        found: dict[str, set[float]] = {}
        for path, module in method.named_modules():
            if isinstance(module, nn.Dropout):
                found.setdefault(path.split(".")[0], set()).add(module.p)
        spiking = {} if method.config.spiking == "snn" else {"spiking": {0.11}}
        assert found == {part: {rate} for part, rate in expected.items()} | spiking


def test_loss_is_the_weighted_sum_of_its_terms() -> None:
    method = make(alpha=0.2, beta=0.8).train()
    terms = method.fit_step(random_batch(SIZES, 8))
    expected = 0.2 * terms["triplet"] + 0.8 * (terms["projection"] + terms["reconstruction"])
    assert torch.allclose(terms["loss"], expected)
    bare = make(projection_loss=False, reconstruction_loss=False).train().fit_step(random_batch(SIZES, 8))
    assert torch.allclose(bare["loss"], 0.5 * bare["triplet"])
    assert not {"projection", "reconstruction"} & set(bare)


def test_loss_terms_agree_with_the_equations_on_the_embeddings() -> None:
    method = trained(make(encoder_dropout=0.0, decoder_dropout=0.0, text_dropout=0.0, margin=0.7))
    batch = random_batch(SIZES, 8)
    with torch.no_grad():
        terms = method.fit_step(batch)  # in eval mode, so that embeddings can be made apart
        positive, negative = method.embed_clips(batch.clips), method.embed_clips(batch.negatives)
        own, other = batch.classes[batch.labels], batch.classes[batch.negative_labels]
        t_pos, t_neg = method.embed_classes(own), method.embed_classes(other)
        triplet = 0.0
        for i in range(8):
            first = 0.7 + (positive[i] - t_pos[i]).norm() - (negative[i] - t_pos[i]).norm()
            second = 0.7 + (t_pos[i] - positive[i]).norm() - (t_neg[i] - positive[i]).norm()
            triplet += (max(0, float(first)) + max(0, float(second))) / 8
        clips, words = torch.cat([positive, negative]), torch.cat([own, other])
        texts = torch.cat([t_pos, t_neg])
        projection = sum(float((clips[i] - texts[i]) @ (clips[i] - texts[i])) for i in range(16)) / 16 / 8
        rebuilt = method.reconstruction_head(clips)
        reconstruction = sum(float((rebuilt[i] - words[i]) @ (rebuilt[i] - words[i])) for i in range(16)) / 16
    assert terms["triplet"].item() == pytest.approx(triplet, rel=1e-4)
    assert terms["projection"].item() == pytest.approx(projection, rel=1e-4)
    assert terms["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-4)


def test_settings_that_the_documentation_names_exist() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "stft.md").read_text(encoding="utf-8")
    rows = page.split("## The paper's ablations")[1].split("## ")[0]
    found = [text for quoted in re.findall(r"`([a-z_]+=[^`]*)`", rows) for text in quoted.split()]
    assert len(found) > 20
    for text in found:
        needed = ["rank=adaptive"] if text.startswith("serving_rank") else []
        assert assemble("stft", assignments=[*needed, text]).config != StftConfig(), text
    named = {text.partition("=")[0] for text in found}
    assert {key for changes in ABLATIONS.values() for key in changes} <= named | {"channels", "slice_rank"}


def test_sizes_in_the_documentation_are_those_of_the_presets() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "stft.md").read_text(encoding="utf-8")
    for name in ("vggsound", "ucf", "activitynet"):
        count = sum(p.numel() for p in Stft(preset(name), Dimensions(512, 512, 300)).parameters())
        assert f"| {name} | {count / 1e6:.2f} M |" in page


def test_each_loss_teaches_the_parts_it_compares() -> None:
    method = make().train()
    terms = method.fit_step(random_batch(SIZES, 8, 2))
    heads = {"clip_head", "text_head", "reconstruction_head"}
    for term, taught in (
        ("triplet", {"clip_head", "text_head"}),
        ("projection", {"clip_head", "text_head"}),
        ("reconstruction", {"clip_head", "reconstruction_head"}),
    ):
        names, parameters = zip(*method.named_parameters(), strict=True)
        found = torch.autograd.grad(terms[term], parameters, retain_graph=True, materialize_grads=True)
        reached = {name.split(".")[0] for name, slope in zip(names, found, strict=True) if slope.abs().max() > 1e-6}
        assert reached & heads == taught, term
        assert reached - heads == {"encoders", "latent", "attention", "spiking", "fusion", "position"}, term


# Inputs


def strung_together(method: Stft, clips: Clips) -> Tensor:
    """F_av from the model's parts, each of which has its own oracle: what goes where, in the order of the equations."""
    given = {name: (getattr(clips, name), getattr(clips, f"{name}_mask")) for name in ("audio", "visual")}
    given = {name: pair for name, pair in given.items() if pair[0] is not None}
    encoded = {name: method.encoders[name](*pair) for name, pair in given.items()}
    mask = next(iter(given.values()))[1]
    if len(given) == 2:
        masks = (given["audio"][1], given["visual"][1])
        encoded["audio"], encoded["visual"], mask = align(encoded["audio"], encoded["visual"], *masks)
    read = method.latent(encoded, mask)
    tokens = []
    for name, pair in given.items():
        refined = method.attention.over_segments(read[name], mask)
        semantic = torch.stack([row[real].mean(0) for row, real in zip(refined, mask, strict=True)])
        fused = method.fusion[name](semantic, method.spiking[name](*pair).summary)
        tokens.append(fused + method.position[("audio", "visual").index(name)])
    y = torch.stack(tokens, 1)
    z = method.attention.feed(y + method.attention.attend(y, y))
    total = z[:, 0] + z[:, 1] if len(tokens) == 2 else 2 * z[:, 0]
    return method.clip_head(total)


@pytest.mark.parametrize("kept", ["both", "audio", "visual"])
def test_embedding_is_the_equations_strung_together(kept: str) -> None:
    method = trained(make())
    clips = ragged().only(kept)
    with torch.inference_mode():
        assert torch.allclose(method.embed_clips(clips), strung_together(method, clips), atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"reasoning": "spiking_attention"}, {"spiking": "mlp"}, {"paths": "snn"}])
def test_ragged_clips_do_not_depend_on_their_company(changes: dict[str, object]) -> None:
    method = trained(make(**changes))
    clips = ragged()
    assert clips.audio is not None and clips.visual is not None
    assert clips.audio_mask is not None and clips.visual_mask is not None
    with torch.inference_mode():
        whole = method.embed_clips(clips)
        for i in range(4):
            a, v = int(clips.audio_mask[i].sum()), int(clips.visual_mask[i].sum())
            alone = method.embed_clips(Clips(clips.audio[i : i + 1, :a], clips.visual[i : i + 1, :v]))
            assert torch.allclose(alone[0], whole[i], atol=1e-4)
    assert whole.std(0).max() > 0


@pytest.mark.parametrize("kept", ["audio", "visual"])
def test_a_missing_modality_is_dropped_not_zeroed(kept: str) -> None:
    method = trained(make())
    clips = ragged()
    assert clips.audio is not None and clips.visual is not None
    with torch.inference_mode():
        alone = method.embed_clips(clips.only(kept))
        both = method.embed_clips(clips)
        if kept == "audio":
            zeroed = Clips(clips.audio, torch.zeros_like(clips.visual), clips.audio_mask, clips.visual_mask)
        else:
            zeroed = Clips(torch.zeros_like(clips.audio), clips.visual, clips.audio_mask, clips.visual_mask)
        assert alone.isfinite().all()
        assert not torch.allclose(alone, both, atol=1e-3)
        assert not torch.allclose(alone, method.embed_clips(zeroed), atol=1e-3)


def test_a_batch_may_lack_a_modality_in_training() -> None:
    batch = random_batch(SIZES, 8, 2)
    silent = Batch(
        batch.clips.only("visual"), batch.labels, batch.negatives.only("visual"), batch.negative_labels, batch.classes
    )
    terms = make().train().fit_step(silent)
    assert terms["loss"].isfinite()
    assert "rate_audio" not in terms


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_one_modality_alone_builds_and_reads_nothing_of_the_other(modality: str) -> None:
    method = trained(make(modality=modality))
    other = "visual" if modality == "audio" else "audio"
    assert not [name for name, _ in method.named_parameters() if other in name.split(".")]
    clips = ragged()
    with torch.inference_mode():
        assert torch.equal(method.embed_clips(clips), method.embed_clips(clips.only(modality)))
        with pytest.raises(ModelError, match=f"no {modality}"):
            method.embed_clips(clips.only(other))


def test_one_pair_is_enough_to_train() -> None:
    method = make().train()
    terms = method.fit_step(random_batch(SIZES, 1))
    terms["loss"].backward()
    assert terms["loss"].isfinite()
    assert method.embed_clips(ragged(1)).isfinite().all()  # a single row, still in training mode
    assert method.embed_classes(torch.ones(1, 6)).isfinite().all()


def test_features_of_another_width_are_refused_by_name() -> None:
    method = make()
    with pytest.raises(ModelError, match="audio features have 11 columns, this model was built for 10"):
        method.embed_clips(Clips(torch.zeros(2, 1, 11), torch.zeros(2, 1, 12)))


def test_a_clip_without_segments_is_refused() -> None:
    clips = ragged()
    assert clips.audio_mask is not None
    clips.audio_mask[2] = False
    with pytest.raises(ModelError, match="no audio segment"):
        make().eval().embed_clips(clips)


def test_benchmark_without_the_wanted_modality_is_refused() -> None:
    with pytest.raises(SettingError, match="modality is 'audio'"):
        make(sizes=Dimensions(None, 12, 6), modality="audio")
    assert list(make(sizes=Dimensions(None, 12, 6)).sizes) == ["visual"]


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": "snnn"}, "did you mean 'snn'"),
        ({"rank": 0}, "rank is 0"),
        ({"rank": "adaptive", "spiking": "mlp"}, "needs spiking = 'snn'"),
        ({"rank": "adaptive", "paths": "transformer"}, "needs spiking = 'snn'"),
        ({"serving_rank": 3}, "needs rank = 'adaptive'"),
        ({"rank": "adaptive", "largest_rank": 4, "serving_rank": 5}, "0..4"),
        ({"hidden": 20}, "hidden is 20; it must be a multiple of 8"),
        ({"reasoning": "spiking_attention", "heads": 3}, "multiple of heads = 3"),
        ({"encoder_dropout": 1.0}, "encoder_dropout is 1.0"),
        ({"slots": 0}, "slots is 0"),
        ({"time_steps": 0}, "time_steps is 0"),
        ({"alpha": 0.0, "beta": 0.0}, "one must be positive"),
        ({"slice_rank": -1}, "slice_rank is -1"),
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"margin": -0.5}, "margin is -0.5"),
        ({"margin": float("nan")}, "margin is nan"),
    ],
)
def test_wrong_settings_are_explained(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="snn" if "paths" in changes and "rank" not in changes else message):
        fill(StftConfig, dataclasses.asdict(SMALL) | changes, "[method]")


def test_settings_of_the_spiking_network_reach_it() -> None:
    changes = {
        "time_steps": 3, "tau": 1.5, "threshold": 0.7, "pooling": False, "dynamic_threshold": False,
        "threshold_sign": "printed", "time_step_factor": False, "channels": 6,
    }  # fmt: skip
    for name, value in changes.items():
        encoder = make(**{name: value}).spiking["audio"]
        assert encoder.config == dataclasses.replace(SpikingConfig(time_steps=4, positions=16), **{name: value})
    assert make(reasoning="spiking_attention", time_steps=3).attention.time_steps == 3


def test_adaptive_rank_can_be_set_from_text() -> None:
    config = fill(StftConfig, {"rank": "adaptive", "largest_rank": "12"}, "[method]")
    assert config.rank == "adaptive"
    assert config.core_rank == 12


# Adaptive rank


def test_adaptive_rank_uses_what_the_spikes_ask_for() -> None:
    method = trained(make(rank="adaptive"))
    clips = ragged()
    given = method._given(clips)
    with torch.inference_mode():
        used = method.components_used(clips)
        expected = torch.zeros(4)
        for name, pair in given.items():
            steps = method.spiking[name](*pair).spikes @ method.fusion[name].temporal_factor
            expected += energy_rank(steps).float() / 2
    assert torch.equal(used, expected)
    assert ((used >= 1) & (used <= 5)).all()
    assert torch.equal(make().components_used(clips), torch.full((4,), 5.0))


def test_serving_rank_fixes_the_components_and_shares_the_weights() -> None:
    adaptive = trained(make(rank="adaptive"))
    clips = ragged()
    results = {}
    with torch.inference_mode():
        for rank in (1, 3, 5):
            fixed = make(rank="adaptive", serving_rank=rank).eval()
            fixed.load_state_dict(adaptive.state_dict())
            assert (fixed.components_used(clips) == rank).all()
            results[rank] = fixed.embed_clips(clips)
        plain = make().eval()
        plain.load_state_dict(adaptive.state_dict())
        assert torch.allclose(results[5], plain.embed_clips(clips), atol=1e-6)
    assert not torch.allclose(results[1], results[5], atol=1e-4)


def test_training_draws_a_random_leading_part_and_reports_it() -> None:
    method = make(rank="adaptive").train()
    drawn = {float(method.fit_step(random_batch(SIZES, 4))["rank"]) for _ in range(30)}
    assert drawn == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert "rank" not in make().train().fit_step(random_batch(SIZES, 4))


# Spikes


def test_traces_show_the_first_clip_of_each_modality() -> None:
    method = trained(make())
    clips = ragged()
    traces = method.spike_traces(clips)
    assert [(trace.modality, trace.block) for trace in traces] == [
        (name, block) for name in ("audio", "visual") for block in range(3)
    ]
    for trace in traces:
        assert trace.spikes.dtype == torch.bool
        assert len(trace.spikes) == len(trace.threshold) == len(trace.membrane) == 4
    with torch.inference_mode():
        output = method.spiking["audio"](*method._given(clips)["audio"])
    assert torch.equal(traces[2].spikes.float(), output.spikes[0])
    assert make(paths="transformer").spike_traces(clips) == ()
    assert make(spiking="mlp").spike_traces(clips) == ()
    assert {trace.modality for trace in method.spike_traces(clips.only("visual"))} == {"visual"}


def test_reported_rate_is_the_share_of_neurons_that_fired() -> None:
    method = trained(make())
    batch = random_batch(SIZES, 4, 2)
    with torch.no_grad():
        terms = method.fit_step(batch)
        both = Clips.stack(batch.clips, batch.negatives)
        shares = [
            sum(float(trace.spikes.float().mean()) for trace in method.spike_traces(both.rows(torch.tensor([i])))[:3])
            for i in range(8)
        ]
    assert terms["rate_audio"].item() == pytest.approx(sum(shares) / 8 / 3, abs=1e-5)
    assert not terms["rate_audio"].requires_grad


def test_profile_counts_the_table_rule() -> None:
    costs = profile(make(), random_batch(SIZES, 4))
    assert costs.training > costs.inference > 0
    assert set(costs.rates) == {"audio", "visual"}


# Learning


def linear_world(labels: Tensor, words: Tensor, seed: int) -> Clips:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.Generator().manual_seed(3)
    audio, visual = (
        words[labels] @ torch.randn(6, size, generator=maps) + 0.3 * torch.randn(len(labels), size, generator=generator)
        for size in (10, 12)
    )
    return Clips(audio.unsqueeze(1), visual.unsqueeze(1))


def test_unseen_classes_are_named_far_above_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    words = torch.nn.functional.normalize(torch.randn(40, 6, generator=generator), dim=1)
    seen, unseen = words[:32], words[32:]
    method = make(hidden=32, head_hidden=32, embedding=16).train()
    optimizer = torch.optim.Adam(method.parameters(), 3e-3, fused=True)
    for step in range(150):
        labels = torch.randint(32, (64,), generator=generator)
        others = (labels + torch.randint(1, 32, (64,), generator=generator)) % 32
        batch = Batch(
            linear_world(labels, seen, 2 * step), labels, linear_world(others, seen, 2 * step + 1), others, seen
        )
        optimizer.zero_grad()
        method.fit_step(batch)["loss"].backward()
        optimizer.step()
    labels = torch.arange(8).repeat(20)
    with torch.inference_mode():
        scores = method.eval().class_scores(linear_world(labels, unseen, 999), unseen)
    assert float((scores.argmax(1) == labels).float().mean()) > 0.4  # chance: 0.125
