"""Media files and class names into vectors, and the files that hold them."""
