"""What is trained for what: shared, named by content, and refused in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from avzsl.errors import DataError, SettingError
from avzsl.experiments.reproduce.context import QUICK, Context, Request
from avzsl.experiments.reproduce.items import ITEMS
from avzsl.experiments.reproduce.published import published
from avzsl.experiments.reproduce.run import _plan, chosen_items, plan_reproduction
from avzsl.experiments.reproduce.sweeps import rank_sweep, sweeps, threshold_sweep, time_step_sweep
from avzsl.types import SIMULATED, ExtractorIdentity
from tests.conftest import TOY_EXTRACTOR, write_toy_benchmark

Contexts = Callable[..., Context]
Requests = Callable[..., Request]


def test_items_share_what_has_the_same_settings(context_for: Contexts) -> None:
    context = context_for("table3", "table4", "table9", seeds=(0,), quick=False)
    plan = _plan(context.request, context)
    assert plan.wanted == {"table3": 4, "table4": 5, "table9": 3}
    assert len(plan.cells) == 4 + 5 + 3 - 2  # the full model is in all three


def test_a_key_follows_from_content_and_not_from_words(context_for: Contexts) -> None:
    context = context_for("table4")
    (place,) = context.places(published("table4"))
    usual = context.run_folder(context.trainings(place, "stft")[0])
    assert context.run_folder(context.trainings(place, "stft", "alpha=0.5", "beta=0.50")[0]) == usual
    assert context.run_folder(context.trainings(place, "stft", "method.pooling=true")[0]) == usual
    other = context.run_folder(context.trainings(place, "stft", "pooling=false")[0])
    assert other != usual and other.name == usual.name == "seed-0"
    assert context.run_folder(context.trainings(place, "stft")[1]) == usual.with_name("seed-1")
    again = context_for("table4")  # asked for another seed first
    assert again.run_folder(again.trainings(place, "stft")[1]) == usual.with_name("seed-1")


def test_a_key_changes_with_what_changes_the_numbers(context_for: Contexts, tmp_path: Path) -> None:
    write_toy_benchmark(tmp_path / "Other", TOY_EXTRACTOR, audio=6)
    folders = set()
    for changes in ({}, {"mode": "reference"}, {"quick": False}, {"data": (tmp_path / "Other",)}):
        context = context_for("table4", **changes)
        (place,) = context.places(published("table4"))
        folders.add(context.run_folder(context.trainings(place, "stft", "batches=40", "batch_size=90")[0]))
    assert len(folders) == 4


def test_a_quick_run_trains_less_and_never_more(context_for: Contexts) -> None:
    context = context_for("table4", assignments=("batches=99", "batch_size=8"))
    (place,) = context.places(published("table4"))
    train = context.settings(context.trainings(place, "stft")[0])["settings"]["train"]
    assert (train["epochs"], train["batches"], train["batch_size"]) == (QUICK["epochs"], QUICK["batches"], 8)
    full = context_for("table4", assignments=("batches=99", "batch_size=8"), quick=False)
    assert full.settings(full.trainings(place, "stft")[0])["settings"]["train"]["batches"] == 99


def test_grids_are_those_of_the_paper() -> None:
    steps, ranks, thresholds = time_step_sweep(), rank_sweep(), threshold_sweep()
    assert (len(steps.settings), len(ranks.settings), len(thresholds.settings)) == (8, 16, 18)
    assert steps.settings["T=16, without TSF"] == ("time_steps=16", "time_step_factor=false")
    assert ranks.settings["R=80, T=4"] == ("rank=80", "time_steps=4")
    assert thresholds.settings["V_th=0.4, audio"] == ("dynamic_threshold=false", "threshold=0.4", "modality=audio")
    assert thresholds.settings["V_th=dynamic, both"] == ("dynamic_threshold=true", "modality=both")
    assert "nothing ever fires" in thresholds.note and not threshold_sweep((0.2,)).note
    for sweep in (*sweeps(quick=False), *sweeps(quick=True)):
        assert {key for series in sweep.series for key in series.keys} == set(sweep.settings)
        assert all(len(series.keys) == len(sweep.ticks) for series in sweep.series)
    for sweep in sweeps(quick=False):  # a claim about a row that is not there would be left out without a word
        assert {key for claim in sweep.claims for key in claim.keys} <= set(sweep.settings)


def test_a_threshold_of_one_keeps_the_network_silent() -> None:
    """What the figure's page says of it."""
    import torch

    from avzsl.nn.spiking import SpikingConfig, SpikingEncoder

    torch.manual_seed(0)
    features = 100 * torch.randn(32, 1, 24)
    for threshold, silent in ((1.0, True), (0.6, False)):
        config = SpikingConfig(time_steps=16, threshold=threshold, dynamic_threshold=False, positions=64)
        encoder = SpikingEncoder(24, config).train()
        assert (float(torch.stack(tuple(encoder(features, None).rates)).detach().sum()) == 0) is silent


