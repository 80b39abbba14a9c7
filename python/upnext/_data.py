"""Click logs: from whatever holds them to the library's sessions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from . import _upnext
from ._checks import SHORT, span, text_of_time, to_json, translated, unknown, warn
from ._folders import Folder
from ._ids import texts
from ._pages import columns, html_table
from ._table import Arrow, from_ipc
from .errors import ConfigError, DataError, UpnextError

#: The names of the options of reading as they are here, and those of the library for them.
_READ_OPTIONS = {SHORT.get(name, name): name for name in _upnext.option_names()[0]}

#: Number of sessions that are looked up at once.
_BLOCK = 4096


class Sessions(Arrow):
    """Sessions of a click log: events on items, in their order.

    ``len()`` is the number of sessions, ``sessions[0]`` the items of one, and iterating gives the items of each. As a table
    (``to_pandas()``, ``to_polars()``, ``to_arrow()``) they are events with the columns ``session``, ``item`` and ``time``; sessions
    that were lists have no times.
    """

    def __init__(self, inner: _upnext.Sessions, report: dict[str, Any] | None = None) -> None:
        self._inner = inner
        self._report = report or {}
        #: Of the sessions of a fit part: those of the training part.
        self._whole: Sessions | None = None

    @cached_property
    def _counts(self) -> dict[str, int]:
        # A pass over all events, which sessions that are only split or fitted do not need.
        return json.loads(self._inner.counts())

    def __len__(self) -> int:
        return self._counts["sessions"]

    def __bool__(self) -> bool:
        return True

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self._counts["events"]

    @property
    def n_items(self) -> int:
        """Number of items."""
        return self._counts["items"]

    @property
    def report(self) -> dict[str, Any]:
        """How the log was read: its columns, their format, and what was found. Empty for lists."""
        return self._report

    def __iter__(self) -> Iterator[list[str | int]]:
        for first in range(0, len(self), _BLOCK):
            yield from self._inner.items(first, _BLOCK)

    def __getitem__(self, place: int) -> list[str | int]:
        if not -len(self) <= place < len(self):
            raise IndexError(f"there are {len(self)} sessions")
        return self._inner.items(place % len(self), 1)[0]

    def _table(self) -> _upnext.Table:
        return self._inner.table()

    def _span(self) -> str:
        first, last = (self._counts.get(f"{end}_time_us") for end in ("first", "last"))
        if not self._inner.has_times or first is None or last is None:
            return ""
        import datetime

        start = datetime.datetime(1970, 1, 1)
        days = [(start + datetime.timedelta(microseconds=time)).strftime("%Y-%m-%d %H:%M") for time in (first, last)]
        return " to ".join(days)

    def _columns(self) -> str:
        files = self._report.get("files") or [{}]
        return ", ".join(files[0][name] for name in ("session", "item", "time") if files[0].get(name))

    def __repr__(self) -> str:
        read_from = f", read from {self._columns()}" if self._columns() else ""
        return f"<Sessions: {len(self):,} sessions, {self.n_events:,} events, {self.n_items:,} items{read_from}>"

    def _row(self) -> list[Any]:
        return [len(self), self.n_events, self.n_items, self._span()]

    def _repr_html_(self) -> str:
        return html_table(self._columns() or "sessions", ["sessions", "events", "items", "time"], [self._row()])

    def __reduce__(self) -> Any:
        if not self._inner.has_times:
            return read, (list(self),)
        return _unpickled, (self._to_ipc(),)


def _unpickled(content: bytes) -> Sessions:
    options = '{"session_column": ["session"], "item_column": "item", "time_column": "time"}'
    return Sessions(_upnext.read_arrow(from_ipc(content), options))


class Data:
    """A prepared log.

    ``train`` and ``test``, and with a validation part ``fit`` and ``valid``, which are ``train`` without its end and that end;
    ``test_all`` is the test part with its events on items that ``train`` does not have. ``statistics`` counts what was dropped.
    """

    def __init__(
        self, parts: dict[str, Sessions], statistics: dict[str, Any], path: Path | None = None
    ) -> None:
        self.train, self.test = parts["train"], parts["test"]
        self.fit, self.valid, self.test_all = parts.get("fit"), parts.get("valid"), parts.get("test_all")
        if self.fit is not None:
            self.fit._whole = self.train
        self.statistics = statistics
        self._path = path
        self._written: Folder | None = None

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Data:
        """The parts of a folder that ``save`` or ``upnext prepare`` has written."""
        try:
            files, statistics = _upnext.prepared_folder(path)
        except UpnextError as error:
            raise translated(error) from None
        return Data({name: read(file) for name, file in files}, json.loads(statistics), Path(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all parts into a folder, as ``upnext prepare`` does; parts that are there are replaced."""
        if not self.train._inner.write_folder(path):
            raise DataError("a prepared log that was loaded or unpickled cannot be written again: prepare its log")

    def _paths(self) -> list[Path]:
        """A folder with all parts, or a training and a test log, which are there as long as this object."""
        if self._path is not None:
            return [self._path]
        first = self._written is None
        self._written = self._written or Folder()
        folder = self._written.path
        if self.train._inner.origin[1]:
            if first:
                self.save(folder / "data")
            return [folder / "data"]
        paths = [folder / "train.parquet", folder / "test.parquet"]
        if first:
            for part, path in zip((self.train, self.test), paths):
                part._inner.write(path)
        return paths

    def _parts(self) -> dict[str, Sessions]:
        names = ("train", "test", "test_all", "fit", "valid")
        return {name: part for name in names if (part := getattr(self, name)) is not None}

    def __reduce__(self) -> Any:
        return Data, (self._parts(), self.statistics)

    def __repr__(self) -> str:
        rows = [[name, *map(str, part._row())] for name, part in self._parts().items()]
        return columns(["part", "sessions", "events", "items", "time"], rows)

    def _repr_html_(self) -> str:
        rows = [[name, *part._row()] for name, part in self._parts().items()]
        return html_table(self.train._columns(), ["part", "sessions", "events", "items", "time"], rows)


