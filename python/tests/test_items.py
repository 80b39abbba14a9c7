"""Tables of items, networks that read them, and items that come after the training."""

from __future__ import annotations

import numpy as np
import pytest

import upnext
from upnext.errors import ConfigError, DataError

SMALL = {"layers": [16], "epochs": 3, "batch_size": 8, "samples": 32}


def table(items: int = 40) -> dict[str, list]:
    """Items of which the next ten are of one shelf; 30 to 39 are in no log."""
    return {
        "sku": list(range(items)),
        "shelf": [f"s{item // 10 % 3}" for item in range(items)],
        "price": [float(item % 7) for item in range(items)],
        "tags": [["new", "red"] if item % 2 else ["blue"] for item in range(items)],
    }


@pytest.fixture(scope="module")
def reading(data) -> upnext.GRU4Rec:
    known = {name: values[:30] for name, values in table().items()}
    return upnext.GRU4Rec(**SMALL, attributes=["*"]).fit(data.train, item_table=known)


def test_a_table_has_the_types_of_its_columns_and_may_be_a_file_or_a_frame(tmp_path):
    import pandas as pd

    columns = {"shelf": "categories", "price": "number", "tags": "categories"}
    read = upnext.read_items(table())
    assert read.columns == columns and len(read) == 40
    assert repr(read) == "<40 items by sku: shelf: categories, price: number, tags: categories>"
    frame = pd.DataFrame(table())
    assert upnext.read_items(frame).columns == columns
    frame["tags"] = frame["tags"].str.join("|")
    frame.loc[3, "price"] = None
    frame.to_csv(tmp_path / "items.csv", index=False)
    read = upnext.read_items(tmp_path / "items.csv", types={"price": "categories"}, columns=["price", "tags"])
    assert read.columns == {"price": "categories", "tags": "categories"} and read.missing == {"price": 1, "tags": 0}
    vectors = upnext.read_items({"item": ["a", "b"], "image": [[0.1, 0.2], [0.3, 0.4]]})
    assert vectors.columns == {"image": "vector"}


def test_new_items_are_recommended_without_a_training(reading, data, tmp_path):
    assert reading.new_items_ == [] and len(reading.item_table_) == 30
    before = reading.recommend([3, 4], k=30)
    new = reading.with_items(table())
    assert new.new_items_ == list(range(30, 40)) and new.n_items_ == 40 and reading.n_items_ == 30
    after = [entry for entry in new.recommend([3, 4], k=40) if entry.id < 30]
    assert [(entry.id, entry.score) for entry in after] == [(entry.id, entry.score) for entry in before]
    assert new.recommend([33, 34], k=3) and len(new.item_vectors()) == 40
    # What has the same attributes has the same vector, without one of its own.
    twins = reading.with_items({"sku": [50, 51], "shelf": ["s1", "s1"], "price": [2.0, 2.0], "tags": [["blue"], ["blue"]]})
    vectors = twins.item_vectors()
    assert np.array_equal(vectors[-1], vectors[-2]) and np.any(vectors[-1])
    new.save(tmp_path / "model")
    assert upnext.load(tmp_path / "model").new_items_ == new.new_items_
    with pytest.warns(upnext.UpnextWarning, match="none of the 40 items is new"):
        new.with_items(table())
    grown = upnext.GRU4Rec(**SMALL, attributes=["*"]).fit(data.train, init=new)
    assert grown.n_items_ == 40


def test_clicks_on_new_items_are_ranked_by_their_attributes(reading):
    log = {"visitor": ["a", "a", "a", "b", "b"], "sku": [3, 33, 34, 31, 5], "ts": [1, 2, 3, 4, 5]}
    names = {"session": "visitor", "item": "sku", "time": "ts", "time_unit": "s"}
    ranked = reading.evaluate(log, unknown="rank", item_table=table(), **names)
    assert ranked.cases == 3
    cases = {of["of"]: of["cases"] for of in ranked.targets}
    assert cases == {"known": 1, "rare": 0, "new": 2}
    left = reading.evaluate({"visitor": ["a", "a", "a"], "sku": [3, 33, 4], "ts": [1, 2, 3]}, **names)
    assert left.cases == 1


def test_items_alike_need_no_training(data):
    known = {name: values[:30] for name, values in table().items()}
    model = upnext.ContentKNN(attributes=["shelf"], decay=0.0).fit(data.train, item_table=known)
    assert all(entry.id < 10 for entry in model.recommend([3], k=5))
    more = model.with_items(table())
    alike = {entry.id for entry in more.recommend([35], k=19)}
    assert alike == set(range(10)) | set(range(30, 40)) - {35}
    with pytest.raises(ConfigError, match="item table"):
        upnext.ContentKNN().fit(data.train)


def test_what_does_not_fit_is_refused(reading, network, data):
    with pytest.raises(ConfigError, match="no table of items"):
        network.with_items(table())
    with pytest.raises(ConfigError, match="rank"):
        reading.evaluate(data.test, item_table=table())
    with pytest.raises(ConfigError, match="no table of items"):
        network.evaluate(data.test, unknown="rank")
    with pytest.raises(ConfigError, match="shelf"):
        reading.with_items({"sku": [99], "price": [1.0]})
    with pytest.raises(ConfigError, match="types: `colour` is no type"):
        upnext.read_items(table(), types={"shelf": "colour"})
    with pytest.raises(DataError, match="a table of items cannot be a int"):
        upnext.read_items(3)
    with pytest.raises(ConfigError, match="attributes"):
        upnext.GRU4Rec(**SMALL, attributes=["*"]).fit(data.train)
    twice = {"sku": [1, 1], "price": [1.0, 2.0]}
    with pytest.raises(DataError, match="row 2"):
        upnext.read_items(twice)
    assert len(upnext.read_items(twice, keep_last=True)) == 1
