"""Comparisons and searches: the commands of the program, on data and models of Python."""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _upnext, models
from ._data import Data, UpnextWarning, read
from ._load import load
from ._pages import Report, columns
from ._progress import is_shown
from ._recommender import Recommender
from .errors import ConfigError, UpnextError


def _call(command: str, arguments: list[Any], shown: str, progress: bool | None) -> dict[str, Any]:
    """Runs a command and returns its document."""
    words = [command, *map(os.fspath, map(_word, arguments)), "--json", *([] if is_shown(progress) else ["--quiet"])]
    try:
        result, found = _upnext.call(words, shown)
    except UpnextError as error:
        raise type(error)(_in_python(str(error))) from None
    for text in found:
        warnings.warn(_in_python(text), UpnextWarning, stacklevel=3)
    return json.loads(result)


def _word(argument: Any) -> Any:
    return argument if isinstance(argument, os.PathLike) else str(argument)


def _in_python(text: str) -> str:
    """A message that names flags, with the arguments that stand for them."""
    return re.sub(r"(?<![\w-])--?([a-z][a-z-]*)", lambda flag: flag[1].replace("-", "_"), text)


def _options(**given: Any) -> list[Any]:
    """Options of a command: none for ``None`` and ``False``, and a flag alone for ``True``."""
    words: list[Any] = []
    for name, value in given.items():
        flag = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            several = isinstance(value, Sequence) and not isinstance(value, str)
            words += [flag, ",".join(map(str, value)) if several else value]
    return words


