"""Hyper-multiple: its presets, typed a second time. What it computes is tested in test_hyper.py."""

from __future__ import annotations

import dataclasses

import pytest

from avzsl.config import fill, load_preset
from avzsl.experiments.settings import assemble
from avzsl.methods.hyper_multiple import HyperMultiple

# curvature c₀, number of spaces; S, U, HM, ZSL
PRESETS = {
    "ucf": (0.50, 3, (63.08, 19.10, 29.32, 22.24)),
    "ucf_cls": (0.43, 2, (74.26, 35.79, 48.30, 52.11)),
    "activitynet": (0.37, 2, (23.38, 8.67, 12.65, 9.50)),
    "activitynet_cls": (0.13, 3, (36.98, 9.60, 15.25, 10.39)),
    "vggsound": (0.36, 2, (15.02, 6.75, 9.32, 7.97)),
    "vggsound_cls": (0.04, 3, (15.62, 6.00, 8.67, 7.31)),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_hold_the_settings_and_results_of_the_tables(name: str) -> None:
    curvature, spaces, results = PRESETS[name]
    for mode in ("clean", "reference"):
        settings = assemble("hyper_multiple", preset=name, options={"protocol": {"mode": mode}})
        config, paper = settings.config, settings.published
        assert isinstance(config, HyperMultiple.Config)
        assert (config.curvature, config.gram, config.align_weight) == (curvature, "cosine", 1e-3)
        assert config.spaces == spaces
        assert tuple(paper[key] for key in ("seen", "unseen", "hm", "zsl")) == results
        seen, unseen, hm, _ = results
        assert 2 * seen * unseen / (seen + unseen) == pytest.approx(hm, abs=0.01)


@pytest.mark.parametrize("name", PRESETS)
def test_all_else_in_the_presets_is_that_of_avca(name: str) -> None:
    own = {"curvature", "spaces"}
    for mode in ("clean", "reference"):
        options = {"protocol": {"mode": mode}}
        ours, avca = (assemble(m, preset=name, options=options) for m in ("hyper_multiple", "avca"))
        assert (ours.train, ours.data, ours.protocol) == (avca.train, avca.data, avca.protocol)
        shared = {field.name for field in dataclasses.fields(avca.config)}
        assert {f: getattr(ours.config, f) for f in shared} == dataclasses.asdict(avca.config)
    assert set(load_preset("hyper_multiple", name)["method"]) - set(load_preset("avca", name)["method"]) == own


def test_demo_is_narrower_and_otherwise_the_published_vggsound() -> None:
    demo, published = (
        fill(HyperMultiple.Config, load_preset("hyper_multiple", n)["method"], n) for n in ("demo", "vggsound")
    )
    narrow = {"encoder_hidden": 128, "token": 96, "head_width": 32, "projection_hidden": 128}
    assert demo == dataclasses.replace(published, **narrow)
