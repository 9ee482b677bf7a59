"""AVGZSLNet: the loss by hand, its quirks, the sum of distances, presets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from avzsl.config import load_preset, preset_names, quirk_names
from avzsl.experiments.settings import assemble
from avzsl.methods._inputs import both_averaged
from avzsl.methods._joint_embedding import Triple
from avzsl.methods._profile import random_batch
from avzsl.methods.avgzslnet import Avgzslnet, AvgzslnetConfig, loss_terms, reconstruction_error
from avzsl.types import Batch, Dimensions

SIZES = Dimensions(6, 5, 7)
NAMES = ("reconstruction", "decoded_audio", "decoded_visual", "text_audio", "audio_text", "text_visual", "visual_text")


def make(**changes: object) -> Avgzslnet:
    torch.manual_seed(0)
    small: dict[str, object] = {"hidden": 16, "text_hidden": 12, "embedding": 8, "decoder_hidden": 9}
    settings = small | {"encoder_dropout": 0.0, "decoder_dropout": 0.0} | changes
    return Avgzslnet(AvgzslnetConfig(**settings), SIZES)  # type: ignore[arg-type]


def settled(**changes: object) -> Avgzslnet:
    """With statistics away from where they start, in evaluation mode."""
    method = make(**changes).train()
    for seed in range(3):
        method.fit_step(random_batch(SIZES, 16, seed=seed))
    return method.eval()


def row(*values: float) -> Tensor:
    return torch.tensor([values])


# Loss


@pytest.mark.parametrize("bare_root", [True, False])
def test_seven_terms_by_hand(bare_root: bool) -> None:
    terms = loss_terms(
        row(1, 0),
        Triple(audio=row(1, 0), visual=row(0, 2), text=row(0, 0)),
        Triple(audio=row(0, 1.5), visual=row(3, 0), text=row(1, 1)),
        Triple(audio=row(0.6, 0.8), visual=row(0, 1), text=row(0.8, 0.6)),
        (row(1, 0), row(-1, 0)),
        bare_root=bare_root,
    )
    assert tuple(terms) == NAMES
    assert [float(value) for value in terms.values()] == pytest.approx(
        [2.941096, 0.650387, 0, 0.5, 1.000002, 0, 1.585787], abs=2e-6
    )
    assert sum(float(value) for value in terms.values()) == pytest.approx(6.677272, abs=5e-6)


def test_loss_is_the_sum_of_its_terms_by_loops() -> None:
    method, batch = settled(margin=0.7), random_batch(SIZES, 5, classes=4)
    with torch.no_grad():
        terms = method.fit_step(batch)  # in evaluation mode, so that rows can be made one by one
    expected = dict.fromkeys(NAMES, 0.0)
    for n in range(5):
        own, other = one(method, batch, n, negative=False), one(method, batch, n, negative=True)
        with torch.no_grad():
            decoded = [unit(method.decoder(x)) for x in own]
            against = [unit(method.decoder(x)) for x in other[:2]]
        word = batch.classes[batch.labels[n]]
        (a, v, t), (a2, v2, t2), (ra, rv, rt) = own, other, decoded
        expected["reconstruction"] += sum(float((x[0] - word).norm()) for x in decoded) / 5
        expected["decoded_audio"] += hinge(rt, ra, against[0]) / 5
        expected["decoded_visual"] += hinge(rt, rv, against[1]) / 5
        expected["text_audio"] += hinge(t, a, a2) / 5
        expected["audio_text"] += hinge(a, t, t2) / 5
        expected["text_visual"] += hinge(t, v, v2) / 5
        expected["visual_text"] += hinge(v, t, t2) / 5
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, abs=1e-5), name
    assert float(terms["loss"]) == pytest.approx(sum(expected.values()), abs=1e-5)
    assert list(terms) == ["loss", *NAMES]


def one(method: Avgzslnet, batch: Batch, n: int, *, negative: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of one clip by itself: sound, picture, text."""
    clips, labels = (batch.negatives, batch.negative_labels) if negative else (batch.clips, batch.labels)
    audio, visual = both_averaged(clips, SIZES)
    nets, rows = method.encoders, slice(n, n + 1)
    with torch.no_grad():
        return nets.audio(audio[rows]), nets.visual(visual[rows]), nets.text(batch.classes[labels[rows]])


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm()


