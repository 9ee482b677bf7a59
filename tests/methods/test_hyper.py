"""AVCA with hyperbolic alignment: numbers of the public code's versions, and what follows from the definition.

What the three methods share is tested here, with each of them; their presets stand in their own test files.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from avzsl.errors import ModelError, SettingError
from avzsl.losses.cross_attention import Pair
from avzsl.methods._avca import AvcaConfig, AvcaNetwork
from avzsl.methods._hyper import AdaptiveConfig, AdaptiveNetwork, HyperConfig, HyperNetwork
from avzsl.methods._profile import profile, random_batch
from avzsl.methods.avca import Avca
from avzsl.methods.hyper_alignment import HyperAlignment
from avzsl.methods.hyper_multiple import HyperMultiple, HyperMultipleConfig
from avzsl.methods.hyper_single import HyperSingle
from avzsl.types import Batch, Clips, Dimensions

FAMILIES = {"main": Dimensions(512, 512, 300), "cls": Dimensions(128, 4096, 300)}
NO_DROPOUT = {"encoder_dropout": 0.0, "projection_dropout": 0.0, "decoder_dropout": 0.0}
METHODS: dict[str, type[AvcaNetwork]] = {
    "avca": Avca, "alignment": HyperAlignment, "single": HyperSingle, "multiple": HyperMultiple,
}  # fmt: skip
every_family = pytest.mark.parametrize("family", FAMILIES)
every_method = pytest.mark.parametrize("name", ["alignment", "single", "multiple"])


def labels(method: AvcaNetwork) -> dict[nn.Linear, int]:
    """The number that makes each linear layer's weights differ."""
    parts = (
        method.audio_encoder.first, method.audio_encoder.second, method.visual_encoder.first,
        method.visual_encoder.second, method.attention.queries_keys_values, method.attention.output,
        method.attention.expand, method.attention.shrink, method.word_projection, method.word_decoder,
        method.audio_projection.first, method.audio_projection.second, method.visual_projection.first,
        method.visual_projection.second, method.audio_rebuilder, method.visual_rebuilder,
    )  # fmt: skip
    layers = [part if isinstance(part, nn.Linear) else part.linear for part in parts]
    if isinstance(method, AdaptiveNetwork):
        layers.append(method.head)
    return {layer: number for number, layer in enumerate(layers, 1)}


def make(name: str, family: str = "main", **changes: Any) -> Any:
    """Weights √(2/inputs) sin(0.37 i j + label), biases 0.01 cos(i + label), norms shifted by 0.1."""
    kind = METHODS[name]
    method = kind(kind.Config(**(NO_DROPOUT | changes)), FAMILIES[family]).double()
    numbers = labels(method)
    with torch.no_grad():
        for module in method.modules():
            if isinstance(module, nn.Linear):
                i, j = (torch.arange(1, n + 1, dtype=torch.float64) for n in module.weight.shape)
                wave = torch.sin(0.37 * i.unsqueeze(1) * j + numbers[module])
                module.weight.copy_(math.sqrt(2 / module.in_features) * wave)
                if module.bias is not None:
                    module.bias.copy_(0.01 * torch.cos(i + numbers[module]))
            elif isinstance(module, nn.BatchNorm1d):
                module.bias.fill_(0.1)
        i, j = (torch.arange(1, n + 1, dtype=torch.float64) for n in method.position.shape)
        method.position.copy_(0.01 * i.unsqueeze(1) * torch.cos(j))
    return method


def fixed_batch(family: str = "main") -> Batch:
    """Four pairs; the classes are those of the positives, then those of the negatives."""
    sizes = FAMILIES[family]
    b = torch.arange(1, 5, dtype=torch.float64).unsqueeze(1)

    def waves(wave: Any, rate: float, size: int | None, shift: float = 0.0) -> Tensor:
        return wave(rate * b * torch.arange(1, (size or 0) + 1, dtype=torch.float64) + shift)

    def unit(rows: Tensor) -> Tensor:
        return rows / rows.norm(dim=1, keepdim=True)

    audio, visual = waves(torch.sin, 0.11, sizes.audio).abs(), waves(torch.cos, 0.13, sizes.visual).abs()
    other_audio = waves(torch.sin, 0.17, sizes.audio, 0.5).abs()
    other_visual = waves(torch.cos, 0.19, sizes.visual, 0.5).abs()
    words = torch.cat([unit(waves(torch.sin, 0.07, 300)), unit(waves(torch.cos, 0.05, 300))])
    return Batch(
        Clips(audio.unsqueeze(1), visual.unsqueeze(1)),
        torch.arange(4),
        Clips(other_audio.unsqueeze(1), other_visual.unsqueeze(1)),
        torch.arange(4, 8),
        words,
    )


