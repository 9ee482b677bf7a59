"""The typed numbers against themselves, against a second typing, and against the presets."""

from __future__ import annotations

import pytest

import avzsl.methods
from avzsl.config import load_preset
from avzsl.experiments.reproduce.all import item_names
from avzsl.experiments.reproduce.published import benchmark_title, paper, published
from avzsl.experiments.reproduce.tables import ABLATIONS, THINNED
from avzsl.experiments.settings import assemble
from avzsl.methods._base import METHODS

assert avzsl.methods

TABLES = ("table2", "table3", "table4", "table5", "table6", "table7", "table8", "table9", "table10", "table11")
STFT_UCF = (56.47, 22.89, 32.58, 29.72)

# Typed from the paper a second time: (table, row, benchmark) to the numbers from left to right.
SAMPLE = {
    ("table2", "sje", "vggsound"): (48.33, 1.10, 2.15, 4.06),
    ("table2", "devise", "activitynet"): (3.45, 8.53, 4.91, 8.53),
    ("table2", "apn", "ucf"): (28.46, 16.16, 20.61, 16.44),
    ("table2", "vaegan", "ucf"): (17.29, 8.47, 11.37, 11.11),
    ("table2", "cjme", "activitynet"): (5.55, 4.75, 5.12, 5.84),
    ("table2", "avgzslnet", "vggsound"): (18.05, 3.48, 5.83, 5.28),
    ("table2", "tcaf", "ucf"): (58.60, 21.74, 31.72, 24.81),
    ("table2", "avmst", "activitynet"): (17.75, 9.90, 12.71, 10.37),
    ("table2", "hyper_multiple", "ucf"): (63.08, 19.10, 29.32, 22.24),
    ("table2", "mdft", "vggsound"): (16.14, 5.97, 8.72, 7.13),
    ("table2", "stft", "activitynet"): (22.34, 11.73, 15.38, 12.91),
    ("table2", "stft", "vggsound"): (19.22, 6.81, 10.06, 8.24),
    ("table3", "without_both", "ucf"): (48.76, 17.21, 25.44, 19.46),
    ("table3", "without_reconstruction", "ucf"): (51.47, 19.33, 28.10, 23.81),
    ("table4", "without_glp", "ucf"): (52.88, 18.72, 27.65, 24.79),
    ("table4", "without_lkc", "ucf"): (49.13, 22.67, 31.02, 28.96),
    ("table5", "0.8/0.2", "ucf"): (58.13, 20.89, 30.74, 27.16),
    ("table5", "0.3/0.7", "ucf"): (54.69, 21.78, 31.15, 28.47),
    ("table6", "transformer_mlp", "ucf"): (62.43, 14.31, 23.28, 21.03),
    ("table6", "spikformer_snn", "ucf"): (28.12, 23.69, 25.72, 28.54),
    ("table7", "3", "ucf"): (32.58, 30.72),
    ("table7", "5", "activitynet"): (15.38, 12.91),
    ("table7", "6", "vggsound"): (9.88, 7.93),
    ("table8", "statistics", "activitynet"): (198, 99, 51, 48, 4052),
    ("table9", "only_transformer", "ucf"): (58.41, 15.23, 24.16, 22.31),
    ("table9", "only_snn", "ucf"): (26.14, 22.95, 24.44, 27.72),
    ("table10", "mdft", "vggsound"): (16.14, 5.97, 8.72, 7.13, 5.51e6, 5.62),
    ("table10", "stft", "vggsound"): (19.22, 6.81, 10.06, 8.24, 4.16e6, 4.27),
    ("table11", "ale", "activitynet"): (0.89, 6.16, 1.55, 6.16),
    ("table11", "sje", "ucf"): (19.39, 32.47, 24.28, 32.47),
    ("table11", "hyper_multiple", "ucf"): (74.26, 35.79, 48.30, 52.11),
    ("table11", "stft", "ucf"): (61.42, 43.81, 51.14, 49.74),
}


@pytest.mark.parametrize(("name", "row", "benchmark"), SAMPLE)
def test_a_second_typing_agrees(name: str, row: str, benchmark: str) -> None:
    item = published(name)
    typed = tuple(item.number_of(row, benchmark, column) for column in item.columns)
    assert typed == SAMPLE[name, row, benchmark]


# What neither the presets nor HM = 2 S U / (S + U) could check, whole: from the top row down.
ZSL = {
    "table3": (19.46, 23.14, 23.81, 29.72),
    "table4": (24.79, 25.52, 27.41, 28.96, 29.72),
    "table5": (25.52, 27.16, 26.93, 28.47, 29.72),
    "table6": (21.03, 28.54, 29.72),
    "table9": (22.31, 27.72, 29.72),
}
SLOTS = {
    "vggsound": ((9.14, 6.99), (9.31, 7.56), (9.48, 8.03), (10.06, 8.24), (9.36, 8.13), (9.88, 7.93)),
    "ucf": ((28.46, 29.33), (30.71, 29.14), (32.58, 30.72), (31.47, 30.11), (31.47, 30.11), (31.75, 30.54)),
    "activitynet": ((13.96, 11.63), (13.87, 11.96), (14.35, 12.14), (15.12, 12.03), (15.38, 12.91), (15.21, 12.64)),
}
COSTS = {"avca": (1.69e6, 2.36), "avmst": (6.32e6, 5.12), "mdft": (5.51e6, 5.62), "stft": (4.16e6, 4.27)}
VIDEOS = {"vggsound": (271, 138, 69, 64, 3200), "ucf": (48, 30, 12, 6, 845), "activitynet": (198, 99, 51, 48, 4052)}


