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

#: Attributes of the items, which one kind needs.
SHELVES = {"item": list(range(30)), "shelf": [f"s{item % 3}" for item in range(30)]}


def made(kind: type) -> upnext.Recommender:
    return kind(**PARAMETERS.get(kind.__name__, {}))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_contract(kind, data, tmp_path):
    model = made(kind)
    with pytest.raises(upnext.errors.NotFittedError, match="call fit"):
        model.recommend([1])
    assert model.fit(data.train, item_table=SHELVES) is model
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
        assert other == model and type(other) is kind and hash(other) == hash(model)
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


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (upnext.GRU4Rec(layers=[0]), "layers"),
        (upnext.GRU4Rec(layers=100), "^layers: .*list"),
        (upnext.GRU4Rec(layers=None), "^layers: None"),
        (upnext.GRU4Rec(loss="nonsense"), "^loss"),
        (upnext.GRU4Rec(epochs="many"), "^epochs"),
        (upnext.GRU4Rec(learning_rate=float("nan")), "^learning_rate: .*finite"),
        (upnext.VSTAN(k=True), "^k: "),
        (upnext.Blend(members="vstan"), "^members: .*list"),
        (upnext.Blend(members=["nonsense"]), "nonsense"),
    ],
)
def test_values_that_do_not_fit_are_named(data, model, word):
    with pytest.raises(upnext.errors.ConfigError, match=word):
        model.fit(data.train)


def test_wrong_arguments_are_errors_of_the_package(data, network):
    errors = upnext.errors
    for call, error, words in [
        (lambda: upnext.Pop().fit(data.train).item_vectors(), errors.NotSupportedError, "vectors"),
        (lambda: upnext.VSTAN().fit(data.train).similar_items("zz"), errors.UnknownItemError, "zz"),
        (lambda: upnext.load("/no/such/model"), FileNotFoundError, "no such folder"),
        (lambda: network.recommend("34"), errors.DataError, "list of item ids"),
        (lambda: network.recommend(5), errors.DataError, "list of item ids"),
        (lambda: network.recommend([[3], [4]]), errors.DataError, "recommend_many"),
        (lambda: network.recommend(data.test.to_pandas()), errors.DataError, "not a DataFrame"),
        (lambda: network.recommend([3], k=0), errors.ConfigError, "k: .*1 or more"),
        (lambda: network.recommend([3], k=-1), errors.ConfigError, "k: .*1 or more"),
        (lambda: network.recommend([3], exclude=5), errors.DataError, "exclude"),
        (lambda: network.evaluate(data.test, k="20"), errors.ConfigError, "k: "),
        (lambda: network.evaluate(data.test, k=[5, 2]), errors.ConfigError, "k|cutoffs"),
        (lambda: network.evaluate(data.test, ties="foo"), errors.ConfigError, "ties"),
        (lambda: network.evaluate(data.test, unknown="foo"), errors.ConfigError, "unknown: .*leave-out"),
        (lambda: network.fit(data.train, n_threads=-2), errors.ConfigError, "n_threads"),
        (lambda: network.fit(data), errors.DataError, "data.train"),
        (lambda: network.fit(data.train, init=7), errors.ConfigError, "init"),
        (lambda: upnext.SR().fit(data.test, init=upnext.SR().fit(data.train)), errors.ConfigError, "init"),
        (lambda: network.fit(data.train, validation=data.valid), errors.ConfigError, "data.train contains data.valid"),
        (lambda: network.fit(data.train, validation=data.train), errors.ConfigError, "by heart"),
        (lambda: upnext.Blend().fit(data.train, validation="1d"), errors.ConfigError, "by itself"),
        (lambda: network.fit(data.train, validation="1 fortnight"), errors.ConfigError, "^validation"),
    ]:
        with pytest.raises(error, match=words):
            call()
    assert network.recommend([3], k=10**9).ids  # As many as there are.
    assert upnext.GRU4Rec(**SMALL).fit(data.train, n_threads=-1) == network


def test_what_is_left_out_is_said(data, network):
    with pytest.warns(upnext.UpnextWarning, match="2 events .* 1 sessions have no other"):
        table = network.recommend_many([[3], [999], [4, 998]], k=2)
    assert table["fell_back"] == [False, False, True, True, False, False]
    with pytest.warns(upnext.UpnextWarning, match="1 sessions have no other, and are left out"):
        assert network.session_vectors([[3], [999]])[0] == [0]
    found = network.evaluate([[1, 2, 99, 3], [98, 97]])
    assert found.to_dict()["unknown_next_clicks"] == 2 and "2 of 4 next clicks" in repr(found)
    counted = network.evaluate([[1, 2, 99, 3], [98, 97]], unknown="miss")
    assert counted["recall@20"] == pytest.approx(found["recall@20"] / 2) and "2 next clicks that are misses" in repr(counted)
    with pytest.warns(upnext.UpnextWarning, match="too good"):
        network.evaluate(data.train)
    with pytest.warns(upnext.UpnextWarning, match="mini-batch has"):
        upnext.GRU4Rec(**{**SMALL, "epochs": 1, "batch_size": 5000}).fit(data.train)
    with pytest.warns(upnext.UpnextWarning, match="1 sessions of a single event"):
        upnext.SR().fit([[1, 2], [3]])


