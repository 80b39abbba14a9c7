"""Ids of items and sessions: texts inside, and for users whole numbers where these were given."""

from __future__ import annotations

from collections.abc import Mapping, Set
from numbers import Integral, Real
from typing import Any

from .errors import DataError


def listed(values: Any, what: str) -> list[Any]:
    """A list of ids from any ordered container of one dimension."""
    kind = type(values)
    if kind is list or kind is tuple:
        return list(values)
    if isinstance(values, (str, bytes)):
        raise DataError(f"{what}: is a list of item ids, as in [{values!r}]")
    if isinstance(values, (Mapping, Set)) or hasattr(values, "columns"):
        raise DataError(f"{what}: is a list of item ids in their order, not a {kind.__name__}")
    if getattr(values, "ndim", 1) != 1:
        raise DataError(f"{what}: is a list of item ids, not an array of {values.ndim} dimensions")
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(values, method):
            return getattr(values, method)()
    try:
        return list(values)
    except TypeError:
        raise DataError(f"{what}: is a list of item ids, not a {kind.__name__}: {values!r}") from None


def texts(values: Any, what: str) -> tuple[list[str], bool, bool]:
    """The texts of ids, whether all were whole numbers, and whether some were and some were not."""
    values = listed(values, what)
    kinds = set(map(type, values))
    if kinds <= {str}:
        return values, False, False
    if kinds == {int}:
        return list(map(str, values)), True, False
    found = [text(value, what) for value in values]
    numbers = [is_number for _, is_number in found]
    return [id for id, _ in found], all(numbers), any(numbers) and not all(numbers)


def text(value: Any, what: str) -> tuple[str, bool]:
    """The text of an id, and whether it was a whole number."""
    if isinstance(value, str):
        return str(value), False
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value)), True
    if isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer():
        return str(int(value)), True
    if isinstance(value, bytes):
        try:
            return value.decode(), False
        except UnicodeDecodeError:
            raise DataError(f"{what}: {value!r} is no text in UTF-8") from None
    missing = value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    if missing:
        raise DataError(f"{what}: has an event without an item id: leave it out")
    if isinstance(value, (list, tuple)) or hasattr(value, "__array__") and getattr(value, "ndim", 0):
        raise DataError(f"{what}: has lists in it: for several sessions use recommend_many, and read or fit for a log")
    raise DataError(f"{what}: an item id is a text or a whole number, not a {type(value).__name__}: {value!r}")
