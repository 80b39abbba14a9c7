"""Comparisons and searches: the commands of the program, on data and models of Python."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _upnext
from ._checks import count, counts, in_python, span, text_of_time, threads, to_json, translated, warn
from ._data import Data, Sessions, read
from ._folders import Folder
from ._load import load, of_kind
from ._pages import Report, columns
from ._progress import is_shown
from ._recommender import Recommender
from .errors import ConfigError, DataError, UpnextError


class _Call:
    """A command, its data and its files, which are there as long as its result."""

    def __init__(self, data: Any, options: dict[str, Any]) -> None:
        self._folder = Folder()
        self.path = self._folder.path
        self.data = data
        self.shown = repr(os.fspath(data)) if isinstance(data, (str, os.PathLike)) else "data"
        self.logs = self._logs(data, options)

    def _logs(self, data: Any, options: dict[str, Any]) -> list[Path]:
        """The paths of a log, of a prepared one, or of a training and a test part."""
        if isinstance(data, Data):
            if options:
                raise ConfigError(f"{', '.join(options)}: a prepared log has been read already: leave such options out")
            return data._paths()
        if isinstance(data, tuple) and len(data) == 2:
            return [self._log(part, f"{name}.parquet", options) for name, part in zip(("train", "test"), data)]
        return [self._log(data, "log.parquet", options)]

    def _log(self, log: Any, name: str, options: dict[str, Any]) -> Path:
        if isinstance(log, (str, os.PathLike)) and not options:
            return Path(log)
        path = self.path / name
        own = {} if isinstance(log, Sessions) else options
        read(log, **own)._inner.write(path)
        return path

    def experiment(self, model: Recommender, name: str) -> Path:
        """An experiment file of a model."""
        path = self.path / f"{name}.toml"
        _upnext.experiment_file(model._checked(), path)
        return path

    def run(self, command: str, options: list[Any], shown: str, progress: bool | None) -> dict[str, Any]:
        """Runs the command and returns its document."""
        words = [command, *options, "--json", *([] if is_shown(progress) else ["--quiet"]), "--", *self.logs]
        try:
            result, found = _upnext.call([os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in words], shown)
        except UpnextError as error:
            raise translated(type(error)(self._without_folders(str(error)))) from None
        for text in found:
            warn(self._without_folders(text))
        return json.loads(self._without_folders(result))

    def _without_folders(self, text: str) -> str:
        """A text in which temporary files have no folder."""
        folders = {self.path, *(path.parent for path in self.logs if isinstance(self.data, Data) and self.data._written is not None)}
        for folder in folders:
            text = text.replace(f"{folder}{os.sep}", "").replace(json.dumps(f"{folder}{os.sep}")[1:-1], "")
        return text


def _options(**given: Any) -> list[Any]:
    """Options of a command: none for ``None`` and ``False``, and a flag alone for ``True``."""
    words: list[Any] = []
    for name, value in given.items():
        flag = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, list):
            words += [flag, ",".join(map(str, value))]
        elif value is not None and value is not False:
            # One word, so that a value that begins with a dash is no option.
            words += [flag, value] if len(name) == 1 else [f"{flag}={os.fspath(value) if isinstance(value, os.PathLike) else value}"]
    return words


def _whole(value: Any, name: str) -> int | None:
    return None if value is None else count(value, name)


class Comparison(Report):
    """Models on the same test sessions, with intervals.

    ``comparison["vstan"]`` is the fitted model of that name, ``comparison["vstan", "mrr@20"]`` one of its figures; iterating
    gives the names, those with the highest MRR first.
    """

    def __init__(self, record: dict[str, Any], page: str, call: _Call, fitted: dict[str, Recommender]) -> None:
        super().__init__(record, page)
        self._call = call
        self._fitted = fitted

    @property
    def _k(self) -> int:
        return self._record["evaluation"]["cutoffs"][-1]

    @property
    def names(self) -> list[str]:
        """The names of the models, the highest MRR first."""
        figures = {(found["model"], found["metric"], found["k"]): found["value"] for found in self.intervals()}
        return sorted((row["name"] for row in self._record["models"]), key=lambda name: -figures[name, "mrr", self._k])

    @property
    def failed(self) -> dict[str, str]:
        """The models that could not be trained or evaluated, with the reasons."""
        return {row["name"]: in_python(row["reason"]) for row in self._record["failed"]}

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self._record["models"])

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, key: Any) -> Any:
        name, figure = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if name not in self:
            raise KeyError(f"{name!r} is none of the models: {', '.join(self.names)}")
        if figure is not None:
            for found in self.intervals():
                if found["model"] == name and f"{found['metric']}@{found['k']}" == figure:
                    return found["value"]
            raise KeyError(f"{figure!r} is none of the figures: recall, mrr and ndcg at {self._record['evaluation']['cutoffs']}")
        if name not in self._fitted:
            self._fitted[name] = load(self._call.path / "models" / name.replace("/", "-"))
        return self._fitted[name]

    def intervals(self) -> list[dict[str, Any]]:
        """The metrics of every model with the ends of their 95 % intervals: ``model``, ``metric``, ``k``, ``value``, ``low``, ``high``."""
        models = zip(self._record["models"], self._record["comparison"]["models"])
        return [{"model": row["name"], **figure} for row, figures in models for figure in figures]

    def differences(self) -> list[dict[str, Any]]:
        """The differences of every pair of models on the same sessions, ``second`` minus ``first``, with the ends of their 95 %
        intervals: ``first``, ``second``, ``metric``, ``k``, ``value``, ``low``, ``high``."""
        names = [row["name"] for row in self._record["models"]]
        pairs = self._record["comparison"]["differences"]
        return [
            {"first": names[pair["first"]], "second": names[pair["second"]], **figure} for pair in pairs for figure in pair["figures"]
        ]

    def to_pandas(self, what: str = "metrics") -> Any:
        """A frame: of ``"metrics"``, one row a model, the highest MRR first; or of ``"intervals"`` or ``"differences"``."""
        import pandas

        if what in ("intervals", "differences"):
            return pandas.DataFrame(getattr(self, what)())
        if what != "metrics":
            raise ConfigError(f"what: `{what}` is none of metrics, intervals, differences")
        return pandas.DataFrame(self._rows()).set_index("model")

    def _rows(self) -> list[dict[str, Any]]:
        of = {row["name"]: row for row in self._record["models"]}
        rows = []
        for name in self.names:
            row: dict[str, Any] = {"model": name}
            for at in of[name]["metrics"]:
                row.update({f"{metric}@{at['k']}": value for metric, value in at.items() if metric != "k"})
            row.update({key: of[name][key] for key in ("training_seconds", "request_ms")})
            rows.append(row)
        return rows

    def __repr__(self) -> str:
        of = {(found["model"], found["metric"]): found for found in self.intervals() if found["k"] == self._k}
        rows = []
        for name in self.names:
            cells = [name]
            for metric in ("recall", "mrr", "ndcg"):
                found = of[name, metric]
                ends = f" [{found['low']:.4f}, {found['high']:.4f}]" if found.get("low") is not None else ""
                cells.append(f"{found['value']:.4f}{ends}")
            rows.append(cells)
        failed = "".join(f"\n{name} failed: {reason}" for name, reason in self.failed.items())
        return columns(["model", *(f"{metric}@{self._k}" for metric in ("recall", "mrr", "ndcg"))], rows) + failed


def compare(
    data: Any,
    models: Any = None,
    *,
    k: int | Sequence[int] = (1, 5, 10, 20),
    ties: str = "conservative",
    candidates: int | None = None,
    unknown: str = "leave-out",
    epochs: int | None = None,
    seed: int | None = None,
    resamples: int | None = None,
    catalogue: Any = None,
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
    k, ties, candidates, unknown
        As for :meth:`Recommender.evaluate`.
    epochs, seed : int, default None
        For all models that have them, instead of their own.
    resamples : int, default 2000
        Number of resamples of the sessions for the intervals.
    catalogue : path or frame, default None
        Titles of items for the page: ``item_id`` and ``title``.
    progress : bool, default None
        Whether to show progress; by default in terminals and notebooks.
    """
    if isinstance(data, Sessions) or not isinstance(data, (Data, tuple, str, os.PathLike)):
        raise DataError("compare takes a prepared log (upnext.prepare), the folder of one, or (train, test)")
    call = _Call(data, options)
    named, fitted, words = _named(models), {}, []
    for name, model in named:
        if isinstance(model, str):
            words.append(model)
        elif model._fitted is None:
            words.append(str(call.experiment(model, name)))
        else:
            fitted[name] = model
            (call.path / "fitted").mkdir(exist_ok=True)
            words.append(str(call.path / "fitted" / name))
            model.save(words[-1])
    page = call.path / "report.html"
    shown = f"upnext.compare({call.shown}, {dict(named)!r})" if named else f"upnext.compare({call.shown})"
    given = [
        *_options(models=words or None, keep=call.path / "models", report=page, k=counts(k, "k"), ties=ties, unknown=unknown),
        *_options(candidates=_whole(candidates, "candidates"), epochs=_whole(epochs, "epochs"), seed=seed),
        *_options(resamples=resamples, catalogue=_catalogue(catalogue, call), threads=threads(n_threads)),
    ]
    record = call.run("compare", given, shown, progress)
    return Comparison(record, page.read_text(encoding="utf-8"), call, fitted)


