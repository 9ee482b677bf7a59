"""Losses: one idea per file, tensors in, scalars out."""
