"""Preparation of click logs and recommendations in Spark, and in what speaks its protocol, such as Sail.

>>> import upnext.spark
>>> upnext.spark.prepare(spark.table("clicks"), "data", session="visitor", item="sku", time="ts")  # doctest: +SKIP
>>> lists = upnext.spark.recommend(spark.table("today"), "model", k=20, session="visitor", item="sku", time="ts")  # doctest: +SKIP
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from . import _sql
from ._checks import count
from .errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame

__all__ = ["prepare", "recommend"]

#: The name under which the log can be read.
_LOG = "upnext_log"

_ZONE = "spark.sql.session.timeZone"


def prepare(
    log: DataFrame,
    out: str | os.PathLike[str],
    *,
    session: str | Sequence[str] = "session_id",
    item: str = "item_id",
    time: str = "time",
    **options: Any,
) -> _sql.PreparedFolder:
    """Filters a log and splits it by time, on the cluster, into a folder that ``upnext train`` reads.

    The parameters and the result are those of :func:`upnext.duckdb.prepare`, but for the log, a frame of Spark, and ``out``, a path or
    URL that all workers write to. With Spark Connect (Sail), it is a folder of this machine, through whose memory the parts go. Tables between the queries are written into ``out`` and removed at the end, so that a worker that
    is lost costs its task only. Times without a zone are UTC.
    """
    request = _sql.Request.of(session, item, time, options)
    path = _sql.out_of(out)
    engine = _Spark(log, path)
    engine.make_folder(request.overwrite)
    with engine:
        return _sql.prepare(engine, path, request)


class _Spark:
    dialect = "spark"
    source = _LOG

    def __init__(self, log: DataFrame, out: str) -> None:
        if not hasattr(log, "sparkSession") or not hasattr(log, "mapInArrow"):
            raise DataError(f"the log must be a frame of Spark, not a {type(log).__name__}")
        self._spark = log.sparkSession
        self._log = log
        self._out = out
        self._local = _sql.local(out)
        if self._local is None and not hasattr(self._spark, "_jvm"):
            raise ConfigError(f"out: {out} is no folder of this machine, which writes it with Spark Connect: name one")
        self._made: set[str] = set()
        self._zone = ""

    def make_folder(self, overwrite: bool) -> None:
        """Makes an empty folder."""
        if self._local is not None:
            _sql.make_folder(self._local, overwrite)
        else:
            files, path = self._hadoop("")
            if files.exists(path):
                if not overwrite:
                    raise ConfigError(
                        f"out: {self._out} is there already: name another folder, or replace it (overwrite=True)"
                    )
                files.delete(self._hadoop("/statistics")[1], True)  # What says that it is complete.
                for part in files.listStatus(path):
                    if part.getPath().getName() not in (*_sql.PARTS, _sql.TEMPORARY):
                        raise ConfigError(f"out: {part.getPath()} is no part of a preparation: name another folder")
                files.delete(path, True)

    def __enter__(self) -> _Spark:
        # The log belongs to its own time zone: it is resolved before the zone is changed.
        self._log.createOrReplaceTempView(_LOG)
        self._made.add(_LOG)
        self._zone = self._spark.conf.get(_ZONE)
        self._spark.conf.set(_ZONE, "UTC")
        return self

    def __exit__(self, *_: object) -> None:
        self._spark.conf.set(_ZONE, self._zone)
        for name in self._made:
            self._spark.catalog.dropTempView(name)
        if self._local is not None:
            shutil.rmtree(self._local / _sql.TEMPORARY, ignore_errors=True)
        else:
            files, path = self._hadoop(f"/{_sql.TEMPORARY}")
            files.delete(path, True)

    def _hadoop(self, of: str) -> tuple[Any, Any]:
        """The file system of the folder, and a path in it."""
        path = self._spark._jvm.org.apache.hadoop.fs.Path(self._out + of)
        return path.getFileSystem(self._spark._jsc.hadoopConfiguration()), path

    def columns(self) -> dict[str, str]:
        return {field.name: _kind(field.dataType) for field in self._log.schema.fields}

    def view(self, name: str, query: str) -> None:
        self._spark.sql(query).createOrReplaceTempView(name)
        self._made.add(name)

    def table(self, name: str, query: str) -> None:
        path = f"{self._out}/{_sql.TEMPORARY}/{name}"
        frame = self._spark.sql(query)
        frame.write.mode("overwrite").option("compression", "zstd").parquet(path)
        self._spark.read.schema(frame.schema).parquet(path).createOrReplaceTempView(name)
        self._made.add(name)

    def folder(self, name: str, query: str) -> None:
        frame = self._spark.sql(query)
        if hasattr(self._spark, "_jvm"):
            frame.write.option("compression", "zstd").parquet(f"{self._out}/{name}")
            return
        # Sail deals the rows of an ordered query to its files in turn, so that none of them has sessions one after the other.
        import pyarrow.parquet

        assert self._local is not None
        (self._local / name).mkdir()
        pyarrow.parquet.write_table(frame.toArrow(), self._local / name / "part-0.parquet", compression="zstd")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._spark.sql(query).collect()]

    def drop(self, name: str) -> None:
        self._spark.catalog.dropTempView(name)
        self._made.discard(name)
        if self._local is not None:
            shutil.rmtree(self._local / _sql.TEMPORARY / name, ignore_errors=True)


def _kind(data_type: Any) -> str:
    name = data_type.typeName()
    if name in ("byte", "short", "integer", "long", "tinyint", "smallint", "int", "bigint"):
        return "integer"
    if name in ("float", "double"):
        return "float"
    if name.startswith("decimal"):
        return "integer" if data_type.scale == 0 else "text"
    if name in ("string", "varchar", "char", "boolean"):
        return "text"
    if name in ("timestamp", "timestamp_ntz"):
        return "timestamp"
    return "date" if name == "date" else data_type.simpleString()


def recommend(
    sessions: DataFrame,
    model: str | os.PathLike[str],
    k: int = 20,
    *,
    session: str | Sequence[str] = "session_id",
    item: str = "item_id",
    time: str = "time",
    order: str | None = None,
    partitions: int | None = None,
    exclude_seen: bool = False,
    exclude: Sequence[Any] = (),
    only: Sequence[Any] | None = None,
    n_threads: int = 1,
) -> DataFrame:
    """The ``k`` best next items of all sessions of a frame, computed on the cluster.

    Parameters
    ----------
    sessions : DataFrame
        Events.
    model : path
        The folder of a model, as the workers see it: on a disk that all have, on storage that is mounted there, or the name of a
        folder that Spark has sent (``spark.sparkContext.addFile("model", recursive=True)``). A worker loads it once.
    k : int, default 20
        Length of the lists.
    session, item, time, order : str
        The columns; several for ``session`` are a key together. Events at the same time are in the order of ``order``, or of
        their items' ids.
    partitions : int, default None
        Number of partitions; by default Spark's. The lists do not depend on it. The largest session must fit into a worker's
        memory, and with Spark Connect a partition.
    exclude_seen, exclude, only
        As in :meth:`upnext.Recommender.recommend`.
    n_threads : int, default 1
        Threads of a task, of which Spark runs one a core.

    Returns
    -------
    DataFrame
        ``session``, ``item``, ``rank`` from 1, ``score``, and ``fell_back``: true for sessions without a known item, which get the most
        popular items. Ids of whole numbers are whole numbers. The lists are those of ``upnext recommend --order ids``.
    """
    from pyspark.sql import functions

    names = [session] if isinstance(session, str) else list(session)
    columns = {field.name: _kind(field.dataType) for field in sessions.schema.fields}
    kinds = {name: _sql.kind_of(columns, name, "session", ("text", "integer")) for name in names}
    kinds[item] = _sql.kind_of(columns, item, "item", ("text", "integer"))
    _sql.kind_of(columns, time, "time", ("timestamp", "date", "integer", "float"))
    if order is not None:
        _sql.kind_of(columns, order, "order", ("integer",))
    number = () if partitions is None else (count(partitions, "partitions"),)
    length, workers = count(k, "k"), count(n_threads, "n_threads")

    def column(name: str) -> Any:
        quoted = functions.col("`" + name.replace("`", "``") + "`")
        return quoted.cast({"text": "string", "integer": "bigint"}[kinds[name]]) if name in kinds else quoted

    keys = [f"session{place}" for place in range(len(names))]
    events = sessions.select(
        *(column(name).alias(key) for name, key in zip(names, keys)),
        column(item).alias("item"),
        column(time).alias("time"),
        (column(order) if order is not None else functions.lit(0)).cast("bigint").alias("order"),
    )
    options = {"exclude_seen": exclude_seen, "exclude": exclude, "only": only, "n_threads": workers}
    work = {"model": os.fspath(model), "k": length, "session": keys, "options": options, "given": (names, item, time)}
    ids = ["bigint" if list(map(kinds.get, of)) == ["integer"] else "string" for of in (names, [item])]
    schema = f"session {ids[0]}, item {ids[1]}, rank int, score float, fell_back boolean"
    if hasattr(sessions.sparkSession, "_jvm"):
        ties = [functions.col("order").asc_nulls_last(), functions.col("item").cast("string")]
        sorted_events = events.repartition(*number, *keys).sortWithinPartitions(*keys, "time", *ties)
        return sorted_events.mapInArrow(partial(_lists, **work), schema)
    # Behind the protocol of Spark there may be an engine that leaves out a sort whose order no operator of its own needs.
    buckets = number[0] if number else int(sessions.sparkSession.conf.get("spark.sql.shuffle.partitions", "200"))
    bucket = functions.pmod(functions.hash(*keys), functions.lit(buckets))
    groups = events.withColumn("bucket", bucket).groupBy("bucket")
    return groups.applyInArrow(lambda events: _lists_of_bucket(events, **work), schema)


def _lists(
    batches: Iterable[pyarrow.RecordBatch],
    *,
    model: str,
    k: int,
    session: list[str],
    options: dict[str, Any],
    given: tuple[list[str], str, str],
) -> Iterator[pyarrow.RecordBatch]:
    """The lists of a partition."""
    from . import batches as stream

    return stream.recommend(_checked(batches, session, *given), _on_this_worker(model), k, session=session, item="item", **options)


def _lists_of_bucket(events: pyarrow.Table, **work: Any) -> pyarrow.Table:
    """The lists of some sessions, whose events are in no order."""
    import pyarrow

    from . import batches as stream

    by = [*work["session"], "time", "order", "text"]
    text = events.append_column("text", events["item"].cast(pyarrow.string()))
    in_order = text.sort_by([(name, "ascending") for name in by])
    lists = list(_lists(in_order.to_batches(), **work))
    schema = stream.schema(events.schema, session=work["session"], item="item")
    return pyarrow.Table.from_batches(lists, schema)


def _checked(
    batches: Iterable[pyarrow.RecordBatch], keys: list[str], session: list[str], item: str, time: str
) -> Iterator[pyarrow.RecordBatch]:
    """The batches, unless an id or a time is missing."""
    for batch in batches:
        for key, name in [*zip(keys, session), ("item", item), ("time", time)]:
            if nulls := batch.column(batch.schema.names.index(key)).null_count:
                raise DataError(f"{nulls:,} events have no value in the column {name}: leave them out")
        yield batch


def _on_this_worker(model: str) -> str:
    """The folder of a model that is there, or that Spark has sent."""
    if not os.path.exists(model):
        try:
            from pyspark import SparkFiles

            sent = SparkFiles.get(model)
        except Exception:  # Nothing is sent here: the message will be about the path.
            return model
        if os.path.exists(sent):
            return sent
    return model
