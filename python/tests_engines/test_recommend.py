"""Lists from an engine are those of `upnext recommend`, wherever its batches and partitions end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from test_prepare import random_log

import upnext
import upnext.batches
from upnext.errors import DataError

COLUMNS = {"session": "session", "item": "item"}


@pytest.fixture(scope="module", params=["text", "integer"])
def case(request, tmp_path_factory) -> Any:
    """A model, sessions with items that it does not know, and the lists of the program."""
    folder = tmp_path_factory.mktemp("model")
    ids = str if request.param == "text" else int
    log = random_log(31, ids)
    model = upnext.GRU4Rec(layers=[8], epochs=1, batch_size=16).fit(log, **COLUMNS, time="time")
    model.save(folder / "model")
    sessions = random_log(32, ids)
    new = pyarrow.array([ids(10_000 + number % 3) if number % 7 == 0 else item for number, item in enumerate(sessions["item"].to_pylist())])
    sessions = sessions.set_column(1, "item", new)
    pyarrow.parquet.write_table(sessions.drop_columns(["place"]), folder / "sessions.parquet")
    command = [sys.executable, "-m", "upnext", "recommend", folder / "model", "--sessions", folder / "sessions.parquet"]
    command += ["--order", "ids", "-k", "5", "--out", folder / "lists.csv", "--quiet"]
    subprocess.run(command, check=True)
    return folder, sessions, lists_of_csv(folder / "lists.csv", ids)


def lists_of_csv(path: Path, ids: Any) -> dict[Any, list[Any]]:
    import csv

    found: dict[Any, list[Any]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(ids(row["session_id"]), []).append((ids(row["item_id"]), int(row["rank"]), np.float32(row["score"])))
    return found


def lists_of(table: pyarrow.Table) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    columns = (table[name].to_pylist() for name in ("session", "item", "rank", "score"))
    for session, item, rank, score in zip(*columns):
        found.setdefault(session, []).append((item, rank, np.float32(score)))
    return {session: sorted(entries, key=lambda entry: entry[1]) for session, entries in found.items()}


def in_order(sessions: pyarrow.Table) -> pyarrow.Table:
    text = sessions.append_column("text", sessions["item"].cast(pyarrow.string()))
    keys = [(name, "ascending") for name in ("session", "time", "text")]
    return text.sort_by(keys).select(["session", "item"])


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000])
def test_batches_end_anywhere(case, size: int, monkeypatch) -> None:
    folder, sessions, expected = case
    monkeypatch.setattr(upnext.batches, "_EVENTS", 50)
    stream = in_order(sessions).to_batches(max_chunksize=size)
    found = list(upnext.batches.recommend(stream, folder / "model", 5, **COLUMNS))
    assert lists_of(pyarrow.Table.from_batches(found)) == expected


def test_batches_that_are_not_sorted_are_refused(case) -> None:
    folder, sessions, _ = case
    with pytest.raises(DataError, match="not sorted by session"):
        list(upnext.batches.recommend(sessions.to_batches(max_chunksize=100), folder / "model", **COLUMNS))
    with pytest.raises(DataError, match="no column 'sku': the batches have the columns session, item, time, place"):
        list(upnext.batches.recommend(sessions.to_batches(), folder / "model", session="session", item="sku"))
    assert list(upnext.batches.recommend([], folder / "model", **COLUMNS)) == []
    with pytest.raises(upnext.errors.MissingFileError):
        list(upnext.batches.recommend(sessions.to_batches(), folder / "none", **COLUMNS))


def test_a_model_of_a_newer_version_is_refused(case, tmp_path: Path) -> None:
    import shutil

    folder, sessions, _ = case
    shutil.copytree(folder / "model", tmp_path / "model")
    manifest = tmp_path / "model" / "manifest.json"
    text = manifest.read_text()
    assert '"format_version": ' in text
    import re

    manifest.write_text(re.sub(r'"format_version": \d+', '"format_version": 9999', text))
    with pytest.raises(upnext.errors.ModelFileError, match="newer"):
        list(upnext.batches.recommend(in_order(sessions).to_batches(), tmp_path / "model", **COLUMNS))


@pytest.mark.skipif(os.environ.get("UPNEXT_ENGINE") not in ("duckdb", "daft"), reason="an engine that gives Arrow batches")
def test_batches_of_another_engine(case, tmp_path: Path) -> None:
    folder, sessions, expected = case
    text = sessions.append_column("text", sessions["item"].cast(pyarrow.string()))
    pyarrow.parquet.write_table(text.take(np.random.default_rng(3).permutation(len(text))), tmp_path / "log.parquet")
    log, order = str(tmp_path / "log.parquet"), ["session", "time", "text"]
    if os.environ["UPNEXT_ENGINE"] == "daft":
        import daft

        stream = daft.read_parquet(log).sort(order).select("session", "item").to_arrow_iter()
    else:
        import duckdb

        query = f"SELECT session, item FROM '{log}' ORDER BY {', '.join(order)}"
        stream = duckdb.connect().sql(query).to_arrow_reader(1000)
    found = list(upnext.batches.recommend(stream, folder / "model", 5, **COLUMNS))
    assert lists_of(pyarrow.Table.from_batches(found)) == expected


is_spark = pytest.mark.skipif(os.environ.get("UPNEXT_ENGINE") not in ("spark", "sail"), reason="not an engine of frames of Spark")


@is_spark
@pytest.mark.parametrize("partitions", [1, 3, 40])
def test_partitions_do_not_matter(engine, case, tmp_path: Path, partitions: int) -> None:
    import upnext.spark

    folder, sessions, expected = case
    log = engine.log(sessions, tmp_path / "log")
    frame = upnext.spark.recommend(log, folder / "model", 5, **COLUMNS, time="time", partitions=partitions)
    assert lists_of(frame.toArrow()) == expected


@is_spark
def test_what_workers_are_given(engine, case, tmp_path: Path) -> None:
    import upnext.spark

    folder, sessions, _ = case
    log = engine.log(sessions, tmp_path / "log")
    with pytest.raises(DataError, match="no column 'sku': the log has the columns session, item, time, place"):
        upnext.spark.recommend(log, folder / "model", session="session", item="sku")
    with pytest.raises(Exception, match="there is no such folder"):
        upnext.spark.recommend(log, folder / "none", **COLUMNS).toArrow()
    holes = pyarrow.array([None if row == 77 else value for row, value in enumerate(sessions["item"].to_pylist())])
    with_hole = engine.log(sessions.set_column(1, "item", holes), tmp_path / "hole")
    with pytest.raises(Exception, match="1 events have no value in the column item"):
        upnext.spark.recommend(with_hole, folder / "model", **COLUMNS).toArrow()


@pytest.mark.skipif(os.environ.get("UPNEXT_ENGINE") != "spark", reason="kills workers of PySpark")
def test_a_killed_worker_costs_its_task_only(engine, case, tmp_path: Path) -> None:
    import upnext.spark

    folder, sessions, expected = case
    if not isinstance(next(iter(expected)), str):
        return
    log = engine.log(sessions, tmp_path / "log")
    killed = tmp_path / "killed"
    lists = upnext.spark.recommend(log, folder / "model", 5, **COLUMNS, time="time", partitions=8)

    def once(batches: Any) -> Any:
        # In the process of a worker, which has begun its task.
        for batch in batches:
            try:
                os.close(os.open(killed, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                yield batch
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    found = lists.mapInArrow(once, lists.schema).toArrow()
    assert killed.exists()
    assert lists_of(found) == expected