def test_next_clicks_on_unknown_items_of_a_test_part_are_counted(frame):
    new = frame.copy()
    new.loc[new.index[-8:], "sku"] = 77
    data = upnext.prepare(new, **COLUMNS)
    model = upnext.SR().fit(data.train)
    left_out, missed = model.evaluate(data.test), model.evaluate(data.test, unknown="miss")
    assert left_out.to_dict()["unknown_next_clicks"] > 0 and missed["mrr@20"] < left_out["mrr@20"]


def test_ranks_follow_the_rule_for_ties(data):
    model = upnext.SPop().fit(data.train)
    for ties in ("conservative", "standard", "median"):
        found = model.evaluate(data.test, k=2, ties=ties)
        assert found["recall@2"] == pytest.approx(np.mean(found.ranks <= 2)), ties


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


def test_a_training_goes_on_from_another(data, network, tmp_path):
    one = {**SMALL, "epochs": 1}
    more = upnext.GRU4Rec(**one).fit(data.test, init=network)
    assert more.n_items_ >= network.n_items_ and more != network
    assert set(network.items_) <= set(more.items_)
    network.save(tmp_path / "model")
    assert upnext.GRU4Rec(**one).fit(data.test, init=tmp_path / "model") == more
    with pytest.warns(upnext.UpnextWarning, match="to_train=True"):
        assert upnext.GRU4Rec(**one).fit(data.test, init=upnext.load(tmp_path / "model")) != more


def test_loaded_models_have_the_parameters_that_were_given(data, tmp_path):
    for model in [
        upnext.GRU4Rec(**SMALL),
        upnext.GRU4Rec(**SMALL, optimizer="adam", learning_rate=0.003, dropout_embedding=0.25),
        upnext.VSTAN(k=7),
        upnext.Blend(members=["sr", {"kind": "sr", "name": "late", "half_life": 0.05}]),
        upnext.Blend(),
    ]:
        small = model.set_params(members=["sr", "repeat"]) if repr(model) == "Blend()" else model
        small.fit(data.train).save(tmp_path / "model")
        loaded = upnext.load(tmp_path / "model")
        assert repr(loaded).replace("(16,)", "[16]") == repr(small), small
    changed = upnext.GRU4Rec(**SMALL).fit(data.train)
    changed.save(tmp_path / "model")
    loaded = upnext.load(tmp_path / "model").set_params(loss="bpr-max", input="one-hot", optimizer="adam")
    assert loaded.fit(data.train) == changed.set_params(loss="bpr-max", input="one-hot", optimizer="adam").fit(data.train)


def test_validation_chooses_the_epochs(data, tmp_path):
    model = upnext.GRU4Rec(**{**SMALL, "epochs": 4}).fit(data.train, validation="1d")
    assert 1 <= model.best_epoch_ <= 4 and len(model.history_) == 4
    assert "validation" in model.history_[0] and "<iframe" in model._repr_html_()
    with pytest.raises(upnext.errors.ConfigError, match="validat"):
        upnext.Pop().fit(data.train, validation="1d")
    given = upnext.GRU4Rec(**{**SMALL, "epochs": 4}).fit(data.fit, validation=data.valid)
    assert given.items_ == upnext.Pop().fit(data.train).items_, "it is trained again on all of the training part"
    kept = upnext.GRU4Rec(**{**SMALL, "epochs": 4}).fit(data.fit, validation=data.valid, refit=False)
    assert kept != given and kept.best_epoch_ == given.best_epoch_
    data.save(tmp_path / "data")
    words = "train data --out model --validate --epochs 4 --quiet --set model.layers=[16] --set training.batch_size=8 --set training.samples=32"
    subprocess.run([sys.executable, "-m", "upnext", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    assert upnext.load(tmp_path / "model") == given
    frames = [part.to_pandas() for part in (data.fit, data.valid)]
    assert upnext.GRU4Rec(**{**SMALL, "epochs": 4}).fit(frames[0], validation=frames[1]).best_epoch_ == given.best_epoch_


def test_a_callback_sees_the_epochs_and_ends_the_training(data):
    import threading

    seen = []
    upnext.GRU4Rec(**SMALL).fit(data.train, callback=lambda *told: seen.append((*told, threading.current_thread())))
    assert [record["epoch"] for event, record, _ in seen if event == "epoch"] == [1, 2, 3]
    assert {thread for *_, thread in seen} == {threading.current_thread()}
    for no in (False, np.bool_(False)):
        model = upnext.GRU4Rec(**SMALL)
        model.fit(data.train, callback=lambda event, record: no if event == "epoch" else None)
        assert len(model.history_) == 1 and model.ended_ == "interrupted" and model.recommend([3], k=1)
    with pytest.raises(upnext.errors.StoppedError, match="only there at its end"):
        upnext.Blend(members=["sr", upnext.GRU4Rec(**SMALL)]).fit(data.train, callback=lambda event, _: event != "epoch")

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
    assert names == [0, 1] and sessions.shape == (2, 16)
    scores = network.item_vectors() @ sessions[0] + network.biases()
    best = network.recommend([3, 4], k=1)[0]
    assert network.items_[int(scores.argmax())] == best.id and scores.max() == pytest.approx(best.score, rel=1e-5)
