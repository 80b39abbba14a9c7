"""Pages of the program in notebooks, and the results that have one."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any


def frame(page: str, height: int) -> str:
    """A page inside another one, whose styles it does not touch."""
    text = html.escape(page, quote=True)
    return f'<iframe srcdoc="{text}" style="width:100%;height:{height}px;border:0" loading="lazy"></iframe>'


class Report:
    """A result with a page: the same as that of the command line, and shown by notebooks."""

    def __init__(self, record: dict[str, Any], page: str) -> None:
        self._record = record
        self._page = page

    def to_dict(self) -> dict[str, Any]:
        """Everything, as ``--json`` of the command has it."""
        return self._record

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Writes the page: a single file that needs no network."""
        Path(path).write_text(self._page, encoding="utf-8")

    def _repr_html_(self) -> str:
        return frame(self._page, 640)


def columns(header: list[str], rows: list[list[str]]) -> str:
    """A table as text: the first column is aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    line = lambda row: "  ".join(  # noqa: E731
        cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths))
    )
    return "\n".join(line(row).rstrip() for row in [header, *rows])
