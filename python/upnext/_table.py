"""Tables of results, for whatever reads Arrow."""

from __future__ import annotations

from typing import Any

from ._pages import html_table

#: Rows that a notebook shows.
_SHOWN = 10


class Arrow:
    """Something that is a table: with the Arrow PyCapsule interface, so that Polars, DuckDB and pyarrow take it as it is."""

    def _table(self) -> Any:
        raise NotImplementedError

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> Any:
        """The table of pyarrow."""
        import pyarrow

        return pyarrow.table(self)

    def _to_ipc(self) -> bytes:
        """The table in the format of Arrow's streams, to pickle it; :func:`from_ipc` reads it."""
        import pyarrow

        sink = pyarrow.BufferOutputStream()
        table = self.to_arrow()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    def to_pandas(self) -> Any:
        """The frame of pandas."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The frame of Polars."""
        import polars

        return polars.DataFrame(self)


class Table(Arrow):
    """A table of results. ``table["item"]`` is the list of a column's values."""

    def __init__(self, inner: Any) -> None:
        # Of the extension, or of pyarrow if it was pickled.
        self._inner = inner

    def _table(self) -> Any:
        return self._inner

    def __len__(self) -> int:
        return len(self._inner)

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return self._inner.column_names

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self.column_names:
            raise KeyError(f"{name!r}: there are the columns {', '.join(self.column_names)}")
        return self.to_arrow().column(name).to_pylist()

    def __reduce__(self) -> Any:
        return _unpickled, (self._to_ipc(),)

    def __repr__(self) -> str:
        return f"<Table: {len(self):,} rows, columns {', '.join(self.column_names)}>"

    def _repr_html_(self) -> str:
        rows = self.to_arrow().slice(0, _SHOWN).to_pylist()
        cells = [[row[name] for name in self.column_names] for row in rows]
        return html_table(f"{len(self):,} rows", self.column_names, cells)


def from_ipc(content: bytes) -> Any:
    """The table of pyarrow in the format of Arrow's streams."""
    import pyarrow

    return pyarrow.ipc.open_stream(content).read_all()


def _unpickled(content: bytes) -> Table:
    return Table(from_ipc(content))