def read(
    log: Any,
    *,
    session: str | int | Sequence[str | int] | None = None,
    item: str | int | None = None,
    time: str | int | None = None,
    user: str | int | None = None,
    **options: Any,
) -> Sessions:
    """Reads a click log.

    Parameters
    ----------
    log : path, frame, or lists
        A path or several of them (CSV, JSON, Parquet, Arrow, plain or compressed; folders, too); anything with the Arrow
        PyCapsule interface (pandas from 2.2, Polars, pyarrow, DuckDB); a pandas frame of an older version; a mapping from
        column names to arrays or lists; or an iterable of lists of item ids, one a session, in their order.
    session, item, time, user : str or int
        The columns, by name or position from 1; several for ``session`` are a key together. Those that are left out are found by
        their names and values. With ``user`` and without ``session``, the events of a user are cut at pauses of 30 minutes.
    options
        The others of ``upnext prepare --help``, with underscores: ``order="rows"`` for logs without times, ``session_gap="30m"``,
        ``time_unit="ms"``, ``time_format``, ``timezone``, ``where``, ``nulls``, ``skip_bad_rows=True``, ``delimiter`` and so on.

    Returns
    -------
    Sessions
        Its ``repr`` says which columns were taken.

    What looks wrong in the log, and what was skipped, is a :class:`upnext.errors.UpnextWarning`.
    """
    given = {"session": session, "item": item, "time": time, "user": user, **options}
    given = {name: value for name, value in given.items() if value is not None}
    unknown(given, _READ_OPTIONS, "reading a log")
    if isinstance(log, Sessions):
        if given:
            raise ConfigError(f"{', '.join(given)}: these sessions have been read already: leave such options out")
        return log
    for name in ("item", "time", "user", "order_column"):
        if name in given:
            given[name] = str(given[name])
    if "session" in given:
        several = isinstance(session, Sequence) and not isinstance(session, str)
        given["session"] = [str(column) for column in (session if several else [session])]
    options_text = to_json({_READ_OPTIONS[name]: value for name, value in given.items()})
    try:
        inner = _read(log, options_text, given)
    except UpnextError as error:
        raise translated(error) from None
    report = json.loads(inner.report())
    for text in [*report.get("warnings", ()), *_skipped(report)]:
        warn(text)
    return Sessions(inner, report)


