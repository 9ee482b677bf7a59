"""Mutated files against the real entry points: `python -m trials.hostile --help`."""
