"""Pages of `avzsl reproduce`: a record of an item in, Markdown, CSV, LaTeX, HTML and pictures out."""

from avzsl.report.reproduce.write import WRITERS, Writer, write_items

__all__ = ["WRITERS", "Writer", "write_items"]