class _Folders:
    """Folders of a call, which are there as long as its result."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="upnext-")
        self.path = Path(self._temporary.name)

    def data(self, data: Any, options: dict[str, Any]) -> list[Path]:
        """The paths of a log, of a prepared one, or of a training and a test part."""
        if isinstance(data, Data):
            return [data._folder()]
        if isinstance(data, tuple) and len(data) == 2:
            return [self._log(part, f"{name}.parquet", options) for name, part in zip(("train", "test"), data)]
        return [self._log(data, "log.parquet", options)]

    def _log(self, log: Any, name: str, options: dict[str, Any]) -> Path:
        if isinstance(log, (str, os.PathLike)) and not options:
            return Path(log)
        path = self.path / name
        read(log, **options)._inner.write(path)
        return path

    def experiment(self, model: Recommender, name: str) -> Path:
        """An experiment file of a model."""
        path = self.path / "experiments" / f"{name}.toml"
        path.parent.mkdir(exist_ok=True)
        _upnext.experiment_file(json.dumps(model._experiment()), path)
        return path


def _named(given: Any) -> list[tuple[str | None, Any]]:
    if isinstance(given, Mapping):
        for name in given:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", str(name)):
                raise ConfigError(f"models: {name!r} cannot be a name: use letters, digits, '.', '_' and '-'")
        return list(given.items())
    if isinstance(given, (str, os.PathLike, Recommender, type)):
        given = [given]
    return [(None, model) for model in given]


class Comparison(Report):
    """Models on the same test sessions, with intervals.

    ``comparison["vstan"]`` is the fitted model of that name.
    """

    def __init__(self, record: dict[str, Any], page: str, folders: _Folders, fitted: dict[str, Recommender]) -> None:
        super().__init__(record, page)
        self._folders = folders
        self._fitted = fitted

    @property
    def names(self) -> list[str]:
        """The names of the models, the best MRR first."""
        k = self._record["evaluation"]["cutoffs"][-1]
        return sorted((row["name"] for row in self._record["models"]), key=lambda name: -self[name, f"mrr@{k}"])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            name, figure = key
            for found in self.intervals():
                if found["model"] == name and f"{found['metric']}@{found['k']}" == figure:
                    return found["value"]
            raise KeyError(f"{name}: no {figure}")
        if key not in self._fitted:
            folder = self._folders.path / "models" / key.replace("/", "-")
            if not folder.is_dir():
                raise KeyError(key)
            self._fitted[key] = load(folder)
        return self._fitted[key]

    def intervals(self) -> list[dict[str, Any]]:
        """The metrics of every model with the ends of their 95 % intervals."""
        models = zip(self._record["models"], self._record["comparison"]["models"])
        return [{"model": row["name"], **figure} for row, figures in models for figure in figures]

    def differences(self) -> list[dict[str, Any]]:
        """The differences of every pair of models, second minus first, with the ends of their 95 % intervals."""
        names = [row["name"] for row in self._record["models"]]
        pairs = self._record["comparison"]["differences"]
        ends = lambda pair: {"first": names[pair["first"]], "second": names[pair["second"]]}  # noqa: E731
        return [{**ends(pair), **figure} for pair in pairs for figure in pair["figures"]]

    def to_pandas(self) -> Any:
        """The metrics as a frame, one row a model, the best first."""
        import pandas

        return pandas.DataFrame(self._rows()).set_index("model")

    def _rows(self) -> list[dict[str, Any]]:
        of = {row["name"]: row for row in self._record["models"]}
        rows = []
        for name in self.names:
            row: dict[str, Any] = {"model": name}
            for at in of[name]["metrics"]:
                row |= {f"{metric}@{at['k']}": value for metric, value in at.items() if metric != "k"}
            rows.append(row | {key: of[name][key] for key in ("training_seconds", "request_ms")})
        return rows

    def __repr__(self) -> str:
        k = self._record["evaluation"]["cutoffs"][-1]
        of = {(found["model"], found["metric"]): found for found in self.intervals() if found["k"] == k}
        rows = []
        for name in self.names:
            cells = [name]
            for metric in ("recall", "mrr", "ndcg"):
                found = of[name, metric]
                ends = f" [{found['low']:.4f}, {found['high']:.4f}]" if found.get("low") is not None else ""
                cells.append(f"{found['value']:.4f}{ends}")
            rows.append(cells)
        return columns(["model", f"recall@{k}", f"mrr@{k}", f"ndcg@{k}"], rows)


def compare(
    data: Any,
    models: Any = None,
    *,
    k: Sequence[int] = (1, 5, 10, 20),
    ties: str = "conservative",
    candidates: int | None = None,
    unknown: str = "leave-out",
    epochs: int | None = None,
    seed: int | None = None,
    resamples: int | None = None,
    catalogue: str | os.PathLike[str] | None = None,
    n_threads: int | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Comparison:
    """Trains and evaluates models on the same data, with intervals for each and for their differences.

    Parameters
    ----------
    data : Data, path or (train, test)
        A prepared log, the folder of one, or two logs, each whatever :func:`upnext.read` takes, with its options.
    models
        Names of kinds, models that are fitted here, fitted models, paths of saved models and experiment files: one of them,
        a list, or a mapping from names. By default all kinds. If the data has a validation part, it chooses the number of
        epochs of kinds that are given by their names.
    k, ties, candidates, unknown, epochs, seed, resamples, catalogue
        As in ``upnext compare --help``.
    progress : bool
        Whether to show progress; by default in terminals and notebooks.
    """
    folders, fitted, words, taken = _Folders(), {}, [], set()
    for name, model in _named(models or ()):
        if isinstance(model, (str, os.PathLike)) and name is None:
            words.append(os.fspath(model))
            continue
        if isinstance(model, (str, os.PathLike)):
            model = _of_kind(os.fspath(model))
        if isinstance(model, type):
            model = model()
        base = name = name or model.kind
        number = 1
        while name in taken or name in words:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        if model._fitted is None:
            words.append(str(folders.experiment(model, name)))
        else:
            fitted[name] = model
            (folders.path / "fitted").mkdir(exist_ok=True)
            words.append(str(folders.path / "fitted" / name))
            model.save(words[-1])
    page = folders.path / "report.html"
    shown = f"upnext.compare({_shown(data)}, {[Path(word).stem if os.sep in word else word for word in words]})"
    arguments = [
        *folders.data(data, options),
        *_options(models=",".join(words) or None, keep=folders.path / "models", report=page, k=list(k), ties=ties),
        *_options(candidates=candidates, unknown=unknown, epochs=epochs, seed=seed, resamples=resamples),
        *_options(catalogue=catalogue, threads=n_threads),
    ]
    record = _call("compare", arguments, shown, progress)
    return Comparison(record, page.read_text(encoding="utf-8"), folders, fitted)


def _of_kind(kind: str) -> Recommender:
    for name in models.__all__:
        if getattr(models, name).kind == kind:
            return getattr(models, name)()
    raise ConfigError(f"models: there is no kind {kind!r}")


def _shown(data: Any) -> str:
    return repr(os.fspath(data)) if isinstance(data, (str, os.PathLike)) else "data"


class Tuning(Report):
    """A search for parameters: its trials, and the best model, trained on all of the training part."""

    def __init__(self, record: dict[str, Any], page: str, folder: Path, folders: _Folders) -> None:
        super().__init__(record, page)
        self.folder = folder
        self._folders = folders
        self._model: Recommender | None = None

    @property
    def best_params(self) -> dict[str, Any]:
        """The searched parameters of the best trial."""
        return {key.split(".")[-1]: value for key, value in self._record["best"]["values"].items()}

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The trials, in their order, each with its values and figures on the validation part."""
        return self._record["sampled"] + self._record["refined"]

    @property
    def model(self) -> Recommender:
        """The best model."""
        if self._model is None:
            self._model = load(self.folder / "model", to_train=True)
        return self._model

    def to_pandas(self) -> Any:
        """The trials as a frame."""
        import pandas

        return pandas.DataFrame([{**trial["values"], **trial} for trial in self.trials]).drop(columns="values")

    def __repr__(self) -> str:
        best, params = self._record["best"], ", ".join(f"{name}={value!r}" for name, value in self.best_params.items())
        figures = f"recall {best['recall']:.4f}, mrr {best['mrr']:.4f} on the validation part"
        return f"<Tuning: {len(self.trials)} trials, the best: {params} ({figures})>"


