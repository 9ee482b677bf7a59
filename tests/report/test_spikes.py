from __future__ import annotations

import numpy as np
import pytest

from avzsl.report import spikes


def test_blocks_come_audio_first_and_by_depth() -> None:
    arrays = {f"spikes.{m}.{b}": np.zeros((4, 3), dtype=np.uint8) for m in ("visual", "audio") for b in (1, 0)}
    arrays["threshold.audio.0"] = np.ones((4, 2), dtype=np.float32)
    arrays["threshold.audio.1"] = np.ones((5, 2), dtype=np.float32)
    blocks = spikes.read_blocks(arrays)
    assert [(b.modality, b.index) for b in blocks] == [("audio", 0), ("audio", 1), ("visual", 0), ("visual", 1)]
    assert blocks[0].threshold is not None
    assert blocks[1].threshold is None, "a threshold of another length is of another trace"


def test_no_trace_is_said() -> None:
    with pytest.raises(ValueError, match="no spiking neurons"):
        spikes.read_blocks({"spikes.audio.x": np.zeros((1, 1))})


def test_the_caption_tells_the_measured_rate() -> None:
    trace = np.zeros((4, 10), dtype=bool)
    trace[:, :3] = True
    (picture,) = spikes.raster_pictures([spikes.Block("audio", 0, trace, None, None)])
    assert "block 1 30 %" in picture.caption


def test_a_fixed_threshold_and_silence_are_drawn() -> None:
    block = spikes.Block("visual", 2, np.zeros((1, 5), dtype=bool), np.full((1, 8), 0.5), np.zeros(1))
    assert spikes.raster_pictures([block]) and spikes.rate_picture([block])
    assert spikes.threshold_picture([block]) is not None and spikes.mean_rate_picture([block], 3) is not None
    bare = spikes.Block("visual", 2, block.spikes, None, None)
    assert spikes.threshold_picture([bare]) is None and spikes.mean_rate_picture([bare], 3) is None
