"""Tables of items with their attributes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from . import _upnext
from ._checks import to_json
from ._data import _streamed
from .errors import DataError, UpnextError


class ItemTable:
    """Items with their attributes: categories, numbers, texts and vectors, one row an item."""

    def __init__(self, inner: _upnext.ItemTable) -> None:
        self._inner = inner

    def __len__(self) -> int:
        return len(self._inner)

    @property
    def columns(self) -> dict[str, str]:
        """The types of the columns by their names: ``"categories"``, ``"number"``, ``"text"`` or ``"vector"``."""
        return {name: of for name, of, _ in self._inner.columns}

    @property
    def missing(self) -> dict[str, int]:
        """The number of items without a value by column."""
        return {name: missing for name, _, missing in self._inner.columns}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}: {of}" for name, of in self.columns.items())
        return f"<{len(self):,} items by {self._inner.item}: {shown or 'no attributes'}>"


def read_items(
    items: Any,
    *,
    item: str | None = None,
    columns: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    list_separator: str | None = None,
    keep_last: bool = False,
    like: ItemTable | None = None,
) -> ItemTable:
    """Reads a table of items.

    Parameters
    ----------
    items : ItemTable, path, frame or mapping
        A table that is read already, a CSV or Parquet file, whatever has the Arrow interface (pandas, polars, pyarrow, DuckDB), or a mapping from column names to
        columns. Lists of texts are categories, lists of numbers are vectors.
    item : str, default None
        The column of ids; by default the one that is named like one, such as ``item_id``.
    columns : list of str, default ()
        The other columns; by default all.
    types : mapping, default None
        Types of columns by their names: ``"categories"``, ``"number"``, ``"text"`` or ``"vector"``; the others are inferred.
    list_separator : str, default None
        The character between the categories of a field; by default ``|`` or ``;``, if a column plainly uses it.
    keep_last : bool, default False
        Whether an item in two rows with different values has those of the last one; otherwise it is an error.
    like : ItemTable, default None
        Another table: columns of the same names have the same types, if no others are given.
    """
    if isinstance(items, ItemTable):
        return items
    if isinstance(columns, str):
        columns = [columns]
    reading = to_json(
        {
            "item": item,
            "columns": list(columns),
            "types": dict(types or {}),
            "list_separator": list_separator,
            "keep_last": bool(keep_last),
        }
    )
    other = like._inner if like is not None else None
    if isinstance(items, (str, os.PathLike)):
        return ItemTable(_upnext.read_items(items, reading, other))
    items = _streamed(items)
    if not hasattr(items, "__arrow_c_stream__"):
        raise DataError(f"a table of items cannot be a {type(items).__name__}: give a path, a frame, or a mapping of columns")
    try:
        return ItemTable(_upnext.read_items_arrow(items, reading, other))
    except UpnextError:
        raise
    except Exception as error:  # Of the library that has made the frame, or of its types.
        raise DataError(f"the items cannot be read as Arrow ({error}): give each column one type") from None