def _named(given: Any) -> list[tuple[str, Any]]:
    """The models with unique names; kinds and paths that have no name of their own are texts."""
    if given is None:
        return []
    if isinstance(given, (str, os.PathLike, Recommender, type)):
        given = [given]
    named: list[tuple[str, Any]] = []
    taken: set[str] = set()
    pairs = [(str(name), model) for name, model in given.items()] if isinstance(given, Mapping) else [(None, model) for model in given]
    if not pairs:
        raise ConfigError("models: there is none: leave the argument out for all kinds")
    taken.update(os.fspath(model) for name, model in pairs if name is None and isinstance(model, (str, os.PathLike)))
    for name, model in pairs:
        if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ConfigError(f"models: {name!r} cannot be a name: use letters, digits, '.', '_' and '-'")
        if isinstance(model, os.PathLike):
            model = os.fspath(model)
        if isinstance(model, str) and name is None:
            if "," in model:
                raise ConfigError(f"models: {model!r} has a comma: give a list of names, and load a model whose path has one")
            named.append((model, model))
            continue
        if isinstance(model, str):
            kind = of_kind(model)
            model = kind() if kind is not None else load(model)
        if isinstance(model, type) and issubclass(model, Recommender):
            model = model()
        if not isinstance(model, Recommender):
            raise ConfigError(f"models: a {type(model).__name__} is no model, kind or path: {model!r}")
        own, number = name or model.kind, 1
        while name is None and own in taken:
            number += 1
            own = f"{model.kind}-{number}"
        taken.add(own)
        named.append((own, model))
    return named


