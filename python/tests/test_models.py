"""Every kind, from its parameters to its saved form; and what the command line makes of the same."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import COLUMNS, SMALL

import upnext

KINDS = [getattr(upnext, name) for name in upnext.models.__all__]
#: Parameters that make a kind small.
PARAMETERS = {"GRU4Rec": SMALL, "Blend": {"members": ["sr", "repeat", upnext.GRU4Rec(**SMALL)]}}


def made(kind: type) -> upnext.Recommender:
    return kind(**PARAMETERS.get(kind.__name__, {}))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_contract(kind, data, tmp_path):
    model = made(kind)
    with pytest.raises(upnext.errors.NotFittedError, match="call fit"):
        model.recommend([1])
    assert model.fit(data.train) is model
    first = model.recommend([3, 4], k=7, exclude_seen=True)
    assert len(first) == 7 and not {3, 4} & set(first.ids)
    assert all(a.score >= b.score for a, b in zip(first, first[1:]))
    assert {item.id for item in model.recommend([3], k=9, only=[5, 6])} <= {5, 6}
    assert 5 not in model.recommend([3], k=30, exclude=[5]).ids
    nothing = model.recommend(["not an item"], k=3)
    assert nothing.fell_back and nothing.unknown == ["not an item"]
    # Many sessions are as one by one.
    histories = [[3, 4], [7], [29, 0, 1]]
    table = model.recommend_many(histories, k=4).to_arrow().to_pydict()
    assert table["item"] == [item for history in histories for item in model.recommend(history, k=4).ids]
    # Evaluation.
    found = model.evaluate(data.test, k=[5, 20])
    assert 0 <= found["mrr@20"] <= found["recall@20"] <= 1 and found.cases == len(found.ranks)
    assert "recall" in repr(found) and "<iframe" in found._repr_html_()
    assert found["recall@20"] == pytest.approx(np.mean(found.ranks <= 20))
    # Saved, loaded, copied and pickled.
    model.save(tmp_path / "model")
    loaded = upnext.load(tmp_path / "model")
    others = [loaded, copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for other in others:
        assert other == model and type(other) is kind
        assert other.recommend([3, 4], k=7, exclude_seen=True) == first
    assert isinstance(repr(model), str)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_parameters_are_those_of_scikit_learn(kind):
    from sklearn.base import clone

    model = made(kind)
    params = model.get_params()
    assert type(model)(**params).get_params() == params
    assert clone(model).get_params() == params
    assert model.set_params(**params) is model
    with pytest.raises(upnext.errors.ConfigError, match="no parameter nonsense"):
        model.set_params(nonsense=1)
    with pytest.raises(TypeError):
        kind(nonsense=1)


def test_values_that_do_not_fit_are_named(data):
    for wrong, word in [({"layers": [0]}, "layers"), ({"loss": "nonsense"}, "loss"), ({"epochs": "many"}, "epochs")]:
        with pytest.raises(upnext.errors.ConfigError, match=word):
            upnext.GRU4Rec(**wrong).fit(data.train)
    with pytest.raises(upnext.errors.NotSupportedError, match="vectors"):
        upnext.Pop().fit(data.train).item_vectors()
    with pytest.raises(upnext.errors.UnknownItemError, match="zz"):
        upnext.VSTAN().fit(data.train).similar_items("zz")
    with pytest.raises(upnext.errors.UpnextError):
        upnext.load("/no/such/model")


def test_the_command_line_gives_the_same_bits(frame, data, network, tmp_path):
    data.save(tmp_path / "data")
    program = [sys.executable, "-m", "upnext"]
    fields = [f"--set={field}" for field in ("model.layers=[16]", "training.batch_size=8", "training.samples=32")]
    train = [*program, "train", tmp_path / "data", "--out", tmp_path / "model", "--epochs", "3", "--quiet", *fields]
    subprocess.run(train, check=True, capture_output=True)
    loaded = upnext.load(tmp_path / "model")
    assert loaded == network
    assert np.array_equal(loaded.item_vectors(), network.item_vectors())
    evaluate = [*program, "evaluate", tmp_path / "model", tmp_path / "data", "--json", "--quiet"]
    printed = json.loads(subprocess.run(evaluate, check=True, capture_output=True).stdout)
    assert printed["metrics"] == network.evaluate(data.test).metrics
    assert subprocess.run([*program, "nonsense"], capture_output=True).returncode == 2


def test_a_training_goes_on_from_another(data, network):
    more = upnext.GRU4Rec(**{**SMALL, "epochs": 1}).fit(data.test, init=network)
    assert more.n_items_ >= network.n_items_ and more != network
    assert set(network.items_) <= set(more.items_)


def test_validation_chooses_the_epochs(data):
    model = upnext.GRU4Rec(**{**SMALL, "epochs": 4}).fit(data.train, validation="1d")
    assert 1 <= model.best_epoch_ <= 4 and len(model.history_) == 4
    assert "validation" in model.history_[0] and "<iframe" in model._repr_html_()
    with pytest.raises(upnext.errors.ConfigError, match="validat"):
        upnext.Pop().fit(data.train, validation="1d")
    given = upnext.GRU4Rec(**SMALL).fit(data.fit, validation=data.valid)
    assert "validation" in given.history_[-1]


def test_a_callback_sees_the_epochs_and_ends_the_training(data):
    seen = []
    upnext.GRU4Rec(**SMALL).fit(data.train, callback=lambda event, record: seen.append((event, record)))
    assert [record["epoch"] for event, record in seen if event == "epoch"] == [1, 2, 3]
    model = upnext.GRU4Rec(**SMALL)
    model.fit(data.train, callback=lambda event, record: event != "epoch")
    assert len(model.history_) == 1 and model.ended_ == "interrupted"
    assert model.recommend([3], k=1)

    def fails(event, record):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        upnext.GRU4Rec(**SMALL).fit(data.train, callback=fails)


def test_progress_is_shown_when_asked_for(data, capsys):
    upnext.GRU4Rec(**SMALL).fit(data.train, progress=True)
    assert "epoch 3/3" in capsys.readouterr().err
    upnext.GRU4Rec(**SMALL).fit(data.train)
    assert not capsys.readouterr().err


def test_vectors_give_the_scores(network, data):
    names, sessions = network.session_vectors([[3, 4], [7]])
    assert names == ["0", "1"] and sessions.shape == (2, 16)
    scores = network.item_vectors() @ sessions[0] + network.item_biases()
    best = network.recommend([3, 4], k=1)[0]
    assert network.items_[int(scores.argmax())] == str(best.id) and scores.max() == pytest.approx(best.score, rel=1e-5)
