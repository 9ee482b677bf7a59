"""CJME: the loss by hand, its quirks, the choice between sound and picture, presets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from avzsl.config import load_preset, preset_names, quirk_names
from avzsl.experiments.settings import assemble
from avzsl.methods._inputs import both_averaged
from avzsl.methods._profile import random_batch
from avzsl.methods.cjme import Cjme, CjmeConfig, entropies, wanted_trust, weigh
from avzsl.types import Batch, Dimensions

SIZES = Dimensions(6, 5, 7)


def make(**changes: object) -> Cjme:
    torch.manual_seed(0)
    settings: dict[str, object] = {"hidden": 16, "text_hidden": 12, "embedding": 8, "dropout": 0.0} | changes
    return Cjme(CjmeConfig(**settings), SIZES)  # type: ignore[arg-type]


def settled(**changes: object) -> Cjme:
    """With statistics away from where they start, in evaluation mode."""
    method = make(**changes).train()
    for seed in range(3):
        method.fit_step(random_batch(SIZES, 16, seed=seed))
    return method.eval()


# Loss


def test_loss_is_the_sum_of_its_terms_by_loops() -> None:
    method, batch = settled(margin=0.7), random_batch(SIZES, 5, classes=4)
    with torch.no_grad():
        terms = method.fit_step(batch)  # in evaluation mode, so that rows can be made one by one
        audio, visual = both_averaged(batch.clips, SIZES)
        other_audio, other_visual = both_averaged(batch.negatives, SIZES)
        nets, trust = method.encoders, method.trust(audio, visual)
        table = nets.text(batch.classes)
    ranking = agreement = attention = 0.0
    for n in range(5):
        with torch.no_grad():
            t = nets.text(batch.classes[batch.labels[n : n + 1]])
            a, v = nets.audio(audio[n : n + 1]), nets.visual(visual[n : n + 1])
            a2, v2 = nets.audio(other_audio[n : n + 1]), nets.visual(other_visual[n : n + 1])
        alpha = float(trust[n])
        by_sound = max(0.0, far(t, a) - far(t, a2) + 0.7)
        by_picture = max(0.0, far(t, v) - far(t, v2) + 0.7)
        ranking += ((1 - alpha) * by_sound + alpha * by_picture) / 5
        agreement += sum((float(x) - float(y)) ** 2 for x, y in zip(a[0], v[0], strict=True)) / 8 / 5
        sound, picture = (entropy([float(row[0] @ c) for c in table]) for row in (a, v))
        wanted = 0.0 if picture - sound > 0.1 else 1.0 if sound - picture > 0.1 else 0.5
        attention += (alpha - wanted) ** 2 / 5
    found = [float(terms[name]) for name in ("triplet", "agreement", "attention", "loss")]
    assert found == pytest.approx([ranking, agreement, attention, ranking + agreement + attention], abs=1e-5)
    assert ranking > 0


def far(first: Tensor, second: Tensor) -> float:
    return math.sqrt(sum((float(x) - float(y) + 1e-6) ** 2 for x, y in zip(first[0], second[0], strict=True)))


def entropy(logits: list[float]) -> float:
    weights = [math.exp(x) for x in logits]
    shares = [w / sum(weights) for w in weights]
    return -sum(p * math.log(p) for p in shares)


def test_entropies_by_hand() -> None:
    table = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    rows = torch.tensor([[2.0, 5.0], [1.9, 5.0], [0.5, 5.0]])  # logits (2, 0, 0), (1.9, 0, 0), (0.5, 0, 0)
    found = entropies(rows.requires_grad_(), table)
    assert not found.requires_grad
    assert found.tolist() == pytest.approx([0.665573, 0.699191, 1.068445], abs=1e-6)
    assert wanted_trust(found[[0, 0, 2]], found[[2, 1, 0]]).tolist() == [0.0, 0.5, 1.0]


def test_entropies_run_over_classes_whatever_the_number_of_clips() -> None:
    """M13: the public softmax names no axis; for rows and classes it takes the second, as here."""
    torch.manual_seed(0)
    rows, table = torch.randn(3, 4), torch.randn(3, 4)  # as many clips as classes: a wrong axis has the right shape
    for row, found in zip(rows, entropies(rows, table), strict=True):
        assert float(found) == pytest.approx(entropy([float(row @ c) for c in table]), abs=1e-5)


def test_indifference_is_a_setting() -> None:
    audio, visual = torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.5, 0.8, 0.2])
    assert wanted_trust(audio, visual, 0.1).tolist() == [0.5, 0.0, 1.0]
    assert wanted_trust(audio, visual, 0.4).tolist() == [0.5, 0.5, 0.5]
    batch = random_batch(SIZES, 16)
    with torch.no_grad():
        found = [float(make(indifference=value).train().fit_step(batch)["attention"]) for value in (0.0, 100.0)]
        trust = make().train().trust(*both_averaged(batch.clips, SIZES))
    assert found[0] != found[1]
    assert found[1] == pytest.approx(float((trust - 0.5).square().mean()), abs=1e-6)


def test_supervision_of_the_attention_carries_no_gradient_into_the_nets() -> None:
    method = make().train()
    method.fit_step(random_batch(SIZES, 8))["attention"].backward()
    assert all(parameter.grad is None for parameter in method.encoders.parameters())
    assert all(parameter.grad is not None for parameter in method.attention.parameters())


def test_negatives_equal_to_positives_cost_the_margin() -> None:
    batch = random_batch(SIZES, 8)
    same = Batch(batch.clips, batch.labels, batch.clips, batch.labels, batch.classes)
    for decoupled in (True, False):
        with torch.no_grad():
            terms = make(decoupled_attention=decoupled).train().fit_step(same)
        assert float(terms["triplet"]) == pytest.approx(1.0, abs=1e-6)


# M1


def test_decoupled_attention_averages_weights_and_losses_apart() -> None:
    trust, audio, visual = torch.tensor([0.2, 0.9]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 2.0])
    assert float(weigh(trust, audio, visual, decoupled=True)) == pytest.approx(0.9125)
    assert float(weigh(trust, audio, visual)) == pytest.approx(1.35)
    # What the public code writes: a column of weights times a row of losses.
    column = trust.unsqueeze(1)
    assert float(weigh(trust, audio, visual, decoupled=True)) == pytest.approx(
        float(((1 - column) * audio + column * visual).mean())
    )


def test_decoupled_attention_teaches_every_clip_the_same() -> None:
    audio, visual = torch.tensor([1.0, 0.0, 3.0]), torch.tensor([0.5, 2.0, 0.0])
    gradients = {}
    for decoupled in (True, False):
        trust = torch.tensor([0.2, 0.9, 0.5], requires_grad=True)
        weigh(trust, audio, visual, decoupled=decoupled).backward()
        assert trust.grad is not None
        gradients[decoupled] = trust.grad.tolist()
    assert gradients[True] == pytest.approx([(visual.mean() - audio.mean()).item() / 3] * 3)
    assert gradients[False] == pytest.approx([-0.5 / 3, 2 / 3, -1.0])


def test_decoupling_makes_no_difference_where_clips_are_alike() -> None:
    torch.manual_seed(0)
    trust, audio, visual = torch.rand(3, 6)
    same = torch.full((6,), 0.3)
    for weights, first, second in ((same, audio, visual), (trust, 2 * same, same)):
        apart = float(weigh(weights, first, second, decoupled=True))
        assert float(weigh(weights, first, second)) == pytest.approx(apart, abs=1e-6)
    assert float(weigh(trust, audio, visual)) != pytest.approx(
        float(weigh(trust, audio, visual, decoupled=True)), abs=1e-3
    )


# M11


def test_table_of_classes_moves_no_statistics_unless_in_training() -> None:
    batches = {}
    for in_training in (True, False):
        method = make(table_in_training=in_training).train()
        method.fit_step(random_batch(SIZES, 8))
        norm = method.encoders.text[1]
        assert isinstance(norm, nn.BatchNorm1d) and norm.num_batches_tracked is not None
        batches[in_training] = int(norm.num_batches_tracked)
        assert method.encoders.text.training
    assert batches == {True: 3, False: 2}


def test_table_of_classes_is_free_of_dropout_unless_in_training() -> None:
    batch = random_batch(SIZES, 8)
    for in_training in (True, False):
        method = make(table_in_training=in_training, dropout=0.5).train()
        first, second = method.class_table(batch.classes), method.class_table(batch.classes)
        assert torch.equal(first, second) is not in_training
        if not in_training:
            assert torch.equal(first, method.eval().encoders.text(batch.classes))
    method = make(table_in_training=True, dropout=0.5).eval()
    assert torch.equal(method.class_table(batch.classes), method.class_table(batch.classes))
    assert not method.class_table(batch.classes).requires_grad


def test_table_of_classes_sees_its_own_batch_in_training() -> None:
    method, batch = make(table_in_training=True).train(), random_batch(SIZES, 8)
    first = method.class_table(batch.classes)
    assert not torch.allclose(method.class_table(batch.classes[:9])[:3], first[:3], atol=1e-3)
    clean = make(table_in_training=False).train()
    assert torch.allclose(clean.class_table(batch.classes[:9])[:3], clean.class_table(batch.classes)[:3], atol=1e-6)


# Decision (M7, M12)


def test_embeddings_are_not_negative_and_trust_is_a_share() -> None:
    method, batch = settled(), random_batch(SIZES, 32)
    audio, visual = both_averaged(batch.clips, SIZES)
    with torch.no_grad():
        found = method.encoders(audio, visual, batch.classes[batch.labels])
        trust = method.trust(audio, visual)
    for rows in (found.audio, found.visual, found.text):
        assert (rows >= 0).all() and (rows == 0).any() and (rows > 0).any()
    assert trust.shape == (32,) and (trust > 0).all() and (trust < 1).all()


def test_reported_score_is_that_of_the_trusted_modality() -> None:
    method, batch = settled(), random_batch(SIZES, 32)
    with torch.inference_mode():
        found = method.mode_scores(batch.clips, batch.classes)
        trust = method.trust(*both_averaged(batch.clips, SIZES))
    by_picture = trust >= 0.5
    assert by_picture.any() and not by_picture.all()
    for n, picture in enumerate(by_picture):
        assert torch.equal(found["both"][n], found["visual" if picture else "audio"][n])
        assert not torch.equal(found["audio"][n], found["visual"][n])


def test_a_tie_goes_to_the_picture() -> None:
    method, batch = settled(), random_batch(SIZES, 4)
    with torch.no_grad():
        for parameter in method.attention.parameters():
            parameter.zero_()
    with torch.inference_mode():
        assert method.trust(*both_averaged(batch.clips, SIZES)).tolist() == [0.5] * 4
        found = method.mode_scores(batch.clips, batch.classes)
    assert torch.equal(found["both"], found["visual"])


def test_attention_looks_at_raw_features_audio_first() -> None:
    method = settled()
    norm, linear = method.attention[0], method.attention[1]
    assert isinstance(norm, nn.BatchNorm1d) and isinstance(linear, nn.Linear)
    assert norm.running_mean is not None and norm.running_var is not None
    audio, visual = both_averaged(random_batch(SIZES, 3).clips, SIZES)
    found, weight = method.trust(audio, visual).tolist(), linear.weight[0].tolist()
    for n in range(3):
        total = linear.bias.item()
        for d, value in enumerate(audio[n].tolist() + visual[n].tolist()):
            scaled = (value - float(norm.running_mean[d])) / math.sqrt(float(norm.running_var[d]) + 1e-5)
            total += weight[d] * scaled
        assert found[n] == pytest.approx(1 / (1 + math.exp(-total)), abs=1e-5)


def test_no_term_compares_two_texts_for_a_clip() -> None:
    """Why it declares itself one-sided: the text of the negative enters nothing."""
    method, batch = settled(), random_batch(SIZES, 16)
    assert Cjme.one_sided
    with torch.no_grad():
        found = [
            method.fit_step(Batch(batch.clips, batch.labels, batch.negatives, labels, batch.classes))
            for labels in (batch.negative_labels, (batch.negative_labels + 7) % len(batch.classes))
        ]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    # By hand: every triplet is met, and yet the second clip is nearer to the first text.
    clips, texts = torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([[1.0, 0.0], [10.0, 5.0]])
    assert float(nn.functional.triplet_margin_loss(texts, clips, clips.flip(0))) == pytest.approx(0.0, abs=1e-5)
    assert torch.cdist(clips, texts).argmin(1).tolist() == [0, 0]


# Presets

PRINTED = {
    "vggsound": "8.69 4.78 6.17 5.16",
    "ucf": "26.04 8.21 12.48 8.29",
    "activitynet": "5.55 4.75 5.12 5.84",
    "vggsound_cls": "10.86 2.22 3.68 3.72",
    "ucf_cls": "33.89 24.82 28.65 29.01",
    "activitynet_cls": "10.75 5.55 7.32 6.29",
}


def test_presets_carry_published_numbers_and_settings() -> None:
    """Typed once more from Tables II and XI of the STFT paper and from the run scripts, so that a slip shows."""
    assert set(preset_names("cjme")) == {*PRINTED, "demo"}
    for name, numbers in PRINTED.items():
        sections = load_preset("cjme", name)
        values = [sections["paper"][key] for key in ("seen", "unseen", "hm", "zsl")]
        assert values == [float(n) for n in numbers.split()]
        assert values[2] == pytest.approx(2 * values[0] * values[1] / (values[0] + values[1]), abs=0.02)
        settings = assemble("cjme", preset=name)
        config, train, data = settings.config, settings.train, settings.data
        assert config.dropout == (0.0 if name.startswith("vggsound") else 0.2)
        assert (config.hidden, config.text_hidden, config.embedding, config.margin) == (1024, 300, 64, 1.0)
        assert (train.epochs, train.batches, train.batch_size) == (50, 500, 256)
        assert (train.learning_rate, train.weight_decay, train.schedule) == (1e-3, 0.0, "plateau")
        cls = name.endswith("_cls")
        assert (data.family, data.audio_columns, data.visual_columns) == (
            ("cls", 128, 4096) if cls else ("main", 512, 512)
        )
        assert settings.protocol.bias_search == "grid"


def test_reference_mode_turns_the_quirks_on() -> None:
    assert quirk_names(CjmeConfig) == {"decoupled_attention": "M1", "table_in_training": "M11"}
    clean, reference = (
        assemble("cjme", preset="ucf", options={"protocol": {"mode": mode}}).config for mode in ("clean", "reference")
    )
    assert (clean.decoupled_attention, clean.table_in_training) == (False, False)
    assert (reference.decoupled_attention, reference.table_in_training) == (True, True)
    assert reference.dropout == clean.dropout == 0.2