def hinge(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    def far(other: Tensor) -> float:
        pairs = zip(anchor[0].tolist(), other[0].tolist(), strict=True)
        return math.sqrt(sum((x - y + 1e-6) ** 2 for x, y in pairs))

    return max(0.0, far(positive) - far(negative) + 0.7)


def test_negatives_equal_to_positives_cost_the_margin_six_times() -> None:
    batch = random_batch(SIZES, 8)
    same = Batch(batch.clips, batch.labels, batch.clips, batch.labels, batch.classes)
    with torch.no_grad():
        terms = make().train().fit_step(same)
    assert [float(terms[name]) for name in NAMES[1:]] == pytest.approx([1.0] * 6, abs=1e-6)
    assert float(terms["loss"]) == pytest.approx(6 + float(terms["reconstruction"]), abs=1e-5)


def test_decoded_terms_are_bounded_because_rows_have_length_one() -> None:
    method, batch = settled(), random_batch(SIZES, 32)
    with torch.no_grad():
        own, _ = method.encoders.pairs(batch)
        terms = method.fit_step(batch)
        for rows in (own.audio, own.visual, own.text):
            assert torch.allclose(method.decode(rows).norm(dim=1), torch.ones(32), atol=1e-5)
    assert 0 < float(terms["reconstruction"]) <= 6
    assert 0 <= float(terms["decoded_audio"]) <= 3 and 0 <= float(terms["decoded_visual"]) <= 3


def test_decoder_sees_five_batches_a_step_the_last_one_heaviest() -> None:
    method, batch = make().train(), random_batch(SIZES, 8)
    linear, norm = method.decoder[0], method.decoder[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
    own, other = method.encoders.pairs(batch)
    method.fit_step(batch)
    assert int(norm.num_batches_tracked or 0) == 5
    expected = torch.zeros(9)
    for rows in (own.audio, own.visual, own.text, other.audio, other.visual):
        expected = 0.9 * expected + 0.1 * linear(rows).mean(0)
    assert torch.allclose(norm.running_mean, expected, atol=1e-5)


# M9, M10


def test_each_dropout_rate_goes_to_its_own_nets() -> None:
    method = Avgzslnet(AvgzslnetConfig(encoder_dropout=0.11, decoder_dropout=0.22), SIZES)
    found: dict[str, set[float]] = {}
    for path, module in method.named_modules():
        if isinstance(module, nn.Dropout):
            found.setdefault(path.rpartition(".")[0], set()).add(module.p)
    encoders = {"encoders.audio": {0.11}, "encoders.visual": {0.11}, "encoders.text": {0.11}}
    assert found == encoders | {"decoder": {0.22}}


def test_high_dropout_of_the_scripts_is_kept_in_both_modes() -> None:
    for mode in ("clean", "reference"):
        config = assemble("avgzslnet", preset="ucf", options={"protocol": {"mode": mode}}).config
        assert (config.encoder_dropout, config.decoder_dropout) == (0.8, 0.5)
        assert config.bare_root is (mode == "reference")
    assert quirk_names(AvgzslnetConfig) == {"bare_root": "M10"}


def test_bare_root_has_no_gradient_at_an_exact_reconstruction() -> None:
    words = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = {}
    for bare_root in (True, False):
        rows = torch.tensor([[1.0, 0.0], [0.6, 0.8]], requires_grad=True)
        error = reconstruction_error(rows, words, bare_root)
        error.backward()
        assert rows.grad is not None
        found[bare_root] = rows.grad
        assert error.item() == pytest.approx(math.sqrt(0.4) / 2, abs=1e-6)
    assert found[True][0].isnan().all()
    assert found[False][0].tolist() == [0.0, 0.0]
    assert torch.allclose(found[True][1], found[False][1])
    away = torch.tensor([0.6, -0.2]) / math.sqrt(0.4) / 2
    assert torch.allclose(found[False][1], away, atol=1e-6)


def test_bare_root_is_what_the_method_trains_with() -> None:
    """A decoder that rebuilds every text exactly: reference breaks, clean goes on."""
    batch = random_batch(SIZES, 4)
    batch = Batch(batch.clips, batch.labels, batch.negatives, batch.negative_labels, torch.eye(51, 7)[:1].repeat(51, 1))
    for bare_root in (True, False):
        method = make(bare_root=bare_root).train()
        last = method.decoder[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(torch.eye(7)[0])
        method.fit_step(batch)["reconstruction"].backward()
        assert last.weight.grad is not None
        assert bool(last.weight.grad.isnan().any()) is bare_root


# Decision


def test_reported_score_is_the_sum_of_two_distances() -> None:
    method, batch = settled(), random_batch(SIZES, 6)
    with torch.inference_mode():
        found = method.mode_scores(batch.clips, batch.classes)
        assert torch.equal(method.class_scores(batch.clips, batch.classes), found["both"])
        texts = method.encoders.text(batch.classes)
        for n in range(6):
            a, v, _ = one(method, batch, n, negative=False)
            expected = -((texts - a).norm(dim=1) + (texts - v).norm(dim=1))
            assert torch.allclose(found["both"][n], expected, atol=1e-5)


def test_decoder_has_no_say_in_scores() -> None:
    method, batch = settled(), random_batch(SIZES, 6)
    with torch.inference_mode():
        before = method.class_scores(batch.clips, batch.classes)
        for parameter in method.decoder.parameters():
            parameter.zero_()
        assert torch.equal(method.class_scores(batch.clips, batch.classes), before)


def test_embeddings_have_both_signs() -> None:
    method, batch = settled(), random_batch(SIZES, 16)
    with torch.no_grad():
        own, _ = method.encoders.pairs(batch)
    for rows in (own.audio, own.visual, own.text):
        assert (rows > 0).any() and (rows < 0).any()


# Presets

PRINTED = {
    "vggsound": "18.05 3.48 5.83 5.28",
    "ucf": "52.52 10.90 18.05 13.65",
    "activitynet": "8.93 5.04 6.44 5.40",
    "vggsound_cls": "15.02 3.19 5.26 4.81",
    "ucf_cls": "74.79 24.15 36.51 31.51",
    "activitynet_cls": "13.70 5.96 8.30 6.39",
}


def test_presets_carry_published_numbers_and_settings() -> None:
    """Typed once more from Tables II and XI of the STFT paper and from the run scripts, so that a slip shows."""
    assert set(preset_names("avgzslnet")) == {*PRINTED, "demo"}
    for name, numbers in PRINTED.items():
        sections = load_preset("avgzslnet", name)
        values = [sections["paper"][key] for key in ("seen", "unseen", "hm", "zsl")]
        assert values == [float(n) for n in numbers.split()]
        assert values[2] == pytest.approx(2 * values[0] * values[1] / (values[0] + values[1]), abs=0.02)
        settings = assemble("avgzslnet", preset=name)
        config, train, data = settings.config, settings.train, settings.data
        assert (config.encoder_dropout, config.decoder_dropout) == (0.8, 0.5)
        assert (config.hidden, config.text_hidden, config.embedding, config.decoder_hidden) == (1024, 300, 64, 64)
        assert config.margin == 1.0
        assert (train.epochs, train.batches, train.batch_size) == (50, 500, 256)
        assert (train.learning_rate, train.weight_decay, train.schedule) == (1e-3, 0.0, "plateau")
        cls = name.endswith("_cls")
        assert (data.family, data.audio_columns, data.visual_columns) == (
            ("cls", 128, 4096) if cls else ("main", 512, 512)
        )
        assert settings.protocol.bias_search == "grid"
