"""Session-based recommendations: which item comes next in a session, learnt from a click log.

>>> import upnext
>>> data = upnext.prepare(log, session="visitor", item="sku", time="ts")        # doctest: +SKIP
>>> model = upnext.GRU4Rec(epochs=5).fit(data.train)                             # doctest: +SKIP
>>> model.evaluate(data.test)                                                    # doctest: +SKIP
>>> model.recommend(["kettle", "tea"], k=10)                                     # doctest: +SKIP
"""

from __future__ import annotations

from . import _upnext, errors
from ._commands import Auto, Comparison, Tuning, auto, compare, tune
from ._data import Data, Sessions, prepare, read
from ._items import ItemTable, read_items
from ._load import load
from ._recommender import Recommender
from ._results import Evaluation, Item, Recommendations
from ._table import Table
from .errors import UpnextError, UpnextWarning
from .models import *  # noqa: F403
from .models import __all__ as _kinds

__version__ = _upnext.version()

__all__ = [
    "Auto",
    "Comparison",
    "Data",
    "Evaluation",
    "Item",
    "ItemTable",
    "Recommendations",
    "Recommender",
    "Sessions",
    "Table",
    "Tuning",
    "UpnextError",
    "UpnextWarning",
    "auto",
    "compare",
    "errors",
    "load",
    "prepare",
    "read",
    "read_items",
    "tune",
    *_kinds,
]
