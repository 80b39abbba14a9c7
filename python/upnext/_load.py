"""Saved models."""

from __future__ import annotations

import json
import os
from typing import Any

from . import _upnext, models
from ._checks import translated
from ._recommender import Recommender
from .errors import MissingFileError, UpnextError


def of_kind(kind: str) -> type[Recommender] | None:
    """The class of a kind."""
    classes = {getattr(models, name).kind: getattr(models, name) for name in models.__all__}
    return classes.get(kind)


def load(path: str | os.PathLike[str], *, to_train: bool = False) -> Recommender:
    """Loads a saved model, of whatever kind, as an object of its class.

    With ``to_train``, what a further training needs is loaded, too, if the model has it: twice the memory or more.
    """
    if not os.path.exists(path):
        raise MissingFileError(f"{os.fspath(path)}: there is no such folder")
    try:
        fitted = (_upnext.Model.load_to_train if to_train else _upnext.Model.load)(path)
    except UpnextError as error:
        raise translated(error) from None
    return fitted_of(fitted)


def fitted_of(fitted: _upnext.Model) -> Recommender:
    """A fitted model as an object of its class, with the parameters that it was given."""
    experiment = json.loads(fitted.experiment)
    kind = of_kind(fitted.kind)
    assert kind is not None, fitted.kind
    model = kind(**_given(kind, experiment["model"], experiment.get("training", {})))
    model._fitted = fitted
    return model


def _given(kind: type[Recommender], model: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a complete experiment: those that follow from others are ``None``, as they were given."""
    defaults = kind._defaults()
    tables = {"model": {}, "training": {}}
    for table, fields, values in (("model", kind._model_fields, model), ("training", kind._training_fields, training)):
        tables[table] = {name: values[name] for name in fields if values.get(name) is not None}
    open_ones = [name for name, default in defaults.items() if default is None]
    closed = {
        table: {name: value for name, value in values.items() if name not in open_ones} for table, values in tables.items()
    }
    closed["model"]["kind"] = kind.kind
    resolved = json.loads(_upnext.resolved(json.dumps(closed)))
    given = {}
    for table, values in tables.items():
        for name, value in values.items():
            follows = name in open_ones and resolved.get(table, {}).get(name) == value
            if not follows:
                given[name] = _shown(name, value)
    return given


def _shown(name: str, value: Any) -> Any:
    if name == "members":
        return [_member(member) for member in value]
    return tuple(value) if isinstance(value, list) else value


def _member(member: Any) -> Any:
    """A member of a blend as it may have been given: the name of its kind, or a table of what differs from its defaults."""
    if not isinstance(member, dict):
        return member
    kind = of_kind(member["kind"])
    if kind is None:
        return member
    given = _given(kind, member, member.get("training") or {})
    defaults = kind._defaults()
    differing = {name: value for name, value in given.items() if not _is_same(value, defaults[name])}
    table: dict[str, Any] = {"kind": kind.kind}
    if member.get("name") not in (None, kind.kind):
        table["name"] = member["name"]
    table |= {name: _short(value) for name, value in differing.items() if name in kind._model_fields}
    training = {name: _short(value) for name, value in differing.items() if name in kind._training_fields}
    if training:
        table["training"] = training
    return table if len(table) > 1 else kind.kind


def _is_same(value: Any, default: Any) -> bool:
    if isinstance(value, float) and isinstance(default, (int, float)):
        return abs(value - default) <= 1e-6 * max(abs(value), abs(default))
    return value == default


def _short(value: Any) -> Any:
    """A number of single precision as it was written."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float):
        import numpy

        single = numpy.float32(value)
        return float(str(single)) if float(single) == value else value
    return value