def _skipped(report: dict[str, Any]) -> Iterator[str]:
    """A sentence about the rows of a file that are no events."""
    for file in report.get("files", ()):
        if file.get("skipped"):
            counts = ", ".join(f"{count:,} rows: {reason}" for reason, count in file["skipped"].items())
            yield f"{file['path']}: rows that are no events were skipped ({counts}); the first: {file['first_skipped']}"


def _read(log: Any, options: str, given: dict[str, Any]) -> _upnext.Sessions:
    if isinstance(log, (str, os.PathLike)):
        return _upnext.read([log], options)
    if isinstance(log, Data):
        raise DataError("a prepared log has several parts: give data.train or data.test")
    if isinstance(log, bytes):
        raise DataError("a log cannot be bytes: give a path, a frame, a mapping of columns, or lists of item ids")
    if isinstance(log, (list, tuple)) and log and all(isinstance(path, (str, os.PathLike)) for path in log):
        if not any(os.path.exists(path) for path in log):
            raise DataError(f"{log[0]}: there is no such file; if these are item ids, one session is [{list(log[:3])!r}]")
        return _upnext.read(list(log), options)
    if type(log).__name__ in ("Series", "Array", "ChunkedArray") or type(log).__name__.endswith("Array"):
        log = _lists(log)
    log = _streamed(log)
    if hasattr(log, "__arrow_c_stream__"):
        return _frame(log, options, given)
    if getattr(getattr(log, "dtype", None), "names", None):  # An array of records.
        return _frame(_arrow_table({name: log[name] for name in log.dtype.names}), options, given)
    if getattr(log, "ndim", 1) != 1:
        raise DataError(f"a log cannot be an array of {log.ndim} dimensions: give a mapping from column names to its columns")
    if not isinstance(log, Iterable):
        raise DataError(
            f"a log cannot be a {type(log).__name__}: give a path, a frame, a mapping of columns, or lists of item ids"
        )
    if given:
        raise DataError("sessions that are lists have no columns: leave out the options of reading")
    sessions = []
    numbers = mixed = False
    for place, session in enumerate(log):
        if isinstance(session, Mapping):
            raise DataError("rows that are mappings are no sessions: make a frame of them, such as pandas.DataFrame(rows)")
        if hasattr(session, "columns"):
            raise DataError("a list of frames is no log: concatenate them")
        ids, are_numbers, are_mixed = texts(session, f"session {place}")
        mixed = mixed or are_mixed or (bool(sessions) and bool(ids) and are_numbers != numbers)
        numbers = are_numbers if not sessions else numbers and are_numbers
        sessions.append(ids)
    if mixed:
        warn("some ids are texts and some whole numbers: 1 and '1' are the same item")
    empty = sum(not session for session in sessions)
    if empty:
        warn(f"{empty:,} of {len(sessions):,} sessions are empty: they are left out")
    return _upnext.read_lists(sessions, numbers)


def _streamed(table: Any) -> Any:
    """A table by the Arrow interface, if it is a mapping or a frame of a library that lacks it; anything else as it is."""
    if isinstance(table, Mapping):
        return _arrow_table(table)
    if hasattr(table, "__arrow_c_stream__"):
        return table
    if hasattr(table, "collect") and hasattr(table, "lazy"):
        raise DataError("a lazy frame has no rows yet: call collect() first")
    if hasattr(table, "to_arrow_table"):  # DuckDB before it had the interface.
        return table.to_arrow_table()
    if type(table).__module__.split(".")[0] == "pandas":
        return _arrow().Table.from_pandas(table, preserve_index=False)
    return table


def _lists(array: Any) -> Any:
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(array, method):
            return getattr(array, method)()
    return array


def _frame(frame: Any, options: str, given: dict[str, Any]) -> _upnext.Sessions:
    try:
        return _upnext.read_arrow(frame, options)
    except UpnextError:
        raise
    except Exception as error:  # Of the library that has made the frame, or of its types.
        wanted = [*given.get("session", ()), *(given[name] for name in ("item", "time", "user") if name in given)]
        names = list(getattr(frame, "columns", ()))
        if len(wanted) >= 3 and len(names) > len(wanted) and all(name in names for name in wanted):
            return _upnext.read_arrow(frame[wanted], options)
        raise DataError(
            f"the frame cannot be read as Arrow ({error}): name the columns by session, item and time, and give them one type each"
        ) from None


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise DataError("this kind of log needs pyarrow: pip install 'upnext[arrow]'") from error
    return pyarrow


