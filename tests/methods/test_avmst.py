"""AVMST: a worked network, numbers of the public code, every quirk alone, and what the spiking branches do."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from avzsl.config import fill, load_preset, preset_names, reference_values
from avzsl.errors import ModelError, SettingError
from avzsl.experiments.settings import assemble
from avzsl.losses.cross_attention import margin_triplet
from avzsl.methods.avmst import Avmst, AvmstConfig
from avzsl.nn.integrate import integrate
from avzsl.types import Batch, Clips, Dimensions

SMALL = AvmstConfig(
    encoder_hidden=5, token=6, heads=3, head_width=2, attention_hidden=4, projection_hidden=5, embedding=3,
    encoder_dropout=0.0, projection_dropout=0.0, decoder_dropout=0.0,
)  # fmt: skip
SIZES = Dimensions(4, 4, 6)
REFERENCE = reference_values(AvmstConfig)
PAPER = {  # Li et al., IEEE TIP 2024, Table II
    "vggsound": (14.14, 5.28, 7.68, 6.61),
    "ucf": (44.08, 22.63, 29.91, 28.19),
    "activitynet": (17.75, 9.90, 12.71, 10.37),
}
DROPOUTS = {
    "ucf": (0.2, 0.3, 0.5), "ucf_cls": (0.2, 0.3, 0.5), "activitynet": (0.2, 0.2, 0.1),
    "activitynet_cls": (0.2, 0.2, 0.1), "vggsound": (0.0, 0.0, 0.1), "vggsound_cls": (0.0, 0.0, 0.0),
}  # fmt: skip


def parts(method: Avmst) -> list[nn.Module]:
    """Parts in the order in which the worked examples number their parameters; the positions come last."""
    return [
        method.audio_encoder, method.visual_encoder, method.attention, method.word_projection, method.word_decoder,
        method.spiking["audio"], method.spiking["visual"], method.audio_projection, method.visual_projection,
        method.audio_rebuilder, method.visual_rebuilder,
    ]  # fmt: skip


def is_scale(name: str) -> bool:
    return "norm" in name and name.endswith("weight")


def worked(**changes: object) -> Avmst:
    """The small network, parameter number k filled with 0.5 sin(0.7 (n + 1) + 1.3 k), scales with 1 + a fifth of it."""
    method = Avmst(dataclasses.replace(SMALL, **changes), SIZES).double()  # type: ignore[arg-type]
    named = [pair for part in parts(method) for pair in part.named_parameters()]
    with torch.no_grad():
        for k, (name, parameter) in enumerate([*named, ("position", method.position)]):
            n = torch.arange(parameter.numel(), dtype=torch.float64)
            wave = 0.5 * torch.sin(0.7 * (n + 1) + 1.3 * k).view(parameter.shape)
            parameter.copy_(1 + 0.2 * wave if is_scale(name) else wave)
    return method


def rows(shift: float) -> Tensor:
    return 1.5 * torch.sin(shift + torch.arange(12, dtype=torch.float64)).view(3, 1, 4)


def worked_batch(audio: float = 0.0, visual: float = 1.3) -> Batch:
    classes = nn.functional.normalize(torch.sin(1 + torch.arange(24, dtype=torch.float64)).view(4, 6), dim=1)
    labels, others = torch.tensor([0, 1, 2]), torch.tensor([3, 2, 0])
    return Batch(Clips(rows(audio), rows(visual)), labels, Clips(rows(2.6), rows(3.9)), others, classes)


def tenths(rates: Tensor) -> list[list[int]]:
    assert torch.allclose(10 * rates, (10 * rates).round(), atol=1e-9)
    return (10 * rates).round().int().tolist()


# A worked network


@pytest.mark.parametrize("reference", [False, True])
def test_rates_and_embeddings_of_the_worked_network(reference: bool) -> None:
    method, batch = worked(**(REFERENCE if reference else {})).eval(), worked_batch()
    with torch.no_grad():
        rates, found, words = method.firing_rates(batch.clips), method.branches(batch.clips), batch.classes[:3]
        text = method.embed_classes(words)
    assert tenths(rates.audio) == [[3, 0, 5, 1, 3, 0], [0, 0, 5, 0, 5, 0], [0, 3, 3, 2, 3, 0]]
    if reference:
        visual = [[0, 0, 4, 1, 5, 0], [0, 2, 3, 2, 3, 0], [0, 3, 3, 4, 2, 0]]
        audio = [[0.37299049, 0, 0.95720396], [0.47114392, 0, 1.02587753], [0.47889033, 0, 1.12486567]]
        second = [1.57292036, 1.56895494, 1.61040490]
    else:
        visual = [[0, 1, 0, 5, 0, 5], [0, 0, 1, 1, 5, 0], [0, 2, 0, 5, 5, 1]]
        audio = [[0.37245785, 0, 0.95676972], [0.47097495, 0, 1.02538954], [0.47925748, 0, 1.12541404]]
        second = [1.13109008, 1.05505543, 1.31021402]
    assert tenths(rates.visual) == visual
    assert torch.allclose(found.audio, torch.tensor(audio, dtype=torch.float64), atol=1e-8)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[:, 1] = torch.tensor(second, dtype=torch.float64)
    assert torch.allclose(found.visual, expected, atol=1e-8)
    assert torch.equal(method.embed_clips(batch.clips), found.visual)
    theta = [[0, 1.01961941, 0.42252297], [0, 0.91762197, 0.60033264], [0, 0.76953831, 0.75311943]]
    assert torch.allclose(text, torch.tensor(theta, dtype=torch.float64), atol=1e-8)


@pytest.mark.parametrize(
    ("reference", "values"),
    [
        (True, (5.30871436, 5.75416341, 2.32884569, 2.92599689, 6.06698253, 22.38470288)),
        (False, (5.86458867, 5.61602563, 2.30889357, 2.34305420, 5.34819262, 21.48075468)),
    ],
)
def test_losses_of_the_worked_network(reference: bool, values: tuple[float, ...]) -> None:
    terms = worked(**(REFERENCE if reference else {})).train().loss_terms(worked_batch())
    names = ("own_triplet", "regulariser", "reconstruction", "decoded_triplet", "triplet", "loss")
    assert [terms[name].item() for name in names] == pytest.approx(values, abs=1e-8)


def test_what_is_left_of_one_sequence_reaches_the_next() -> None:
    audio = integrate(torch.full((10, 1), 0.35, dtype=torch.float64))
    visual = torch.full((10, 1), 0.095, dtype=torch.float64)
    assert integrate(visual).spikes.sum().item() == 0
    first, rest = integrate(visual[:1]), integrate(visual[1:], state=audio.state)
    assert first.spikes.sum().item() + rest.spikes.sum().item() == 1


def test_triplets_add_a_little_to_each_entry() -> None:
    near, far = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    assert margin_triplet(near, near, far).item() == pytest.approx(2.81421354e-6, abs=1e-12)
    assert margin_triplet(near, far, near).item() == pytest.approx(1.99999719, abs=1e-8)


def test_a_token_meets_its_copy_gated_by_the_softmax_of_its_rates() -> None:
    for scale in (1.0, 6.0):
        method, clips = worked(gate_scale=scale).eval(), worked_batch().clips
        seen: list[Tensor] = []
        method.attention.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))  # type: ignore[misc]
        with torch.no_grad():
            tokens = super(Avmst, method)._encode(rows(0.0).squeeze(1), rows(1.3).squeeze(1))
            rates = method.firing_rates(clips)
        for place in range(2):
            token, rate = tokens[place], rates[place]
            gate = scale * rate.exp() / rate.exp().sum(1, keepdim=True)
            assert gate.sum(1).tolist() == pytest.approx([scale] * 3)
            expected = torch.stack([token, token * gate], 1) + method.position[place]
            assert torch.allclose(seen[place], expected, atol=1e-12)
    assert torch.softmax(torch.tensor([0.3, 0, 0.5]), 0).tolist() == pytest.approx([0.33758454, 0.25008878, 0.41232669])
    one = torch.softmax(torch.eye(300)[0], 0)  # with 300 channels the gate is next to nothing
    assert (one[0].item(), one[1].item()) == pytest.approx((0.00900934, 0.00331435), abs=1e-8)


# The public code


def wave(rows: int, columns: int, shift: float) -> Tensor:
    i, j = (torch.arange(n, dtype=torch.float64) + 1 for n in (rows, columns))
    return torch.sin(0.7 * torch.outer(i + shift, j.pow(1.5)))


def full(momentum: float) -> tuple[Avmst, Batch]:
    """The network in its published size, with made-up weights, and a batch of four pairs."""
    config = dataclasses.replace(
        AvmstConfig(**REFERENCE), encoder_dropout=0.0, projection_dropout=0.0, decoder_dropout=0.0, momentum=momentum
    )
    method = Avmst(config, Dimensions(512, 512, 300)).double()
    named = [pair for part in parts(method) for pair in part.named_parameters()]
    with torch.no_grad():
        for k, (name, p) in enumerate(named):
            made = wave(len(p), p.numel() // len(p), 1.3 * k).view(p.shape)
            p.copy_(
                math.sqrt(3 / p.shape[1]) * made if p.dim() == 2 else 1 + 0.1 * made if is_scale(name) else 0.1 * made
            )
        method.position.copy_(wave(2, 300, 1.3 * len(named)))
    audio, visual, other_audio, other_visual = (2 * wave(4, 512, s).unsqueeze(1) for s in (0, 1.3, 2.6, 3.9))
    classes = nn.functional.normalize(wave(5, 300, 9.0), dim=1)
    labels, others = torch.tensor([0, 1, 2, 3]), torch.tensor([4, 3, 0, 1])
    return method, Batch(Clips(audio, visual), labels, Clips(other_audio, other_visual), others, classes)


@pytest.mark.parametrize(
    ("momentum", "statistics", "sums"),
    [
        (0.1, 1.1396145506594204, (158.26226323238174, 153.65791147321897, 12.745078775736257)),
        (0.99, 3.7275813133856777, (157.94579958727022, 163.10549360536666, 12.745078775736257)),
    ],
)
def test_three_steps_are_those_of_the_public_code(momentum: float, statistics: float, sums: tuple[float, ...]) -> None:
    """Numbers printed by the public modules with the loop of AVCA's code, on the same weights and clips."""
    method, batch = full(momentum)
    words = batch.classes[batch.labels]
    with torch.no_grad():
        found = (*method.eval().branches(batch.clips), method.embed_classes(words))
    norms = (
        (44.97599438379139, 38.956349728837864, 36.97312707497363, 29.800783742684487),
        (26.749995108309555, 25.41684214221873, 27.090067112860766, 24.477749344995186),
        (0.6946215138932675, 0.7110298769649057, 0.64028238561134, 0.6541252716057768),
    )
    for rows_, wanted in zip(found, norms, strict=True):
        assert rows_.norm(dim=1).tolist() == pytest.approx(wanted, rel=1e-7)
    rates = method.firing_rates(batch.clips)
    assert (rates.audio.sum().item(), rates.visual.sum().item()) == pytest.approx((220.8, 145.1))
    potentials = {}  # type: ignore[var-annotated]
    for clips, wanted in ((batch.clips, (220.8, 145.1)), (batch.negatives, (132.1, 111.5))):
        assert clips.audio is not None and clips.visual is not None
        runs = method._fused(clips.audio.squeeze(1), clips.visual.squeeze(1), potentials).runs
        sums_ = [torch.cat([run.spikes[1] for run in runs[name]]).sum().item() / 10 for name in ("audio", "visual")]
        assert sums_ == pytest.approx(wanted)
    method.train()
    optimiser = torch.optim.Adam(method.parameter_groups(), 1e-3, weight_decay=1e-5)
    losses = []
    for step in range(3):
        for terms in method.updates(batch):
            optimiser.zero_grad()
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        losses.append(terms["loss"].item())
        if step == 0:
            norm = method.audio_projection.second.norm
            assert norm.running_mean is not None
            assert norm.running_mean.sum().item() == pytest.approx(statistics, rel=1e-6)
            counted = (method.audio_projection.first, method.audio_encoder.first, method.word_decoder)
            assert [int(part.norm.num_batches_tracked) for part in counted] == [4, 3, 6]  # type: ignore[arg-type]
    assert losses == pytest.approx((20.46457656787511, 11.965573054745704, 9.893372877226959), rel=1e-7)
    with torch.no_grad():
        found = (*method.eval().branches(batch.clips), method.embed_classes(words))
    assert [x.sum().item() for x in found] == pytest.approx(sums, rel=1e-6)


