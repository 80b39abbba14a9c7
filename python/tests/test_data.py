"""Logs of every form give the same sessions, or a sentence that says what is wrong."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import COLUMNS

import upnext


def events(sessions: upnext.Sessions) -> list[tuple]:
    table = sessions.to_arrow().to_pydict()
    return sorted(zip(table["session"], table["item"], table["time"]))


def test_frames_of_all_libraries_are_the_same_log(frame, tmp_path):
    import duckdb
    import polars as pl

    expected = events(upnext.read(frame, **COLUMNS))
    file = tmp_path / "clicks.parquet"
    frame.to_parquet(file)
    polars = pl.from_pandas(frame)
    relation = duckdb.sql("select * from frame")
    others = [polars, relation, pa.Table.from_pandas(frame), {name: frame[name].to_numpy() for name in frame}]
    for other in others:
        assert events(upnext.read(other, **COLUMNS)) == expected, type(other)
    assert events(upnext.read(file, **COLUMNS)) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.astype({"visitor": "category"}),
        lambda frame: frame.astype({"sku": "Int64"}),
        lambda frame: frame.astype({"sku": "int32"}),
        lambda frame: frame.astype({"sku": "uint64"}),
        lambda frame: frame.assign(ts=frame["ts"].dt.tz_localize("UTC")),
        lambda frame: frame.assign(ts=frame["ts"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")),
        lambda frame: frame.assign(ts=frame["ts"].astype("datetime64[ns]")),
        lambda frame: frame.assign(ts=frame["ts"].dt.strftime("%Y-%m-%d %H:%M:%S")),
        lambda frame: frame.assign(ts=frame["ts"].astype("datetime64[s]").astype("int64")),
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.assign(extra=1.5),
    ],
)
def test_types_of_columns_do_not_matter(frame, change):
    assert events(upnext.read(change(frame), **COLUMNS)) == events(upnext.read(frame, **COLUMNS))


def test_ids_come_back_as_they_were(frame, network, data):
    assert {type(item) for _, item, _ in events(data.test)} == {int}
    assert all(type(item.id) is int for item in network.recommend([3, 4], k=5))
    assert all(type(item.id) is int for item in network.recommend(np.array([3.0, 4.0]), k=5))
    assert all(type(item.id) is str for item in network.recommend(["3", "4"], k=5))
    assert network.recommend([3, 999_999]).unknown == [999_999]
    assert set(network.items_) == set(range(30)) and network.session_vectors([[3]])[0] == [0]
    table = network.recommend_many(data.test, k=2).to_arrow()
    assert (table.schema.field("item").type, table.schema.field("session").type) == (pa.int64(), pa.string())
    texts = frame.astype({"sku": "string"})
    table = network.recommend_many(texts, k=2, **COLUMNS).to_arrow()
    assert table.schema.field("item").type == pa.string()
    assert set(upnext.Pop().fit(texts, **COLUMNS).items_) == {str(item) for item in range(30)}


def test_huge_ids_are_exact():
    big = 2**63 - 1
    frame = pd.DataFrame({"session": [1, 1, 2, 2], "item": [big, big - 1, big, big - 1], "time": [1, 2, 3, 4]})
    model = upnext.SR().fit(frame)
    assert model.recommend([big], k=1).ids == [big - 1]
    beyond = frame.astype({"item": "uint64"}).assign(item=np.array([2**64 - 1, 5] * 2, dtype="uint64"))
    assert upnext.SR().fit(beyond).recommend([2**64 - 1], k=1).ids == [5]


def test_a_missing_id_is_named_by_its_row(frame):
    broken = frame.astype({"sku": "Int64"}).copy()
    broken.loc[7, "sku"] = None
    with pytest.raises(upnext.errors.DataError, match="row 8"):
        upnext.read(broken, **COLUMNS)
    with pytest.warns(upnext.UpnextWarning):
        assert upnext.read(broken, **COLUMNS, skip_bad_rows=True).n_events == len(frame) - 1


def test_whole_numbers_that_a_missing_one_made_floats_are_whole(frame):
    floats = frame.assign(sku=frame["sku"].astype(float))
    assert upnext.VSTAN().fit(floats, **COLUMNS).recommend([3], k=3) == upnext.VSTAN().fit(frame, **COLUMNS).recommend(
        [3], k=3
    )


@pytest.mark.parametrize(
    ("log", "options", "error", "words"),
    [
        (lambda frame: frame.head(0), COLUMNS, "DataError", "no event|no row|empty"),
        (lambda frame: frame, {"session": "nowhere", "item": "sku", "time": "ts"}, "UpnextError", "^(?!.*record batches).*nowhere"),
        (lambda frame: frame, {"sesion": "visitor"}, "ConfigError", "did you mean session"),
        (lambda frame: 7, {}, "DataError", "cannot be a int|cannot be an int"),
        (lambda frame: b"x", {}, "DataError", "bytes"),
        (lambda frame: ["a", 3], {}, "DataError", "list of item ids"),
        (lambda frame: ["a", "b"], {}, "DataError", "one session is"),
        (lambda frame: "/no/such/file.csv", {}, "MissingFileError", "/no/such/file.csv"),
        (lambda frame: [[1, 2]], {"session": "visitor"}, "DataError", "leave out"),
        (lambda frame: frame.to_dict("records"), {}, "DataError", "make a frame"),
        (lambda frame: frame[["sku"]].to_numpy(), {}, "DataError", "2 dimensions"),
        (lambda frame: [frame, frame], {}, "DataError", "concatenate"),
        (lambda frame: {"visitor": [1, 2], "sku": [1]}, {}, "DataError", "one length"),
        (lambda frame: [[1, True]], {}, "DataError", "whole number, not a bool"),
        (lambda frame: [[1, None]], {}, "DataError", "without an item id"),
        (lambda frame: [{1, 2}], {}, "DataError", "in their order"),
        (lambda frame: frame.assign(sku=[[1]] * len(frame)).assign(ts="soon"), COLUMNS, "DataError", "ts"),
    ],
)
def test_wrong_logs_are_refused_in_words(frame, log, options, error, words):
    with pytest.raises(getattr(upnext.errors, error), match=words):
        upnext.read(log(frame), **options)


def test_options_for_what_was_read_already_are_refused(data):
    for call in [
        lambda: upnext.read(data.train, item="sku"),
        lambda: upnext.Pop().fit(data.train, item="sku"),
        lambda: upnext.Pop().fit(data.train, epoks=4),
        lambda: upnext.compare(data, ["pop"], item="sku"),
        lambda: upnext.prepare(data.train, item="sku"),
        lambda: upnext.prepare(data.train, min_item_suport=2),
    ]:
        with pytest.raises(upnext.errors.ConfigError, match="sku|item|epoks|min_item_support"):
            call()
    with pytest.raises(upnext.errors.DataError, match="data.train"):
        upnext.read(data)


def test_lists_generators_and_series_are_sessions():
    import polars as pl

    sessions = [["kettle", "tea", "cup"], ["kettle", "tea"], ["tea", "cup"]] * 3
    for form in (
        sessions,
        (session for session in sessions),
        [np.array(session) for session in sessions],
        [tuple(session) for session in sessions],
        pd.Series(sessions),
        pl.Series(sessions),
        pa.array(sessions),
    ):
        assert list(upnext.read(form)) == sessions
    model = upnext.SR().fit(sessions)
    assert model.recommend(["kettle"], k=1).ids == ["tea"]
    table = model.recommend_many([["kettle"], ["tea"]], k=1)
    assert table["session"] == [0, 1] and table["item"] == ["tea", "cup"]
    assert len(upnext.prepare(sessions * 5, min_item_support=1).test) > 0
    with pytest.warns(upnext.UpnextWarning, match="1 of 3 sessions are empty"):
        assert len(upnext.read([["a"], [], ["b"]])) == 2
    with pytest.warns(upnext.UpnextWarning, match="the same item"):
        upnext.read([[1, 2], ["1", "2"]])


def test_warnings_name_the_line_of_the_caller(frame):
    with pytest.warns(upnext.UpnextWarning) as direct:
        upnext.read([["a"], []])
    with pytest.warns(upnext.UpnextWarning) as within:
        upnext.SR().fit([["a", "b"], []])
    assert {warning.filename for warning in [*direct, *within]} == {__file__}
    late = frame.copy()
    late.loc[late.index[-1], "ts"] = pd.Timestamp("2051-01-01")
    with pytest.warns(upnext.UpnextWarning, match="future|clock|later|wrong"):
        upnext.prepare(late, **COLUMNS)


def test_what_is_held_out_can_be_given_in_several_forms(frame):
    days = upnext.prepare(frame, **COLUMNS, holdout=pd.Timedelta("1D"))
    assert len(days.test) == len(upnext.prepare(frame, **COLUMNS, holdout="1d").test)
    share = upnext.prepare(frame, **COLUMNS, holdout=0.1)
    assert len(share.test) == len(upnext.prepare(frame, **COLUMNS, holdout="10%").test)
    assert len(upnext.prepare(frame, **COLUMNS, holdout=50).test) == 50
    early = upnext.prepare(frame, **COLUMNS, until=pd.Timestamp("2023-11-18"), since="2023-11-15")
    assert early.train.to_pandas()["time"].min() >= pd.Timestamp("2023-11-15")
    for wrong in ("1 fortnight", 1.5, True, [1]):
        with pytest.raises(upnext.errors.ConfigError, match="holdout"):
            upnext.prepare(frame, **COLUMNS, holdout=wrong)


def test_the_arguments_of_prepare_are_the_options_of_the_library():
    import inspect

    from upnext import _upnext

    names = set(inspect.signature(upnext.prepare).parameters) - {"log", "options"}
    assert names == set(_upnext.option_names()[1])


def test_a_prepared_log_is_that_of_the_command_line(frame, tmp_path):
    frame.to_csv(tmp_path / "clicks.csv", index=False)
    options = ["--session-column=visitor", "--item-column=sku", "--time-column=ts", "--validation=1d", "--quiet"]
    program = [sys.executable, "-m", "upnext", "prepare", "clicks.csv", "--out", "by-program", *options]
    subprocess.run(program, cwd=tmp_path, check=True, capture_output=True)
    data = upnext.prepare(frame, **COLUMNS, validation="1d")
    data.save(tmp_path / "by-package")
    for folder in ("by-program", "by-package"):
        loaded = upnext.Data.load(tmp_path / folder)
        for name, part in data._parts().items():
            assert events(getattr(loaded, name)) == events(part), (folder, name)
        assert loaded.statistics["train"] == data.statistics["train"]
    assert "valid" in repr(data) and "<table>" in data._repr_html_()
    with pytest.raises(upnext.errors.UpnextError, match="upnext prepare|prepare"):
        upnext.Data.load(tmp_path)


def test_sessions_are_lists_and_tables_and_pickle(data, frame):
    import pickle

    import polars as pl

    first = data.test[0]
    assert first == next(iter(data.test)) and all(type(item) is int for item in first)
    assert data.test[-1] == list(data.test)[-1] and len(list(data.train)) == len(data.train)
    with pytest.raises(IndexError):
        data.test[len(data.test)]
    assert len(data.test.to_pandas()) == data.test.n_events == pl.DataFrame(data.test).height
    again = pickle.loads(pickle.dumps(data))
    assert {name: events(part) for name, part in again._parts().items()} == {
        name: events(part) for name, part in data._parts().items()
    }
    assert upnext.SR().fit(again.train) == upnext.SR().fit(data.train)
    lists = upnext.read([["a", "b"], ["c"]])
    assert list(pickle.loads(pickle.dumps(lists))) == list(lists)
    assert lists.to_arrow().column_names == ["session", "item"]
    assert "column 1 (visitor)" in repr(upnext.read(frame, **COLUMNS)) and "<table>" in data.train._repr_html_()


def test_a_table_is_read_by_every_library(network, data):
    import duckdb
    import polars as pl

    table = network.recommend_many(data.test, k=3)
    assert len(table) == 3 * len(data.test) and "rank" in repr(table) and "<table>" in table._repr_html_()
    assert table["rank"][:3] == [1, 2, 3] and set(table["fell_back"]) == {False}
    assert pickle.loads(pickle.dumps(table)).to_arrow() == table.to_arrow()
    assert pl.DataFrame(table).height == len(table.to_pandas()) == len(table)
    arrow = table.to_arrow()
    assert duckdb.sql("select count(*) from arrow").fetchall() == [(len(table),)]
