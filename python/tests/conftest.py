"""A simulated shop, as a log of each kind that the package reads."""

from __future__ import annotations

import numpy as np
import pytest

import upnext


def clicks(sessions: int = 600, seed: int = 1) -> list[tuple[str, int, int]]:
    """Events of a shop in which item n is often followed by n + 1: visitor, sku, seconds."""
    rng, rows = np.random.default_rng(seed), []
    for session in range(sessions):
        item, start = int(rng.integers(30)), 1_700_000_000 + session * 900
        for place in range(int(rng.integers(2, 7))):
            rows.append((f"v{session}", item, start + place * 10))
            item = (item + 1) % 30 if rng.random() < 0.7 else int(rng.integers(30))
    return rows


COLUMNS = {"session": "visitor", "item": "sku", "time": "ts"}


@pytest.fixture(scope="session")
def rows() -> list[tuple[str, int, int]]:
    return clicks()


@pytest.fixture(scope="session")
def frame(rows):
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["visitor", "sku", "ts"])
    frame["ts"] = pd.to_datetime(frame["ts"], unit="s")
    return frame


@pytest.fixture(scope="session")
def data(frame) -> upnext.Data:
    return upnext.prepare(frame, **COLUMNS, holdout="1d", validation="1d")


#: A small network.
SMALL = {"layers": [16], "epochs": 3, "batch_size": 8, "samples": 32}


@pytest.fixture(scope="session")
def network(data) -> upnext.GRU4Rec:
    return upnext.GRU4Rec(**SMALL).fit(data.train)