def same_negatives(batch: Batch) -> Batch:
    return dataclasses.replace(batch, negatives=batch.clips, negative_labels=batch.labels)


def step_terms(method: AvcaNetwork, batch: Batch, training: bool = True) -> dict[str, float]:
    with torch.no_grad():
        return {name: value.item() for name, value in method.train(training).fit_step(batch).items()}


def toy_tokens() -> Pair:
    audio = torch.tensor([[2.0, 1], [1, 1], [4, 0.5]], dtype=torch.float64)
    return Pair(audio, torch.tensor([[1.0, 2], [3, 1], [0, 2]], dtype=torch.float64))


def toy(name: str, **changes: Any) -> Any:
    """A method with tokens of width 2, to be asked for curvatures and alignment only."""
    kind = METHODS[name]
    torch.manual_seed(0)
    return kind(kind.Config(**({"token": 2, "heads": 1, "head_width": 2} | changes)), Dimensions(4, 4, 3)).double()


# Numbers of the public code

GROUPS = ("reconstruction", "decoded_triplet", "triplet", "own_triplet", "regulariser", "loss")
# family, training mode: l_rec, l_ct, l_w, l_t, l_r, AVCA's total; sums of θ_a, θ_v, θ_w
PUBLIC = {
    ("main", False): (
        [0.870210370, 3.973368974, 8.753674428, 44.054812989, 9.060177321, 66.712244082],
        [152.097831850, 383.083737697, 25.546593583],
    ),
    ("main", True): (
        [1.771553727, 2.762341065, 4.243046725, 4.975949498, 2.603977136, 16.356868150],
        [124.109524661, 123.620530095, 78.190877849],
    ),
    ("cls", False): (
        [0.668570205, 3.979053810, 6.193532782, 44.623676759, 7.844630631, 63.309464188],
        [154.576474145, 344.290357208, 25.546593583],
    ),
    ("cls", True): (
        [1.758937848, 1.629714295, 5.377847321, 5.482153850, 2.585845299, 16.834498613],
        [124.018851369, 123.435072155, 78.190877849],
    ),
}
COSINE = {
    ("main", False): (0.166444856, 66.712410527),
    ("main", True): (0.00564721082, 16.356873797),
    ("cls", False): (0.0977241225, 63.309561912),
    ("cls", True): (0.00158535697, 16.834500198),
}
# method, its settings: l_align by lengths in evaluation and training, main and cls
LENGTHS: list[tuple[str, dict[str, Any], tuple[float, float, float, float]]] = [
    ("alignment", {"curvature": 0.001}, (66.2777611, 1424.40472, 11624.0491, 473.506750)),
    ("alignment", {"curvature": 0.01}, (108.436880, 0, 89766.6342, 0)),
    ("alignment", {"curvature": 0.15}, (0, 0, 7877.07964, 0)),
    ("single", {"curvature": 0.002}, (66.6178644, 1408.49211, 11499.4181, 473.632090)),
    ("single", {"curvature": 0.34}, (0, 0, 6875.04981, 0)),
    ("multiple", {"curvature": 0.002, "spaces": 3}, (66.4982398, 1417.19628, 11658.1533, 486.751414)),
    ("multiple", {"curvature": 0.5, "spaces": 3}, (0, 0, 21.6580627, 0)),
]


@pytest.mark.parametrize(("family", "training"), PUBLIC)
def test_losses_and_embeddings_of_avca_are_those_of_the_public_code(family: str, training: bool) -> None:
    method, batch = make("avca", family), fixed_batch(family)
    terms = step_terms(method, batch, training)
    losses, sums = PUBLIC[family, training]
    assert [terms[name] for name in GROUPS] == pytest.approx(losses, rel=1e-8)
    with torch.no_grad():
        joint = make("avca", family).train(training).training_passes(batch).joint
    assert [rows.sum().item() for rows in joint] == pytest.approx(sums, rel=1e-8)