def test_fig3_and_its_panels_share_their_trainings(context_for: Contexts) -> None:
    context = context_for("fig3", "fig3a", seeds=(0,))
    plan = _plan(context.request, context)
    assert plan.wanted["fig3a"] == 4 and len(plan.cells) == plan.wanted["fig3"]


def test_a_folder_of_the_papers_benchmark_is_preferred(tmp_path: Path, toy_benchmark: Path) -> None:
    """With UCF and another folder given, an item of UCF takes UCF; an item of none of them takes both."""
    write_toy_benchmark(tmp_path / "UCF", TOY_EXTRACTOR)
    request = Request(items=("table4",), data=(toy_benchmark, tmp_path / "UCF"), device="cpu")
    context = Context(request, tmp_path / "out")
    (place,) = context.places(published("table4"))
    assert place.label == "UCF" and place.paper == "ucf" and place.family == "main"
    assert any("5/7 columns, the paper's 512/512" in reason for reason in place.reasons)
    other = Context(replace(request, data=(toy_benchmark,)), tmp_path / "out")
    (place,) = other.places(published("table4"))
    assert (place.label, place.paper) == ("Toy", "ucf") and "none of the paper's benchmarks" in place.reasons[0]


def test_items_share_one_copy_of_the_data(tmp_path: Path, toy_benchmark: Path) -> None:
    """More folders than the loader keeps."""
    paths = [toy_benchmark]
    for name in ("One", "Two", "Three"):
        write_toy_benchmark(tmp_path / name, TOY_EXTRACTOR)
        paths.append(tmp_path / name)
    context = Context(Request(items=("table4",), data=tuple(paths), device="cpu"), tmp_path / "out")
    held = [[id(place.benchmark) for place in context.places(published(name))] for name in ("table3", "table4")]
    assert held[0] == held[1] and len(set(held[0])) == 4


def test_another_benchmark_than_the_tables_says_so(tmp_path: Path) -> None:
    write_toy_benchmark(tmp_path / "VGGSound", TOY_EXTRACTOR)
    context = Context(Request(items=("table4",), data=(tmp_path / "VGGSound",), device="cpu"), tmp_path / "out")
    (place,) = context.places(published("table4"))
    assert place.paper == "ucf"
    assert "the paper prints this for UCF, the data are VGGSound" in place.reasons
    (place,) = context.places(published("table7"))
    assert place.paper == "vggsound" and not any("prints this" in reason for reason in place.reasons)


@pytest.mark.parametrize(
    ("identity", "record", "words"),
    [
        (replace(TOY_EXTRACTOR, name=SIMULATED), None, "the data are simulated: the features were drawn by a program"),
        (TOY_EXTRACTOR, '{"simulated": true}', "the data are simulated: the clips were made by a program"),
    ],
)
def test_simulated_data_are_called_so_first(
    identity: ExtractorIdentity, record: str | None, words: str, tmp_path: Path
) -> None:
    """Even with the benchmark's name and the published sizes."""
    write_toy_benchmark(tmp_path / "UCF", identity, audio=512, visual=512)
    if record is not None:
        (tmp_path / "UCF" / "extract.json").write_text(record)
    context = Context(Request(items=("table4",), data=(tmp_path / "UCF",), device="cpu"), tmp_path / "out")
    (place,) = context.places(published("table4"))
    assert place.reasons == (words,)


