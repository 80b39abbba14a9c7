"""Click logs: from whatever holds them to the library's sessions."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from . import _upnext
from ._table import Table
from .errors import ConfigError, DataError

#: Options of reading by their names here, and by those of the library.
_COLUMNS = {
    "session": "session_column",
    "item": "item_column",
    "time": "time_column",
    "user": "user_column",
    "order_column": "order_column",
}

#: The names of the options of reading and of preparing.
_READ_OPTIONS, _PREPARE_OPTIONS = (frozenset(names) for names in _upnext.option_names())


class UpnextWarning(UserWarning):
    """Something in a log that looks wrong."""


class Sessions:
    """Sessions of a click log: events on items, in their order.

    ``len()`` is the number of sessions. Models are fitted to sessions and evaluated on them, and recommend for them.
    """

    def __init__(self, inner: _upnext.Sessions) -> None:
        self._inner = inner

    def _counts(self) -> dict[str, int]:
        return json.loads(self._inner.counts())

    def __len__(self) -> int:
        return self._counts()["sessions"]

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self._counts()["events"]

    @property
    def n_items(self) -> int:
        """Number of items."""
        return self._counts()["items"]

    @property
    def report(self) -> dict[str, Any]:
        """How the files were read: the columns, the format, and what was found in them. Empty for parts of a log."""
        return json.loads(self._inner.report())

    def to_arrow(self) -> Table:
        """The events as a table with the columns ``session``, ``item`` and ``time``."""
        return Table(self._inner.table())

    def __repr__(self) -> str:
        counts = self._counts()
        return f"<Sessions: {counts['sessions']:,} sessions, {counts['events']:,} events, {counts['items']:,} items>"


class Data:
    """A prepared log: ``train`` and ``test``, with ``statistics``; ``fit`` and ``valid`` if a validation part was split off."""

    _written: tempfile.TemporaryDirectory[str] | None = None

    def __init__(self, parts: dict[str, Sessions], statistics: dict[str, Any]) -> None:
        self.train = parts["train"]
        self.test = parts["test"]
        self.fit = parts.get("fit")
        self.valid = parts.get("valid")
        self._test_all = parts.get("test_all")
        self.statistics = statistics

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all parts into a folder, as ``upnext prepare`` does."""
        self.train._inner.write(path)

    def _folder(self) -> Path:
        """A folder with all parts, which is there as long as this object."""
        if self._written is None:
            self._written = tempfile.TemporaryDirectory(prefix="upnext-")
            self.save(Path(self._written.name, "data"))
        return Path(self._written.name, "data")

    def __repr__(self) -> str:
        return f"<Data: train {self.train!r}, test {self.test!r}>"


def read(
    log: Any,
    *,
    session: str | Sequence[str] | None = None,
    item: str | None = None,
    time: str | None = None,
    user: str | None = None,
    **options: Any,
) -> Sessions:
    """Reads a click log.

    Parameters
    ----------
    log : path, frame, or lists
        A path or several of them (CSV, JSON, Parquet, Arrow, plain or compressed; folders, too); anything with the Arrow
        PyCapsule interface (pandas from 2.2, Polars, pyarrow, DuckDB); a pandas frame of an older version; a mapping from
        column names to arrays or lists; or an iterable of lists of item ids, one a session, in their order.
    session, item, time, user : str
        The columns. Those that are left out are found by their names and values.
    options
        Other options of reading, by the names of the library's ``ReadOptions``, such as ``session_gap="30m"``,
        ``time_unit="seconds"`` or ``skip_bad_rows=True``.

    What looks wrong in the log is a :class:`UpnextWarning`.
    """
    if isinstance(log, Sessions):
        return log
    given = {"session": session, "item": item, "time": time, "user": user, **options}
    chosen = {_COLUMNS.get(name, name): value for name, value in given.items() if value is not None}
    for name in chosen:
        if name not in _READ_OPTIONS:
            raise ConfigError(f"{name}: there is no such option: there are {', '.join(sorted(_READ_OPTIONS))}")
    if isinstance(chosen.get("session_column"), str):
        chosen["session_column"] = [chosen["session_column"]]
    inner = _read(log, json.dumps(chosen))
    sessions = Sessions(inner)
    for text in [*inner.warnings(), *_skipped(sessions.report)]:
        warnings.warn(text, UpnextWarning, stacklevel=3)
    return sessions


