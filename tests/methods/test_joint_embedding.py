"""CJME and AVGZSLNet on weights and inputs that are formulas: numbers of the public code, sizes, missing modalities.

The numbers were printed by the public code of Mercea et al. 2022 on the same weights and inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from avzsl.errors import ModelError, SettingError
from avzsl.methods._base import Method
from avzsl.methods._inputs import both_averaged, given_averages
from avzsl.methods._joint_embedding import Encoders, Triple, two_layers
from avzsl.methods._profile import profile, random_batch
from avzsl.methods.avgzslnet import Avgzslnet, AvgzslnetConfig
from avzsl.methods.cjme import Cjme, CjmeConfig, entropies, wanted_trust, weigh
from avzsl.types import Batch, Clips, Dimensions

SIZES = {"main": Dimensions(512, 512, 300), "cls": Dimensions(128, 4096, 300)}
both_families = pytest.mark.parametrize("family", SIZES)
FIRST, LATER = {"rel": 1e-6, "abs": 6e-7}, {"rel": 1e-4, "abs": 1e-5}  # of the first step, and of three steps


# Weights and inputs


def unit(rows: Tensor) -> Tensor:
    return nn.functional.normalize(rows, dim=1)


def wave(function: Callable[[Tensor], Tensor], rate: float, shift: int, rows: int, columns: int) -> Tensor:
    """function(rate · (n + shift) · d), n from 0, d from 1, [rows, columns] float64."""
    n, d = torch.arange(rows).double() + shift, torch.arange(1, columns + 1).double()
    return function(rate * torch.outer(n, d))


def set_weights(method: Method) -> None:
    """W_ij = sin(1 + 0.37 i j) / √inputs and b_i = 0.1 cos i, counted from 1."""
    for module in method.modules():
        if isinstance(module, nn.Linear):
            i, j = (torch.arange(1, size + 1).double() for size in module.weight.shape)
            with torch.no_grad():
                module.weight.copy_(torch.sin(1 + 0.37 * torch.outer(i, j)) / math.sqrt(len(j)))
                module.bias.copy_(0.1 * torch.cos(i))


def formula_batch(sizes: Dimensions) -> Batch:
    """Four pairs; the text vectors of clips and negatives are eight classes of their own."""
    audio, visual = wave(torch.sin, 0.11, 1, 4, sizes.audio or 0), wave(torch.cos, 0.07, 1, 4, sizes.visual or 0)
    others = wave(torch.sin, 0.13, 2, 4, sizes.audio or 0), wave(torch.cos, 0.17, 2, 4, sizes.visual or 0)
    words = torch.cat([unit(wave(torch.sin, 0.19, 1, 4, 300)), unit(wave(torch.sin, 0.23, 2, 4, 300))])
    clips = Clips(audio.abs().unsqueeze(1), visual.abs().unsqueeze(1))
    negatives = Clips(others[0].abs().unsqueeze(1), others[1].abs().unsqueeze(1))
    return Batch(clips, torch.arange(4), negatives, torch.arange(4, 8), words)


def make_cjme(
    family: str, monkeypatch: pytest.MonkeyPatch, *, decoupled: bool = True, in_training: bool = True
) -> Cjme:
    """CJME whose table of training classes is five classes of a third formula."""
    config = CjmeConfig(dropout=0.0, decoupled_attention=decoupled, table_in_training=in_training)
    method = Cjme(config, SIZES[family]).double()
    set_weights(method)
    table, made = unit(wave(torch.sin, 0.29, 1, 5, 300)), method.class_table
    monkeypatch.setattr(method, "class_table", lambda classes: made(table))
    return method


def make_avgzslnet(family: str, *, bare_root: bool = True) -> Avgzslnet:
    config = AvgzslnetConfig(encoder_dropout=0.0, decoder_dropout=0.0, bare_root=bare_root)
    method = Avgzslnet(config, SIZES[family]).double()
    set_weights(method)
    return method


def steps(method: Method, batch: Batch, count: int = 3) -> list[dict[str, float]]:
    """Losses before each of `count` steps of Adam."""
    optimiser = torch.optim.Adam(method.parameter_groups(), 1e-3)
    method.train()
    log = []
    for _ in range(count):
        terms = method.fit_step(batch)
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        log.append({name: value.item() for name, value in terms.items()})
    return log


def embed(method: Cjme | Avgzslnet, batch: Batch) -> Triple:
    with torch.no_grad():
        return method.encoders(*both_averaged(batch.clips, method.dimensions), batch.classes[batch.labels])


def norms(rows: Tensor) -> list[float]:
    found: list[float] = rows.norm(dim=1).tolist()
    return found


def statistics(method: Method) -> dict[str, tuple[float, float, int]]:
    """Sums of running mean and variance of every batch norm, and how many batches it saw."""
    found = {}
    for name, module in method.named_modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None and module.running_var is not None
            assert module.num_batches_tracked is not None
            sums = float(module.running_mean.sum()), float(module.running_var.sum())
            found[name.rpartition(".")[0]] = (*sums, int(module.num_batches_tracked))
    return found


# Numbers of the public code

EVAL_AUDIO = {
    "main": [5.513452, 5.502542, 5.487585, 5.500636],
    "cls": [10.639118, 10.741595, 10.704338, 10.678736],
}
EVAL_VISUAL = {
    "avgzslnet main": [5.777493, 5.682798, 5.785428, 5.700815],
    "avgzslnet cls": [1.574536, 1.568008, 2.791606, 1.727712],
    "cjme main": [5.777493, 5.682798, 5.785428, 5.700815],
    "cjme cls": [1.574536, 1.568008, 2.670279, 1.725320],
}


@both_families
def test_avgzslnet_embeds_as_the_public_code_before_training(family: str) -> None:
    method, batch = make_avgzslnet(family).eval(), formula_batch(SIZES[family])
    found = embed(method, batch)
    assert norms(found.audio) == pytest.approx(EVAL_AUDIO[family], **FIRST)
    assert norms(found.visual) == pytest.approx(EVAL_VISUAL[f"avgzslnet {family}"], **FIRST)
    assert norms(found.text) == pytest.approx([0.674590, 0.812024, 0.675015, 0.778829], **FIRST)
    first = {"main": [0.980057, 0.873369, 0.795436], "cls": [1.828077, 1.678864, 1.544973]}[family]
    decoded = {"main": [0.094207, 0.086415, 0.082082], "cls": [0.096133, 0.091418, 0.087831]}[family]
    assert found.audio[0, :3].tolist() == pytest.approx(first, **FIRST)
    assert method.decode(found.audio)[0, :3].tolist() == pytest.approx(decoded, **FIRST)


@both_families
@pytest.mark.parametrize("bare_root", [True, False])
def test_avgzslnet_trains_as_the_public_code(family: str, bare_root: bool) -> None:
    method, batch = make_avgzslnet(family, bare_root=bare_root), formula_batch(SIZES[family])
    log = steps(method, batch)
    terms = {
        "main": [3.832843, 0.621143, 0.383279, 0.729314, 0.593663, 0, 0.303526],
        "cls": [3.912205, 0.844866, 0.672471, 0.740759, 0.677251, 0, 0.473729],
    }[family]
    names = ("reconstruction", "decoded_audio", "decoded_visual", "text_audio", "audio_text", "text_visual",
             "visual_text")  # fmt: skip
    assert [log[0][name] for name in names] == pytest.approx(terms, **FIRST)
    losses = {"main": [6.463769, 8.496179, 4.389257], "cls": [7.321281, 10.590903, 4.702043]}[family]
    assert [terms["loss"] for terms in log] == pytest.approx(losses, **LATER)
    found = embed(method.eval(), batch)
    sums = {"main": [122.92890, 114.28702, 1.04141], "cls": [247.65712, 45.62424, 0.81179]}[family]
    assert [float(rows.sum()) for rows in (found.audio, found.visual, found.text)] == pytest.approx(sums, **LATER)


@both_families
def test_avgzslnet_keeps_the_statistics_of_the_public_code(family: str) -> None:
    method, batch = make_avgzslnet(family), formula_batch(SIZES[family])
    steps(method, batch, 1)
    expected = {
        "main": {
            "encoders.audio": (1.198824, 837.520490, 2), "encoders.visual": (0.802358, 838.137571, 2),
            "encoders.text": (0.022380, 243.091960, 2), "decoder": (9.285974, 45.047136, 5),
        },
        "cls": {
            "encoders.audio": (3.332650, 837.466623, 2), "encoders.visual": (-0.100441, 837.050515, 2),
            "encoders.text": (0.022380, 243.091960, 2), "decoder": (9.026424, 45.523143, 5),
        },
    }[family]  # fmt: skip
    found = statistics(method)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, **FIRST), name


@both_families
def test_cjme_embeds_as_the_public_code_before_training(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = make_cjme(family, monkeypatch).eval(), formula_batch(SIZES[family])
    found = embed(method, batch)
    assert norms(found.audio) == pytest.approx(EVAL_AUDIO[family], **FIRST)
    assert norms(found.visual) == pytest.approx(EVAL_VISUAL[f"cjme {family}"], **FIRST)
    assert norms(found.text) == pytest.approx([0.550819, 0.636626, 0.547850, 0.623963], **FIRST)
    trust = {
        "main": [0.511017, 0.571113, 0.554712, 0.541844],
        "cls": [0.511191, 0.523481, 0.531254, 0.512666],
    }[family]
    assert method.trust(*both_averaged(batch.clips, method.dimensions)).tolist() == pytest.approx(trust, **FIRST)


PER_CLIP = {
    "main": {
        "trust": [0.402908, 0.613259, 0.569014, 0.467701],
        "audio": [0.878392, 1.150984, 1.044572, 1.000405],
        "visual": [0.621104, 0, 0.684434, 0.369285],
        "audio entropy": [0.242083, 1.242257, 0.648467, 0.791078],
        "visual entropy": [0.901972, 0.751685, 0.688687, 0.095026],
        "wanted": [0, 1, 0.5, 1],
    },
    "cls": {
        "trust": [0.488739, 0.531613, 0.553124, 0.480323],
        "audio": [1.273362, 1.210255, 0.713491, 1.001373],
        "visual": [0.830416, 0, 0, 0.433165],
        "audio entropy": [0.176922, 1.301069, 0.981657, 0.949680],
        "visual entropy": [0.731900, 1.015088, 0.791478, 0.328987],
        "wanted": [0, 1, 1, 1],
    },
}


@both_families
def test_cjme_weighs_and_supervises_clips_as_the_public_code(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = make_cjme(family, monkeypatch).train(), formula_batch(SIZES[family])
    with torch.no_grad():
        own, other = method.encoders.pairs(batch)
        trust = method.trust(*both_averaged(batch.clips, method.dimensions))
        table = method.class_table(batch.classes)
    losses = [
        nn.functional.triplet_margin_loss(own.text, mine, theirs, reduction="none")
        for mine, theirs in ((own.audio, other.audio), (own.visual, other.visual))
    ]
    open_classes = [entropies(own.audio, table), entropies(own.visual, table)]
    found = dict(zip(PER_CLIP[family], (trust, *losses, *open_classes, wanted_trust(*open_classes)), strict=True))
    for name, expected in PER_CLIP[family].items():
        assert found[name].tolist() == pytest.approx(expected, **FIRST), name
    reference, clean = {"main": (0.710716, 0.691185), "cls": (0.672889, 0.667759)}[family]
    assert float(weigh(trust, *losses, decoupled=True)) == pytest.approx(reference, **FIRST)
    assert float(weigh(trust, *losses)) == pytest.approx(clean, **FIRST)


# Decoupled weights (M1) and table in training mode (M11), or not: losses, and sums of embeddings and trust after three
# steps. Where a quirk is off, the public nets ran with that one line put right.
CJME_RUNS = {
    ("main", True, True): (
        [1.029863, 1.302510, 0.482349],
        [115.06602, 113.27917, 11.22897],
        [0.404104, 0.640748, 0.489996, 0.531484],
    ),
    ("main", False, True): (
        [1.010331, 1.347874, 0.543335],
        [115.50086, 115.10517, 11.17965],
        [0.393848, 0.583695, 0.476673, 0.564505],
    ),
    ("main", False, False): (
        [0.867344, 1.160023, 0.213339],
        [115.35566, 115.09922, 10.63590],
        [0.484085, 0.516691, 0.472456, 0.591355],
    ),
    ("cls", True, True): (
        [1.089232, 2.174467, 0.546569],
        [246.23944, 114.69846, 10.86538],
        [0.157703, 0.744441, 0.747537, 0.302383],
    ),
    ("cls", False, True): (
        [1.084102, 2.481327, 0.466849],
        [243.94131, 116.81666, 10.92091],
        [0.066997, 0.257266, 0.359375, 0.397380],
    ),
    ("cls", False, False): (
        [0.853182, 2.134592, 0.438095],
        [242.25538, 115.84879, 10.47801],
        [0.603424, 0.924325, 0.402565, 0.641083],
    ),
}


@pytest.mark.parametrize(("family", "decoupled", "in_training"), CJME_RUNS)
def test_cjme_trains_as_the_public_code(
    family: str, decoupled: bool, in_training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = make_cjme(family, monkeypatch, decoupled=decoupled, in_training=in_training)
    batch = formula_batch(SIZES[family])
    losses, sums, trust = CJME_RUNS[family, decoupled, in_training]
    log = steps(method, batch)
    assert log[0]["agreement"] == pytest.approx({"main": 0.169144, "cls": 0.184339}[family], **FIRST)
    assert [terms["loss"] for terms in log] == pytest.approx(losses, **LATER)
    found = embed(method.eval(), batch)
    assert [float(rows.sum()) for rows in (found.audio, found.visual, found.text)] == pytest.approx(sums, **LATER)
    assert method.trust(*both_averaged(batch.clips, method.dimensions)).tolist() == pytest.approx(trust, **LATER)


@both_families
def test_cjme_keeps_the_statistics_of_the_public_code(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = make_cjme(family, monkeypatch), formula_batch(SIZES[family])
    expected = {
        "main": {
            "encoders.audio": (1.198824, 837.520490, 2), "encoders.visual": (0.802358, 838.137571, 2),
            "encoders.text": (-0.001984, 218.830196, 3), "attention": (65.297022, 931.113780, 1),
        },
        "cls": {
            "encoders.audio": (3.332650, 837.466623, 2), "encoders.visual": (-0.100441, 837.050515, 2),
            "encoders.text": (-0.001984, 218.830196, 3), "attention": (268.970913, 3843.685143, 1),
        },
    }[family]  # fmt: skip
    steps(method, batch, 1)
    found = statistics(method)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, **FIRST), name


# Size


@pytest.mark.parametrize(
    ("family", "cjme", "avgzslnet", "audio", "visual", "attention"),
    [
        ("main", 1_299_157, 1_319_872, 592_960, 592_960, 3_073),
        ("cls", 4_585_557, 4_596_672, 199_744, 4_262_976, 12_673),
    ],
)
def test_parameter_counts_are_those_of_the_public_code(
    family: str, cjme: int, avgzslnet: int, audio: int, visual: int, attention: int
) -> None:
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    first, second = Cjme(CjmeConfig(), SIZES[family]), Avgzslnet(AvgzslnetConfig(), SIZES[family])
    assert (count(first), count(second)) == (cjme, avgzslnet)
    for encoders in (first.encoders, second.encoders):
        assert (count(encoders.audio), count(encoders.visual), count(encoders.text)) == (audio, visual, 110_164)
    assert (count(first.attention), count(second.decoder)) == (attention, 23_788)


@pytest.mark.parametrize(
    ("family", "cjme", "avgzslnet"), [("main", 5_157_440, 5_388_352), ("cls", 18_271_040, 18_495_552)]
)
def test_operations_are_those_of_the_public_code(family: str, cjme: int, avgzslnet: int) -> None:
    pairs, classes = 8, 5
    batch = random_batch(SIZES[family], pairs, classes=classes)
    assert profile(Avgzslnet(AvgzslnetConfig(), SIZES[family]), batch).training == pairs * avgzslnet
    # Not in the published figure: the table of classes, and its dot products with sound and picture.
    table = 2 * classes * (300 * 300 + 300 * 64) + 2 * 2 * pairs * classes * 64
    assert profile(Cjme(CjmeConfig(), SIZES[family]), batch).training == pairs * cjme + table


# Nets


def times(linear: nn.Linear, row: list[float]) -> list[float]:
    lines = zip(linear.weight.tolist(), linear.bias.tolist(), strict=True)
    return [sum(w * x for w, x in zip(line, row, strict=True)) + shift for line, shift in lines]


def test_two_layers_equal_loops() -> None:
    torch.manual_seed(0)
    net, rows = two_layers(3, 5, 2, 0.0).double().train(), torch.randn(4, 3).double()
    first, last = (module for module in net if isinstance(module, nn.Linear))
    hidden = [times(first, row.tolist()) for row in rows]
    for j in range(5):
        column = [line[j] for line in hidden]
        mean = sum(column) / 4
        spread = math.sqrt(sum((x - mean) ** 2 for x in column) / 4 + 1e-5)
        for line in hidden:
            line[j] = max(0.0, (line[j] - mean) / spread)
    expected = [times(last, line) for line in hidden]
    assert torch.allclose(net(rows), torch.tensor(expected).double(), atol=1e-12)
    assert (net(rows) < 0).any()
    rectified = two_layers(3, 5, 2, 0.0, rectified=True).double().train()
    rectified.load_state_dict(net.state_dict())
    assert torch.allclose(rectified(rows), torch.tensor(expected).double().clamp(min=0), atol=1e-12)


def test_dropout_is_between_the_layers() -> None:
    torch.manual_seed(0)
    net = two_layers(4, 400, 1, 0.8).train()
    drop = next(module for module in net if isinstance(module, nn.Dropout))
    seen: list[Tensor] = []
    drop.register_forward_hook(lambda module, args, result: seen.append(result))
    net(torch.randn(64, 4))
    assert 0.88 < float((seen[0] == 0).float().mean()) < 0.92  # half are not positive, four fifths of the rest drop


# Modalities

SMALL = Dimensions(6, 5, 7)
METHODS: dict[str, Callable[[], Cjme | Avgzslnet]] = {
    "cjme": lambda: Cjme(CjmeConfig(hidden=16, text_hidden=12, embedding=8), SMALL),
    "avgzslnet": lambda: Avgzslnet(AvgzslnetConfig(hidden=16, text_hidden=12, embedding=8), SMALL),
}
each_method = pytest.mark.parametrize("name", METHODS)


def settled(name: str) -> Cjme | Avgzslnet:
    """A method with statistics away from where they start."""
    torch.manual_seed(0)
    method = METHODS[name]().train()
    for seed in range(3):
        method.fit_step(random_batch(SMALL, 16, 2, seed=seed))
    return method.eval()


@each_method
def test_scores_by_one_modality_are_its_distances(name: str) -> None:
    method, batch = settled(name), random_batch(SMALL, 6, 2)
    audio, visual = both_averaged(batch.clips, SMALL)
    with torch.inference_mode():
        found = method.mode_scores(batch.clips, batch.classes)
        rows = {"audio": method.encoders.audio(audio), "visual": method.encoders.visual(visual)}
        columns = method.encoders.text(batch.classes)
    assert list(found) == ["audio", "visual", "both"]
    for modality, values in rows.items():
        for i, row in enumerate(values):
            for c, column in enumerate(columns):
                assert float(found[modality][i, c]) == pytest.approx(-float((row - column).norm()), abs=1e-5)


@each_method
def test_missing_modality_leaves_the_answer_to_the_other(name: str) -> None:
    method, batch = settled(name), random_batch(SMALL, 6)
    times = {"cjme": 1, "avgzslnet": 2}[name]  # a sum of two distances keeps its scale
    with torch.inference_mode():
        whole = method.mode_scores(batch.clips, batch.classes)
        for modality in ("audio", "visual"):
            found = method.mode_scores(batch.clips.only(modality), batch.classes)
            assert set(found) == {modality, "both"}
            assert torch.equal(found[modality], whole[modality])
            assert torch.equal(found["both"], times * whole[modality])
            assert torch.equal(method.class_scores(batch.clips.only(modality), batch.classes), found["both"])


@each_method
def test_training_needs_both_modalities(name: str) -> None:
    batch = random_batch(SMALL, 6)
    silent = Batch(batch.clips.only("visual"), batch.labels, batch.negatives, batch.negative_labels, batch.classes)
    with pytest.raises(ModelError, match="no audio features"):
        METHODS[name]().train().fit_step(silent)


def test_features_of_one_modality_are_refused() -> None:
    for dimensions in (Dimensions(None, 5, 7), Dimensions(6, None, 7)):
        with pytest.raises(SettingError, match="CJME needs sound and picture"):
            Cjme(CjmeConfig(), dimensions)
        with pytest.raises(SettingError, match="AVGZSLNet needs sound and picture"):
            Avgzslnet(AvgzslnetConfig(), dimensions)


def test_rows_that_are_there_are_averages_of_real_segments() -> None:
    audio = torch.tensor([[[1.0], [3.0]], [[5.0], [100.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    sizes = {"audio": 1, "visual": 2}
    found = given_averages(Clips(audio, None, mask), sizes)
    assert list(found) == ["audio"] and found["audio"].tolist() == [[2.0], [5.0]]
    both = given_averages(Clips(audio, torch.ones(2, 1, 2), mask), sizes)
    assert list(both) == ["audio", "visual"]
    with pytest.raises(ModelError, match="a clip has no audio segment; leave audio out for the whole block"):
        given_averages(Clips(audio, torch.ones(2, 1, 2), torch.tensor([[True, True], [False, False]])), sizes)
    with pytest.raises(ModelError, match="a clip has no visual segment"):
        given_averages(Clips(audio, torch.ones(2, 0, 2), mask), sizes)
    with pytest.raises(ModelError, match="visual features have 3 columns, this model was built for 2"):
        given_averages(Clips(None, torch.ones(2, 1, 3)), sizes)


def test_positives_and_negatives_pass_apart() -> None:
    torch.manual_seed(0)
    encoders = Encoders(SMALL, "Toy", hidden=9, text_hidden=9, embedding=4, dropout=0.0, rectified=False).train()
    batch = random_batch(SMALL, 6)
    own, other = encoders.pairs(batch)
    assert torch.equal(own.audio, encoders.audio(both_averaged(batch.clips, SMALL)[0]))
    assert torch.equal(other.visual, encoders.visual(both_averaged(batch.negatives, SMALL)[1]))
    assert torch.equal(own.text, encoders.text(batch.classes[batch.labels]))
    assert torch.equal(other.text, encoders.text(batch.classes[batch.negative_labels]))
    # One batch after the other: the running mean weighs the clips 0.09 and the negatives 0.1.
    fresh = Encoders(SMALL, "Toy", hidden=9, text_hidden=9, embedding=4, dropout=0.0, rectified=False).train()
    fresh.load_state_dict(encoders.state_dict())
    norm = fresh.audio[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
    norm.reset_running_stats()
    fresh.pairs(batch)
    first, second = (fresh.audio[0](both_averaged(c, SMALL)[0]).mean(0) for c in (batch.clips, batch.negatives))
    assert torch.allclose(norm.running_mean, 0.09 * first + 0.1 * second, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: CjmeConfig(hidden=0), "hidden is 0; it must be at least 1"),
        (lambda: CjmeConfig(dropout=1.0), r"dropout is 1.0; it must lie in \[0, 1\)"),
        (lambda: CjmeConfig(margin=-1.0), "margin is -1.0"),
        (lambda: CjmeConfig(margin=float("nan")), "margin is nan"),
        (lambda: CjmeConfig(indifference=-0.1), "indifference is -0.1"),
        (lambda: AvgzslnetConfig(decoder_hidden=0), "decoder_hidden is 0"),
        (lambda: AvgzslnetConfig(decoder_dropout=-0.5), "decoder_dropout is -0.5"),
        (lambda: AvgzslnetConfig(encoder_dropout=1.5), "encoder_dropout is 1.5"),
    ],
)
def test_settings_out_of_range_are_named(build: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        build()
