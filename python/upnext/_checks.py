"""What users give, as the library takes it; and what the library says, in the words of Python."""

from __future__ import annotations

import datetime
import difflib
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from .errors import ConfigError, UpnextError, UpnextWarning

#: Options whose names here differ from those of the library.
SHORT = {"session_column": "session", "item_column": "item", "time_column": "time", "user_column": "user"}


def warn(text: str) -> None:
    """Warns of something, at the line of the user that has called the package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "upnext":
        frame, level = frame.f_back, level + 1
    warnings.warn(in_python(text), UpnextWarning, stacklevel=level)


def in_python(text: str) -> str:
    """A message with the names of arguments in place of those of fields and flags."""
    text = re.sub(r"(?<![\w/.-])--([a-z][a-z-]*)", lambda flag: flag[1].replace("-", "_"), text)
    text = re.sub(r"^-k: ", "k: ", text)
    text = re.sub(r"(?<![\w./])(?:model|training|evaluation)\.(?=[a-z_]+\b)", "", text)
    for field, name in SHORT.items():
        text = re.sub(rf"\b{field}\b", name, text)
    text = re.sub(r"^record batches: row (\d+)", r"row \1 of the frame, counted from 1", text)
    text = text.replace("record batches: ", "").replace("the file has the columns", "there are the columns")
    text = text.replace("(`skip_bad_rows`)", "(skip_bad_rows=True)")
    return re.sub(r"^cutoffs\[\d+\]", "k", text)


def translated(error: UpnextError) -> UpnextError:
    """An error of the library with its message in the words of Python."""
    return type(error)(in_python(str(error)))


def unknown(names: Iterable[str], known: Iterable[str], of: str) -> None:
    """Refuses names that are none of the known ones."""
    known = sorted(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"{name}: {of} has no such option: {hint}There are {', '.join(known)}")


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers and arrays of NumPy, dates and spans of time, too."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (datetime.timedelta, datetime.date)) or hasattr(value, "total_seconds"):
        return text_of_time(value)
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [plain(inner) for inner in value]
    if hasattr(value, "item"):
        return plain(value.item())
    raise ConfigError(f"a {type(value).__name__} is no value of an option: {value!r}")


def to_json(value: Any) -> str:
    """JSON of a value; numbers that are not finite are refused."""
    try:
        return json.dumps(plain(value), allow_nan=False)
    except ValueError as error:
        if isinstance(error, UpnextError):
            raise
        raise ConfigError("a number that is not finite is no value of an option") from None


def text_of_time(value: Any) -> str:
    """A span of time or a date as text."""
    if hasattr(value, "total_seconds"):
        seconds = value.total_seconds()
        return f"{int(seconds)}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"
    return value.isoformat()


def span(value: Any, name: str) -> Any:
    """What is held out as text: a span of time, a share, or a number of sessions."""
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "total_seconds"):
        return text_of_time(value)
    if isinstance(value, Real) and not isinstance(value, (bool, Integral)) and 0 < value < 1:
        return f"{100 * float(value):g}%"
    if isinstance(value, Integral) and not isinstance(value, bool) and value > 0:
        return f"{int(value)} sessions"
    raise ConfigError(f'{name}: write a span of time ("1d"), a share ("10%" or 0.1) or a number of sessions, not {value!r}')


def count(value: Any, name: str) -> int:
    """A number of 1 or more."""
    if isinstance(value, Integral) and not isinstance(value, bool) and 1 <= value < 2**63:
        return int(value)
    raise ConfigError(f"{name}: must be a whole number of 1 or more, not {value!r}")


def counts(value: Any, name: str) -> list[int]:
    """Numbers of 1 or more: one, or several."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return [count(value, name)]
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise ConfigError(f"{name}: must be a whole number or a list of them, not {value!r}")
    return [count(inner, name) for inner in value]


def threads(value: Any) -> int | None:
    """A number of threads: all cores for ``None`` and -1."""
    return None if value is None or (isinstance(value, Integral) and value == -1) else count(value, "n_threads")