def _catalogue(catalogue: Any, call: _Call) -> Any:
    if catalogue is None or isinstance(catalogue, (str, os.PathLike)):
        return catalogue
    import pyarrow
    import pyarrow.parquet

    path = call.path / "catalogue.parquet"
    pyarrow.parquet.write_table(pyarrow.table(catalogue), path)
    return path


class Tuning(Report):
    """A search for parameters: its trials, and the best model, trained on all of the training part.

    ``folder`` has the search's files; it is temporary unless ``out`` was given.
    """

    def __init__(self, record: dict[str, Any], page: str, folder: Path, call: _Call) -> None:
        super().__init__(record, page)
        self.folder = folder
        self._call = call
        self._model: Recommender | None = None

    @property
    def best_params(self) -> dict[str, Any]:
        """The searched parameters of the best trial."""
        return _short_names(self._record["best"]["values"])

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The trials, each once, with ``params`` and the figures on the validation part."""
        found: dict[str, dict[str, Any]] = {}
        for trial in self._record["sampled"] + self._record["refined"]:
            row = {"params": _short_names(trial["values"]), **{key: value for key, value in trial.items() if key != "values"}}
            found.setdefault(json.dumps(row["params"]), row)
        return list(found.values())

    @property
    def test(self) -> dict[str, Any] | None:
        """The figures on the test part, if there is one."""
        return self._record.get("test")

    @property
    def model(self) -> Recommender:
        """The best model."""
        if self._model is None:
            self._model = load(self.folder / "model", to_train=True)
        return self._model

    def to_pandas(self) -> Any:
        """The trials as a frame."""
        import pandas

        return pandas.DataFrame([{**trial["params"], **trial} for trial in self.trials]).drop(columns="params")

    def __repr__(self) -> str:
        best, params = self._record["best"], ", ".join(f"{name}={value!r}" for name, value in self.best_params.items())
        k = self._record["experiment"]["evaluation"]["cutoffs"][-1]
        figures = f"recall@{k} {best['recall']:.4f}, mrr@{k} {best['mrr']:.4f} on the validation part"
        return f"<Tuning: {len(self.trials)} trials, the best: {params} ({figures})>"


def _short_names(values: dict[str, Any]) -> dict[str, Any]:
    return {key.split(".")[-1]: value for key, value in values.items()}


def tune(
    data: Any,
    space: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    model: Recommender | type[Recommender] | str = "gru4rec",
    trials: int = 100,
    objective: str = "recall",
    sampler: str = "random",
    halving: bool = False,
    refine: bool = True,
    validation: Any = None,
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
        A log that was prepared with a validation part, or another log, of which ``validation`` is split off.
    space : mapping or path, default None
        What to search: from a parameter's name to a list of values, or to ``{"uniform": [low, high]}``, ``{"log": [low, high]}``
        or ``{"integer": [low, high]}``; or a file, as ``upnext tune --show-space`` prints one. By default that of the kind.
    model : model, class or kind
        A model whose other parameters are kept.
    trials : int, default 100
        Number of points to sample.
    objective : str, default "recall"
        ``"recall"`` or ``"mrr"`` at the largest cut-off.
    sampler : str, default "random"
        ``"random"``, or ``"tpe"``, which samples near good points.
    halving : bool, default False
        Stop the worst trials after a ninth and a third of their epochs.
    refine : bool, default True
        Improve the best point one parameter at a time afterwards, by further trials.
    validation : default "1d"
        For a log that is not prepared, as for :func:`prepare`.
    out, resume
        A folder for the search, which goes on there with ``resume=True`` after Ctrl-C.
    """
    if isinstance(space, (Recommender, type)) or (isinstance(space, str) and of_kind(space) is not None):
        raise ConfigError("space: is a mapping from parameters to values; the model is given by model=")
    if isinstance(data, Data) and validation is not None:
        raise ConfigError("validation: a prepared log has its own: prepare(…, validation='1d')")
    if isinstance(data, Data) and data.valid is None:
        raise DataError("the log was prepared without a validation part: prepare(…, validation='1d')")
    if resume and out is None:
        raise ConfigError("resume: needs the folder of the search: out=")
    call = _Call(data, options)
    start = _model_of(model)
    if isinstance(space, Mapping):
        space = _space_file(call.path / "space.toml", space, start)
    folder = Path(out) if out is not None else call.path / "tuned"
    given = [
        *_options(config=call.experiment(start, start.kind), space=space, trials=count(trials, "trials"), halving=bool(halving)),
        *_options(objective=str(objective).partition("@")[0], sampler=sampler, no_refine=not refine, out=folder, resume=bool(resume)),
        *_options(seed=seed, validation=span(validation, "validation"), threads=threads(n_threads)),
    ]
    if len(call.logs) > 1:
        given += _options(test=call.logs.pop())
    shown = f"upnext.tune({call.shown}, model={start!r}, trials={trials})"
    try:
        record = call.run("tune", given, shown, progress)
    except KeyboardInterrupt:
        raise _interrupted(out, "the trials so far are") from None
    return Tuning(record, (folder / "report.html").read_text(encoding="utf-8"), folder, call)