@every_method
@pytest.mark.parametrize(("family", "training"), COSINE)
def test_alignment_of_angles_is_that_of_the_public_code(name: str, family: str, training: bool) -> None:
    terms = step_terms(make(name, family), fixed_batch(family), training)
    alignment, loss = COSINE[family, training]
    assert terms["alignment"] == pytest.approx(alignment, rel=1e-7)
    assert terms["loss"] == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize(("name", "settings", "expected"), LENGTHS)
def test_alignment_of_lengths_is_that_of_the_public_code(
    name: str, settings: dict[str, Any], expected: tuple[float, ...]
) -> None:
    cases = [("main", False), ("main", True), ("cls", False), ("cls", True)]
    for (family, training), value in zip(cases, expected, strict=True):
        terms = step_terms(make(name, family, gram="norm_outer", **settings), fixed_batch(family), training)
        assert terms["alignment"] == pytest.approx(value, rel=1e-8, abs=1e-20)
        assert terms["loss"] == pytest.approx(PUBLIC[family, training][0][-1] + 1e-3 * value, rel=1e-7)


def test_lengths_and_curvatures_are_those_of_the_public_code() -> None:
    batch = fixed_batch()
    expected = {
        False: [
            [3.966904, 3.708285, 3.680291, 3.620376], [4.212235, 3.804214, 3.898257, 4.267484],
            [3.821907, 3.891199, 3.859525, 3.860533], [4.599914, 4.811488, 4.663150, 4.840592],
        ],
        True: [[12.620513, 11.821793, 14.412053, 14.531786], [12.045437, 12.936536, 13.510224, 14.846589]],
    }  # fmt: skip
    bends = {
        False: [0.17527710, 0.18006288, 0.17987695, 0.17095689],
        True: [0.12375520, 0.22114579, 0.19701031, 0.12923101],
    }
    for training in (False, True):
        method = make("single", curvature=0.34).train(training)
        with torch.no_grad():
            passes = method.training_passes(batch)
            found = [rows.norm(dim=1).tolist() for rows in (*passes.tokens, *passes.negative_tokens)]
            for one, wanted in zip(found, expected[training], strict=False):
                assert one == pytest.approx(wanted, abs=1e-6)
            assert method.curvatures(passes.tokens).squeeze(1).tolist() == pytest.approx(bends[training], abs=1e-8)
    method = make("multiple", curvature=0.5, spaces=3).eval()
    with torch.no_grad():
        first = method.curvatures(method.training_passes(batch).tokens)[0]
    assert first.tolist() == pytest.approx([0.25776045, 0.26068309, 0.26039364], abs=1e-8)


@pytest.mark.parametrize("name", METHODS)
def test_test_time_is_that_of_avca(name: str) -> None:
    method, batch = make(name).eval(), fixed_batch()
    with torch.no_grad():
        audio, visual = method.branches(batch.clips)
        words = method.embed_classes(batch.classes[:4])
        scores = method.class_scores(batch.clips, batch.classes[:4])
    assert audio[0, :3].tolist() == pytest.approx([1.29120230, 0.54598604, 1.21332643], abs=1e-8)
    assert visual[0, :3].tolist() == pytest.approx([0.51996182, 0, 10.31326429], abs=1e-8)
    assert words[0, :3].tolist() == pytest.approx([0.07819070, 0.09675320, 0.11338005], abs=1e-8)
    assert (-scores[0]).tolist() == pytest.approx([26.76926734, 26.78462295, 26.77138262, 26.78381608], abs=1e-8)


# The head, by hand


