"""How fast avzsl is, beside other implementations and beside what the machine could do: `python -m benchmarks`.

Not part of the installed package. docs/speed.md says what each section measures and how to read the tables.
"""
