"""Preparation of click logs in DataFusion.

>>> import upnext.datafusion
>>> upnext.datafusion.prepare(context.table("clicks"), "data", session="visitor", item="sku", time="ts")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datafusion
import pyarrow

from . import _sql
from .errors import ConfigError, DataError

__all__ = ["prepare"]

#: The name under which the log can be read.
_LOG = "upnext_log"


def prepare(
    log: datafusion.DataFrame,
    out: str | os.PathLike[str],
    *,
    session: str | Sequence[str] = "session_id",
    item: str = "item_id",
    time: str = "time",
    **options: Any,
) -> _sql.PreparedFolder:
    """Filters a log and splits it by time, in DataFusion, into a folder that ``upnext train`` reads.

    Tables between the queries are kept in memory. Parameters and result are those of :func:`upnext.duckdb.prepare`, but for the log,
    a frame of DataFusion.
    """
    request = _sql.Request.of(session, item, time, options)
    path = _sql.local(_sql.out_of(out))
    if path is None:
        raise ConfigError(f"out: {out} is no folder of this machine")
    if not isinstance(log, datafusion.DataFrame):
        raise DataError(f"the log must be a frame of DataFusion, such as context.read_parquet(path), not a {type(log).__name__}")
    _sql.make_folder(path, request.overwrite)
    return _sql.prepare(_DataFusion(log, path), str(path), request)


class _DataFusion:
    dialect = "datafusion"
    source = _LOG

    def __init__(self, log: datafusion.DataFrame, out: Path) -> None:
        # A context of its own: frames of another one can be used in it.
        self._context = datafusion.SessionContext()
        self._context.register_view(_LOG, log)
        self._schema = log.schema()
        self._out = out

    def columns(self) -> dict[str, str]:
        return {field.name: _kind(field.type) for field in self._schema}

    def view(self, name: str, query: str) -> None:
        self._context.register_view(name, self._context.sql(query))

    def table(self, name: str, query: str) -> None:
        self._context.register_view(name, self._context.sql(query).cache())

    def folder(self, name: str, query: str) -> None:
        (self._out / name).mkdir()
        self._context.sql(query).write_parquet(str(self._out / name / "part-0.parquet"), compression="zstd")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for batch in self._context.sql(query).collect() for row in batch.to_pylist()]

    def drop(self, name: str) -> None:
        self._context.deregister_table(name)


def _kind(kind: pyarrow.DataType) -> str:
    types = pyarrow.types
    if types.is_dictionary(kind):
        return _kind(kind.value_type)
    if types.is_integer(kind) or types.is_decimal(kind) and kind.scale == 0:
        return "integer"
    if types.is_floating(kind):
        return "float"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_boolean(kind) or types.is_decimal(kind):
        return "text"
    if types.is_timestamp(kind):
        return "timestamp"
    return "date" if types.is_date(kind) else str(kind)
