"""Pages of the program in notebooks, and the results that have one."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def frame(page: str, height: int) -> str:
    """A page inside another one, whose styles it does not touch."""
    text = html.escape(page, quote=True)
    return f'<iframe srcdoc="{text}" style="width:100%;height:{height}px;border:0" loading="lazy"></iframe>'


def html_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A small table of a notebook."""
    cell = lambda value, tag: f"<{tag}>{html.escape(format_cell(value))}</{tag}>"  # noqa: E731
    head = "".join(cell(name, "th") for name in header)
    body = "".join(f"<tr>{''.join(cell(value, 'td') for value in row)}</tr>" for row in rows)
    return f"<table><caption>{html.escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def format_cell(value: Any) -> str:
    """A value as tables show it."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as text: the first column is aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]

    def line(row: Sequence[str]) -> str:
        places = enumerate(zip(row, widths))
        return "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in places)

    return "\n".join(line(row).rstrip() for row in [header, *rows])


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
        return frame(self._page, 720)
