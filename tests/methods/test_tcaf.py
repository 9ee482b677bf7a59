"""TCaF against worked examples, numbers frozen from a run beside the public code, and its quirks one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.config import fill, load_preset, preset_names, quirk_names, reference_values
from avzsl.errors import ModelError, SettingError
from avzsl.methods.tcaf import Tcaf, TcafConfig
from avzsl.types import Batch, Clips, Dimensions

SIZES = Dimensions(3, 4, 6)
SMALL = TcafConfig(
    width=6, position_width=4, encoder_hidden=5, head_hidden=5, embedding=3, depth=2, heads=2, head_width=3,
    feed_hidden=4, encoder_dropout=0.0, token_dropout=0.0, transformer_dropout=0.0, head_dropout=0.0, text_dropout=0.0,
    audio_step=0.96, visual_step=0.64, audio_divisor=255.0,
)  # fmt: skip
PUBLIC: dict[str, Any] = reference_values(TcafConfig)


def wave(shape: tuple[int, ...], number: int, scale: bool = False) -> Tensor:
    """Parameter values of the worked example: a sine, around 0 or, for the scale of a norm, around 1."""
    values = torch.sin(0.7 * torch.arange(1, math.prod(shape) + 1, dtype=torch.float64) + 1.3 * number).view(shape)
    return 1 + 0.1 * values if scale else 0.5 * values


def filled(**changes: Any) -> Tcaf:
    """The small model with the values of the worked example, in float64."""
    method = Tcaf(replace(SMALL, **changes), SIZES).double()

    def net(number: int, *layers: Any) -> int:
        for layer in layers:
            for tensor in (layer.linear.weight, layer.linear.bias, layer.norm.weight, layer.norm.bias):
                tensor.copy_(wave(tuple(tensor.shape), number, tensor is layer.norm.weight))
                number += 1
        return number

    with torch.no_grad():
        number = net(0, method.audio_encoder.first, method.audio_encoder.second)
        number = net(
            number, method.visual_encoder.first, method.visual_encoder.second, method.text_head, method.text_decoder
        )
        for tensor in (
            method.class_token, method.modality, method.time.linear.weight, method.time.linear.bias,
            method.time.frequencies, method.padding, method.audio_token.weight, method.audio_token.bias,
            method.visual_token.weight, method.visual_token.bias,
        ):  # fmt: skip
            tensor.copy_(wave(tuple(tensor.shape), number))
            number += 1
        for layer in method.transformer.layers:
            key, value = layer.keys_values.weight.chunk(2)  # views
            for tensor in (
                layer.query.weight, key, value, layer.output.weight, layer.output.bias, layer.expand.weight,
                layer.expand.bias, layer.shrink.weight, layer.shrink.bias, layer.norm.weight, layer.norm.bias,
            ):  # fmt: skip
                tensor.copy_(wave(tuple(tensor.shape), number, tensor is layer.norm.weight))
                number += 1
        number = net(number, method.clip_head.first, method.clip_head.second)
        assert net(number, method.clip_decoder.first, method.clip_decoder.second) == 72
    return method


def example() -> Batch:
    """Two clips, the second with one audio and two visual segments, and four classes."""
    places = torch.arange(24, dtype=torch.float64)
    audio = 127.5 * (1 + torch.sin(places[:12])).view(2, 2, 3)
    visual = (1 + torch.cos(places)).view(2, 3, 4)
    audio[1, 1:], visual[1, 2:] = 0, 0
    masks = torch.tensor([[True, True], [True, False]]), torch.tensor([[True, True, True], [True, True, False]])
    clips = Clips(audio, visual, *masks)
    classes = functional.normalize(torch.sin(1 + places).view(4, 6), dim=1)
    return Batch(clips, torch.tensor([1, 3]), clips, torch.tensor([0, 2]), classes)


def class_tokens(method: Tcaf, run: Any) -> Tensor:
    """What goes into the projection of the class token while `run` runs."""
    found: list[Tensor] = []
    handle = method.clip_head.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].detach()))
    run()
    handle.remove()
    return found[0]


def near(found: Tensor, numbers: Any) -> bool:
    return torch.allclose(found.detach(), torch.tensor(numbers, dtype=found.dtype), atol=6e-9, rtol=0)


def test_worked_example_outside_training() -> None:
    method, batch = filled(**PUBLIC).eval(), example()
    token = class_tokens(method, lambda: method.loss_terms(batch))  # with time stamps in seconds
    assert near(token, [
        [-0.57535498, 1.51462856, 1.65542734, 1.29029986, -0.24787069, -0.90655600],
        [-0.58356250, 1.51230152, 1.67554439, 1.26408799, -0.23530529, -0.89700663],
    ])  # fmt: skip
    seconds = replace(method.config, eval_positions="seconds")
    method.config = seconds
    embedded = method.embed_clips(batch.clips)
    assert near(embedded, [[0, 1.28835064, 0], [0, 1.28666002, 0]])
    assert near(method.embed_classes(batch.classes[batch.labels]), [[0.09275932, 0.49484415, 0], [0, 0.65296894, 0]])
    rebuilt = method.clip_decoder(embedded)
    assert near(rebuilt, [[0, 0, 0, 0.12841633, 0, 0.57887967], [0, 0, 0, 0.12820095, 0, 0.57847330]])
    method.config = replace(seconds, eval_positions="index")
    assert near(method.embed_clips(batch.clips), [[0, 1.28822522, 0], [0, 1.28743071, 0]])
    method.config = replace(seconds, visual_norm="feature")
    assert near(method.embed_clips(batch.clips), [[0, 1.28837127, 0], [0, 1.28670641, 0]])


def test_worked_example_in_training() -> None:
    method, batch = filled(**PUBLIC).train(), example()
    token = class_tokens(method, lambda: method.loss_terms(batch))
    assert near(token, [
        [0.19115331, 1.13044506, 1.18230502, 2.21993823, -0.75663770, -1.28629823],
        [-0.22159965, 1.50839531, 1.16870159, 1.90465519, -0.47108171, -1.23025663],
    ])  # fmt: skip
    assert near(method.clip_head(token), [[0, 1.53065043, 0], [1.36009932, 0, 1.45133102]])


@pytest.mark.parametrize(
    ("training", "numbers"),
    [
        (False, (1.33290682, 0.17330354, 0.55938804, 2.06559839)),
        (True, (1.45887133, 1.19886256, 1.91531958, 4.57305347)),
    ],
)
def test_losses_of_the_worked_example(training: bool, numbers: tuple[float, ...]) -> None:
    terms = filled(**PUBLIC).train(training).loss_terms(example())
    assert list(terms) == ["loss", "entropy", "regression", "reconstruction"]
    found = [terms[name] for name in ("entropy", "regression", "reconstruction", "loss")]
    assert near(torch.stack(found), numbers)


def test_three_steps_are_those_of_the_public_code() -> None:
    """Frozen from the public modules with the same weights and input: plain gradient descent, rate 0.05."""
    method, batch = filled(**PUBLIC).train(), example()
    optimiser = torch.optim.SGD(method.parameter_groups(), 0.05)
    losses = []
    for _ in range(3):
        for terms in method.updates(batch):
            optimiser.zero_grad()
            terms["loss"].backward()
            optimiser.step()
            losses.append(terms["loss"])
    assert near(torch.stack(losses), [4.57305347, 4.23808162, 3.95259998])
    assert near(method.class_token, [[0.23269249, 0.46307239, 0.47566633, 0.26454271, -0.07099857, -0.37314833]])
    audio, text, head, decoder = (
        method.audio_encoder.second.norm, method.text_head.norm, method.clip_head.second.norm,
        method.clip_decoder.second.norm,
    )  # fmt: skip
    assert [int(norm.num_batches_tracked or 0) for norm in (audio, text, head, decoder)] == [6, 9, 6, 3]
    assert near(audio.running_mean, [0.48782487, -0.04969629, 0.40155875, -0.11696167, -0.08327863, -0.16071514])
    assert near(text.running_mean, [-0.10998374, 0.10357748, -0.74999321])
    assert near(text.running_var, [0.41706414, 0.39465121, 0.39351463])
    assert near(head.running_mean, [-0.54412400, 0.15871318, -0.41579495])
    assert near(decoder.running_var, [0.77062881, 0.76014248, 0.75471345, 0.75726300, 0.76624380, 0.77739368])
    method.eval()
    assert near(method.embed_clips(batch.clips), [[0, 0.69941630, 0], [0, 0.70293188, 0]])
    assert near(method.embed_classes(batch.classes)[:2], [[0.32765226, 0.23019420, 0], [0.15328932, 0.39771743, 0]])


class Table(nn.Module):
    """Stands for a net: rows in, rows of a table out."""

    def __init__(self, pairs: list[tuple[list[float], list[float]]]) -> None:
        super().__init__()
        self.pairs = pairs

    def forward(self, rows: Tensor) -> Tensor:
        found = {tuple(key): value for key, value in self.pairs}
        return torch.tensor([found[tuple(row)] for row in rows.tolist()])


def test_losses_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    method = Tcaf(replace(SMALL, embedding=2), Dimensions(3, 4, 2))
    words = [[0.5, -0.75], [0.0, 1.0], [1.0, 0.0]]
    thetas = [[1.0, 1.0], [0.0, 1.0], [2.0, 0.0]]
    clips = [[1.0, 0.0], [0.5, 2.0]]
    monkeypatch.setattr(method, "_embed", lambda *_: torch.tensor(clips))
    method.text_head = Table(list(zip(words, thetas, strict=True)))  # type: ignore[assignment]
    method.clip_decoder = Table(list(zip(clips, [[0.4, 0.05], [0.0, 0.5]], strict=True)))  # type: ignore[assignment]
    method.text_decoder = Table(list(zip(thetas[:2], [[0.5, 0.05], [0.1, 1.0]], strict=True)))  # type: ignore[assignment]
    plain = Clips(torch.zeros(2, 1, 3), torch.zeros(2, 1, 4))
    terms = method.loss_terms(Batch(plain, torch.tensor([0, 1]), plain, torch.tensor([1, 0]), torch.tensor(words)))
    # Scores of the clips against all three classes: (1, 0, 2) and (2.5, 2, 1); their classes are 0 and 1.
    entropy = (math.log(math.e + 1 + math.e**2) - 1 + math.log(math.e**2.5 + math.e**2 + math.e) - 2) / 2
    assert entropy == pytest.approx(1.25586828)
    assert terms["entropy"].item() == pytest.approx(entropy, abs=1e-6)
    assert terms["regression"].item() == pytest.approx((0 + 1 + 0.25 + 1) / 4)
    rebuilt = (0.1**2 + 0.8**2 + 0 + 0.5**2) / 4, (0 + 0.8**2 + 0.1**2 + 0) / 4
    assert terms["reconstruction"].item() == pytest.approx(sum(rebuilt), abs=1e-6)
    assert terms["loss"].item() == pytest.approx(entropy + 0.5625 + sum(rebuilt), abs=1e-6)


# What the network gets to see.


def inputs(method: Tcaf, clips: Clips) -> tuple[Tensor, Tensor]:
    """Rows that reach the two encoders."""
    found: dict[str, Tensor] = {}
    handles = [
        getattr(method, f"{name}_encoder").register_forward_pre_hook(
            lambda _, given, name=name: found.setdefault(name, given[0].detach())
        )
        for name in ("audio", "visual")
    ]
    method.embed_clips(clips)
    for handle in handles:
        handle.remove()
    return found["audio"], found["visual"]


def test_visual_norm_runs_along_channels_or_along_time() -> None:  # T2
    visual = torch.tensor([[[3.0, 1.0], [4.0, 1.0], [1e4, 1e4]]])
    clips = Clips(torch.ones(1, 1, 3), visual, None, torch.tensor([[True, True, False]]))
    expected = {
        "feature": [[0.94868330, 0.31622777], [0.97014250, 0.24253563]],
        "time": [[0.6, 0.70710678], [0.8, 0.70710678]],
        "none": [[3.0, 1.0], [4.0, 1.0]],
    }
    for norm, rows in expected.items():
        method = Tcaf(replace(SMALL, visual_norm=norm), Dimensions(3, 2, 6)).eval()
        assert torch.allclose(inputs(method, clips)[1], torch.tensor(rows)), norm
    assert TcafConfig().visual_norm == "feature" and PUBLIC["visual_norm"] == "time"


def test_along_time_a_single_segment_keeps_only_its_signs() -> None:  # T2
    visual = torch.tensor([[[0.1, -2.0, 7.0, -0.3]]])
    clips = Clips(torch.ones(1, 1, 3), visual)
    assert inputs(filled(visual_norm="time").float().eval(), clips)[1].tolist() == [[1, -1, 1, -1]]
    assert inputs(filled().float().eval(), clips)[1].tolist() != [[1, -1, 1, -1]]


def test_audio_is_divided_by_its_own_range_or_by_255() -> None:  # T4
    clips = Clips(torch.full((1, 1, 3), 51.0), torch.ones(1, 1, 4))
    for divisor, anyway, expected in ((1.0, False, 51.0), (255.0, False, 0.2), (1.0, True, 0.2), (255.0, True, 0.2)):
        method = filled(audio_divisor=divisor, divide_any_audio=anyway).float().eval()
        assert inputs(method, clips)[0].tolist() == [[pytest.approx(expected)] * 3]


def padded(clips: Clips, more: int, value: float) -> Clips:
    """The same clips with more padding."""
    assert clips.audio is not None and clips.visual is not None
    assert clips.audio_mask is not None and clips.visual_mask is not None
    return Clips(
        functional.pad(clips.audio, (0, 0, 0, more), value=value),
        functional.pad(clips.visual, (0, 0, 0, more), value=value),
        functional.pad(clips.audio_mask, (0, more)),
        functional.pad(clips.visual_mask, (0, more)),
    )


@pytest.mark.parametrize("changes", [{}, PUBLIC], ids=["clean", "reference"])
@pytest.mark.parametrize("training", [True, False])
def test_padding_of_all_clips_changes_nothing(changes: dict[str, Any], training: bool) -> None:
    batch = example()
    first = filled(**changes).train(training).loss_terms(batch)
    more = replace(batch, clips=padded(batch.clips, 3, 1e4))
    second = filled(**changes).train(training).loss_terms(more)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("changes", [{}, PUBLIC], ids=["clean", "reference"])
@pytest.mark.parametrize("training", [True, False])
def test_values_at_padding_change_nothing(changes: dict[str, Any], training: bool) -> None:
    batch = example()
    first = filled(**changes).train(training).loss_terms(batch)
    clips = batch.clips
    assert clips.audio is not None and clips.visual is not None
    assert clips.audio_mask is not None and clips.visual_mask is not None
    for values, mask in ((clips.audio, clips.audio_mask), (clips.visual, clips.visual_mask)):
        values[~mask] = 1e4
    second = filled(**changes).train(training).loss_terms(batch)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_padding_enters_batch_norm_in_reference_mode_only() -> None:  # T3
    clips = example().clips
    rows = {False: (3, 5), True: (4, 6)}  # of 2 x 2 audio and 2 x 3 visual segments, 3 and 5 are real
    for quirk, (audio, visual) in rows.items():
        method = filled(padding_in_norm=quirk)
        assert tuple(map(len, inputs(method.train(), clips))) == (audio, visual)
        assert tuple(map(len, inputs(method.eval(), clips))) == (3, 5)


def test_cut_clips_are_padded_to_the_whole_window_where_padding_counts() -> None:  # T3
    clips = example().clips
    sizes = {"train_length": 9, "audio_step": 1.0, "visual_step": 1.0}
    assert tuple(map(len, inputs(filled(padding_in_norm=True, **sizes).train(), clips))) == (18, 18)
    assert tuple(map(len, inputs(filled(padding_in_norm=True, **sizes).eval(), clips))) == (3, 5)
    assert tuple(map(len, inputs(filled(**sizes).train(), clips))) == (3, 5)


def times(method: Tcaf, run: Any) -> list[list[float]]:
    """Time stamps that are embedded while `run` runs: audio, visual, audio, ..."""
    found: list[list[float]] = []
    handle = method.time.register_forward_pre_hook(lambda _, given: found.append(given[0].tolist()))
    run()
    handle.remove()
    return found


def test_positions_outside_the_loss_are_seconds_or_numbers() -> None:  # T1
    batch = example()
    seconds, numbers = [[0.0, 0.96], [0.0, 0.64, 1.28]], [[0.0, 1.0], [0.0, 1.0, 2.0]]
    for training in (True, False):
        clean, quirk = filled().train(training), filled(eval_positions="index").train(training)
        assert times(clean, lambda m=clean: m.embed_clips(batch.clips)) == seconds
        assert times(quirk, lambda m=quirk: m.embed_clips(batch.clips)) == numbers
        assert times(quirk, lambda m=quirk: m.loss_terms(batch)) == seconds
    both = [filled(eval_positions=kind).eval() for kind in ("seconds", "index")]
    assert not torch.equal(both[0].embed_clips(batch.clips), both[1].embed_clips(batch.clips))
    same = [filled(eval_positions=kind, audio_step=1.0, visual_step=1.0).eval() for kind in ("seconds", "index")]
    assert torch.equal(same[0].embed_clips(batch.clips), same[1].embed_clips(batch.clips))


def test_another_pass_after_the_step_moves_running_statistics_alone() -> None:  # T12
    batch, methods = example(), []
    for quirk in (False, True):
        method = filled(extra_train_forward=quirk, eval_positions="index").train()

        def step(method: Tcaf = method) -> None:
            optimiser = torch.optim.SGD(method.parameter_groups(), 0.1)
            for terms in method.updates(batch):
                terms["loss"].backward()
                optimiser.step()

        found = times(method, step)
        assert found[2:] == ([[0.0, 1.0], [0.0, 1.0, 2.0]] if quirk else [])  # as in every evaluation
        methods.append(method)
    once, twice = methods
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))
    counts = []
    for m in methods:
        read = (m.audio_encoder.first, m.clip_head.second, m.text_head, m.clip_decoder.first, m.text_decoder)
        counts.append([int(layer.norm.num_batches_tracked or 0) for layer in read])
    assert counts == [[1, 1, 2, 1, 1], [2, 2, 3, 1, 1]]
    assert not torch.equal(once.clip_head.second.norm.running_mean, twice.clip_head.second.norm.running_mean)


def numbered(length: int = 12) -> Clips:
    """Two clips whose audio segment i is (i, i, i) and whose visual segment i is (i, 1, 1, 1)."""
    places = torch.arange(length, dtype=torch.float64)
    audio = places.view(1, -1, 1).expand(2, -1, 3)
    visual = torch.stack([places, *[torch.ones(length, dtype=torch.float64)] * 3], 1)
    return Clips(audio, visual.expand(2, -1, -1))


def test_training_draws_one_window_for_both_passes_and_evaluation_takes_the_middle() -> None:
    sizes = {"audio_step": 1.0, "visual_step": 1.0, "visual_norm": "none", "audio_divisor": 1.0}
    method = filled(train_length=4, test_length=6, extra_train_forward=True, **sizes).train()
    batch = replace(example(), clips=numbered())
    starts, seen = set(), []
    method.visual_encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0][:, 0].tolist()))
    for seed in range(30):
        torch.manual_seed(seed)
        seen.clear()
        for _ in method.updates(batch):
            pass
        assert seen[0] == seen[1] and len(seen[0]) == 8
        starts.add(seen[0][0])
        assert seen[0][:4] == [seen[0][0] + i for i in range(4)]
    assert starts == set(range(9))
    assert [rows[:, 0].tolist() for rows in inputs(method.eval(), numbered())] == [[3, 4, 5, 6, 7, 8] * 2] * 2


def test_the_last_window_is_drawn_in_clean_mode_only() -> None:  # T11
    sizes = {"audio_step": 1.0, "visual_step": 1.0, "visual_norm": "none", "audio_divisor": 1.0}
    torch.manual_seed(0)
    for quirk, last in ((False, 2.0), (True, 1.0)):
        method = filled(train_length=10, last_window_left_out=quirk, **sizes).train()
        starts = {inputs(method, numbered())[1][0, 0].item() for _ in range(40)}
        assert max(starts) == last and min(starts) == 0


def test_audio_beside_a_window_by_quotient_or_by_product() -> None:  # T6
    cls = {"audio_step": 0.96, "visual_step": 0.64}
    for rule, lengths in (("quotient", (40, 200)), ("product", (37, 184))):
        config = TcafConfig(train_length=60, test_length=300, audio_rule=rule, **cls)  # type: ignore[arg-type]
        windows = config.window(True), config.window(False)
        assert [(w.audio, w.visual) for w in windows if w] == [(lengths[0], 60), (lengths[1], 300)]
    assert TcafConfig().window(True) is None
    assert PUBLIC["audio_rule"] == "product"


def test_segments_look_at_the_other_modality_their_own_or_both() -> None:
    batch = example()
    losses = [filled(attention=kind).eval().loss_terms(batch)["loss"].item() for kind in ("cross", "self", "both")]
    assert len({round(loss, 6) for loss in losses}) == 3


def test_dropout_rates_go_to_their_own_parts() -> None:
    rates = {"encoder": 0.11, "token": 0.22, "transformer": 0.33, "head": 0.44, "text": 0.55}
    method = Tcaf(TcafConfig(**{f"{name}_dropout": rate for name, rate in rates.items()}), SIZES)  # type: ignore[arg-type]
    expected = {
        "audio_encoder": 0.11, "visual_encoder": 0.11, "token_dropout": 0.22, "transformer": 0.33, "clip_head": 0.44,
        "clip_decoder": 0.44, "text_head": 0.55, "text_decoder": 0.55,
    }  # fmt: skip
    found: dict[str, set[float]] = {}
    for path, module in method.named_modules():
        if isinstance(module, nn.Dropout):
            found.setdefault(path.split(".")[0], set()).add(module.p)
    assert found == {part: {rate} for part, rate in expected.items()}


def test_tokens_are_dropped_in_training() -> None:
    torch.manual_seed(0)
    method = filled(token_dropout=0.5).train()
    found: list[Tensor] = []
    method.transformer.register_forward_pre_hook(lambda _, given: found.append(given[0]))
    method.embed_clips(example().clips)
    zeros = (found[0] == 0).float().mean((0, 2))  # by token
    assert zeros[0] == 0  # the class token stays whole
    assert zeros[1:].mean() > 0.2


def test_what_marks_padding_changes_no_result() -> None:
    method, batch = filled().eval(), example()
    before = method.embed_clips(batch.clips)
    assert not method.padding.requires_grad
    with torch.no_grad():
        method.padding.add_(5.0)
    assert torch.equal(method.embed_clips(batch.clips), before)


def test_negatives_have_no_part_in_the_loss() -> None:
    batch = example()
    other = replace(batch, negatives=numbered(), negative_labels=torch.tensor([2, 0]))
    first, second = (filled().train().loss_terms(b) for b in (batch, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_embeddings_and_their_decodings_are_not_negative() -> None:
    torch.manual_seed(0)
    method = Tcaf(replace(SMALL, embedding=8), SIZES).eval()
    clips = Clips(torch.randn(20, 2, 3), torch.randn(20, 3, 4))
    rows = method.embed_clips(clips), method.embed_classes(torch.randn(20, 6))
    for values in (*rows, method.clip_decoder(rows[0]), method.text_decoder(rows[1])):
        assert values.min() == 0 and values.max() > 0


def test_frequencies_are_saved_and_not_trained() -> None:
    method, other = filled(), Tcaf(SMALL, SIZES).double()
    assert "time.frequencies" in method.state_dict()
    assert not any(p is method.time.frequencies for p in method.parameters())
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.eval().embed_clips(example().clips), method.eval().embed_clips(example().clips))


# Refusals.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 0}, "depth is 0; it must be at least 1"),
        ({"feed_hidden": -3}, "feed_hidden is -3"),
        ({"position_width": 3}, "position_width is 3; it must be even"),
        ({"head_dropout": 1.0}, r"head_dropout is 1.0; it must lie in \[0, 1\)"),
        ({"audio_step": 0.0}, "audio_step is 0.0; it must be above 0"),
        ({"audio_divisor": float("inf")}, "audio_divisor is inf"),
        ({"test_length": -1}, "test_length is -1"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        TcafConfig(**changes)


def test_both_modalities_are_needed() -> None:
    with pytest.raises(SettingError, match="TCaF needs sound and picture"):
        Tcaf(SMALL, Dimensions(None, 4, 6))
    with pytest.raises(ModelError, match="no audio features"):
        filled().embed_clips(example().clips.only("visual"))
    with pytest.raises(ModelError, match="visual features have 3 columns"):
        filled().embed_clips(Clips(torch.ones(1, 1, 3), torch.ones(1, 1, 3)))


# Presets.


PUBLISHED = {  # S, U, HM, ZSL
    "vggsound": "9.64 5.91 7.33 6.06",
    "ucf": "58.60 21.74 31.72 24.81",
    "activitynet": "18.70 7.50 10.71 7.91",
    "vggsound_cls": "12.63 6.72 8.77 7.41",
    "ucf_cls": "67.14 40.83 50.78 44.64",
    "activitynet_cls": "30.12 7.65 12.20 7.96",
}
# Rate, schedule; depth, heads, head width; dropout of layers, tokens, encoders, heads, texts; encoder width; weights.
SETTINGS = {
    "ucf_cls": (7e-5, "plateau", 6, 8, 64, 0.3, 0.2, 0.3, 0.1, 0.1, 512, 7_269_972),
    "activitynet_cls": (7e-5, "plateau", 6, 8, 64, 0.4, 0.2, 0.3, 0.1, 0.1, 512, 7_269_972),
    "vggsound_cls": (6e-5, "constant", 8, 8, 64, 0.5, 0.1, 0.2, 0.2, 0.1, 512, 8_655_028),
    "ucf": (5e-5, "constant", 5, 8, 64, 0.3, 0.2, 0.4, 0.2, 0.1, 256, 4_521_764),
    "activitynet": (7e-5, "plateau", 8, 3, 128, 0.3, 0.2, 0.2, 0.1, 0.1, 128, 5_161_908),
    "vggsound": (7e-5, "constant", 8, 6, 128, 0.5, 0.2, 0.2, 0.2, 0.2, 128, 8_848_308),
}


def test_presets_carry_the_published_results() -> None:
    assert set(preset_names("tcaf")) == {*PUBLISHED, "demo"}
    for name, numbers in PUBLISHED.items():
        paper = load_preset("tcaf", name)["paper"]
        assert [paper[key] for key in ("seen", "unseen", "hm", "zsl")] == [float(n) for n in numbers.split()]
        assert paper["hm"] == pytest.approx(
            2 * paper["seen"] * paper["unseen"] / (paper["seen"] + paper["unseen"]), abs=0.02
        )


@pytest.mark.parametrize("name", SETTINGS)
def test_presets_carry_the_published_settings_and_sizes(name: str) -> None:
    sections = load_preset("tcaf", name)
    config = fill(TcafConfig, sections["method"], name)
    train, data = sections["train"], sections["data"]
    cls = name.endswith("_cls")
    with torch.device("meta"):
        method = Tcaf(config, Dimensions(data["audio_columns"], data["visual_columns"], 300))
    found = (
        train["learning_rate"], train["schedule"], config.depth, config.heads, config.head_width,
        config.transformer_dropout, config.token_dropout, config.encoder_dropout, config.head_dropout,
        config.text_dropout, config.encoder_hidden, sum(p.numel() for p in method.parameters()),
    )  # fmt: skip
    assert found == SETTINGS[name]
    assert (config.head_hidden, config.feed_hidden, config.width, config.embedding) == (512, 128, 300, 64)
    assert (train["epochs"], train["batches"], train["batch_size"], train["weight_decay"]) == (50, 300, 64, 1e-5)
    assert data["temporal"] is True and data["family"] == ("cls" if cls else "main")
    assert (data["audio_columns"], data["visual_columns"]) == ((128, 4096) if cls else (512, 512))
    steps = (0.96, 0.64, 255.0) if cls else (1.0, 1.0, 1.0)
    assert (config.audio_step, config.visual_step, config.audio_divisor) == steps
    whole = (60, 300) if name.startswith("activitynet") else (0, 0)
    assert (config.train_length, config.test_length) == whole


def test_every_quirk_has_a_switch() -> None:
    assert quirk_names(TcafConfig) == {
        "eval_positions": "T1", "visual_norm": "T2", "padding_in_norm": "T3", "divide_any_audio": "T4",
        "audio_rule": "T6", "last_window_left_out": "T11", "extra_train_forward": "T12",
    }  # fmt: skip