def test_published_features_compare_until_something_is_changed(tmp_path: Path) -> None:
    write_toy_benchmark(tmp_path / "UCF", replace(TOY_EXTRACTOR, profile="reference"), audio=512, visual=512)
    base = Request(items=("table4",), data=(tmp_path / "UCF",), device="cpu")

    def reasons(**changes: object) -> tuple[str, ...]:
        (place,) = Context(replace(base, **changes), tmp_path / "out").places(published("table4"))  # type: ignore[arg-type]
        return place.reasons

    assert reasons() == ()
    assert "quick" in reasons(quick=True)[0]
    assert "preset ucf_cls" in reasons(preset="ucf_cls")[0]
    assert "epochs=3" in reasons(assignments=("epochs=3",))[0]


def test_missing_features_say_what_is_needed(tmp_path: Path, request_for: Requests) -> None:
    write_toy_benchmark(tmp_path / "UCF", TOY_EXTRACTOR)
    request = request_for("table11", data=(tmp_path / "UCF",))
    with pytest.raises(DataError, match=r"Table XI needs features of family 'cls' \(VGGish and C3D"):
        plan_reproduction(request, tmp_path / "out")
    with pytest.raises(DataError) as caught:
        plan_reproduction(request, tmp_path / "out")
    assert "ask for family 'main'" not in str(caught.value) and "--family" in str(caught.value)
    # Beside other items it is left out with the same words.
    found = plan_reproduction(replace(request, items=("table4", "table11")), tmp_path / "out")
    assert list(found["items"]) == ["table4"] and "VGGish" in found["refused"]["table11"]


def test_a_plan_counts_and_writes_nothing(request_for: Requests, tmp_path: Path) -> None:
    found = plan_reproduction(request_for("table4", "table10"), tmp_path / "out")
    assert found["items"] == {"table4": 10, "table10": 0}
    assert (found["trainings"], found["finished"], found["left"], found["seconds_left"]) == (10, 0, 10, None)
    assert "no estimate" in found["estimate"]
    assert not (tmp_path / "out").exists()


def test_methods_that_cannot_run_are_counted_apart(context_for: Contexts) -> None:
    context = context_for("table2", seeds=(0,), assignments=("epochs=1",))
    plan = _plan(context.request, context)
    assert plan.impossible["table2"] >= 1  # TCaF: the toy benchmark has no temporal features
    lines = ITEMS.get("table2").trainings(context)
    assert {t.method for t in lines if not context.choice(t).reason} >= {"stft", "avca", "ridge", "eszsl"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("tabel4",), "unknown item 'tabel4'; did you mean 'table4'"),
        (("table8",), "unknown item 'table8'"),
        (("fig",), "unknown item 'fig'"),
    ],
)
def test_unknown_items(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        chosen_items(names)


def test_all_is_every_item_once() -> None:
    everything = chosen_items(("all",))
    assert everything[:3] == ("table2", "table3", "table4")
    assert not {"fig3a", "fig3b", "fig3c"} & set(everything) and "fig3" in everything
    assert chosen_items(("fig3a", "table4")) == ("table4", "fig3a")
    assert chosen_items(("all", "fig3b"))[-1] == "fig3b"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": ()}, "at least one item and one seed"),
        ({"seeds": (1, 1)}, "seed 1 is given twice"),
        ({"seeds": (-1,)}, "seed is -1"),
        ({"jobs": 0}, "jobs is 0"),
        ({"data": ()}, "table4 .* needs data; give a benchmark folder with --data"),
        ({"assignments": ("epohcs=1",)}, "nothing of table4 can run .* did you mean 'epochs'"),
        ({"preset": "uffc"}, "none of the methods has a preset 'uffc'"),
    ],
)
def test_wrong_requests(changes: dict[str, object], message: str, request_for: Requests, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=message):
        plan_reproduction(request_for("table4", **changes), tmp_path / "out")
