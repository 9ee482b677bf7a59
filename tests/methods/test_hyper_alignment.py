"""Hyper-alignment: its presets, typed a second time. What it computes is tested in test_hyper.py."""

from __future__ import annotations

import dataclasses

import pytest

from avzsl.config import fill, load_preset
from avzsl.experiments.settings import assemble
from avzsl.methods.hyper_alignment import HyperAlignment

# curvature c₀; S, U, HM, ZSL
PRESETS = {
    "ucf": (0.15, (57.28, 17.83, 27.19, 19.02)),
    "ucf_cls": (0.19, (57.13, 33.86, 42.52, 39.80)),
    "activitynet": (0.20, (23.50, 8.47, 12.46, 9.83)),
    "activitynet_cls": (0.22, (29.77, 8.77, 13.55, 9.13)),
    "vggsound": (0.46, (13.22, 5.01, 7.27, 6.14)),
    "vggsound_cls": (0.09, (12.50, 6.44, 8.50, 7.25)),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_hold_the_settings_and_results_of_the_tables(name: str) -> None:
    curvature, results = PRESETS[name]
    for mode in ("clean", "reference"):
        settings = assemble("hyper_alignment", preset=name, options={"protocol": {"mode": mode}})
        config, paper = settings.config, settings.published
        assert isinstance(config, HyperAlignment.Config)
        assert (config.curvature, config.gram, config.align_weight) == (curvature, "cosine", 1e-3)
        assert tuple(paper[key] for key in ("seen", "unseen", "hm", "zsl")) == results
        seen, unseen, hm, _ = results
        assert 2 * seen * unseen / (seen + unseen) == pytest.approx(hm, abs=0.01)


@pytest.mark.parametrize("name", PRESETS)
def test_all_else_in_the_presets_is_that_of_avca(name: str) -> None:
    own = {"curvature"}
    for mode in ("clean", "reference"):
        options = {"protocol": {"mode": mode}}
        ours, avca = (assemble(m, preset=name, options=options) for m in ("hyper_alignment", "avca"))
        assert (ours.train, ours.data, ours.protocol) == (avca.train, avca.data, avca.protocol)
        shared = {field.name for field in dataclasses.fields(avca.config)}
        assert {f: getattr(ours.config, f) for f in shared} == dataclasses.asdict(avca.config)
    assert set(load_preset("hyper_alignment", name)["method"]) - set(load_preset("avca", name)["method"]) == own


def test_demo_is_narrower_and_otherwise_the_published_vggsound() -> None:
    demo, published = (
        fill(HyperAlignment.Config, load_preset("hyper_alignment", n)["method"], n) for n in ("demo", "vggsound")
    )
    narrow = {"encoder_hidden": 128, "token": 96, "head_width": 32, "projection_hidden": 128}
    assert demo == dataclasses.replace(published, **narrow)
