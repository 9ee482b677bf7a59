"""Records of a run to one HTML page with figures; reads files only and never touches a model."""

from avzsl.report.page import write_report

__all__ = ["write_report"]