def tune(
    data: Any,
    space: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    model: Recommender | type | str = "gru4rec",
    trials: int = 100,
    objective: str = "recall",
    sampler: str = "random",
    halving: bool = False,
    refine: bool = True,
    validation: str = "1d",
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    seed: int | None = None,
    n_threads: int | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Tuning:
    """Searches for the best parameters of a model on a validation part; the test part, if there is one, is looked at once.

    Parameters
    ----------
    data : Data, path or log
        A prepared log with a validation part, or a log, of which ``validation`` is split off.
    space : mapping or path
        What to search: from a parameter's name to a list of values, or to ``{"uniform": [low, high]}``, ``{"log": [low, high]}``
        or ``{"integer": [low, high]}``; or a file, as ``upnext tune --show-space`` prints one. By default that of the kind.
    model
        A model whose other parameters are kept, or the name of a kind.
    trials, objective, sampler, halving, refine
        As in ``upnext tune --help``.
    out, resume
        A folder for the search, which goes on there with ``resume=True`` after Ctrl-C.
    """
    folders = _Folders()
    model = _of_kind(model) if isinstance(model, str) else model() if isinstance(model, type) else model
    if isinstance(space, Mapping):
        space = _space_file(folders.path / "space.toml", space, model)
    folder = Path(out) if out is not None else folders.path / "tuned"
    log = folders.data(data, options)
    arguments = [
        log[0],
        *_options(config=folders.experiment(model, model.kind), space=space, trials=trials, objective=objective),
        *_options(sampler=sampler, halving=halving, no_refine=not refine, out=folder, resume=resume, seed=seed),
        *_options(validation=None if isinstance(data, Data) else validation, threads=n_threads),
        *_options(test=log[1] if len(log) > 1 else None),
    ]
    try:
        record = _call("tune", arguments, f"upnext.tune({_shown(data)}, model={model!r})", progress)
    except KeyboardInterrupt:
        raise _interrupted(out, "the trials so far are") from None
    return Tuning(record, (folder / "report.html").read_text(encoding="utf-8"), folder, folders)


def _interrupted(out: Any, what: str) -> KeyboardInterrupt:
    if out is None:
        return KeyboardInterrupt("give `out` a folder to go on later by resume=True")
    return KeyboardInterrupt(f"{what} in {os.fspath(out)}: the same call with resume=True goes on")


def _space_file(path: Path, space: Mapping[str, Any], model: Recommender) -> Path:
    tables: dict[str, list[str]] = {"model": [], "training": []}
    for name, domain in space.items():
        if name not in model._names():
            raise ConfigError(f"space: {type(model).__name__} has no parameter {name}: it has {', '.join(model._names())}")
        domain = domain if isinstance(domain, Mapping) else {"choice": list(domain)}
        values = ", ".join(f"{key} = {json.dumps(list(value))}" for key, value in domain.items())
        tables["model" if name in model._model_fields else "training"].append(f"{name} = {{ {values} }}")
    lines = [line for table, fields in tables.items() if fields for line in [f"[{table}]", *fields]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Auto(Report):
    """The best model for a log, and what else was tried."""

    def __init__(self, record: dict[str, Any], page: str, folder: Path, folders: _Folders) -> None:
        super().__init__(record, page)
        self.folder = folder
        self._folders = folders
        self.model = load(folder)

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """The candidates, the best first, with their figures on the last days of the training part."""
        return self._record["candidates"]

    def to_pandas(self) -> Any:
        """The candidates as a frame, the best first."""
        import pandas

        rows = [{"members": " + ".join(found["members"]), **found["figures"]} for found in self.candidates]
        return pandas.DataFrame(rows).set_index("members")

    def __repr__(self) -> str:
        rows = [
            [" + ".join(found["members"]), *(f"{found['figures'][metric]:.4f}" for metric in ("recall", "mrr", "ndcg"))]
            for found in self.candidates[:8]
        ]
        return columns(["candidate", "recall@20", "mrr@20", "ndcg@20"], rows)


def auto(
    data: Any,
    *,
    budget: str = "30m",
    objective: str = "mrr@20",
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    seed: int = 42,
    n_threads: int | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Auto:
    """Finds, trains and saves the best model for a log within a budget of time: usually a blend of several.

    Parameters
    ----------
    data : Data, path or log
        A prepared log, whose test part is looked at once, or whatever :func:`upnext.read` takes, with its options.
    budget : str
        Time for all of it, such as ``"20m"``, ``"2h"`` or ``"1d"``.
    objective : str
        ``"recall@20"``, ``"mrr@20"`` or ``"ndcg@20"``.
    out, resume
        A folder for the model, in which the best one so far is after Ctrl-C; ``resume=True`` goes on with the search.
    """
    folders = _Folders()
    folder = Path(out) if out is not None else folders.path / "model"
    page = folders.path / "report.html"
    arguments = [
        folders.data(data, options)[0],
        *_options(out=folder, budget=budget, objective=objective, report=page, resume=resume, seed=seed, threads=n_threads),
    ]
    try:
        record = _call("auto", arguments, f"upnext.auto({_shown(data)}, budget={budget!r})", progress)
    except KeyboardInterrupt:
        raise _interrupted(out, "the best model so far is") from None
    return Auto(record, page.read_text(encoding="utf-8"), folder, folders)
