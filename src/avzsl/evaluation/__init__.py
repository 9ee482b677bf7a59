"""From scores to numbers: seen, unseen, harmonic mean, zero-shot; the bias and its search."""