def test_predicted_curvatures_by_hand() -> None:
    method = toy("single", curvature=0.37, gram="norm_outer")
    two = toy("multiple", curvature=0.37, gram="norm_outer", spaces=2)
    first, second = [0.1, -0.2, 0.3, 0.4], [-0.5, 0.2, 0.1, -0.3]
    with torch.no_grad():
        method.head.weight.copy_(torch.tensor([first]))
        method.head.bias.fill_(0.05)
        two.head.weight.copy_(torch.tensor([first, second]))
        two.head.bias.copy_(torch.tensor([0.05, -0.1]))
    tokens = toy_tokens()
    column = [0.2512961187, 0.2592098427, 0.2740867127]
    other = [0.1574562688, 0.0621531975, 0.2346301687]
    assert method.curvatures(tokens).squeeze(1).tolist() == pytest.approx(column, abs=1e-7)
    assert two.curvatures(tokens).T.tolist() == [pytest.approx(column, abs=1e-7), pytest.approx(other, abs=1e-7)]
    assert method._align(tokens)[0].item() == pytest.approx(1096.8057927061, rel=1e-6)
    assert two._align(tokens)[0].item() == pytest.approx(700.6624970769, rel=1e-6)  # the other column alone: 304.5


@pytest.mark.parametrize("name", ["single", "multiple"])
def test_curvatures_lie_between_zero_and_their_bound(name: str) -> None:
    method = toy(name, curvature=0.37)
    found = method.curvatures(toy_tokens())
    assert ((found > 0) & (found < 0.37)).all()
    with torch.no_grad():
        method.head.weight.zero_()
        method.head.bias.zero_()
    assert torch.allclose(method.curvatures(toy_tokens()), torch.tensor(0.37 / 2).double())
    fixed = toy("alignment", curvature=0.37 / 2, gram="norm_outer")
    half = toy(name, curvature=0.37, gram="norm_outer")
    half.head.load_state_dict(method.head.state_dict())
    assert half._align(toy_tokens())[0].item() == pytest.approx(fixed._align(toy_tokens())[0].item())


def test_several_equal_spaces_are_one() -> None:
    one, three = (toy(n, gram="norm_outer", **s) for n, s in (("single", {}), ("multiple", {"spaces": 3})))
    with torch.no_grad():
        three.head.weight.copy_(one.head.weight.expand(3, -1))
        three.head.bias.copy_(one.head.bias.expand(3))
    assert three._align(toy_tokens())[0].item() == pytest.approx(one._align(toy_tokens())[0].item())


# H1: with angles nothing depends on curvatures


@every_method
def test_with_angles_the_curvature_changes_neither_loss_nor_gradient(name: str) -> None:
    batch, found = fixed_batch(), []
    for curvature in (0.01, 0.46):
        method = make(name, curvature=curvature).train()
        terms = method.fit_step(batch)
        terms["alignment"].backward()
        grad = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
        found.append((terms["alignment"].item(), grad))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    assert set(found[0][1]) == set(found[1][1])
    sizes = [float(g.abs().max()) for g in found[0][1].values()]
    assert max(sizes) > 1e-4
    for one, other in zip(found[0][1].values(), found[1][1].values(), strict=True):
        assert torch.allclose(one, other, atol=1e-12)


def test_with_angles_the_three_methods_train_alike() -> None:
    batch, ends = fixed_batch(), []
    for name in ("alignment", "single", "multiple"):
        method = make(name, frozen_positions=True).train()
        optimiser = torch.optim.Adam(method.parameter_groups(), 1e-3, weight_decay=1e-5, fused=True)
        for _ in range(2):
            optimiser.zero_grad()
            method.fit_step(batch)["loss"].backward()
            optimiser.step()
        with torch.no_grad():
            ends.append(method.eval().embed_clips(batch.clips))
    assert torch.allclose(ends[0], ends[1], atol=1e-7) and torch.allclose(ends[0], ends[2], atol=1e-7)


def test_with_angles_a_head_would_get_no_gradient_so_none_is_trained() -> None:
    method, batch = make("single"), fixed_batch()
    assert not method.head.weight.requires_grad  # H4: in the public code weight decay alone would shrink it
    trained = {id(p) for group in method.parameter_groups() for p in group["params"]}
    assert id(method.head.weight) not in trained
    method.head.requires_grad_(True)
    terms = method.train().fit_step(batch)
    terms["alignment"].backward()
    assert method.head.weight.grad is not None and method.head.weight.grad.abs().max() < 1e-14


# H2, H3: lengths


