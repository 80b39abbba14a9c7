"""Lists and figures, as people read them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from . import _upnext
from ._pages import columns, frame, html_table


class Item(NamedTuple):
    """A listed item with its score, or its similarity."""

    id: str | int
    score: float


class Recommendations(list):
    """The recommended items of a session, the best first: a list of :class:`Item`.

    ``unknown`` are the ids of the session that the model does not know, which it skips; ``fell_back`` says that it knows none
    of them, so that these are the most popular items.
    """

    def __init__(self, items: Any = (), unknown: Any = (), fell_back: bool = False) -> None:
        super().__init__(Item(*item) for item in items)
        self.unknown = list(unknown)
        self.fell_back = fell_back

    @property
    def ids(self) -> list[str | int]:
        """The ids of the items."""
        return [item.id for item in self]

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return Recommendations(found, self.unknown, self.fell_back) if isinstance(place, slice) else found

    def _repr_html_(self) -> str:
        caption = "the most popular items: the model knows no item of the session" if self.fell_back else "recommended"
        return html_table(caption, ["rank", "item", "score"], [(rank, *item) for rank, item in enumerate(self, 1)])


class Evaluation:
    """The figures of a model on test sessions. ``evaluation["recall@20"]`` is one of them."""

    def __init__(self, inner: _upnext.Evaluation) -> None:
        self._record = json.loads(inner.json())
        self._ranks, self._page, self._next_clicks = inner.ranks(), inner.page(), inner.next_clicks
        self._record["targets"] = json.loads(inner.targets())
        if self._next_clicks is not None:
            self._record |= dict(zip(("next_clicks", "unknown_next_clicks"), self._next_clicks))

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The metrics, one entry a cut-off ``k``."""
        return self._record["metrics"]

    @property
    def cases(self) -> int:
        """Number of next clicks that were ranked."""
        return self._record["cases"]

    @property
    def targets(self) -> list[dict[str, Any]]:
        """The figures by what the target is (``of``): items that are ``"known"`` to training, those of them that are ``"rare"``
        (a support below 5), and ``"new"`` ones; each with its number of ``cases`` and its ``metrics``."""
        return self._record["targets"]

    @property
    def ranks(self) -> Any:
        """The ranks of all cases, by session and position, as an array; ties by the rule of the evaluation."""
        return self._ranks

    def __getitem__(self, name: str) -> float:
        metric, _, k = name.partition("@")
        for at in self.metrics:
            if str(at["k"]) == k and metric in at:
                return at[metric]
        known = ", ".join(f"{key}@{at['k']}" for at in self.metrics for key in at if key != "k")
        raise KeyError(f"{name} is none of the figures: {known}")

    def to_dict(self) -> dict[str, Any]:
        """All figures, and the numbers of cases, sessions, candidates and next clicks."""
        return self._record

    def to_pandas(self) -> Any:
        """The metrics as a frame, one row a cut-off."""
        import pandas

        return pandas.DataFrame(self.metrics).set_index("k")

    def _head(self) -> str:
        misses = self._record.get("misses", 0)
        sessions = self._record["sessions"]
        head = f"{self.cases:,} {'case' if self.cases == 1 else 'cases'} of {sessions:,} {'session' if sessions == 1 else 'sessions'}"
        if misses:
            head += f", and {misses:,} next clicks that are misses since the model cannot know them"
        elif self._next_clicks is None:
            head += "; next clicks on items that training has not seen were dropped before"
        elif self._next_clicks[1]:
            head += f"; {self._next_clicks[1]:,} of {self._next_clicks[0]:,} next clicks are on items that training has not seen: left out"
        return head

    def __repr__(self) -> str:
        names = [name for name in self.metrics[0] if name != "k"] if self.metrics else []
        rows = [[str(at["k"]), *(f"{at.get(name, float('nan')):.4f}" for name in names)] for at in self.metrics]
        return f"{self._head()}\n{columns(['k', *names], rows)}"

    def _repr_html_(self) -> str:
        tables = 2 if "coverage" in (self.metrics[0] if self.metrics else {}) else 1
        return f"<p>{self._head()}</p>" + frame(self._page, 70 + tables * (60 + 36 * len(self.metrics)))
