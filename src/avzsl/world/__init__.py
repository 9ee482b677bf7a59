"""A generated benchmark: short videos with sound whose classes are combinations of attributes."""