def test_with_lengths_curvature_counts_and_its_head_learns() -> None:
    batch, sizes = fixed_batch(), []
    for curvature in (0.001, 0.002):
        method = make("multiple", gram="norm_outer", curvature=curvature, spaces=3).train()
        terms = method.fit_step(batch)
        terms["loss"].backward()
        sizes.append(terms["alignment"].item())
        assert method.head.weight.requires_grad
        assert method.head.weight.grad.abs().max() > 1e-3  # no feature is detached: through the head, too
    assert abs(sizes[0] - sizes[1]) > 1


def test_with_lengths_all_clipped_features_have_no_gradient_and_the_log_says_so() -> None:
    batch = fixed_batch()
    for curvature, clipped in ((0.001, 0.0), (0.46, 1.0)):
        method = make("alignment", gram="norm_outer", curvature=curvature).train()
        terms = method.fit_step(batch)
        assert terms["clipped"].item() == clipped
        terms["alignment"].backward()
        weight = method.audio_encoder.first.linear.weight.grad
        # Gradients of the alignment in the thousands, or rounding.
        assert float(weight.abs().max()) > 1 if clipped == 0 else float(weight.abs().max()) < 1e-9


@pytest.mark.parametrize("name", ["alignment", "single"])
def test_the_log_counts_clipped_features_of_positives_and_negatives(name: str) -> None:
    batch = fixed_batch()
    # Features are 12 to 15 long; half of the bound is what an even head predicts.
    settings = {"curvature": (1 if name == "alignment" else 2) * (0.999 / 12.6) ** 2}
    method = make(name, **settings)
    if name == "single":
        with torch.no_grad():
            method.head.weight.zero_()
            method.head.bias.zero_()
    passes = method.train().training_passes(batch)
    longer = [
        [bool(row.norm() > 12.6) for rows in pair for row in rows] for pair in (passes.tokens, passes.negative_tokens)
    ]
    assert 0 < sum(longer[0]) != sum(longer[1]) > 0
    assert step_terms(method, batch)["clipped"] == pytest.approx((sum(longer[0]) + sum(longer[1])) / 16)


def test_the_boundary_is_a_setting() -> None:
    wide, narrow = (toy("alignment", gram="norm_outer", curvature=0.04, boundary=b) for b in (1e-3, 0.5))
    assert wide._align(toy_tokens())[0].item() == pytest.approx(116.4644684127, rel=1e-9)
    # Clipped at 2.5, below all but the lengths √5, 2 and √2.
    inside = [[5**0.5, None, 2.0], [5**0.5, 2**0.5, None]]
    lengths = [[math.atanh(0.2 * (n or 2.5)) / 0.2 for n in rows] for rows in inside]
    expected = sum(
        (lengths[0][i] * lengths[0][j] - lengths[1][i] * lengths[1][j]) ** 2 for i in range(3) for j in range(3)
    )
    assert narrow._align(toy_tokens())[0].item() == pytest.approx(expected / 9)
    assert narrow._align(toy_tokens())[1].item() == pytest.approx(2 / 6)
    assert wide._align(toy_tokens())[1].item() == 0


@pytest.mark.parametrize("name", ["single", "multiple"])
def test_an_untrained_head_stays_as_it_was_drawn(name: str) -> None:
    for train in (True, False):
        method, batch = make(name, gram="norm_outer", curvature=0.002, train_head=train).train(), fixed_batch()
        before = method.head.weight.detach().clone()
        optimiser = torch.optim.Adam(method.parameter_groups(), 1e-3, weight_decay=1e-5, fused=True)
        method.fit_step(batch)["loss"].backward()
        optimiser.step()
        assert torch.equal(method.head.weight, before) is not train


# The rest of the loss


@every_method
def test_without_weight_it_is_avca(name: str) -> None:
    batch = fixed_batch()
    plain = step_terms(make("avca"), batch)
    terms = step_terms(make(name, align_weight=0.0), batch)
    assert terms["loss"] == plain["loss"]
    heavy = step_terms(make(name, align_weight=10.0), batch)
    assert heavy["loss"] == pytest.approx(plain["loss"] + 10 * terms["alignment"])


