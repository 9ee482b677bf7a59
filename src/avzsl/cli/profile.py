"""`avzsl profile`: what a method costs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from avzsl.cli._options import Json
from avzsl.cli._output import print_json, print_table

# Columns of one audio and one visual vector of the published families (docs/protocol.md section 1).
_COLUMNS = {"main": (512, 512), "cls": (128, 4096)}


def profile(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="See 'avzsl methods'.", show_default=False)],
    preset: Annotated[str | None, typer.Option(help="Settings to start from.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting; wins over the preset. Repeatable."),
    ] = None,
    family: Annotated[str | None, typer.Option(help="Sizes of the published features: main or cls.")] = None,
    audio: Annotated[int | None, typer.Option(help="Columns of an audio vector, if not those of the family.")] = None,
    visual: Annotated[int | None, typer.Option(help="Columns of a visual vector.")] = None,
    text: Annotated[int, typer.Option(help="Columns of a text vector.")] = 300,
    segments: Annotated[int, typer.Option(help="Segments per clip.")] = 1,
    seed: Annotated[int, typer.Option(help="Of weights and of the random clips.")] = 42,
    json: Json = False,
) -> None:
    """Count what a method costs, part by part.

    Parameters, operations and firing rates are counted on random clips.

    Operations are 2 per multiply-add of matrix products, convolutions and attention; "training" is the forward pass of
    a batch of 256 pairs, "one clip" is inference. Spikes come from untrained weights.

    \b
    Examples:
      avzsl profile stft --preset vggsound
      avzsl profile stft --preset ucf --family cls --json
    """
    import torch

    from avzsl.errors import SettingError, nearest_name
    from avzsl.experiments.settings import assemble
    from avzsl.methods._base import METHODS
    from avzsl.methods._profile import profile as measure
    from avzsl.methods._profile import random_batch
    from avzsl.types import Dimensions

    chosen = assemble(
        method, preset=preset, assignments=settings or (), options={"data": {"family": family}}, seed=seed
    )
    name = chosen.data.family or "main"
    if name not in _COLUMNS and (audio is None or visual is None):
        raise SettingError(
            f"the sizes of family '{name}' are not known{nearest_name(name, _COLUMNS)} or give --audio and --visual"
        )
    sizes = _COLUMNS.get(name, (0, 0))
    dimensions = Dimensions(audio or sizes[0], visual or sizes[1], text)
    if min(dimensions.audio or 0, dimensions.visual or 0, text, segments) < 1:
        raise SettingError("--audio, --visual, --text and --segments must be at least 1")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = METHODS.get(method)(chosen.config, dimensions)
        found = measure(built, random_batch(dimensions, segments=segments, seed=seed))
    paper = chosen.published
    record: dict[str, Any] = {
        "method": method, "preset": preset, "audio": dimensions.audio, "visual": dimensions.visual, "text": text,
        "segments": segments, "pairs": found.pairs, "parameters": found.parameters, "training_flops": found.training,
        "inference_flops": found.inference, "firing_rates": found.rates,
        "paper": {key: paper[key] for key in ("parameters", "gflops") if key in paper},
        "modules": [
            {"name": m.name, "parameters": m.parameters, "training_flops": m.training, "inference_flops": m.inference}
            for m in found.modules
        ],
    }  # fmt: skip
    print_json(record) if json else _show(record)


def _show(record: dict[str, Any]) -> None:
    rows = [
        [m["name"], f"{m['parameters']:,}", f"{m['training_flops'] / 1e9:.3f}", f"{m['inference_flops'] / 1e6:.3f}"]
        for m in record["modules"]
    ]
    total = ["total", f"{record['parameters']:,}", f"{record['training_flops'] / 1e9:.3f}"]
    print(f"{record['method']}, {record['pairs']} pairs, {record['segments']} segment(s) per clip")
    print_table(
        ["part", "parameters", "training GFLOPs", "one clip MFLOPs"],
        [*rows, [*total, f"{record['inference_flops'] / 1e6:.3f}"]],
    )
    paper = record["paper"]
    if len(paper) == 2:
        print(f"paper (Table X): {paper['parameters'] / 1e6:.2f} M parameters, {paper['gflops']:.2f} GFLOPs")
    for modality, rate in record["firing_rates"].items():
        print(f"firing rate, {modality}: {100 * rate:.1f} % of neurons and time steps (untrained weights)")
