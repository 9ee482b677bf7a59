"""Hyper-single: its presets, typed a second time. What it computes is tested in test_hyper.py."""

from __future__ import annotations

import dataclasses

import pytest

from avzsl.config import fill, load_preset
from avzsl.experiments.settings import assemble
from avzsl.methods.hyper_single import HyperSingle

# curvature c₀; S, U, HM, ZSL
PRESETS = {
    "ucf": (0.34, (52.67, 19.04, 27.97, 22.09)),
    "ucf_cls": (0.13, (63.47, 34.85, 44.99, 39.86)),
    "activitynet": (0.37, (23.60, 10.13, 14.18, 10.80)),
    "activitynet_cls": (0.11, (24.61, 10.10, 14.32, 10.37)),
    "vggsound": (0.03, (9.79, 6.23, 7.62, 6.46)),
    "vggsound_cls": (0.05, (12.56, 5.03, 7.18, 5.47)),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_hold_the_settings_and_results_of_the_tables(name: str) -> None:
    curvature, results = PRESETS[name]
    for mode in ("clean", "reference"):
        settings = assemble("hyper_single", preset=name, options={"protocol": {"mode": mode}})
        config, paper = settings.config, settings.published
        assert isinstance(config, HyperSingle.Config)
        assert (config.curvature, config.gram, config.align_weight) == (curvature, "cosine", 1e-3)
        assert tuple(paper[key] for key in ("seen", "unseen", "hm", "zsl")) == results
        seen, unseen, hm, _ = results
        assert 2 * seen * unseen / (seen + unseen) == pytest.approx(hm, abs=0.01)


@pytest.mark.parametrize("name", PRESETS)
def test_all_else_in_the_presets_is_that_of_avca(name: str) -> None:
    own = {"curvature"}
    for mode in ("clean", "reference"):
        options = {"protocol": {"mode": mode}}
        ours, avca = (assemble(m, preset=name, options=options) for m in ("hyper_single", "avca"))
        assert (ours.train, ours.data, ours.protocol) == (avca.train, avca.data, avca.protocol)
        shared = {field.name for field in dataclasses.fields(avca.config)}
        assert {f: getattr(ours.config, f) for f in shared} == dataclasses.asdict(avca.config)
    assert set(load_preset("hyper_single", name)["method"]) - set(load_preset("avca", name)["method"]) == own


def test_demo_is_narrower_and_otherwise_the_published_vggsound() -> None:
    demo, published = (
        fill(HyperSingle.Config, load_preset("hyper_single", n)["method"], n) for n in ("demo", "vggsound")
    )
    narrow = {"encoder_hidden": 128, "token": 96, "head_width": 32, "projection_hidden": 128}
    assert demo == dataclasses.replace(published, **narrow)
