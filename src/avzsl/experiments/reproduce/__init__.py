"""The tables and figures of the STFT paper, one item each: what to train for it, and what to record."""