@pytest.mark.parametrize(("audio", "visual", "size"), [(512, 512, 2_526_220), (128, 4096, 5_803_020)])
def test_size_is_that_of_the_public_code(audio: int, visual: int, size: int) -> None:
    method = Avmst(AvmstConfig(), Dimensions(audio, visual, 300))
    assert sum(p.numel() for p in method.parameters()) == size
    assert sum(p.numel() for group in method.parameter_groups() for p in group["params"]) == size
    assert sum(p.numel() for p in Avmst(AvmstConfig(dynamic_threshold=True), SIZES_300).parameters()) == 2_526_226


SIZES_300 = Dimensions(512, 512, 300)


# Quirks


def one_step(method: Avmst) -> dict[str, bool]:
    """Which parts one optimiser step changes."""
    optimiser = torch.optim.Adam(method.train().parameter_groups(), 1e-2)
    before = {name: value.clone() for name, value in method.named_parameters()}
    for terms in method.updates(worked_batch()):
        optimiser.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    changed: dict[str, bool] = {}
    for name, value in method.named_parameters():
        part = name.split(".")[0]
        changed[part] = changed.get(part, False) or not torch.equal(value, before[name])
    return changed


def test_v1_branches_and_positions_are_trained_in_clean_mode_alone() -> None:
    reference, clean = one_step(worked(**REFERENCE)), one_step(worked())
    assert all(clean.values())
    assert {name for name, changed in reference.items() if not changed} == {"spiking", "position"}
    method = Avmst(AvmstConfig(**REFERENCE), SIZES_300)
    assert sum(p.numel() for p in method.parameters()) == 2_526_220
    assert sum(p.numel() for group in method.parameter_groups() for p in group["params"]) == 1_692_508
    assert not one_step(worked(frozen_branches=True))["spiking"] and one_step(worked(frozen_branches=True))["position"]


