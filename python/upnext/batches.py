"""Recommendations for a stream of Arrow batches, for whatever engine makes them.

>>> import upnext.batches
>>> stream = connection.sql("SELECT visitor, sku FROM clicks ORDER BY visitor, ts").to_arrow_reader()  # doctest: +SKIP
>>> for lists in upnext.batches.recommend(stream, "model", k=20, session="visitor", item="sku"):  # doctest: +SKIP
...     write(lists)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow
import pyarrow.compute

from ._checks import count, threads, to_json, translated
from ._load import load
from ._recommender import Recommender, _filters
from .errors import DataError, UpnextError
from . import _upnext

__all__ = ["recommend", "schema"]

#: Events that are gathered before lists are made of them: fewer cost time, more cost memory.
_EVENTS = 1 << 17


def schema(batches: pyarrow.Schema, *, session: str | Sequence[str], item: str) -> pyarrow.Schema:
    """The columns of the lists of batches with this schema: ids that are whole numbers there are whole numbers here."""
    names = [session] if isinstance(session, str) else list(session)
    for name in (*names, item):
        if name not in batches.names:
            raise DataError(f"there is no column {name!r}: the batches have the columns {', '.join(batches.names)}")

    def of(columns: list[str]) -> pyarrow.DataType:
        is_number = len(columns) == 1 and pyarrow.types.is_integer(batches.field(columns[0]).type)
        return pyarrow.int64() if is_number else pyarrow.string()

    fields = [
        ("session", of(names)),
        ("item", of([item])),
        ("rank", pyarrow.int32()),
        ("score", pyarrow.float32()),
        ("fell_back", pyarrow.bool_()),
    ]
    return pyarrow.schema([pyarrow.field(name, kind, nullable=False) for name, kind in fields])


def recommend(
    batches: Iterable[pyarrow.RecordBatch],
    model: Recommender | str | os.PathLike[str],
    k: int = 10,
    *,
    session: str | Sequence[str] = "session_id",
    item: str = "item_id",
    exclude_seen: bool = False,
    exclude: Sequence[Any] = (),
    only: Sequence[Any] | None = None,
    n_threads: int | None = None,
) -> Iterator[pyarrow.RecordBatch]:
    """The ``k`` best next items of sessions, in batches as they come.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Events, sorted by session (ascending, texts by their bytes) and in a session by time; a session may go on in the next batch.
        Batches that are not sorted by session are refused.
    model : Recommender or path
        A fitted model, or the folder of one, which is loaded once a process.
    k : int, default 10
        Length of the lists.
    session, item : str
        The columns; several for ``session`` are a key together.
    exclude_seen, exclude, only
        As in :meth:`upnext.Recommender.recommend`.
    n_threads : int, default None
        Threads that compute the lists of a batch; all cores by default.

    Yields
    ------
    pyarrow.RecordBatch
        ``session``, ``item``, ``rank`` from 1, ``score``, and ``fell_back``: true for sessions without a known item, which get the most
        popular items. The lists are those of ``upnext recommend``, wherever the batches end.
    """
    names = [session] if isinstance(session, str) else list(session)
    k, excluded, workers = count(k, "k"), _filters(exclude, only), threads(n_threads)
    fitted = (model if isinstance(model, Recommender) else loaded(os.fspath(model)))._model
    options = to_json({"session_column": names, "item_column": item, "order": "rows"})
    for events in _whole_sessions(batches, names, item):
        try:
            sessions = _upnext.read_arrow(events, options)
            found, _, _ = fitted.recommend_many(sessions, k, bool(exclude_seen), *excluded, workers)
        except UpnextError as error:
            raise translated(error) from None
        yield from pyarrow.table(found).cast(schema(events.schema, session=session, item=item)).to_batches()


_models: dict[tuple[str, int], Recommender] = {}


def loaded(path: str) -> Recommender:
    """The model of a folder, which a process loads once, and again when it has changed."""
    try:
        key = (path, os.stat(os.path.join(path, "manifest.json")).st_mtime_ns)
    except OSError:
        return load(path)  # Which says what is missing.
    if key not in _models:
        _models.clear()
        _models[key] = load(path)
    return _models[key]


def _whole_sessions(batches: Iterable[pyarrow.RecordBatch], names: list[str], item: str) -> Iterator[pyarrow.Table]:
    """The events in tables that end with a session."""
    kept: list[pyarrow.Table] = []
    number = 0
    last: tuple[Any, ...] | None = None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        schema(batch.schema, session=names, item=item)  # Columns that are missing are named.
        events = pyarrow.Table.from_batches([batch]).select([*names, item])
        starts, last = _starts(events, names, last)
        kept.append(events)
        number += len(events)
        if number < _EVENTS or not len(starts):
            continue
        cut = starts[-1].as_py()
        whole = pyarrow.concat_tables([*kept[:-1], events.slice(0, cut)])
        kept, number = [events.slice(cut)], len(events) - cut
        if len(whole):
            yield whole
    if number:
        yield pyarrow.concat_tables(kept)


def _starts(
    events: pyarrow.Table, names: list[str], before: tuple[Any, ...] | None
) -> tuple[pyarrow.Array, tuple[Any, ...]]:
    """The places at which a session begins, and the key of the last event."""
    compute = pyarrow.compute
    if nulls := sum(events.column(name).null_count for name in names):
        raise DataError(f"{nulls:,} events have no session id: leave them out")
    first = tuple(events.column(name)[0].as_py() for name in names)
    last = tuple(events.column(name)[-1].as_py() for name in names)
    is_less = is_equal = None
    # From the last column of the key to the first, as texts are compared.
    for name in reversed(names):
        column = events.column(name).combine_chunks()
        left, right = column.slice(0, len(column) - 1), column.slice(1)
        less, equal = compute.less(left, right), compute.equal(left, right)
        is_less = less if is_less is None else compute.or_(less, compute.and_(equal, is_less))
        is_equal = equal if is_equal is None else compute.and_(equal, is_equal)
    in_order = compute.all(compute.or_(is_less, is_equal)).as_py() is not False
    if not in_order or (before is not None and first < before):
        raise DataError(f"the events are not sorted by {', '.join(names)}: sort them, and those of a session by time")
    places = compute.indices_nonzero(compute.invert(is_equal))
    starts = compute.add(compute.cast(places, pyarrow.int64()), 1)
    if before is not None and first != before:
        starts = pyarrow.concat_arrays([pyarrow.array([0], pyarrow.int64()), starts])
    return starts, last
