"""Tables of items with their attributes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from . import _upnext
from ._checks import to_json
from ._data import _arrow, _arrow_table
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
) -> ItemTable:
    """Reads a table of items.

    Parameters
    ----------
    items : path, frame or mapping
        A CSV or Parquet file, whatever has the Arrow interface (pandas, polars, pyarrow, DuckDB), or a mapping from column names to
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
    """
    return _read(items, None, item=item, columns=columns, types=types, list_separator=list_separator, keep_last=keep_last)


def _read(
    items: Any,
    like: _upnext.ItemTable | None,
    *,
    item: str | None = None,
    columns: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    list_separator: str | None = None,
    keep_last: bool = False,
) -> ItemTable:
    """Reads a table, whose columns have the types of ``like`` if they are not given."""
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
    if isinstance(items, (str, os.PathLike)):
        return ItemTable(_upnext.read_items(items, reading, like))
    if isinstance(items, Mapping):
        items = _arrow_table(items)
    if type(items).__module__.split(".")[0] == "pandas" and not hasattr(items, "__arrow_c_stream__"):
        items = _arrow().Table.from_pandas(items, preserve_index=False)
    if not hasattr(items, "__arrow_c_stream__"):
        raise DataError(f"a table of items cannot be a {type(items).__name__}: give a path, a frame, or a mapping of columns")
    try:
        return ItemTable(_upnext.read_items_arrow(items, reading, like))
    except UpnextError:
        raise
    except Exception as error:  # Of the library that has made the frame, or of its types.
        raise DataError(f"the items cannot be read as Arrow ({error}): give each column one type") from None
