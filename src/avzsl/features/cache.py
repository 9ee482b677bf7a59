"""Features of single videos, kept so that a run can go on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import numpy as np

from avzsl.errors import MediaError
from avzsl.files import hash_settings, sweep, write_bytes
from avzsl.types import ClipFeatures, ExtractorIdentity


class FeatureCache:
    """A folder of safetensors files, one per video, named by a hash of all that made them.

    The hash covers the extractor's identity and the video's bytes, so an edited video or another setting never meets
    old numbers, whatever its time of change says, and a video that was moved or copied keeps its own.

    Args:
        folder: where the files lie; made when the first one is written.
        identity: of the extractor.
    """

    def __init__(self, folder: Path, identity: ExtractorIdentity) -> None:
        self.folder = Path(folder)
        self.identity = identity

    def file(self, video: Path) -> Path:
        """Where the features of a video lie, or would lie.

        Raises:
            MediaError: the video is not there, or no file.
        """
        try:
            content = _hash_file(video)
        except OSError as error:
            raise MediaError(f"cannot read {video}: {error.strerror or error}") from error
        # The ending takes part in how a container is recognised.
        key = {"content": content, "ending": video.suffix.lower(), "extractor": self.identity.as_dict()}
        name = hash_settings(key)[:40]
        return self.folder / name[:2] / f"{name}.safetensors"

    def write(self, file: Path, features: ClipFeatures) -> None:
        """Keep features in a file named by `file`.

        Raises:
            OutputError: no space or no permission.
        """
        from safetensors.numpy import save

        rows = {"audio": features.audio, "visual": features.visual}
        tensors = {name: np.ascontiguousarray(value, np.float32) for name, value in rows.items() if value is not None}
        about = {"step_seconds": features.step_seconds, "warnings": list(features.warnings)}
        write_bytes(file, save(tensors, {"avzsl": json.dumps(about)}))

    def sweep(self) -> None:
        """Remove what killed processes left; only for those who hold the lock of the data folder."""
        for part in self.folder.glob("??"):
            sweep(part)

    def read(self, file: Path) -> ClipFeatures | None:
        """Features kept before; None when there are none, or when the file is damaged."""
        from safetensors import SafetensorError, safe_open

        if not file.is_file():
            return None
        try:
            with safe_open(file, framework="np") as stored:
                about = json.loads(stored.metadata()["avzsl"])
                rows = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
            return ClipFeatures(
                rows.get("audio"), rows.get("visual"), float(about["step_seconds"]), tuple(about["warnings"])
            )
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError, OverflowError):
            return None


def _hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
        raise IsADirectoryError(0, "it is a folder or a device, not a file")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
