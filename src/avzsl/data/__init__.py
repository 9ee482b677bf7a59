"""Benchmark folders in memory: seen / unseen splits, class-balanced pairs, batches."""
