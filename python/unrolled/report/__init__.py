"""Reports: a comparison as one HTML file that needs nothing else (the extra ``report``)."""

from __future__ import annotations

from unrolled.report.page import check_packages, render, write

__all__ = ["check_packages", "render", "write"]
