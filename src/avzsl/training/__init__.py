"""Two-stage training that can be stopped and continued at any step."""