def _skipped(report: dict[str, Any]) -> Iterator[str]:
    """A sentence about the rows of a file that are no events."""
    for file in report.get("files", ()):
        if file.get("skipped"):
            counts = ", ".join(f"{count:,} rows: {reason}" for reason, count in file["skipped"].items())
            yield f"{file['path']}: rows that are no events were skipped ({counts}); the first: {file['first_skipped']}"


def _read(log: Any, options: str) -> _upnext.Sessions:
    if isinstance(log, (str, os.PathLike)):
        return _upnext.read([log], options)
    if isinstance(log, (list, tuple)) and log and all(isinstance(path, (str, os.PathLike)) for path in log):
        return _upnext.read(list(log), options)
    if isinstance(log, Mapping):
        log = _arrow().table({name: _column(values) for name, values in log.items()})
    if hasattr(log, "__arrow_c_stream__"):
        return _upnext.read_arrow(log, options)
    if hasattr(log, "to_arrow_table"):  # DuckDB before it had the interface.
        return _upnext.read_arrow(log.to_arrow_table(), options)
    if type(log).__module__.split(".")[0] == "pandas":
        return _upnext.read_arrow(_arrow().Table.from_pandas(log, preserve_index=False), options)
    if isinstance(log, Iterable):
        if options != "{}":
            raise DataError("sessions that are lists have no columns: leave out the options of reading")
        sessions = list(log)
        return _upnext.read_lists([ids(session) for session in sessions], all(map(are_numbers, sessions)))
    raise DataError(
        f"a log cannot be a {type(log).__name__}: give a path, a frame, a mapping of columns, or lists of item ids"
    )


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise DataError("this kind of log needs pyarrow: pip install 'upnext[arrow]'") from error
    return pyarrow


def _column(values: Any) -> Any:
    return values if hasattr(values, "__arrow_c_array__") else _arrow().array(values)


def ids(session: Any) -> list[str]:
    """The ids of a session as the library has them: texts, and whole numbers without a point."""
    if isinstance(session, (str, bytes)):
        raise DataError(f"a session is a list of item ids, as in [{session!r}]")
    return [identifier(item) for item in session]


def are_numbers(session: Any) -> bool:
    """Whether all ids of a session are whole numbers."""
    return all(isinstance(item, Integral) and not isinstance(item, bool) for item in session)


def as_given(found: str, numbers: bool) -> Any:
    """An id in the form of those that were given: a whole number if they are such, and it is the text of one."""
    if numbers and found.removeprefix("-").isascii() and found.removeprefix("-").isdigit() and str(int(found)) == found:
        return int(found)
    return found


def identifier(item: Any) -> str:
    """One id as text."""
    if isinstance(item, str):
        return item
    if isinstance(item, bytes):
        return item.decode()
    if item is None or item != item:
        raise DataError("a session has an event without an item id: leave it out")
    if isinstance(item, float) or (hasattr(item, "is_integer") and not isinstance(item, int)):
        if float(item).is_integer():
            return str(int(item))
    return str(item)


def prepare(log: Any, **options: Any) -> Data:
    """Filters a log and splits it by time into a training and a test part, by the rules of the paper.

    Parameters
    ----------
    log
        As for :func:`read`, whose options these are, too.
    holdout : str, default "1d"
        What is held out at the end as the test part: a span (``"1d"``, ``"12h"``), a share (``"10%"``) or a number of sessions.
    validation : str or None, default None
        The validation part, split off the training part by the same rule.
    min_item_support : int, default 5
        Items with fewer events are dropped.
    min_session_length : int, default 2
        Sessions with fewer events are dropped.
    max_session_length, since, until, drop_duplicates, drop_repeats, iterate_filters, scale
        As in ``upnext prepare --help``.
    """
    rules = {name: options[name] for name in _PREPARE_OPTIONS if options.get(name) is not None}
    options = {name: value for name, value in options.items() if name not in _PREPARE_OPTIONS}
    rules.setdefault("validation", "none")
    sessions = read(log, **options)
    parts, statistics = sessions._inner.prepare(json.dumps(rules))
    return Data({name: Sessions(part) for name, part in parts}, json.loads(statistics))
