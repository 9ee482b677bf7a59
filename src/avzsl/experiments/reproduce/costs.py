"""Table X: parameters and operations, counted on the sizes of the paper's features; nothing is trained for it."""

from __future__ import annotations