def _arrow_table(columns: Mapping[str, Any]) -> Any:
    pyarrow = _arrow()
    try:
        arrays = {
            str(name): values if hasattr(values, "__arrow_c_array__") else pyarrow.array(values) for name, values in columns.items()
        }
        return pyarrow.table(arrays)
    except (pyarrow.ArrowException, TypeError) as error:
        raise DataError(
            f"a mapping is a log if it goes from column names to columns of one length and type ({error}); sessions are a list of lists"
        ) from None


def prepare(
    log: Any,
    *,
    holdout: Any = None,
    validation: Any = None,
    min_item_support: int | None = None,
    min_session_length: int | None = None,
    max_session_length: int | None = None,
    since: Any = None,
    until: Any = None,
    drop_duplicates: bool | None = None,
    drop_repeats: bool | None = None,
    iterate_filters: bool | None = None,
    scale: int | None = None,
    **options: Any,
) -> Data:
    """Filters a log and splits it by time into a training and a test part, by the rules of the paper.

    Parameters
    ----------
    log
        As for :func:`read`, whose options these are, too.
    holdout : str, float, int or timedelta, default "1d"
        What is held out at the end as the test part: a span of time (``"1d"``, ``"12h"``), a share (``"10%"``, 0.1) or a number of
        sessions (``"500 sessions"``, 500). The default for logs without times is ``"10%"``.
    validation : the same or None, default None
        The validation part, split off the training part by the same rule: ``data.valid``, with ``data.fit`` before it.
    min_item_support : int, default 5
        Items with fewer events are dropped.
    min_session_length : int, default 2
        Sessions with fewer events are dropped.
    max_session_length : int, default None
        Longer sessions are dropped.
    since, until : str or datetime, default None
        Events before ``since``, and from ``until`` on, are dropped.
    drop_duplicates, drop_repeats, iterate_filters : bool, default False
        Drop copies of events; drop events on the item of the one before; repeat the filters until nothing changes.
    scale : int, default None
        Keep the last 1/scale of the training pairs.

    Returns
    -------
    Data
    """
    given = {
        "holdout": holdout,
        "validation": validation,
        "min_item_support": min_item_support,
        "min_session_length": min_session_length,
        "max_session_length": max_session_length,
        "since": since,
        "until": until,
        "drop_duplicates": drop_duplicates,
        "drop_repeats": drop_repeats,
        "iterate_filters": iterate_filters,
        "scale": scale,
    }
    rules = rules_of(given)
    unknown([name for name in options if name not in _READ_OPTIONS], [*rules, *given, *_READ_OPTIONS], "preparing a log")
    if isinstance(log, Data):
        raise DataError("this log has been prepared already")
    sessions = read(log, **options)
    if not sessions._inner.has_times:
        rules.setdefault("holdout", "10%")
    # A log that was read for this alone is not needed afterwards.
    parts, statistics = _split(sessions, rules, consume=not isinstance(log, Sessions))
    return Data(parts, statistics)


def rules_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The rules of a preparation as the library takes them: the defaults of those that are ``None`` or not given."""
    rules = {name: value for name, value in given.items() if value is not None}
    for name in ("holdout", "validation"):
        if name in rules:
            rules[name] = span(rules[name], name)
    for name in ("since", "until"):
        if name in rules and not isinstance(rules[name], str):
            rules[name] = text_of_time(rules[name])
    return {"validation": "none", **rules}


def _split(
    sessions: Sessions, rules: dict[str, Any], *, consume: bool = False
) -> tuple[dict[str, Sessions], dict[str, Any]]:
    """The parts of a log by the rules of ``prepare``, with its warnings."""
    try:
        parts, text = sessions._inner.prepare(to_json(rules), consume)
    except UpnextError as error:
        raise translated(error) from None
    statistics = json.loads(text)
    said = set(sessions.report.get("warnings", ()))
    for warning in statistics.get("warnings", ()):
        if warning not in said:
            warn(warning)
    return {name: Sessions(part, sessions.report) for name, part in parts}, statistics