def _model_of(model: Any) -> Recommender:
    if isinstance(model, str):
        kind = of_kind(model)
        if kind is None:
            raise ConfigError(f"model: there is no kind {model!r}")
        return kind()
    if isinstance(model, type) and issubclass(model, Recommender):
        return model()
    if isinstance(model, Recommender):
        return model
    raise ConfigError(f"model: a {type(model).__name__} is no model or kind")


def _interrupted(out: Any, what: str) -> KeyboardInterrupt:
    if out is None:
        return KeyboardInterrupt("give `out` a folder to go on later by resume=True")
    return KeyboardInterrupt(f"{what} in {os.fspath(out)}: the same call with resume=True goes on")


def _space_file(path: Path, space: Mapping[str, Any], model: Recommender) -> Path:
    tables: dict[str, list[str]] = {"model": [], "training": []}
    for name, domain in space.items():
        if name not in model._names():
            raise ConfigError(f"space: {type(model).__name__} has no parameter {name}: it has {', '.join(model._names())}")
        if hasattr(domain, "tolist"):
            domain = domain.tolist()
        if isinstance(domain, str) or not isinstance(domain, (Mapping, Sequence, set, frozenset, range)):
            raise ConfigError(f"space: {name} needs a list of values, or a range such as {{'uniform': [0, 1]}}, and not {domain!r}")
        domain = domain if isinstance(domain, Mapping) else {"choice": list(domain)}
        values = ", ".join(f"{key} = {to_json(list(value))}" for key, value in domain.items())
        tables["model" if name in model._model_fields else "training"].append(f"{name} = {{ {values} }}")
    lines = [line for table, fields in tables.items() if fields for line in [f"[{table}]", *fields]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Auto(Report):
    """The best model for a log, and what else was tried.

    ``model`` is the fitted model, ``folder`` the folder in which it is saved; that is temporary unless ``out`` was given.
    """

    def __init__(self, record: dict[str, Any], page: str, folder: Path, call: _Call) -> None:
        super().__init__(record, page)
        self.folder = folder
        self._call = call
        self.model = load(folder)

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """The candidates, the best first: their ``members``, and their ``figures`` on the last days of the training part."""
        return self._record["candidates"]

    @property
    def test(self) -> dict[str, Any] | None:
        """The metrics on the test part at 20, if there is one."""
        test = self._record.get("test")
        return test and test["evaluation"]["metrics"][-1]

    def to_pandas(self) -> Any:
        """The candidates as a frame, the best first."""
        import pandas

        rows = [{"members": " + ".join(found["members"]), **found["figures"]} for found in self.candidates]
        return pandas.DataFrame(rows).set_index("members")

    def __repr__(self) -> str:
        shown = self.candidates[:8]
        rows = [
            [" + ".join(found["members"]), *(f"{found['figures'][metric]:.4f}" for metric in ("recall", "mrr", "ndcg"))]
            for found in shown
        ]
        head = f"the best {len(shown)} of {len(self.candidates)} candidates, on the last days of the training part"
        tail = f"\non the test part: recall@20 {self.test['recall']:.4f}, mrr@20 {self.test['mrr']:.4f}" if self.test else ""
        return f"{head}\n{columns(['candidate', 'recall@20', 'mrr@20', 'ndcg@20'], rows)}{tail}"


def auto(
    data: Any,
    *,
    budget: Any = "30m",
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
    budget : str or timedelta, default "30m"
        Time for all of it, such as ``"20m"``, ``"2h"`` or ``"1d"``.
    objective : str, default "mrr@20"
        ``"recall@20"``, ``"mrr@20"`` or ``"ndcg@20"``.
    out, resume
        A folder for the model; an earlier one there is replaced. It has the best model so far after Ctrl-C, and ``resume=True``
        goes on with the search.
    """
    if isinstance(data, tuple):
        raise DataError("auto takes a log, or a prepared one: upnext.prepare")
    if resume and out is None:
        raise ConfigError("resume: needs the folder of the model: out=")
    call = _Call(data, options)
    folder = Path(out) if out is not None else call.path / "model"
    page = call.path / "report.html"
    limit = text_of_time(budget) if hasattr(budget, "total_seconds") else budget
    goal = objective if "@" in str(objective) else f"{objective}@20"
    given = _options(
        out=folder, budget=limit, objective=goal, report=page, resume=bool(resume), seed=seed, threads=threads(n_threads)
    )
    try:
        record = call.run("auto", given, f"upnext.auto({call.shown}, budget={limit!r})", progress)
    except KeyboardInterrupt:
        raise _interrupted(out, "the best model so far is") from None
    return Auto(record, page.read_text(encoding="utf-8"), folder, call)
