"""What all kinds of models have in common."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import _upnext
from ._data import Sessions, are_numbers, as_given, identifier, ids, read
from ._pages import frame
from ._progress import Bar, is_shown
from ._results import Evaluation, Item, Recommendations
from ._table import Table
from .errors import ConfigError, NotFittedError


class Recommender:
    """A model of sessions: fitted to some, it recommends what comes next in others.

    The subclasses are the kinds. Their keyword arguments are the fields of the library's configuration, with its defaults.
    """

    kind: str
    _model_fields: tuple[str, ...] = ()
    _training_fields: tuple[str, ...] = ()
    _fitted: _upnext.Model | None = None

    # Parameters, as scikit-learn has them.

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return cls._model_fields + cls._training_fields

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by their names."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Recommender:
        """Sets parameters; a fitted model stays what it is until it is fitted again."""
        for name, value in params.items():
            if name not in self._names():
                raise ConfigError(f"{type(self).__name__} has no parameter {name}: it has {', '.join(self._names())}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        params = [f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults.get(name)]
        return f"{type(self).__name__}({', '.join(params)})"

    def _repr_html_(self) -> str | None:
        page = self._fitted and self._fitted.page()
        return page and frame(page, 360)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        if self._fitted is None or other._fitted is None:
            return self._fitted is other._fitted and self._experiment() == other._experiment()
        return self._fitted == other._fitted

    __hash__ = object.__hash__

    def _table(self, names: tuple[str, ...]) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in names}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    def _experiment(self) -> dict[str, Any]:
        return {"model": {"kind": self.kind, **self._table(self._model_fields)}, "training": self._table(self._training_fields)}

    # Fitting.

    def fit(
        self,
        sessions: Any,
        *,
        validation: Any = None,
        init: Recommender | None = None,
        n_threads: int | None = None,
        callback: Callable[[str, dict[str, Any]], object] | None = None,
        progress: bool | None = None,
        keep_training_state: bool = True,
        **options: Any,
    ) -> Recommender:
        """Fits the model to sessions.

        Parameters
        ----------
        sessions
            Training sessions: a part of a prepared log, or whatever :func:`upnext.read` takes, with its options.
        validation : str or sessions
            Newer sessions, on which the number of epochs is chosen before the model is trained on all of them: what is
            split off the end (``"1d"``, ``"10%"``), or sessions that are not among the others.
        init : model
            A fitted model of the same configuration, whose training goes on; new items are added.
        n_threads : int
            Number of threads, by default all cores. The model does not depend on it.
        callback
            Called as ``callback(event, record)`` with ``"begin"``, ``"mini-batch"``, ``"epoch"`` and others; a training whose
            callback returns ``False`` ends there.
        progress : bool
            Whether to show a bar of tqdm; by default in terminals and notebooks, if tqdm is installed.
        keep_training_state : bool
            Whether to keep what a further training needs, which may double the size of a saved model.

        Ctrl-C stops a training within a mini-batch: the model is then what it had learnt so far, and ``KeyboardInterrupt`` is
        raised.
        """
        if validation is not None and "epochs" not in self._training_fields:
            raise ConfigError(f"validation: a {type(self).__name__} has no epochs, whose number validation would choose")
        data = read(sessions, **options)
        fit, valid, refit = data, None, None
        if isinstance(validation, str):
            rules = {"holdout": validation, "validation": "none", "min_item_support": 1}
            parts, _ = data._inner.prepare(json.dumps(rules))
            parts = dict(parts)
            fit, valid, refit = Sessions(parts["train"]), Sessions(parts["test"]), data
        elif validation is not None:
            valid = read(validation)
        bar = Bar() if is_shown(progress) else None

        def tell(event: str, record: str) -> object:
            known = json.loads(record)
            if bar is not None:
                bar(event, known)
            return callback(event, known) if callback is not None else None

        try:
            fitted, ended, raised = _upnext.fit(
                json.dumps(self._experiment()),
                fit._inner,
                valid and valid._inner,
                refit and refit._inner,
                init and init._model,
                n_threads,
                keep_training_state,
                tell if bar is not None or callback is not None else None,
            )
        finally:
            if bar is not None:
                bar.close()
        self._fitted, self.ended_ = fitted, ended
        if raised is not None:
            raise raised
        return self

    @property
    def _model(self) -> _upnext.Model:
        if self._fitted is None:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return self._fitted

    @property
    def history_(self) -> list[dict[str, Any]]:
        """The epochs of the training, with loss, seconds and validation; empty for kinds without epochs."""
        training = json.loads(self._model.training)
        return training.get("selection", {}).get("epochs") or training["epochs"]

    @property
    def best_epoch_(self) -> int | None:
        """The epoch that validation chose, if there was one."""
        training = json.loads(self._model.training)
        return training.get("selection", {}).get("best_epoch") or training.get("best_epoch")

    @property
    def items_(self) -> list[str]:
        """The ids of the items, in the order of the vectors."""
        return self._model.items

    @property
    def n_items_(self) -> int:
        """Number of items."""
        return len(self._model.supports)

    # Recommending.

    def recommend(
        self,
        session: Sequence[Any],
        k: int = 10,
        *,
        exclude_seen: bool = False,
        exclude: Sequence[Any] = (),
        only: Sequence[Any] | None = None,
    ) -> Recommendations:
        """The ``k`` best next items of a session, which is a list of item ids.

        Ids come back as whole numbers if those of the session are.
        """
        allowed = None if only is None else ids(only)
        found, unknown, fell_back = self._model.recommend(ids(session), k, exclude_seen, ids(exclude), allowed)
        numbers = len(session) > 0 and are_numbers(session)
        items = [(as_given(item, numbers), score) for item, score in found]
        return Recommendations(items, [as_given(item, numbers) for item in unknown], fell_back)

    def recommend_many(
        self,
        sessions: Any,
        k: int = 10,
        *,
        exclude_seen: bool = False,
        exclude: Sequence[Any] = (),
        only: Sequence[Any] | None = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> Table:
        """The ``k`` best next items of many sessions: a table with ``session``, ``rank``, ``item`` and ``score``.

        The sessions are whatever :func:`upnext.read` takes, with its options.
        """
        allowed = None if only is None else ids(only)
        inner = read(sessions, **options)._inner
        table, _, _ = self._model.recommend_many(inner, k, exclude_seen, ids(exclude), allowed, n_threads)
        return Table(table)

    def similar_items(
        self, item: Any, k: int = 10, *, exclude: Sequence[Any] = (), only: Sequence[Any] | None = None
    ) -> list[Item]:
        """The items that are most similar to an item, by what the kind compares."""
        allowed = None if only is None else ids(only)
        similar, _ = self._model.similar_items(identifier(item), k, ids(exclude), allowed)
        numbers = are_numbers([item])
        return [Item(as_given(other, numbers), similarity) for other, similarity in similar]

    def item_vectors(self) -> Any:
        """The vectors of all items, n × d, in the order of ``items_``."""
        return self._model.item_vectors()

    def item_biases(self) -> Any:
        """The biases of all items; ``None`` for a model without them."""
        return self._model.item_biases()

    def session_vectors(self, sessions: Any, **options: Any) -> tuple[list[str], Any]:
        """The ids of sessions and their vectors, one row each."""
        return self._model.session_vectors(read(sessions, **options)._inner)

    def evaluate(
        self,
        sessions: Any,
        k: int | Sequence[int] = (1, 5, 10, 20),
        *,
        ties: str = "conservative",
        candidates: int | None = None,
        lists: bool = False,
        count_unknown: bool = False,
        n_threads: int | None = None,
        **options: Any,
    ) -> Evaluation:
        """Ranks the next item of every event of test sessions.

        Parameters
        ----------
        sessions
            Whatever :func:`upnext.read` takes, with its options.
        k : int or list of int
            The cut-offs, ascending.
        ties : str
            How equal scores count: ``"conservative"``, ``"standard"`` or ``"median"``.
        candidates : int
            Rank among the most popular items only.
        lists : bool
            Form the list of every case, for coverage, popularity, novelty and others.
        count_unknown : bool
            Count next clicks on items that the model does not know as misses.
        """
        chosen: dict[str, Any] = {"cutoffs": [k] if isinstance(k, int) else list(k), "ties": ties, "lists": lists}
        if candidates is not None:
            chosen["candidates"] = candidates
        inner = read(sessions, **options)._inner
        return Evaluation(self._model.evaluate(inner, json.dumps(chosen), count_unknown, n_threads))

    # Saving.

    def to_onnx(self, path: str | os.PathLike[str], k: int | None = None) -> None:
        """Writes a network as an ONNX graph of one event, and the ids of its items beside it.

        The graph gives the scores of all items, or with ``k`` the best items and their scores (``docs/onnx.md``).
        """
        self._model.to_onnx(path, k)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the model in a folder, which every command of ``upnext`` reads; a model that is there is replaced."""
        self._model.save(path)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        fitted = state.pop("_fitted", None)
        if fitted is not None:
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder, "model")
                fitted.save(model)
                files = [file for file in sorted(model.rglob("*")) if file.is_file()]
                state["_files"] = {file.relative_to(model).as_posix(): file.read_bytes() for file in files}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.pop("_files", None)
        self.__dict__.update(state)
        if files is not None:
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder, "model")
                for name, content in files.items():
                    file = model / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
                self._fitted = _upnext.Model.load_to_train(model)


def _plain(value: Any) -> Any:
    """A value of a field as JSON has it; a model as a member of a blend is its table."""
    if isinstance(value, Recommender):
        experiment = value._experiment()
        return {**experiment["model"], "training": experiment["training"]} if experiment["training"] else experiment["model"]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value.item() if hasattr(value, "item") else value