def test_v2_and_v4_let_sound_into_the_visual_rates() -> None:
    for loop, reset, moves in (
        ("visual", "sequence", False), ("visual", "forward", False), ("audio", "sequence", False),
        ("audio", "forward", True),
    ):  # fmt: skip
        method = worked(visual_loop=loop, reset=reset).eval()
        first, second = (method.firing_rates(worked_batch(audio).clips) for audio in (0.0, 0.5))
        assert not torch.equal(first.audio, second.audio)
        assert torch.equal(first.visual, second.visual) is not moves, (loop, reset)


def test_v2_makes_the_visual_rates_those_of_the_audio_branch_but_for_a_step() -> None:
    method = worked(visual_loop="audio").eval()
    found = method.firing_rates(worked_batch().clips).visual
    visual = rows(1.3).squeeze(1)
    first, rest = method.spiking["visual"](visual, 1).spikes[1], method.spiking["audio"](visual, 9).spikes[1]
    assert torch.equal(found, torch.cat([first, rest]).mean(0))
    assert not torch.equal(found, worked().eval().firing_rates(worked_batch().clips).visual)
    alone = worked(visual_loop="audio", time_steps=1).eval().firing_rates(worked_batch().clips).visual
    assert torch.equal(alone, first.mean(0))


def test_v3_the_public_code_cannot_run_on_features_of_two_widths() -> None:
    with pytest.raises(SettingError, match="they have 4096 columns and audio features 128; use clean mode"):
        Avmst(AvmstConfig(**REFERENCE), Dimensions(128, 4096, 300))
    torch.manual_seed(0)
    method = Avmst(dataclasses.replace(SMALL, token=7), Dimensions(4, 9, 6))
    generator = torch.Generator().manual_seed(0)
    clips = Clips(torch.randn(5, 1, 4, generator=generator), torch.randn(5, 1, 9, generator=generator))
    batch = dataclasses.replace(worked_batch(), clips=clips.rows(slice(0, 3)), negatives=clips.rows(slice(2, 5)))
    terms = method.train().loss_terms(dataclasses.replace(batch, classes=batch.classes.float()))
    terms["loss"].backward()  # type: ignore[no-untyped-call]
    assert terms["loss"].isfinite()
    assert method.spiking["visual"].first.weight.grad is not None
    assert method.eval().embed_clips(clips).shape == (5, 3)


