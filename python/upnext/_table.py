"""Tables of results, for whatever reads Arrow."""

from __future__ import annotations

from typing import Any

from . import _upnext


class Table:
    """A table of results. It has the Arrow PyCapsule interface, so that pandas, Polars, DuckDB and pyarrow take it as it is."""

    def __init__(self, inner: _upnext.Table) -> None:
        self._inner = inner

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._inner.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self._inner)

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return self._inner.column_names

    def to_arrow(self) -> Any:
        """The table of pyarrow."""
        import pyarrow

        return pyarrow.table(self)

    def to_pandas(self) -> Any:
        """The frame of pandas."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The frame of Polars."""
        import polars

        return polars.DataFrame(self)

    def __repr__(self) -> str:
        return f"<Table: {len(self):,} rows, columns {', '.join(self.column_names)}>"
