"""What to run: one training with its evaluation, and a look inside a finished one."""