@pytest.mark.parametrize(("reset", "moves"), [("sequence", False), ("forward", True)])
def test_v4_potentials_go_from_positives_to_negatives(reset: str, moves: bool) -> None:
    found = []
    for audio, visual in ((0.0, 1.3), (0.5, 1.3), (0.0, 1.8)):
        method, potentials = worked(reset=reset).eval(), {}  # type: ignore[var-annotated]
        method._fused(rows(audio).squeeze(1), rows(visual).squeeze(1), potentials)
        runs = method._fused(rows(2.6).squeeze(1), rows(3.9).squeeze(1), potentials).runs
        found.append({name: runs[name][0].charged[0] for name in runs})
    assert torch.equal(found[0]["audio"], found[1]["audio"]) is not moves
    assert torch.equal(found[0]["visual"], found[2]["visual"]) is not moves
    assert torch.equal(found[0]["visual"], found[1]["visual"])
    assert torch.equal(found[0]["audio"], found[2]["audio"])


def test_v4_carries_nothing_from_one_call_to_the_next() -> None:
    method = worked(**REFERENCE).train()
    first = method.loss_terms(worked_batch())["loss"]
    assert torch.equal(method.loss_terms(worked_batch())["loss"], first)
    method.eval()
    clips = worked_batch().clips
    whole = method.embed_clips(clips)
    assert torch.equal(method.embed_clips(clips), whole)
    alone = torch.cat([method.embed_clips(clips.rows(slice(i, i + 1))) for i in range(3)])
    assert torch.allclose(alone, whole, atol=1e-12)


