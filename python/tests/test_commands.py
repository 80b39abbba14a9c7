"""Comparisons and searches, with their pages."""

from __future__ import annotations

import pytest
from conftest import COLUMNS, SMALL

import upnext


def test_compare(data, network, tmp_path):
    models = {"mine": network, "new": upnext.GRU4Rec(**SMALL, seed=2), "vstan": "vstan", "pop": upnext.Pop}
    found = upnext.compare(data, models, k=[5, 20], resamples=200)
    assert set(found.names) == set(models) and found.names[-1] == "pop"
    assert found["mine"] is network and found["vstan"].recommend([3], k=1)
    assert found["mine", "recall@20"] == network.evaluate(data.test)["recall@20"]
    interval = next(f for f in found.intervals() if f["model"] == "mine" and f["metric"] == "mrr" and f["k"] == 20)
    assert interval["low"] < interval["value"] < interval["high"]
    assert len(found.differences()) == 6 * 3 * 2
    frame = found.to_pandas()
    assert list(frame.index) == found.names and "ndcg@5" in frame
    assert "mrr@20" in repr(found) and "<iframe" in found._repr_html_()
    found.save_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "upnext.compare(data" in page and "/tmp/" not in page


def test_compare_of_two_logs_and_names(frame):
    parts = (frame.head(1500), frame.tail(500))
    found = upnext.compare(parts, ["pop", upnext.SR(), upnext.SR(steps=2)], resamples=100, **COLUMNS)
    assert sorted(found.names) == ["pop", "sr", "sr-2"]
    with pytest.raises(upnext.errors.UpnextError, match="models"):
        upnext.compare(parts, ["nonsense"], **COLUMNS)
    with pytest.raises(upnext.errors.ConfigError, match="cannot be a name"):
        upnext.compare(parts, {"a b": "pop"}, **COLUMNS)


def test_tune(data, tmp_path):
    space = {"learning_rate": {"log": [0.05, 0.3]}, "batch_size": [8, 16]}
    found = upnext.tune(data, space, model=upnext.GRU4Rec(**{**SMALL, "epochs": 1}), trials=3, refine=False, seed=4)
    assert set(found.best_params) == set(space) and len(found.trials) == 3
    assert found.model.learning_rate == pytest.approx(found.best_params["learning_rate"])
    assert found.model.get_params()["layers"] == (16,) and found.model.recommend([3], k=1)
    assert len(found.to_pandas()) == 3 and "3 trials" in repr(found) and "<iframe" in found._repr_html_()
    with pytest.raises(upnext.errors.ConfigError, match="no parameter nonsense"):
        upnext.tune(data, {"nonsense": [1]})
    with pytest.raises(upnext.errors.UpnextError, match="batch_size"):
        upnext.tune(data, {"batch_size": [0]}, trials=1)


def test_auto(data, frame, tmp_path):
    found = upnext.auto(data, budget="5s", out=tmp_path / "model")
    assert found.model.recommend([3], k=3) and found.model == upnext.load(tmp_path / "model")
    assert "candidate" in repr(found) and len(found.to_pandas()) == len(found.candidates)
    assert "<iframe" in found._repr_html_()
    by_frame = upnext.auto(frame, budget="3s", **COLUMNS)
    assert by_frame.model.n_items_ == 30
