"""Bytes to frames and waveform, and back; broken files end in one kind of error."""
