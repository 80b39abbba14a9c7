"""Comparisons and searches, with their pages."""

from __future__ import annotations

import datetime
import gc
import tempfile
import warnings

import numpy as np
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


def test_compare_of_two_logs_and_names(frame, data):
    parts = (frame.head(1500), frame.tail(500))
    found = upnext.compare(parts, [upnext.SR(steps=2), "pop", "sr", upnext.SR], k=20, resamples=100, **COLUMNS)
    assert sorted(found) == ["pop", "sr", "sr-2", "sr-3"] and len(found) == 4 and "pop" in found
    assert found["sr-2"].steps == 2 and found["sr-3"].steps == 10
    for key in ("nowhere", "..", "", 7):
        with pytest.raises(KeyError, match="none of the models"):
            found[key]
    errors = upnext.errors
    for call, error, words in [
        (lambda: upnext.compare(parts, ["nonsense"], **COLUMNS), errors.UpnextError, "models"),
        (lambda: upnext.compare(parts, {"a b": "pop"}, **COLUMNS), errors.ConfigError, "cannot be a name"),
        (lambda: upnext.compare(parts, [3], **COLUMNS), errors.ConfigError, "no model"),
        (lambda: upnext.compare(parts, [], **COLUMNS), errors.ConfigError, "there is none"),
        (lambda: upnext.compare(data.train, ["pop"]), errors.DataError, "prepared log"),
        (lambda: upnext.compare(frame, ["pop"], **COLUMNS), errors.DataError, "prepared log"),
        (lambda: upnext.compare(data, ["pop"], ties="foo"), errors.ConfigError, "^ties: `foo` is none of conservative"),
        (lambda: upnext.compare(data, ["pop"], unknown="foo"), errors.ConfigError, "^unknown: `foo` is none of leave-out"),
        (lambda: upnext.compare(data, ["pop"], resamples=0), errors.ConfigError, "^resamples"),
        (lambda: upnext.compare(data, ["pop"], k="20"), errors.ConfigError, "^k"),
        (lambda: upnext.compare(data, ["pop"], metric="mrr"), errors.ConfigError, "metric"),
    ]:
        with pytest.raises(error, match=words):
            call()


def test_tune(data, frame, tmp_path):
    space = {"learning_rate": {"log": [0.05, 0.3]}, "batch_size": np.array([8, 16])}
    found = upnext.tune(data, space, model=upnext.GRU4Rec(**{**SMALL, "epochs": 1}), trials=3, refine=False, seed=4)
    assert set(found.best_params) == set(space) and len(found.trials) == 3 and found.test
    assert found.model.learning_rate == pytest.approx(found.best_params["learning_rate"])
    assert found.model.get_params()["layers"] == (16,) and found.model.recommend([3], k=1)
    assert "batch_size" in found.to_pandas() and "3 trials" in repr(found) and "<iframe" in found._repr_html_()
    refined = upnext.tune(data, {"k": [20, 50, 100]}, model="vs-knn", trials=3)
    assert len(refined.trials) == len({trial["params"]["k"] for trial in refined.trials}) <= 3
    by_log = upnext.tune(frame, {"steps": [1, 2]}, model=upnext.SR, trials=2, validation=0.1, objective="mrr@20", **COLUMNS)
    assert by_log.best_params["steps"] in (1, 2)
    errors = upnext.errors
    for call, error, words in [
        (lambda: upnext.tune(data, {"nonsense": [1]}), errors.ConfigError, "no parameter nonsense"),
        (lambda: upnext.tune(data, {"batch_size": 8}), errors.ConfigError, "batch_size needs a list"),
        (lambda: upnext.tune(data, {"batch_size": [0]}, trials=1), errors.ConfigError, "^(?!.*/tmp/).*batch_size"),
        (lambda: upnext.tune(data, upnext.VSTAN()), errors.ConfigError, "model="),
        (lambda: upnext.tune(data, model="nonsense"), errors.ConfigError, "no kind"),
        (lambda: upnext.tune(data, sampler="grid"), errors.ConfigError, "^sampler: `grid` is none of random"),
        (lambda: upnext.tune(data, resume=True), errors.ConfigError, "out="),
        (lambda: upnext.tune(data, validation="5h"), errors.ConfigError, "its own"),
        (lambda: upnext.tune(upnext.prepare(frame, **COLUMNS)), errors.DataError, "validation='1d'"),
    ]:
        with pytest.raises(error, match=words):
            call()


def test_auto(data, frame, tmp_path):
    found = upnext.auto(data, budget="5s", out=tmp_path / "model")
    assert found.model.recommend([3], k=3) and found.model == upnext.load(tmp_path / "model")
    assert "candidates" in repr(found) and len(found.to_pandas()) == len(found.candidates)
    assert "on the test part" in repr(found) and "<iframe" in found._repr_html_()
    by_frame = upnext.auto(frame, budget=datetime.timedelta(seconds=3), objective="recall", **COLUMNS)
    assert by_frame.model.n_items_ == 30 and by_frame.test is None
    for call, words in [
        (lambda: upnext.auto(data, budget=15), "^budget"),
        (lambda: upnext.auto(data, objective="accuracy"), "^objective"),
        (lambda: upnext.auto(data, resume=True), "out="),
    ]:
        with pytest.raises(upnext.errors.ConfigError, match=words):
            call()


def test_nothing_is_left_behind(data, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = upnext.compare(data, ["pop"], resamples=100)
    assert list(tmp_path.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del found
        gc.collect()
    assert not [path for path in tmp_path.iterdir() if path != data._written.path]
