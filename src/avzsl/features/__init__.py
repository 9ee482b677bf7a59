"""Media files and class names into vectors, and the files that hold them."""

from __future__ import annotations

from avzsl.features import builtin, text

__all__ = ["builtin", "text"]  # importing them registers their extractors and encoders