def test_v5_picks_another_token_of_the_picture() -> None:
    first, other = worked().eval(), worked(fusion_token="by_modality").eval()
    audio, visual = rows(0.0).squeeze(1), rows(1.3).squeeze(1)
    with torch.no_grad():
        one, two = first._encode(audio, visual), other._encode(audio, visual)
        token = super(Avmst, first)._encode(audio, visual).visual
        gate = torch.softmax(first.firing_rates(worked_batch().clips).visual, 1)
        pair = first.attention(torch.stack([token, token * gate], 1) + first.position[1])
    assert torch.equal(one.audio, two.audio)
    assert torch.equal(one.visual, pair[:, 0]) and torch.equal(two.visual, pair[:, 1])
    assert not torch.allclose(one.visual, two.visual, atol=1e-2)


def test_reference_mode_takes_every_quirk_and_the_momentum_of_its_preset() -> None:
    settings = assemble("avmst", preset="activitynet", options={"protocol": {"mode": "reference"}})
    config = settings.config
    assert (config.visual_loop, config.reset, config.fusion_token) == ("audio", "forward", "by_modality")
    assert config.frozen_branches and config.frozen_positions and config.unused_passes and config.extra_pass
    assert config.momentum == 0.99
    for name in ("ucf", "vggsound"):
        assert assemble("avmst", preset=name, options={"protocol": {"mode": "reference"}}).config.momentum == 0.1
    assert assemble("avmst", preset="activitynet").config.momentum == 0.1


# Spikes


