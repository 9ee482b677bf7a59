"""Features drawn from a model of our own for the classes and clips of a published benchmark, for want of real ones."""