def test_a_second_typing_of_what_nothing_else_checks_agrees() -> None:
    for name, typed in ZSL.items():
        assert tuple(row.numbers["ucf"]["zsl"] for row in published(name).rows) == typed, name
    for benchmark, pairs in SLOTS.items():
        assert (
            tuple((r.numbers[benchmark]["hm"], r.numbers[benchmark]["zsl"]) for r in published("table7").rows) == pairs
        )
    for row in published("table10").rows:
        assert (row.numbers["vggsound"]["parameters"], row.numbers["vggsound"]["gflops"]) == COSTS[row.key]
    (row,) = published("table8").rows
    for benchmark, numbers in VIDEOS.items():
        assert tuple(row.numbers[benchmark].values()) == numbers
        classes, *parts = numbers[:4]
        assert classes == sum(parts)


@pytest.mark.parametrize("name", [name for name in TABLES if "hm" in published(name).columns and name != "table7"])
def test_hm_follows_from_s_and_u_to_rounding(name: str) -> None:
    item = published(name)
    for row in item.rows:
        for benchmark in item.benchmarks:
            s, u, hm = (row.numbers[benchmark][column] for column in ("seen", "unseen", "hm"))
            # S and U are rounded themselves.
            low = 2 * (s - 0.005) * (u - 0.005) / (s + u - 0.01)
            high = 2 * (s + 0.005) * (u + 0.005) / (s + u + 0.01)
            assert low - 0.0051 <= hm <= high + 0.0051, f"{name}, {row.key}, {benchmark}: {hm} of {s} and {u}"


def test_the_full_model_is_the_same_everywhere_but_where_the_paper_contradicts_itself() -> None:
    rows = dict.fromkeys(("table2", "table3", "table4", "table6", "table9"), "stft") | {"table5": "0.5/0.5"}
    for name, row in rows.items():
        assert tuple(published(name).number_of(row, "ucf", c) for c in ("seen", "unseen", "hm", "zsl")) == STFT_UCF
    slots = published("table7")
    assert slots.number_of("3", "ucf", "hm") == STFT_UCF[2]
    assert slots.number_of("3", "ucf", "zsl") == 30.72 != STFT_UCF[3]
    for name in ("table2", "table3", "table4", "table5", "table6", "table7", "table9"):
        assert any("29.72" in said and "30.72" in said for said in published(name).contradictions), name


def test_the_percentages_of_the_text_follow_from_30_72() -> None:
    """Sec. IV-C: 57.9 % without both losses, 20.3 % without TSF, 4.7 % over one slot."""
    for name, row, printed in (("table3", "without_both", 57.9), ("table4", "without_tsf", 20.3), ("table7", "1", 4.7)):
        below = published(name).number_of(row, "ucf", "zsl")
        assert below is not None
        assert 100 * (30.72 / below - 1) == pytest.approx(printed, abs=0.1)
        assert 100 * (29.72 / below - 1) != pytest.approx(printed, abs=0.5)


def test_the_full_row_of_slots_is_the_best_hm_of_each_benchmark() -> None:
    slots = published("table7")
    for benchmark, full in slots.full.items():
        best = max(slots.rows, key=lambda row: row.numbers[benchmark]["hm"])
        assert best.key == full, benchmark


@pytest.mark.parametrize(("name", "ending"), [("table2", ""), ("table11", "_cls")])
def test_presets_carry_the_same_numbers(name: str, ending: str) -> None:
    item = published(name)
    for row in item.rows:
        for benchmark in item.benchmarks:
            section = load_preset(row.key, f"{benchmark}{ending}")["paper"]
            assert {c: section[c] for c in item.columns} == row.numbers[benchmark], f"{row.key}, {benchmark}"


def test_presets_carry_the_costs_of_table_10() -> None:
    item = published("table10")
    for row in item.rows:
        section = load_preset(row.key, "vggsound")["paper"]
        known = {name: section[name] for name in ("parameters", "gflops") if name in section}
        assert {name: row.numbers["vggsound"][name] for name in known} == known


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_row_is_settings_that_build(name: str) -> None:
    rows = ABLATIONS[name]
    assert set(rows) == {row.key for row in published(name).rows}
    full = {published(name).full[b] for b in published(name).benchmarks}
    built = {}
    for key, assignments in rows.items():
        built[key] = assemble("stft", preset="ucf", assignments=assignments).config
    usual = assemble("stft", preset="ucf").config
    assert built[published(name).full["ucf"]] == usual
    assert all(config != usual for key, config in built.items() if key != published(name).full["ucf"])
    assert len(set(built.values())) == len(built)
    assert not full & set(THINNED.get(name, ())) or name == "table7"


def test_rows_of_method_tables_are_methods() -> None:
    for name in ("table2", "table10", "table11"):
        assert {row.key for row in published(name).rows} <= set(METHODS.names())


def test_every_item_has_its_words() -> None:
    for name in item_names():
        stem = name[:4] if name.startswith("fig3") else name
        if stem == "architecture":
            continue
        assert published(stem).caption and published(stem).number
    assert paper()["year"] == 2024 and benchmark_title("ucf") == "UCF"
