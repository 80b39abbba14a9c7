"""What all kinds of models have in common."""

from __future__ import annotations

import copy
import inspect
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from . import _upnext
from ._checks import count, counts, plain, span, threads, to_json, translated, warn
from ._data import Sessions, _split, read
from ._ids import text, texts
from ._items import ItemTable, read_items
from ._pages import frame
from ._progress import Bar, is_shown
from ._results import Evaluation, Item, Recommendations
from ._table import Table
from .errors import ConfigError, NotFittedError, UpnextError

#: What becomes of next clicks on items that a model does not know.
_UNKNOWN = ("leave-out", "miss", "rank")


class Recommender:
    """A model of sessions: fitted to some, it recommends what comes next in others.

    The subclasses are the kinds. Their keyword arguments are the fields of the library's configuration, with its defaults; they
    are checked by ``fit``. ``get_params``, ``set_params``, ``copy``, ``pickle`` and ``sklearn.base.clone`` work as usual; fitted
    models are equal if they are the same model: configuration, items and parameters.
    """

    kind: str
    _model_fields: tuple[str, ...] = ()
    _training_fields: tuple[str, ...] = ()
    _fitted: _upnext.Model | None = None
    _ended: str = "complete"
    #: The log and the part of it that the model was fitted to.
    _fitted_on: tuple[int, str] | None = None
    #: Whether ids are whole numbers for the user, where they can be.
    _numbers: bool = True

    # Parameters, as scikit-learn has them.

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return cls._model_fields + cls._training_fields

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        parameters = inspect.signature(cls.__init__).parameters
        return {name: parameters[name].default for name in cls._names()}

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
        defaults = self._defaults()
        params = []
        for name, value in self.get_params().items():
            shown = value.tolist() if isinstance(value, np.ndarray) else value
            if type(shown) is not type(defaults[name]) or shown != defaults[name]:
                params.append(f"{name}={shown!r}")
        return f"{type(self).__name__}({', '.join(params)})"

    def _repr_html_(self) -> str:
        import html

        fitted = f"<br>fitted: {self.n_items_:,} items" if self._fitted is not None else ""
        page = self._fitted.page() if self._fitted is not None else None
        return f"<code>{html.escape(repr(self))}</code>{fitted}" + (frame(page, 420) if page else "")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recommender) or type(self) is not type(other):
            return NotImplemented
        if self._fitted is None or other._fitted is None:
            return self._fitted is other._fitted and self._experiment() == other._experiment()
        return self._fitted == other._fitted

    def __hash__(self) -> int:
        return hash(type(self))

    def _table(self, names: tuple[str, ...]) -> dict[str, Any]:
        defaults, table = self._defaults(), {}
        for name in names:
            value = getattr(self, name)
            if value is None:
                if defaults[name] is not None:
                    raise ConfigError(f"{name}: None is no value of it; its default is {defaults[name]!r}")
                continue
            try:
                table[name] = _members(value) if name == "members" else plain(value)
                to_json(table[name])
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from None
        return table

    def _experiment(self) -> dict[str, Any]:
        return {"model": {"kind": self.kind, **self._table(self._model_fields)}, "training": self._table(self._training_fields)}

    def _checked(self) -> str:
        """The parameters as JSON, after the checks that need no data."""
        experiment = to_json(self._experiment())
        try:
            _upnext.resolved(experiment)
        except UpnextError as error:
            raise self._named(error) from None
        return experiment

    def _named(self, error: UpnextError) -> UpnextError:
        """An error of a parameter that names it, which the library does not for values of a wrong type."""
        for name in self._model_fields if str(error).startswith("model: ") else ():
            if getattr(self, name) is None:
                continue
            try:
                _upnext.resolved(to_json({"model": {"kind": self.kind, **self._table((name,))}}))
            except UpnextError as alone:
                if str(alone).startswith("model: "):
                    return type(error)(f"{name}: {str(alone)[len('model: ') :]}")
        return translated(error)

    # Fitting.

    def fit(
        self,
        sessions: Any,
        *,
        validation: Any = None,
        refit: bool = True,
        init: Recommender | str | os.PathLike[str] | None = None,
        item_table: Any = None,
        n_threads: int | None = None,
        callback: Callable[[str, dict[str, Any]], object] | None = None,
        progress: bool | None = None,
        keep_training_state: bool = True,
        **options: Any,
    ) -> Recommender:
        """Fits the model to sessions, and returns it.

        Parameters
        ----------
        sessions
            Training sessions: ``data.train`` of a prepared log, or whatever :func:`upnext.read` takes, with its options.
        validation : span of time, share, number of sessions, or sessions; default None
            Newer sessions, on which the number of epochs is chosen: what is split off the end (``"1d"``, ``"10%"``, 500), or sessions
            that are not among the others, such as ``data.valid`` with ``data.fit``. Then the model is trained again on all of them.
        refit : bool, default True
            Whether a validated model is trained again; otherwise it has the weights of the best epoch.
        init : model or path, default None
            A fitted model of the same configuration, whose training goes on; new items are added.
        item_table : ItemTable, path, frame or mapping, default None
            The attributes of items, whatever :func:`upnext.read_items` takes: kept with the model, and read by networks with
            ``attributes``.
        n_threads : int, default None
            Number of threads; all cores for ``None`` and -1. The model does not depend on it.
        callback : function, default None
            Called as ``callback(event, record)`` on this thread; a training whose callback returns ``False`` ends there. Events:
            ``"begin"`` (``epochs``, ``epochs_done``), ``"mini-batch"`` (``epoch``, ``pairs``, ``of``, ``loss``, ``seconds``; some of them),
            ``"epoch"`` (``epoch``, ``loss``, ``seconds``, ``validation``), ``"refit"`` (``best_epoch``), ``"member"`` (``name``, ``number``,
            ``of``) and ``"left-out"`` (``name``, ``reason``).
        progress : bool, default None
            Whether to show a bar of tqdm; by default in terminals and notebooks, if tqdm is installed.
        keep_training_state : bool, default True
            Whether to keep what a further training needs, which may double the size of a saved model.

        Ctrl-C stops a training within a second, and ``KeyboardInterrupt`` is raised: a network is then what it had learnt so far,
        and a model of another kind stays as it was.
        """
        experiment = self._checked()
        data = read(sessions, **options)
        fit, valid, whole = self._validation(data, validation, options)
        start = self._start(init)
        table = _items(item_table, start)
        bar = Bar() if is_shown(progress) else None

        def tell(event: str, record: str) -> object:
            known = json.loads(record)
            if bar is not None:
                bar(event, known)
            answer = callback(event, known) if callback is not None else None
            return not (isinstance(answer, (bool, np.bool_)) and not answer)

        try:
            fitted, ended, doubts, raised = _upnext.fit(
                experiment,
                fit._inner,
                valid._inner if valid is not None else None,
                refit,
                whole._inner if whole is not None else None,
                start,
                table._inner if table is not None else None,
                threads(n_threads),
                keep_training_state,
                tell if bar is not None or callback is not None else None,
            )
        except UpnextError as error:
            raise self._named(error) from None
        finally:
            if bar is not None:
                bar.close()
        self._fitted, self._ended, self._fitted_on = fitted, ended, data._inner.origin
        self._numbers = data._inner.items_are_numbers
        for doubt in doubts:
            warn(doubt)
        if raised is not None:
            raise raised
        return self

    def _validation(
        self, data: Sessions, validation: Any, options: dict[str, Any]
    ) -> tuple[Sessions, Sessions | None, Sessions | None]:
        """The sessions to fit, those to validate on, and all of them, if they are there already."""
        if validation is None:
            return data, None, None
        if "epochs" not in self._training_fields or self.kind == "blend":
            has = "holds out sessions by itself" if self.kind == "blend" else "has no epochs, whose number validation would choose"
            raise ConfigError(f"validation: a {type(self).__name__} {has}: leave it out")
        is_text = isinstance(validation, str) and not os.path.exists(validation)
        if is_text or isinstance(validation, Real) or hasattr(validation, "total_seconds"):
            rules = {"holdout": span(validation, "validation"), "validation": "none", "min_item_support": 1}
            try:
                parts, _ = _split(data, rules)
            except UpnextError as error:
                raise type(error)(str(error).replace("holdout", "validation")) from None
            return parts["train"], parts["test"], data
        valid = read(validation) if isinstance(validation, Sessions) else read(validation, **options)
        (log, part), (other, held_out) = data._inner.origin, valid._inner.origin
        if log == other and part == "train" and held_out == "valid":
            raise ConfigError(
                "validation: data.train contains data.valid: use fit(data.fit, validation=data.valid), or fit(data.train, validation='1d')"
            )
        common = data._inner.in_both(valid._inner)
        if common:
            raise ConfigError(
                f"validation: {common:,} of its sessions are among the training sessions, and epochs would be chosen for what is known by heart: give other sessions"
            )
        return data, valid, data._whole if log == other and held_out == "valid" else None

    def _start(self, init: Any) -> _upnext.Model | None:
        if init is None:
            return None
        if isinstance(init, (str, os.PathLike)):
            from ._load import load

            init = load(init, to_train=True)
        if not isinstance(init, Recommender):
            raise ConfigError(f"init: must be a fitted model or its path, not a {type(init).__name__}")
        if not init._model.can_train_further:
            raise ConfigError(f"init: a {type(init).__name__} cannot be trained further: fit it to all sessions")
        return init._model

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
    def ended_(self) -> str:
        """How the training ended: ``"complete"``, ``"early"`` by ``patience``, or ``"interrupted"``."""
        _ = self._model
        return self._ended

    @property
    def items_(self) -> list[str | int]:
        """The ids of the items, in the order of the vectors."""
        return self._model.items(self._numbers)

    @property
    def n_items_(self) -> int:
        """Number of items."""
        return self._model.num_items

    @property
    def item_table_(self) -> ItemTable | None:
        """The table of items that the model was fitted with."""
        table = self._model.item_table
        return ItemTable(table) if table is not None else None

    @property
    def new_items_(self) -> list[str | int]:
        """The ids of the items that have come after the training, by ``with_items``."""
        return self._model.new_items(self._numbers)

    def with_items(self, items: Any, **options: Any) -> Recommender:
        """The same model with more items, whose vectors are made of their attributes: no training takes place.

        ``items`` is whatever :func:`upnext.read_items` takes, with its options; it must have all columns that the model reads. Items
        that the model has already stay as they are. The new ones can be read in sessions and recommended at once.
        """
        model = self._model
        table = read_items(items, like=self.item_table_, **options)
        extended, added, known = model.with_items(table._inner)
        if not added:
            warn(f"none of the {known:,} items is new: the model has all of them")
        other = copy.copy(self)
        other._fitted = extended
        return other

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
        """The ``k`` best next items of a session, which is a list of item ids in their order.

        ``exclude_seen`` leaves out the session's own items, ``exclude`` others, and ``only`` all but these. Ids come back as whole
        numbers if those of the session are.
        """
        model = self._model
        history, numbers, _ = texts(session, "session")
        numbers = numbers if history else self._numbers
        found = model.recommend(history, count(k, "k"), numbers, bool(exclude_seen), *_filters(exclude, only))
        return Recommendations(*found)

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
        """The ``k`` best next items of many sessions.

        The sessions are whatever :func:`upnext.read` takes, with its options. The table has the columns ``session``, ``item``,
        ``rank`` from 1, ``score``, and ``fell_back``: true for sessions without a known item, which get the most popular items.
        """
        model = self._model
        inner = read(sessions, **options)._inner
        table, fell_back, unknown = model.recommend_many(
            inner, count(k, "k"), bool(exclude_seen), *_filters(exclude, only), threads(n_threads)
        )
        if unknown:
            warn(
                f"{unknown:,} events are on items that the model does not know: skipped; {fell_back:,} sessions have no other, and get the most popular items"
            )
        return Table(table)

    def similar_items(
        self, item: Any, k: int = 10, *, exclude: Sequence[Any] = (), only: Sequence[Any] | None = None
    ) -> list[Item]:
        """The items that are most similar to an item, by what the kind compares, each with ``id`` and ``score``."""
        model = self._model
        name, numbers = text(item, "item")
        similar, _ = model.similar_items(name, count(k, "k"), numbers, *_filters(exclude, only))
        return [Item(*entry) for entry in similar]

    def item_vectors(self) -> Any:
        """The vectors of all items, n × d, in the order of ``items_``."""
        return self._model.item_vectors()

    def biases(self) -> Any:
        """The biases of all items, in the order of ``items_``; ``None`` for a model without them."""
        return self._model.item_biases()

    def session_vectors(self, sessions: Any, **options: Any) -> tuple[list[str | int], Any]:
        """The ids of sessions and their vectors, one row each; sessions without a known item are left out."""
        model = self._model
        ids, rows, without, unknown = model.session_vectors(read(sessions, **options)._inner)
        if unknown:
            warn(
                f"{unknown:,} events are on items that the model does not know: skipped; {without:,} sessions have no other, and are left out"
            )
        return ids, rows

    def evaluate(
        self,
        sessions: Any,
        k: int | Sequence[int] = (1, 5, 10, 20),
        *,
        ties: str = "conservative",
        candidates: int | None = None,
        lists: bool = False,
        unknown: str = "leave-out",
        item_table: Any = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> Evaluation:
        """Ranks the next item of every event of test sessions.

        Parameters
        ----------
        sessions
            ``data.test`` of a prepared log, or whatever :func:`upnext.read` takes, with its options.
        k : int or list of int, default (1, 5, 10, 20)
            The cut-offs, ascending.
        ties : str, default "conservative"
            How equal scores count: ``"conservative"``, ``"standard"`` or ``"median"``.
        candidates : int, default None
            Rank among this many most popular items only.
        lists : bool, default False
            Form the list of every case, for coverage, popularity, novelty and others.
        unknown : str, default "leave-out"
            What becomes of next clicks on items that the model does not know: ``"leave-out"``, ``"miss"``, as every model
            misses them, or ``"rank"``: those with attributes are ranked by them, as ``with_items`` would add them, each from its
            first event in the sessions on.
        item_table : ItemTable, path, frame or mapping, default None
            The attributes of these items; by default those of the model's own table.
        """
        model = self._model
        if unknown not in _UNKNOWN:
            raise ConfigError(f"unknown: `{unknown}` is none of {', '.join(_UNKNOWN)}")
        chosen: dict[str, Any] = {"cutoffs": counts(k, "k"), "ties": ties, "lists": bool(lists)}
        if candidates is not None:
            chosen["candidates"] = count(candidates, "candidates")
        if unknown == "rank":
            table = self.item_table_ if item_table is None else _items(item_table, model)
            if table is None:
                raise ConfigError("item_table: the model has no table of items: give one, or fit it with one")
            model, _, _ = model.with_items(table._inner)
        elif item_table is not None:
            raise ConfigError('item_table: it is read with unknown="rank" only')
        test = read(sessions, **options)
        if _overlap(self._fitted_on, test._inner.origin):
            warn("the model was fitted to these sessions: its figures are too good")
        try:
            return Evaluation(model.evaluate(test._inner, to_json(chosen), unknown, threads(n_threads)))
        except UpnextError as error:
            raise translated(error) from None

    # Saving.

    def to_onnx(self, path: str | os.PathLike[str], k: int | None = None) -> None:
        """Writes a network as an ONNX graph of one event, and the ids of its items beside it.

        The graph gives the scores of all items, or with ``k`` the best items and their scores (``docs/onnx.md``).
        """
        try:
            self._model.to_onnx(path, None if k is None else count(k, "k"))
        except UpnextError as error:
            raise type(error)(str(error).removeprefix("out: ")) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the model in a folder, which every command of ``upnext`` reads; a model that is there is replaced."""
        self._model.save(path)

    def __copy__(self) -> Recommender:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Recommender:
        # Fitted models do not change: both have the same.
        other = copy.copy(self)
        for name in self._names():
            setattr(other, name, copy.deepcopy(getattr(self, name), memo))
        return other

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_fitted_on", None)  # A number of this process.
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


def _members(members: Any) -> list[Any]:
    """Members of a blend as JSON has them: names of kinds, and tables of parameters."""
    if isinstance(members, (str, Recommender)) or not isinstance(members, Sequence):
        raise ConfigError("is a list of kinds, such as ['gru4rec', 'vstan'], or of models")
    return [_member(member) for member in members]


def _member(member: Any) -> Any:
    if isinstance(member, type) and issubclass(member, Recommender):
        return member.kind
    if isinstance(member, Recommender):
        experiment = member._experiment()
        return {**experiment["model"], **({"training": experiment["training"]} if experiment["training"] else {})}
    return plain(member)


def _items(items: Any, earlier: _upnext.Model | None) -> ItemTable | None:
    """A table of items, if there is one, with the types of an earlier model's."""
    if items is None:
        return None
    like = earlier.item_table if earlier is not None else None
    return read_items(items, like=ItemTable(like) if like is not None else None)


def _filters(exclude: Any, only: Any) -> tuple[list[str], list[str] | None]:
    return texts(exclude, "exclude")[0], None if only is None else texts(only, "only")[0]


def _overlap(fitted: tuple[int, str] | None, other: tuple[int, str]) -> bool:
    """Whether sessions of one part of a log are also of the other part."""
    if fitted is None or fitted[0] != other[0]:
        return False
    parts = {fitted[1], other[1]}
    return len(parts) == 1 or parts <= {"test", "test_all"} or ("train" in parts and parts <= {"train", "fit", "valid"})
