"""Trials of what the documentation promises: longer than a test, and open to anyone who wants to see for themselves."""
