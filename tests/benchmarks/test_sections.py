"""Every section runs, in sizes that measure nothing, through the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from avzsl.evaluation.metrics import bias_curve
from benchmarks.__main__ import main
from benchmarks.context import Context
from benchmarks.load import Load, peak_memory, training
from benchmarks.sections import SECTIONS
from benchmarks.sections.evaluation import curve_per_bias
from benchmarks.sections.growth import peak, slope
from benchmarks.sections.sampling import PairDataset
from benchmarks.sections.steps import Trainee, trained_by_steps
from benchmarks.simulated import ucf_like

NEEDS = {"tucker": "tensorly", "extraction": "av", "prediction": "av"}
CONTEXT = Context("tiny", 1, 0, Path())


SLOW = ("steps", "extraction", "prediction", "growth")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in SECTIONS])
def test_a_section_runs(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    code = main(["--tiny", "--only", name, "--out", str(tmp_path), "--threads", "1", "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    stored = json.loads((tmp_path / "bench.json").read_text())
    assert json.loads(printed.out) == stored
    section = stored["sections"][name]
    assert section["error"] == ""
    assert section["comparisons"]
    for comparison in section["comparisons"]:
        timed = [row for row in comparison["rows"] if row["times"] is not None]
        assert timed
        assert all(len(row["times"]["wall"]) == len(row["times"]["cpu"]) > 0 for row in timed)
        assert all(row["missing"] for row in comparison["rows"] if row["times"] is None)
    assert {path.name for path in tmp_path.iterdir()} == {"bench.json", "bench.md", "bench.png", "bench.svg"}
    assert SECTIONS[name][0] in (tmp_path / "bench.md").read_text()


@pytest.mark.parametrize(
    ("name", "what"),
    [("lif", "spikes equal"), ("blocks", "spikes equal"), ("tucker", "within"), ("sampling", "results equal")],
)
def test_what_is_compared_was_found_equal(name: str, what: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    found = SECTIONS[name][1](CONTEXT)
    assert all(what in comparison.checked for comparison in found)


def test_wrong_arguments_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tiny", "--only", "lifs", "--out", str(tmp_path)]) == 2
    assert "unknown section 'lifs'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["--threads", "0"])
    assert stopped.value.code == 2
    assert "not between 1 and" in capsys.readouterr().err


def test_the_slope_of_known_powers() -> None:
    assert slope([1, 2, 4, 8], [3, 6, 12, 24]) == pytest.approx(1)
    assert slope([10, 100], [5, 500]) == pytest.approx(2)
    assert slope([1, 2, 4], [7, 7, 7]) == pytest.approx(0)


def test_the_grid_the_long_way_is_the_grid() -> None:
    generator = torch.Generator().manual_seed(0)
    clips, classes = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (90, 9))
    labels, seen = torch.arange(90) % 9, torch.arange(9) < 6
    s, u, hm, best = curve_per_bias(clips, classes, labels, seen)
    curve = bias_curve(-torch.cdist(clips, classes), labels, seen)
    for long, short in ((s, curve.seen), (u, curve.unseen), (hm, curve.hm)):
        assert torch.allclose(long, short, atol=1e-12)
    assert best == curve.best


def test_simulated_features_have_the_published_numbers() -> None:
    data = ucf_like(CONTEXT.generator())
    assert (len(data.pool), len(data.pool.classes)) == (3174, 30)
    assert (len(data.validation), len(data.validation.classes)) == (353 + 1467, 42)
    assert data.validation.seen.sum() == 30
    assert data.dimensions.audio == data.dimensions.visual == 512
    counts = data.pool.labels.bincount()
    assert counts.min() >= 105 and counts.max() <= 106
    lengths = ucf_like(CONTEXT.generator(), temporal=True, columns=4).pool.features.audio.offsets.diff()  # type: ignore[union-attr]
    assert (lengths.min(), lengths.max()) == (3, 10)


def test_the_loader_of_single_items_gives_a_negative_of_another_class() -> None:
    data = ucf_like(CONTEXT.generator(), share=0.02, columns=4)
    dataset = PairDataset(data.pool, 0)
    for row in range(len(dataset)):
        item = dataset[row]
        assert item["positive"]["label"] == int(data.pool.labels[row]) != item["negative"]["label"]


def test_a_method_with_opponents_is_timed_over_all_kinds_of_its_steps() -> None:
    data = ucf_like(CONTEXT.generator(), share=0.01, columns=16)
    spans = {name: Trainee.of(name, data, CONTEXT).span for name in ("vaegan", "avca")}
    assert spans == {"vaegan": 5, "avca": 1}


def test_every_method_but_the_closed_forms_is_trained() -> None:
    names = trained_by_steps()
    assert {"stft", "avca", "tcaf", "sje"} <= set(names)
    assert not {"ridge", "eszsl", "nearest"} & set(names)


def test_an_outcome_leaves_the_weights_and_a_step_moves_them() -> None:
    data = ucf_like(CONTEXT.generator(), share=0.01, columns=16)
    trainee = Trainee.of("avca", data, CONTEXT)
    before = {name: value.clone() for name, value in trainee.method.state_dict().items()}
    trainee.outcome()
    assert all(torch.equal(value, before[name]) for name, value in trainee.method.state_dict().items())
    trainee.step()
    assert not all(torch.equal(value, before[name]) for name, value in trainee.method.state_dict().items())


def test_peak_memory_is_what_the_system_says() -> None:
    resource = pytest.importorskip("resource")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    assert peak_memory() == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, rel=0.05)


@pytest.mark.slow
def test_memory_is_that_of_a_child_process_and_grows_with_the_features() -> None:
    small, large = Load(20, 4, 1, 2, 4, 16), Load(200_000, 4, 1, 2, 4, 64)
    held = torch.ones(2**27)  # half a GiB that must not be in the child's number
    less, more = peak(small, 1), peak(large, 1)
    assert isinstance(less, float) and isinstance(more, float), (less, more)
    # 200,000 clips x 2 modalities x 64 columns x 4 B are 98 MiB
    assert 60 < more - less < 500
    assert less < 900
    assert len(held)


def test_a_child_that_fails_says_why() -> None:
    assert "hidden" in str(peak(Load(20, 4, 1, 2, 4, 15), 1))


def test_a_load_trains() -> None:
    step = training(Load(20, 4, 2, 2, 4, 16), 0)
    first = step()
    assert isinstance(first, dict)
    assert first["loss"] > 0
