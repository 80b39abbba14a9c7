"""Preparation in an engine: the library's queries, run in their order where the log lies."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import _data, _upnext
from ._checks import to_json, translated, unknown
from .errors import ConfigError, DataError, UpnextError

#: Units of numbers that are times, with their seconds.
_UNITS = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

#: The rules of a preparation, which are those of :func:`upnext.prepare`.
_RULES = [name for name, given in inspect.signature(_data.prepare).parameters.items() if given.default is None]

#: The folders of a preparation; that with the statistics comes last.
PARTS = ("items", "train", "test_all", "test", "valid", "statistics")

#: A folder of what is needed only as long as a preparation runs. Whoever reads folders of Parquet files passes over such names.
TEMPORARY = "_temporary"


class Engine(Protocol):
    """What an engine does for a preparation."""

    #: The library's name of its SQL.
    dialect: str
    #: The log, as a query reads from it.
    source: str

    def columns(self) -> dict[str, str]:
        """The columns of the log and their kinds: text, integer, float, timestamp or date, else the engine's name of the type."""

    def view(self, name: str, query: str) -> None:
        """Gives a query a name."""

    def table(self, name: str, query: str) -> None:
        """Gives the rows of a query a name, so that they are computed once."""

    def folder(self, name: str, query: str) -> None:
        """Writes the rows of a query, in their order, as Parquet files into a folder of the preparation."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a small query."""

    def drop(self, name: str) -> None:
        """Forgets a table, and frees what it takes."""


class PreparedFolder:
    """A folder that an engine has prepared.

    ``path`` is where it lies: what ``upnext train`` and all other commands take.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def statistics(self) -> dict[str, Any]:
        """The counts of the parts, and what each rule has dropped, where this machine can read the folder."""
        try:
            return json.loads(_upnext.folder_statistics(self.path))
        except UpnextError as error:
            raise translated(error) from None

    def load(self) -> _data.Data:
        """The parts with their ids, in memory. ``upnext train`` reads the folder in a fifth of that."""
        return _data.Data.load(self.path)

    def __repr__(self) -> str:
        if local(self.path) is None:
            return f"<PreparedFolder: {self.path}>"
        counts = self.statistics
        parts = (name for name in ("train", "test", "fit", "valid") if counts.get(name))
        told = [f"{name} {counts[name]['sessions']:,} sessions of {counts[name]['events']:,} events" for name in parts]
        return f"<PreparedFolder: {self.path}: {'; '.join(told)}; {counts['train']['items']:,} items>"


@dataclass(frozen=True)
class Request:
    """A preparation as users ask for it."""

    session: Sequence[str]
    item: str
    time: str
    rules: dict[str, Any]
    time_unit: str | None = None
    order: str | None = None
    session_gap: Any = None
    keep_null_ids: bool = False
    skip_bad_rows: bool = False
    overwrite: bool = False

    @staticmethod
    def of(session: Any, item: Any, time: Any, options: dict[str, Any]) -> Request:
        """The columns, and the other options and rules by their names."""
        others = ("time_unit", "order", "session_gap", "keep_null_ids", "skip_bad_rows", "overwrite")
        unknown(options, [*others, *_RULES], "preparing a log in an engine")
        rules = _data.rules_of({name: value for name, value in options.items() if name in _RULES})
        chosen = {name: value for name, value in options.items() if name in others and value is not None}
        session = [session] if isinstance(session, str) else list(session)
        return Request(session, item, time, rules, **chosen)

    def plan_options(self, engine: Engine) -> dict[str, Any]:
        """The library's options, with the forms of the columns as the engine has them."""
        columns = engine.columns()

        def id_column(name: str, what: str) -> dict[str, str]:
            return {"name": name, "form": kind_of(columns, name, what, ("text", "integer", "float"))}

        options = {
            "dialect": engine.dialect,
            "source": engine.source,
            "session": [id_column(name, "session") for name in self.session],
            "item": id_column(self.item, "item"),
            "time": self.time,
            "time_form": self._time_form(engine, columns),
            "keep_null_ids": bool(self.keep_null_ids),
            "rules": self.rules,
        }
        if self.order is not None:
            kind_of(columns, self.order, "order", ("integer",))
            options["order"] = self.order
        if self.session_gap is not None:
            gap = self.session_gap
            options["session_gap"] = gap if isinstance(gap, str) else _data.text_of_time(gap)
        return options

    def _time_form(self, engine: Engine, columns: dict[str, str]) -> str:
        kind = kind_of(columns, self.time, "time", ("timestamp", "date", "text", "integer", "float"))
        units = {"integer": tuple(_UNITS), "float": ("s", "ms")}.get(kind)
        if units is None:
            if self.time_unit is not None:
                raise ConfigError(f"time_unit: the column {self.time} is no number, but of kind {kind}: leave it out")
            return kind
        if self.time_unit is None:
            raise DataError(self._about_units(engine))
        if self.time_unit not in units:
            raise ConfigError(f"time_unit: {self.time_unit!r} is none of {', '.join(units)}, the units of {kind} columns")
        return f"float-{self.time_unit}" if kind == "float" else self.time_unit

    def _about_units(self, engine: Engine) -> str:
        quote = "`" if engine.dialect == "spark" else '"'
        name = quote + self.time.replace(quote, quote * 2) + quote
        ((first, last),) = engine.rows(f"SELECT MIN({name}), MAX({name}) FROM {engine.source} AS log")
        # From 1990 to 2100.
        likely = [unit for unit, size in _UNITS.items() if last is not None and 6.3e8 < float(last) * size < 4.1e9]
        hint = f", which looks like {likely[0]!r}" if likely else ""
        return f"time: the column {self.time} has numbers from {first} to {last}{hint}: say their unit by time_unit, one of {', '.join(_UNITS)}"