@every_method
def test_equal_modalities_are_aligned_and_negatives_count_apart(name: str) -> None:
    tokens = toy_tokens()
    for gram in ("cosine", "norm_outer"):
        method = toy(name, gram=gram, curvature=0.01)
        assert method._align(Pair(tokens.audio, tokens.audio))[0].item() == 0
        assert method._align(tokens)[0].item() > 0
    method, batch = make(name), fixed_batch()
    once, twice = step_terms(method, batch), step_terms(method, same_negatives(batch))
    with torch.no_grad():
        positive = method._align(method.train().training_passes(batch).tokens)[0].item()
    assert twice["alignment"] == pytest.approx(2 * positive)
    assert once["alignment"] != pytest.approx(2 * positive)


def test_equal_negatives_leave_the_margins_in_evaluation_mode() -> None:
    terms = step_terms(make("alignment"), same_negatives(fixed_batch()), training=False)
    assert terms["triplet"] == pytest.approx(4) and terms["decoded_triplet"] == pytest.approx(2)


@every_method
def test_reference_mode_is_that_of_avca(name: str) -> None:
    method = make(name, frozen_positions=True, unused_passes=True, extra_pass=True)
    position, batch = method.position.detach().clone(), fixed_batch()
    optimiser = torch.optim.Adam(method.parameter_groups(), 1e-3, weight_decay=1e-5, fused=True)
    for terms in method.train().updates(batch):
        terms["loss"].backward()
        optimiser.step()
    assert torch.equal(method.position, position)
    counts = [
        int(norm.num_batches_tracked)
        for norm in (
            method.audio_encoder.second.norm, method.word_projection.norm, method.audio_projection.second.norm,
            method.word_decoder.norm,
        )
    ]  # fmt: skip
    assert counts == [3, 3, 4, 6]


# Size and settings


@pytest.mark.parametrize(
    ("name", "settings", "sizes"),
    [
        ("alignment", {}, (1_693_108, 3_331_508)),
        ("single", {}, (1_693_709, 3_332_109)),
        ("multiple", {}, (1_694_310, 3_332_710)),
        ("multiple", {"spaces": 3}, (1_694_911, 3_333_311)),
    ],
)
def test_parameters_are_those_of_the_public_code(name: str, settings: dict[str, int], sizes: tuple[int, int]) -> None:
    for family, size in zip(FAMILIES, sizes, strict=True):
        kind = METHODS[name]
        made = kind(kind.Config(frozen_positions=True, gram="norm_outer", **settings), FAMILIES[family])
        assert sum(p.numel() for p in made.parameters()) == size
        assert sum(p.numel() for group in made.parameter_groups() for p in group["params"]) == size - 600


def test_alignment_costs_four_tables() -> None:
    batch = random_batch(FAMILIES["main"], 8)
    costs = [profile(METHODS[n](METHODS[n].Config(), FAMILIES["main"]), batch).training for n in ("avca", "alignment")]
    assert costs[1] - costs[0] == 4 * 2 * 8 * 8 * 300


def test_equal_seeds_give_the_head_of_the_public_code() -> None:
    torch.manual_seed(42)
    method = HyperMultiple(HyperMultipleConfig(spaces=3), FAMILIES["main"])
    assert method.head.weight[0, :2].tolist() == pytest.approx([0.0388206, 0.0247686], abs=1e-6)
    torch.manual_seed(42)
    assert torch.equal(Avca(AvcaConfig(), FAMILIES["main"]).position, method.position)


def test_wrong_settings_and_missing_features_are_named() -> None:
    for name, value in {"curvature": 0.0, "gram": "euclidean", "align_weight": -1.0, "boundary": 1.0}.items():
        with pytest.raises(SettingError, match=name):
            HyperConfig(**{name: value})
    with pytest.raises(SettingError, match="curvature is nan"):
        AdaptiveConfig(curvature=float("nan"))
    with pytest.raises(SettingError, match="momentum"):
        AdaptiveConfig(momentum=2.0)
    with pytest.raises(SettingError, match="spaces is 0"):
        HyperMultipleConfig(spaces=0)
    with pytest.raises(SettingError, match="token is 0"):
        HyperMultipleConfig(token=0)
    with pytest.raises(SettingError, match="Hyper-single needs sound and picture"):
        HyperSingle(AdaptiveConfig(), Dimensions(8, None, 6))
    method: HyperNetwork = toy("alignment")
    with pytest.raises(ModelError, match="no visual"):
        method.eval().embed_clips(Clips(torch.ones(1, 1, 4).double(), None))
