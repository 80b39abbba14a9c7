"""Lists and figures, as people read them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from . import _upnext
from ._pages import columns, frame


class Item(NamedTuple):
    """A listed item with its score, or its similarity."""

    id: str | int
    score: float


class Recommendations(list):
    """The recommended items of a session, the best first.

    ``unknown`` are the ids of the session that the model does not know; ``fell_back`` says that it knows none of them, so
    that these are the most popular items.
    """

    def __init__(self, items: list[tuple[str | int, float]], unknown: list[str | int], fell_back: bool) -> None:
        super().__init__(Item(*item) for item in items)
        self.unknown = unknown
        self.fell_back = fell_back

    @property
    def ids(self) -> list[str | int]:
        """The ids of the items."""
        return [item.id for item in self]


class Evaluation:
    """The figures of a model on test sessions."""

    def __init__(self, inner: _upnext.Evaluation) -> None:
        self._inner = inner
        self._record = json.loads(inner.json())

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The metrics, one entry a cut-off."""
        return self._record["metrics"]

    @property
    def cases(self) -> int:
        """Number of next clicks that were ranked."""
        return self._record["cases"]

    @property
    def ranks(self) -> Any:
        """The ranks of all cases, by session and position, as an array."""
        return self._inner.ranks()

    def __getitem__(self, name: str) -> float:
        """A metric at a cut-off, as in ``evaluation["recall@20"]``."""
        metric, _, k = name.partition("@")
        for at in self.metrics:
            if str(at["k"]) == k and metric in at:
                return at[metric]
        known = ", ".join(f"{key}@{at['k']}" for at in self.metrics for key in at if key != "k")
        raise KeyError(f"{name} is none of the figures: {known}")

    def to_dict(self) -> dict[str, Any]:
        """All figures."""
        return self._record

    def to_pandas(self) -> Any:
        """The metrics as a frame, one row a cut-off."""
        import pandas

        return pandas.DataFrame(self.metrics).set_index("k")

    def __repr__(self) -> str:
        names = [name for name in self.metrics[0] if name != "k"] if self.metrics else []
        rows = [[str(at["k"]), *(f"{at.get(name, float('nan')):.4f}" for name in names)] for at in self.metrics]
        head = f"{self.cases:,} cases of {self._record['sessions']:,} sessions"
        return f"{head}\n{columns(['k', *names], rows)}"

    def _repr_html_(self) -> str:
        return frame(self._inner.page(), 100 + 36 * len(self.metrics))