def kind_of(columns: dict[str, str], name: str, what: str, kinds: Sequence[str]) -> str:
    """The kind of a column; one that is not there or of another kind is refused."""
    if name not in columns:
        raise DataError(f"{what}: there is no column {name!r}: the log has the columns {', '.join(columns)}")
    if columns[name] not in kinds:
        raise DataError(f"{what}: the column {name} is of type {columns[name]}: cast it to {' or '.join(kinds)}")
    return columns[name]


def prepare(engine: Engine, out: str, request: Request) -> PreparedFolder:
    """Runs the queries of a preparation."""
    options = request.plan_options(engine)
    rounds = 1
    plan = _plan(options, rounds)
    at = 0
    while at < len(plan):
        step = plan[at]
        getattr(engine, step["kind"])(step["name"], step["query"])
        if step["name"] == "upnext_bad_rows" and not request.skip_bad_rows:
            _refuse_bad_rows(engine)
        if step["name"] == f"upnext_round_{rounds}" and request.rules.get("iterate_filters"):
            if engine.rows(f"SELECT COUNT(*) FROM {step['name']} WHERE rule IS NOT NULL")[0][0]:
                rounds += 1
                plan = _plan(options, rounds)  # The same as far as this, and one round more.
        if step["name"] == "upnext_train_sessions":
            _refuse_nothing(engine)
        for name in _no_longer_used(plan, at):
            engine.drop(name)
        at += 1
    return PreparedFolder(out)


def _plan(options: dict[str, Any], rounds: int) -> list[dict[str, str]]:
    try:
        return json.loads(_upnext.sql_plan(to_json({**options, "rounds": rounds})))["steps"]
    except UpnextError as error:
        raise translated(error) from None


def _no_longer_used(plan: list[dict[str, str]], at: int) -> list[str]:
    """The tables that a step makes or uses, and no later one."""
    views = {step["name"]: step["query"] for step in plan if step["kind"] == "view"}
    tables = {step["name"] for step in plan if step["kind"] == "table"}

    def used(query: str) -> set[str]:
        names = set(re.findall(r"\bupnext_\w+", query))
        return (names & tables).union(*(used(views[name]) for name in names & views.keys()))

    now = used(plan[at]["query"]) | ({plan[at]["name"]} & tables)
    return sorted(now.difference(*(used(step["query"]) for step in plan[at + 1 :])))


def _refuse_bad_rows(engine: Engine) -> None:
    ((total, *counts),) = engine.rows(
        "SELECT total, without_session, without_item, without_time, with_long_id FROM upnext_bad_rows"
    )
    reasons = ("without a session id", "without an item id", "without a time", "with an id that is too long")
    bad = [f"{number:,} {reason}" for number, reason in zip(counts, reasons) if number]
    if bad:
        raise DataError(
            f"of {total:,} rows there are {', '.join(bad)}: mend them, or leave them out and have them counted (skip_bad_rows=True)"
        )


def _refuse_nothing(engine: Engine) -> None:
    def number(table: str) -> int:
        return engine.rows(f"SELECT COUNT(*) FROM {table}")[0][0]

    if number("upnext_train_sessions"):
        return
    if not number("upnext_clean"):
        raise DataError(
            f"no session is left: of {number('upnext_events'):,} events all were dropped. Are these the right columns? Else soften the rules (min_item_support, min_session_length, since, until)"
        )
    raise DataError(
        "no training session is left: all are in the held-out part: use a shorter holdout, or a share of the sessions, such as 10%"
    )


def local(path: str) -> Path | None:
    """A path of this machine; ``None`` for a URL of another kind than ``file:``."""
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]+):", path)
    if scheme is None:
        return Path(path)
    return Path("/" + path[len("file:") :].lstrip("/")) if scheme[1].lower() == "file" else None


def make_folder(path: Path, overwrite: bool) -> None:
    """Makes a folder of this machine empty. Of an earlier preparation, what says that it is complete goes first."""
    if path.exists() and not path.is_dir():
        raise ConfigError(f"out: {path} is a file: name a folder")
    there = sorted(path.iterdir()) if path.exists() else []
    foreign = [part.name for part in there if part.name not in (*PARTS, TEMPORARY) or not part.is_dir()]
    if foreign:
        raise ConfigError(f"out: {path} has {foreign[0]}, which is no part of a preparation: name another folder")
    if there and not overwrite:
        raise ConfigError(f"out: {path} is there already: name another folder, or replace it (overwrite=True)")
    for part in sorted(there, key=lambda part: part.name != "statistics"):
        shutil.rmtree(part)
    path.mkdir(parents=True, exist_ok=True)


def out_of(out: Any) -> str:
    """The folder to write, as text."""
    if not isinstance(out, (str, os.PathLike)):
        raise ConfigError(f"out: is the path of a folder, not a {type(out).__name__}")
    text = os.fspath(out)
    return text if set(text) <= {"/"} else text.rstrip("/")