@pytest.mark.parametrize("changes", [{}, REFERENCE, {"dynamic_threshold": True}])
def test_traces_are_what_the_rates_count(changes: dict[str, object]) -> None:
    method, clips = worked(**changes).eval(), worked_batch().clips
    traces, rates = method.spike_traces(clips), method.firing_rates(clips)
    assert [(t.modality, t.block) for t in traces] == [("audio", 0), ("audio", 1), ("visual", 0), ("visual", 1)]
    for trace in traces:
        assert trace.spikes.shape == trace.membrane.shape == (10, 6 if trace.block else 5)
        assert trace.threshold.shape == (10, 1)
        assert torch.equal(trace.spikes, trace.membrane >= trace.threshold)
        if trace.block:
            assert torch.allclose(trace.spikes.double().mean(0), getattr(rates, trace.modality)[0])
    terms = method.loss_terms(worked_batch())
    for name in ("audio", "visual"):
        assert 0.05 < terms[f"rate_{name}"].item() < 0.6
    hidden = torch.cat(
        [run.spikes[0] for run in method._fused(rows(0).squeeze(1), rows(1.3).squeeze(1), {}).runs["audio"]]
    )
    expected = (hidden.mean() + rates.audio.mean()) / 2
    assert terms["rate_audio"].item() == pytest.approx(expected.item())


def test_dynamic_thresholds_follow_semantics_and_spikes() -> None:
    method, clips = worked(dynamic_threshold=True), worked_batch().clips
    plain = worked()
    plain.load_state_dict(method.state_dict(), strict=False)
    assert torch.equal(method.eval().embed_clips(clips), plain.eval().embed_clips(clips))  # 1 at the start
    with torch.no_grad():
        method.thresholds["audio"].semantic.fill_(-2.0)
        method.thresholds["visual"].motion.fill_(4.0)
    traces = method.spike_traces(clips)
    shares = torch.softmax(method.audio_encoder(rows(0.0).squeeze(1))[0], 0)
    entropy = -(shares * shares.log()).sum().item() / math.log(6)
    expected = 0.5 + 1 / (1 + math.exp(2 * entropy))
    assert traces[0].threshold.flatten().tolist() == pytest.approx([expected] * 10) and entropy < 0.99
    assert traces[2].threshold[0] == 1 and traces[2].threshold.max() > 1.1
    assert not torch.equal(method.firing_rates(clips).audio, plain.firing_rates(clips).audio)
    method.train().loss_terms(worked_batch())["loss"].backward()  # type: ignore[no-untyped-call]
    for name, parameter in method.thresholds.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs() > 1e-9, name


# Presets and settings


@pytest.mark.parametrize("name", DROPOUTS)
def test_presets_hold_the_published_numbers_and_the_settings_of_avca(name: str) -> None:
    preset = load_preset("avmst", name)
    config = fill(AvmstConfig, preset["method"], name)
    assert (config.encoder_dropout, config.projection_dropout, config.decoder_dropout) == DROPOUTS[name]
    assert (config.time_steps, config.embedding, config.token, config.encoder_hidden) == (10, 64, 300, 512)
    train = preset["train"]
    assert (train["epochs"], train["batches"], train["learning_rate"]) == (50, 500, 1e-3)
    assert (train["batch_size"], train["weight_decay"]) == (64 if name == "vggsound" else 256, 1e-5)
    if name in PAPER:
        assert tuple(preset["paper"][key] for key in ("seen", "unseen", "hm", "zsl")) == PAPER[name]
        assert (preset["data"]["audio_columns"], preset["data"]["visual_columns"]) == (512, 512)
    else:
        assert "paper" not in preset
        assert (preset["data"]["audio_columns"], preset["data"]["visual_columns"]) == (128, 4096)
    if name == "vggsound":
        assert (preset["paper"]["parameters"], preset["paper"]["gflops"]) == (6.32e6, 5.12)
    assert len(preset_names("avmst")) == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time_steps": 0}, "time_steps is 0"),
        ({"gate_scale": 0.0}, "gate_scale is 0.0"),
        ({"gate_scale": float("nan")}, "gate_scale is nan"),
        ({"reset": "never"}, "reset is 'never'; it is 'sequence' or 'forward'"),
        ({"visual_loop": "both"}, "visual_loop is 'both'"),
        ({"fusion_token": "last"}, "fusion_token is 'last'"),
        ({"token": 0}, "token is 0"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]


def test_one_modality_is_refused() -> None:
    with pytest.raises(SettingError, match="AVMST needs sound and picture"):
        Avmst(AvmstConfig(), Dimensions(512, None, 300))
    with pytest.raises(ModelError, match="no audio features"):
        worked().embed_clips(worked_batch().clips.only("visual"))
