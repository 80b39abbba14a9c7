"""Preparation of click logs in DuckDB.

>>> import upnext.duckdb
>>> upnext.duckdb.prepare("clicks/*.parquet", "data", session="visitor", item="sku", time="ts")  # doctest: +SKIP
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from . import _sql
from .errors import ConfigError, DataError

__all__ = ["prepare"]

#: The name under which a log that is an object can be read.
_LOG = "upnext_log"


def prepare(
    log: Any,
    out: str | os.PathLike[str],
    *,
    session: str | Sequence[str] = "session_id",
    item: str = "item_id",
    time: str = "time",
    connection: duckdb.DuckDBPyConnection | None = None,
    **options: Any,
) -> _sql.PreparedFolder:
    """Filters a log and splits it by time, in DuckDB, into a folder that ``upnext train`` reads.

    The sessions and counts are those of ``upnext prepare --order ids``, with the same rules.

    Parameters
    ----------
    log : str, relation or frame
        Files (``"clicks/*.parquet"``, CSV and JSON, too); with ``connection`` the name of a table; a relation of ``connection``; or a
        frame that DuckDB reads, such as one of pandas, Polars or pyarrow.
    out : path
        The folder to write.
    session, item, time : str
        The columns; several for ``session`` are a key together.
    connection : duckdb connection, default None
        Where the queries run; temporary tables begin with ``upnext_``. By default in a database of their own, on the disk of ``out``,
        which is removed at the end.
    time_unit : str, default None
        The unit of times that are numbers: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``.
    order : str, default None
        A column of whole numbers that orders the events of a session with the same time; by default their items' ids do.
    session_gap : str or timedelta, default None
        Begin a new session after a pause longer than this, such as ``"30m"``; ``session`` may then be the column of users.
    keep_null_ids, skip_bad_rows, overwrite : bool, default False
        Take texts such as ``NULL`` as ids; leave out rows without an id or a time; replace an earlier preparation.
    options
        These, and the rules of :func:`upnext.prepare`: ``holdout``, ``validation``, ``min_item_support`` and so on.

    Returns
    -------
    PreparedFolder
    """
    request = _sql.Request.of(session, item, time, options)
    if connection is None and isinstance(log, duckdb.DuckDBPyRelation):
        raise ConfigError("connection: a relation can only be read in its own connection: give that, too")
    path = _sql.local(_sql.out_of(out))
    if path is None:
        raise ConfigError(f"out: {out} is no folder of this machine, and others DuckDB does not write")
    _sql.make_folder(path, request.overwrite)
    own = path / _sql.TEMPORARY
    if connection is None:
        own.mkdir()
    engine = _DuckDB(connection or duckdb.connect(str(own / "tables.duckdb")), log, path)
    try:
        return _sql.prepare(engine, str(path), request)
    finally:
        if connection is None:
            engine.connection.close()
            shutil.rmtree(own)
        else:
            engine.forget()


class _DuckDB:
    dialect = "duckdb"

    def __init__(self, connection: duckdb.DuckDBPyConnection, log: Any, out: Path) -> None:
        self.connection = connection
        self._out = out
        self._made: dict[str, str] = {}
        self.source = self._source(log)

    def _source(self, log: Any) -> str:
        if isinstance(log, os.PathLike):
            log = os.fspath(log)
        if isinstance(log, str):
            name = "'" + log.replace("'", "''") + "'"
            is_file = os.path.exists(log) or any(mark in log for mark in "*?[/\\")
            return f"(SELECT * FROM {name})" if is_file else log
        if isinstance(log, duckdb.DuckDBPyRelation):
            log.create_view(_LOG)
            self._made[_LOG] = "VIEW"
        else:
            try:
                self.connection.register(_LOG, log)
            except duckdb.Error:
                raise DataError(f"DuckDB reads no log from a {type(log).__name__}") from None
        return _LOG

    def columns(self) -> dict[str, str]:
        described = self.rows(f"DESCRIBE SELECT * FROM {self.source} AS log")
        return {name: _kind(kind) for name, kind, *_ in described}

    def view(self, name: str, query: str) -> None:
        self.connection.execute(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {query}")
        self._made[name] = "VIEW"

    def table(self, name: str, query: str) -> None:
        # In a database of its own a table is compressed, on the disk.
        temporary = "" if (self._out / _sql.TEMPORARY).exists() else "TEMPORARY "
        self.connection.execute(f"CREATE OR REPLACE {temporary}TABLE {name} AS {query}")
        self._made[name] = "TABLE"

    def folder(self, name: str, query: str) -> None:
        path = self._out / name
        path.mkdir()
        file = str(path / "part-0.parquet").replace("'", "''")
        self.connection.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def drop(self, name: str) -> None:
        self.connection.execute(f"DROP {self._made.pop(name)} IF EXISTS {name}")

    def forget(self) -> None:
        """Removes what is left of the queries, the newest first."""
        for name in reversed(list(self._made)):
            self.drop(name)
        self.connection.unregister(_LOG)


def _kind(name: str) -> str:
    base = name.split("(")[0].strip()
    if base in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"):
        return "integer"
    if base in ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT") or base == "DECIMAL" and name.endswith(",0)"):
        return "integer"
    if base in ("FLOAT", "DOUBLE"):
        return "float"
    if base in ("VARCHAR", "ENUM", "UUID", "BOOLEAN", "DECIMAL"):
        return "text"
    if base.startswith("TIMESTAMP"):
        return "timestamp"
    return "date" if base == "DATE" else name
