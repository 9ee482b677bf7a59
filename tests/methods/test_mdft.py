"""MDFT as a whole: its size, its two kinds of events, its inputs, and its losses against the formulas."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from avzsl.config import fill, load_preset, preset_names
from avzsl.errors import ModelError, SettingError
from avzsl.experiments.settings import assemble
from avzsl.methods.mdft import Mdft, MdftConfig
from avzsl.nn.events import event_tensor
from avzsl.types import Batch, Clips, Dimensions

SIZES = Dimensions(10, 12, 6)
SMALL = MdftConfig(hidden=16, heads=2, head_width=8, attention_hidden=8, head_hidden=12, embedding=8, time_steps=4)
PAPER = {  # STFT's paper, Table II
    "vggsound": (16.14, 5.97, 8.72, 7.13),
    "ucf": (48.79, 23.11, 31.36, 31.53),
    "activitynet": (18.32, 10.55, 13.39, 12.55),
}
DROPOUTS = {"vggsound": (0.20, 0.25), "ucf": (0.25, 0.20), "activitynet": (0.10, 0.15)}


def make(seed: int = 0, sizes: Dimensions = SIZES, **changes: object) -> Mdft:
    torch.manual_seed(seed)
    return Mdft(dataclasses.replace(SMALL, **changes), sizes)  # type: ignore[arg-type]


def clips(rows: int = 4, seed: int = 0, events: bool = False, lengths: tuple[int, int] = (5, 3)) -> Clips:
    """Ragged clips, some with events of random films."""
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(rows, lengths[0], 10, generator=generator)
    visual = torch.randn(rows, lengths[1], 12, generator=generator)
    masks = [torch.arange(length) < torch.randint(1, length + 1, (rows, 1), generator=generator) for length in lengths]
    films = torch.rand(rows, 6, 16, 16, generator=generator)
    seen = torch.stack([event_tensor(film, 4) for film in films]) if events else None
    return Clips(audio, visual, *masks, seen)


def batch(rows: int = 8, events: bool = False, lengths: tuple[int, int] = (5, 3)) -> Batch:
    generator = torch.Generator().manual_seed(3)
    words = torch.nn.functional.normalize(torch.randn(5, 6, generator=generator), dim=1)
    labels = torch.randint(5, (rows,), generator=generator)
    return Batch(clips(rows, 1, events, lengths), labels, clips(rows, 2, events, lengths), (labels + 1) % 5, words)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Size and presets


def test_size_of_the_reconstruction_part_by_part() -> None:
    method = Mdft(MdftConfig(events="frames"), Dimensions(512, 512, 300))
    assert parameters(method) == 5_829_642
    assert parameters(method.audio_encoder) + parameters(method.visual_encoder) == 1_054_720
    assert parameters(method.context) == 2 * 1_049_088 + 395_392
    assert parameters(method.visual_motion) == 159_744
    assert parameters(method.audio_motion) == 263_168
    assert parameters(method.thresholds) == 6
    assert parameters(method.fusion) + method.types.numel() == 1_184_896
    heads = (method.clip_head, method.text_head, method.reconstruction_head)
    assert sum(parameters(head) for head in heads) == 673_540


@pytest.mark.parametrize(("audio", "visual", "size"), [(512, 512, 6_195_210), (128, 4096, 11_503_626)])
def test_size_with_features_in_the_place_of_events(audio: int, visual: int, size: int) -> None:
    assert parameters(Mdft(MdftConfig(), Dimensions(audio, visual, 300))) == size


@pytest.mark.parametrize("name", PAPER)
def test_presets_hold_the_published_numbers_and_the_settings_of_stft(name: str) -> None:
    main, second = load_preset("mdft", name), load_preset("mdft", f"{name}_cls")
    assert tuple(main["paper"][key] for key in ("seen", "unseen", "hm", "zsl")) == PAPER[name]
    assert "paper" not in second
    assert ("parameters" in main["paper"]) == (name == "vggsound")
    if name == "vggsound":
        assert (main["paper"]["parameters"], main["paper"]["gflops"]) == (5.51e6, 5.62)
    for preset, columns in ((main, (512, 512)), (second, (128, 4096))):
        config = fill(MdftConfig, preset["method"], name)
        assert (config.encoder_dropout, config.projection_dropout) == DROPOUTS[name]
        assert (config.text_dropout, config.events, config.time_steps) == (0.1, "proxy", 8)
        assert (preset["data"]["audio_columns"], preset["data"]["visual_columns"]) == columns
        train = preset["train"]
        assert (train["learning_rate"], train["epochs"], train["batch_size"]) == (1e-4, 60, 64)
        assert (train["weight_decay"], train["schedule"]) == (1e-5, "plateau")


def test_every_preset_assembles() -> None:
    assert len(preset_names("mdft")) == 7
    for name in preset_names("mdft"):
        assemble("mdft", preset=name)


def test_it_is_called_a_reconstruction() -> None:
    assert "our reconstruction" in Mdft.note


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"events": "films"}, "events is 'films'"),
        ({"time_steps": 0}, "time_steps is 0"),
        ({"text_dropout": 1.0}, "text_dropout is 1.0"),
        ({"tau": 0.5}, "tau is 0.5"),
        ({"margin": -1.0}, "margin is -1.0"),
        ({"alpha": 0.0, "beta": 0.0}, "alpha is 0.0 and beta 0.0"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        make(**changes)


# Losses and gradients


@pytest.mark.parametrize("lengths", [(1, 3), (5, 1), (5, 3), (1, 1)])
def test_the_whole_is_its_parts_clip_by_clip(lengths: tuple[int, int]) -> None:
    method, _ = settled("proxy", tau=3.0)
    with torch.no_grad():
        for weight, value in zip(method.thresholds.parameters(), (2.0, -0.7, 0.2, -3.0, 0.9, -0.1), strict=True):
            weight.fill_(value)
        for stream in (method.audio_motion, method.visual_motion):
            torch.nn.init.constant_(stream.norm.bias, 1.7)
        torch.nn.init.normal_(method.types)
        generator = torch.Generator().manual_seed(2)
        audio, visual = (torch.randn(1, n, d, generator=generator) for n, d in zip(lengths, (10, 12), strict=True))
        seen = [[t * n // 4 for t in range(4)] for n in lengths]
        a, v = method.audio_encoder(audio[0])[seen[0]], method.visual_encoder(visual[0])[seen[1]]
        context = method.context(a.unsqueeze(1), v.unsqueeze(1), 4)
        h = context.knowledge[:, 0]
        changes = a - h[:-1] if lengths[0] == 1 else torch.cat([torch.zeros(1, 16), a[1:] - a[:-1]])
        raw = visual[0, seen[1]]
        if lengths[1] == 1:
            events = torch.cat([raw.clamp(min=0), (-raw).clamp(min=0)], 1)
        else:
            jumps = torch.cat([torch.zeros(1, 12), raw[1:] - raw[:-1]])
            moved = [t for t in range(1, 4) if seen[1][t] != seen[1][t - 1]]
            limit = jumps[moved].std(unbiased=False)
            events = torch.cat([jumps > limit, jumps < -limit], 1).float()
        summaries = []
        for name, inputs in (("audio", changes), ("visual", events)):
            rule, stream = method.thresholds[name], getattr(method, f"{name}_motion")
            membrane, spikes, thresholds = torch.zeros(16), [], []
            for t in range(4):
                share = (events[t] != 0).float().mean()
                shares = torch.softmax(h[t + 1], 0)
                entropy = -(shares * shares.log()).sum() / torch.tensor(16.0).log()
                threshold = 0.5 + torch.sigmoid(rule.motion * share + rule.semantic * entropy + rule.bias)
                thresholds.append(threshold)
                membrane = membrane + (stream.norm(stream.linear(inputs[t : t + 1]))[0] - membrane) / 3
                spikes.append((membrane >= threshold).float())
                membrane = membrane * (1 - spikes[-1])
            summaries.append(torch.stack(spikes).mean(0))
            found = method._joint(Clips(audio, visual)).thresholds[name].flatten()
            assert torch.allclose(found, torch.stack(thresholds), atol=1e-6)
        assert all(0 < summary.mean() < 1 for summary in summaries)
        tokens = torch.stack([context.audio[0], context.visual[0], *summaries]) + method.types
        theta = method.clip_head(method.fusion(tokens.unsqueeze(0)).mean(1))
        assert torch.allclose(method.embed_clips(Clips(audio, visual)), theta, atol=1e-5)


def test_losses_are_the_formulas() -> None:
    method = make(encoder_dropout=0.0, projection_dropout=0.0, text_dropout=0.0).train()
    given = batch()
    twin = make(encoder_dropout=0.0, projection_dropout=0.0, text_dropout=0.0).train()
    terms = method.loss_terms(given)
    words = given.classes[torch.cat([given.labels, given.negative_labels])]
    theta = twin.embed_clips(Clips.stack(given.clips, given.negatives))
    texts = twin.embed_classes(words)
    rebuilt = twin.reconstruction_head(theta)

    def apart(a: Tensor, b: Tensor) -> Tensor:
        return (a - b + 1e-6).square().sum(1).sqrt()

    mine, other, text, wrong = theta[:8], theta[8:], texts[:8], texts[8:]
    triplet = (apart(text, mine) - apart(text, other) + 1).clamp(min=0).mean()
    triplet = triplet + (apart(mine, text) - apart(mine, wrong) + 1).clamp(min=0).mean()
    projection, reconstruction = (theta - texts).square().mean(), (rebuilt - words).square().mean()
    assert terms["triplet"].item() == pytest.approx(triplet.item(), abs=1e-5)
    assert terms["projection"].item() == pytest.approx(projection.item(), abs=1e-5)
    assert terms["reconstruction"].item() == pytest.approx(reconstruction.item(), abs=1e-5)
    total = 0.5 * triplet + 0.5 * (projection + reconstruction)
    assert terms["loss"].item() == pytest.approx(total.item(), abs=1e-5)
    weighted = make(encoder_dropout=0.0, projection_dropout=0.0, text_dropout=0.0, alpha=2.0, beta=0.25, margin=3.0)
    found = weighted.train().loss_terms(given)
    expected = 2 * found["triplet"] + 0.25 * (found["projection"] + found["reconstruction"])
    assert found["loss"].item() == pytest.approx(expected.item(), abs=1e-5)
    assert found["triplet"].item() > terms["triplet"].item() + 3


@pytest.mark.parametrize("events", ["proxy", "frames"])
@pytest.mark.parametrize("lengths", [(1, 1), (5, 3)])
def test_gradients_reach_every_weight(events: str, lengths: tuple[int, int]) -> None:
    method = make(events=events).train()
    method.loss_terms(batch(16, events == "frames", lengths))["loss"].backward()  # type: ignore[no-untyped-call]
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        # What precedes a batch norm as a constant cancels there.
        if not name.endswith("bias"):
            assert parameter.grad.abs().max() > 1e-8, name


def settled(events: str, **changes: object) -> tuple[Mdft, Batch]:
    """A method whose statistics are those of the batch, and whose neurons fire often, in evaluation mode."""
    method, given = make(events=events, **changes).train(), batch(16, events == "frames")
    for norm in method.modules():
        if isinstance(norm, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            norm.momentum = 1.0
            torch.nn.init.constant_(norm.bias, 0.8)
    method.loss_terms(given)
    return method.eval(), given


@pytest.mark.parametrize("events", ["proxy", "frames"])
def test_motion_moves_the_answer(events: str) -> None:
    method, given = settled(events)
    last = method.visual_motion if events == "proxy" else method.visual_motion.last
    before = method.embed_clips(given.clips)
    for stream in (method.audio_motion.linear, last.linear):
        kept = stream.weight.detach().clone()
        with torch.no_grad():
            stream.weight.neg_()
        assert (method.embed_clips(given.clips) - before).abs().max() > 1e-4
        with torch.no_grad():
            stream.weight.copy_(kept)
    assert torch.equal(method.embed_clips(given.clips), before)


def test_firing_rates_are_logged_and_traced() -> None:
    for events in ("proxy", "frames"):
        method, seen = settled(events)
        terms, given = method.loss_terms(seen), clips(3, 5, events == "frames")
        traces = method.spike_traces(given)
        layers = 4 if events == "frames" else 1
        assert [(t.modality, t.block) for t in traces] == [("audio", 0), *(("visual", k) for k in range(layers))]
        joint = method._joint(given)
        for trace in traces:
            assert 0 < terms[f"rate_{trace.modality}"].item() < 1
            layer = joint.motion[trace.modality].layers[trace.block]
            assert torch.equal(trace.spikes, layer.spikes[:, 0].flatten(1).bool())
            assert torch.equal(trace.spikes, trace.membrane >= trace.threshold)
            assert trace.threshold.shape == (4, 1) and len(trace.spikes) == 4
            assert trace.spikes.any() and not trace.spikes.all()


def test_thresholds_follow_motion_and_knowledge_only_when_dynamic() -> None:
    given = clips(6)
    method = make().eval()
    with torch.no_grad():
        assert torch.equal(method._joint(given).thresholds["audio"], torch.ones(4, 6, 1))
        method.thresholds["audio"].motion.fill_(3.0)
        method.thresholds["visual"].semantic.fill_(-2.0)
        moved = method._joint(given).thresholds
    assert moved["audio"].min() >= 1 and moved["audio"].max() > 1.1
    assert moved["visual"].max() < 1
    fixed = make(dynamic_threshold=False)
    assert parameters(fixed) == parameters(method) - 6
    assert torch.equal(fixed.eval()._joint(given).thresholds["visual"], torch.ones(4, 6, 1))


# Inputs


def trained(events: str = "proxy") -> Mdft:
    """Statistics and weights away from where they start."""
    method = make(events=events).train()
    optimiser = torch.optim.Adam(method.parameters(), 1e-2)
    for _ in range(5):
        optimiser.zero_grad()
        method.loss_terms(batch(16, events == "frames"))["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return method.eval()


def test_a_clip_of_one_segment_is_the_same_alone_and_padded() -> None:
    method = trained()
    one = clips(4, lengths=(1, 1))
    assert one.audio is not None and one.visual is not None
    real = torch.tensor([[True, False, False]]).expand(4, -1)
    padded = Clips(
        torch.nn.functional.pad(one.audio, (0, 0, 0, 2), value=7.0),
        torch.nn.functional.pad(one.visual, (0, 0, 0, 2), value=7.0),
        real,
        real,
    )
    assert torch.allclose(method.embed_clips(padded), method.embed_clips(one), atol=1e-5)
    repeated = Clips(one.audio.expand(-1, 3, -1), one.visual.expand(-1, 3, -1))
    assert not torch.allclose(method.embed_clips(repeated), method.embed_clips(one), atol=1e-3)


@pytest.mark.parametrize("events", ["proxy", "frames"])
def test_a_clip_does_not_depend_on_its_neighbours(events: str) -> None:
    method = trained(events)
    given = clips(6, 8, events == "frames")
    whole = method.embed_clips(given)
    alone = torch.cat([method.embed_clips(given.rows(slice(i, i + 1))) for i in range(6)])
    assert torch.allclose(whole, alone, atol=1e-5)
    assert whole.std(0).max() > 1e-3


def test_order_of_segments_matters() -> None:
    method = trained()
    given = clips(4, lengths=(4, 4))
    assert given.audio is not None and given.visual is not None
    forwards = Clips(given.audio, given.visual)
    backwards = Clips(given.audio.flip(1), given.visual.flip(1))
    assert not torch.allclose(method.embed_clips(forwards), method.embed_clips(backwards), atol=1e-3)


def test_events_of_frames_are_asked_for_and_looked_at() -> None:
    method, seen = settled("frames")
    given = seen.clips
    assert given.events is not None
    still = dataclasses.replace(given, events=torch.zeros_like(given.events))
    assert not torch.allclose(method.embed_clips(given), method.embed_clips(still), atol=1e-4)
    with pytest.raises(ModelError, match="carry no event tensors"):
        method.embed_clips(clips())
    with pytest.raises(ModelError, match="2 time steps, this model was built for 4"):
        method.embed_clips(dataclasses.replace(given, events=given.events[:, :2]))
    assert torch.equal(trained().embed_clips(given), trained().embed_clips(still))


def test_one_modality_is_refused() -> None:
    with pytest.raises(SettingError, match="MDFT needs sound and picture"):
        make(sizes=Dimensions(None, 12, 6))
    with pytest.raises(ModelError, match="no audio features"):
        make().embed_clips(clips().only("visual"))
    with pytest.raises(ModelError, match="audio features have 9 columns, this model was built for 10"):
        given = clips()
        assert given.audio is not None
        make().embed_clips(dataclasses.replace(given, audio=given.audio[:, :, 1:]))
