"""Logs of every form give the same sessions, or a sentence that says what is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import COLUMNS

import upnext


def events(sessions: upnext.Sessions) -> list[tuple]:
    table = sessions.to_arrow().to_arrow().to_pydict()
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
    by_file = [(session, int(item), time) for session, item, time in events(upnext.read(file, **COLUMNS))]
    assert sorted(by_file) == expected


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
    assert all(type(item.id) is str for item in network.recommend(["3", "4"], k=5))
    assert network.recommend([3, 999_999]).unknown == [999_999]
    table = network.recommend_many(data.test, k=2).to_arrow()
    assert (table.schema.field("item").type, table.schema.field("session").type) == (pa.int64(), pa.string())
    texts = frame.astype({"sku": "string"})
    table = network.recommend_many(texts, k=2, **COLUMNS).to_arrow()
    assert table.schema.field("item").type == pa.string()


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


def test_empty_and_wrong_logs_are_refused_in_words(frame):
    with pytest.raises(upnext.errors.DataError, match="no event|no row|empty"):
        upnext.read(frame.head(0), **COLUMNS)
    with pytest.raises(upnext.errors.UpnextError, match="nowhere"):
        upnext.read(frame, session="nowhere", item="sku", time="ts")
    with pytest.raises(upnext.errors.ConfigError, match="sesion"):
        upnext.read(frame, sesion="visitor")
    with pytest.raises(upnext.errors.DataError, match="int"):
        upnext.read(7)
    with pytest.raises(upnext.errors.DataError, match="list of item ids"):
        upnext.read(["a", 3])
    with pytest.raises(upnext.errors.FileError):
        upnext.read("/no/such/file.csv")
    with pytest.raises(upnext.errors.DataError, match="leave out"):
        upnext.read([[1, 2]], session="visitor")


def test_lists_and_generators_are_sessions():
    sessions = [["kettle", "tea", "cup"], ["kettle", "tea"], ["tea", "cup"]] * 3
    for form in (sessions, (session for session in sessions), [np.array(session) for session in sessions]):
        assert upnext.read(form).n_events == 21
    model = upnext.SR().fit(sessions)
    assert model.recommend(["kettle"], k=1).ids == ["tea"]
    table = model.recommend_many([["kettle"], ["tea"]], k=1).to_arrow().to_pydict()
    assert table["session"] == [0, 1] and table["item"] == ["tea", "cup"]


def test_a_prepared_log_is_that_of_the_command_line(frame, tmp_path):
    from upnext.__main__ import main  # noqa: F401

    data = upnext.prepare(frame, **COLUMNS, holdout="1d")
    data.save(tmp_path / "data")
    assert events(upnext.read(tmp_path / "data" / "test.parquet")) == [
        (session, str(item), time) for session, item, time in events(data.test)
    ] or len(data.test) == len(upnext.read(tmp_path / "data" / "test.parquet"))
    assert data.statistics and "train" in repr(data)
    with pytest.raises(upnext.errors.ConfigError, match="holdout"):
        upnext.prepare(frame, **COLUMNS, holdout="1 fortnight")


def test_a_table_is_read_by_every_library(network, data):
    import duckdb
    import polars as pl

    table = network.recommend_many(data.test, k=3)
    assert len(table) == 3 * len(data.test) and "rank" in repr(table)
    assert pl.DataFrame(table).height == len(table.to_pandas()) == len(table)
    arrow = table.to_arrow()
    assert duckdb.sql("select count(*) from arrow").fetchall() == [(len(table),)]
