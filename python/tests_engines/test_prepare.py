"""What engines prepare is what `upnext.prepare` does, session by session and count by count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute
import pytest

import upnext
from upnext.errors import ConfigError, DataError

DAY = 86_400_000_000

#: Statistics that an engine counts, too.
COUNTS = (
    "log", "dropped", "train", "uncut_train", "test", "test_next_clicks", "fit", "valid", "valid_next_clicks", "dropped_from_valid"
)


def random_log(seed: int, ids: Any = str, events: int = 4000) -> pyarrow.Table:
    """A log with ties in time, events at midnight, copies of rows, repeats, rare items and long sessions."""
    rng = np.random.default_rng(seed)
    sessions = rng.integers(0, events // 4, events)
    start = rng.integers(0, 12, events // 4 + 1) * DAY + rng.integers(0, 3, events // 4 + 1) * (DAY // 2)
    time = start[sessions] + rng.integers(0, 40, events) * 30_000_000
    item = (rng.zipf(1.4, events) % 120).astype(np.int64)
    rows = np.concatenate([np.arange(events), rng.integers(0, events, events // 20)])
    order = rng.permutation(len(rows))
    return pyarrow.table(
        {
            "session": pyarrow.array([ids(number) for number in sessions[rows]]),
            "item": pyarrow.array([ids(number) for number in item[rows]]),
            "time": pyarrow.array(1_600_000_000_000_000 + time[rows], pyarrow.timestamp("us", tz="UTC")),
            "place": pyarrow.array(order),
        }
    )


def sequences(sessions: upnext.Sessions, *, has_ids: bool) -> list[Any]:
    """The sessions: items and times, by their ids if the part has them."""
    table = sessions.to_arrow()
    found: dict[Any, list[Any]] = {}
    times = table["time"].cast(pyarrow.int64()).to_pylist()
    for session, item, time in zip(table["session"].to_pylist(), table["item"].to_pylist(), times):
        found.setdefault(session, []).append((time, str(item)))
    return sorted((str(session), events) for session, events in found.items()) if has_ids else sorted(found.values())


def same(prepared: Any, expected: upnext.Data) -> None:
    counts = prepared.statistics
    for name in COUNTS:
        assert counts.get(name) == expected.statistics.get(name), name
    loaded = prepared.load()
    for part in ("train", "fit", "test", "test_all", "valid"):
        ours, theirs = getattr(loaded, part), getattr(expected, part)
        assert (ours is None) == (theirs is None), part
        if ours is not None:
            has_ids = part not in ("train", "fit")
            assert sequences(ours, has_ids=has_ids) == sequences(theirs, has_ids=has_ids), part


RULES: list[dict[str, Any]] = [
    {},
    {"validation": "1d", "min_item_support": 20, "iterate_filters": True, "min_session_length": 3},
    {"holdout": "20%", "validation": "10%", "scale": 4, "drop_repeats": True, "drop_duplicates": True},
    {
        "holdout": "50 sessions",
        "validation": "12h",
        "since": "2020-09-14",
        "until": "2020-09-23T12:00",
        "max_session_length": 6,
        "drop_duplicates": True,
    },
]


@pytest.mark.parametrize("case", range(len(RULES)))
def test_random_logs(engine, tmp_path: Path, case: int) -> None:
    log, rules = random_log(case), RULES[case]
    columns = {"session": "session", "item": "item", "time": "time"}
    prepared = engine.prepare(log, tmp_path, **columns, **rules)
    same(prepared, upnext.prepare(log.select(list(columns)), order="ids", **columns, **rules))


def test_an_order_column_and_users_who_pause(engine, tmp_path: Path) -> None:
    log = random_log(7)
    columns = {"item": "item", "time": "time"}
    prepared = engine.prepare(log, tmp_path, session="session", **columns, order="place", session_gap="5m", validation="1d")
    # Rows in the order of the column are what ties are broken by.
    in_order = log.sort_by([("time", "ascending"), ("place", "ascending")]).drop_columns(["place"])
    same(prepared, upnext.prepare(in_order, user="session", session_gap="5m", **columns, validation="1d"))


SPACED = ["a", " a", "a ", "b%c", "d/e", "it's \\ \"x\" `y`", "ß ß", "39.0", "39", "-7.00", "x\u00a0", "NULLS", "日本"]


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        ("text", pyarrow.timestamp("us")),
        ("key", pyarrow.timestamp("ms")),
        ("integer", pyarrow.int64()),
        ("float", pyarrow.float64()),
        ("decimal", pyarrow.string()),
    ],
)
def test_ids_and_times_of_all_types(engine, tmp_path: Path, ids: str, kind: pyarrow.DataType) -> None:
    log = random_log(11, ids=int, events=1500)
    names, number = ["session"], log["session"].to_numpy()
    text = [SPACED[value % len(SPACED)] + str(value // len(SPACED) if value >= len(SPACED) else "") for value in log["item"].to_pylist()]
    item: Any = log["item"]
    if ids in ("text", "key"):
        item = pyarrow.array(text)
    elif ids == "float":
        item = item.cast(pyarrow.float64())
    elif ids == "decimal":
        item = item.cast(pyarrow.decimal128(19, 0))
    time: Any = log["time"].cast(pyarrow.int64())
    unit = None
    if kind == pyarrow.int64():
        time, unit = pyarrow.compute.divide(time, 1000), "ms"
    elif kind == pyarrow.float64():
        time, unit = pyarrow.compute.divide(time.cast(pyarrow.float64()), 1e6), "s"
    elif kind == pyarrow.string():
        time = pyarrow.array([str(value)[:19] for value in log["time"].cast(pyarrow.timestamp("us")).to_pylist()])
    else:
        time = time.cast(pyarrow.timestamp("us")).cast(kind)
    columns = {"session": log["session"], "item": item, "time": time}
    if ids == "key":
        columns = {"user": pyarrow.array([f"u/{value % 40}" for value in number]), **columns}
        names = ["user", "session"]
    table = pyarrow.table(columns)
    options = {"session": names if len(names) > 1 else names[0], "item": "item", "time": "time", "validation": "10%", "holdout": "10%"}
    expected = upnext.prepare(table, order="ids", **options, **({"time_unit": unit} if unit == "ms" else {}))
    same(engine.prepare(table, tmp_path, **options, **({"time_unit": unit} if unit else {})), expected)


def real_logs() -> list[Path]:
    """The research data sets that the environment variable UPNEXT_LOGS names, such as rsc15_100k/clicks; `all` are all."""
    names = [name for name in os.environ.get("UPNEXT_LOGS", "").split(",") if name]
    folder = Path(os.environ.get("UPNEXT_DATA", ""))
    logs = sorted(path for path in folder.rglob("*.tsv.gz") if path.stem.split(".")[0] != "items") if names else []
    found = [path for path in logs if names == ["all"] or str(path.relative_to(folder)).startswith(tuple(names))]
    assert bool(found) == bool(names), f"none of {names} is in {folder}"
    return found


@pytest.mark.parametrize("path", real_logs(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_real_logs(engine, tmp_path: Path, path: Path) -> None:
    table = upnext.read(path).to_arrow()
    columns = {"session": "session", "item": "item", "time": "time"}
    rules = {"holdout": "10%", "validation": "10%"}
    same(engine.prepare(table, tmp_path, **columns, **rules), upnext.prepare(table, order="ids", **columns, **rules))


def test_what_is_wrong_is_told_before_anything_is_written(engine, tmp_path: Path) -> None:
    log = random_log(3, events=400)
    columns = {"session": "session", "item": "item", "time": "time"}

    def refused(name: str, table: pyarrow.Table = log, *, error: type = DataError, **options: Any) -> str:
        with pytest.raises(error) as raised:
            engine.prepare(table, tmp_path / name, **{**columns, **options})
        folder = tmp_path / name / "data"
        assert not (folder / "statistics").exists()
        with pytest.raises(upnext.UpnextError):
            upnext.Data.load(folder)
        return str(raised.value)

    assert "no column 'sku': the log has the columns session, item, time, place" in refused("column", item="sku")
    assert "time_unit" in refused("unit", log.set_column(2, "time", log["time"].cast(pyarrow.int64())))
    holes = pyarrow.array([None if row % 50 == 0 else value for row, value in enumerate(log["item"].to_pylist())])
    message = refused("nulls", log.set_column(1, "item", holes))
    assert "without an item id" in message and "skip_bad_rows" in message
    assert "min_item_support" in refused("rare", min_item_support=10_000)
    assert "shorter holdout" in refused("holdout", holdout="400d")
    assert "cast it to text or integer or float" in refused("type", log.set_column(1, "item", pyarrow.array([["a"]] * len(log))))
    assert "at least 2" in refused("rules", error=ConfigError, min_session_length=1)
    assert "drop_repeats" in refused("name", error=ConfigError, drop_repeat=True)

    prepared = engine.prepare(log.set_column(1, "item", holes), tmp_path / "left_out", **columns, skip_bad_rows=True)
    assert prepared.statistics["log"]["events"] == len(log) - holes.null_count
    with pytest.raises(ConfigError, match="overwrite=True"):
        engine._module().prepare(engine._open(tmp_path / "left_out" / "log"), prepared.path, **columns, skip_bad_rows=True)
    again = engine._module().prepare(
        engine._open(tmp_path / "left_out" / "log"), prepared.path, **columns, skip_bad_rows=True, overwrite=True
    )
    assert again.statistics == prepared.statistics and "train" in repr(again)
    (tmp_path / "left_out" / "data" / "notes").mkdir()
    with pytest.raises(ConfigError, match="notes"):
        engine._module().prepare(engine._open(tmp_path / "left_out" / "log"), prepared.path, **columns, overwrite=True)


def test_a_network_learns_the_same_from_either_folder(engine, tmp_path: Path) -> None:
    log = random_log(21)
    columns = {"session": "session", "item": "item", "time": "time"}
    rules = {"validation": "1d"}
    prepared = engine.prepare(log, tmp_path, **columns, **rules).load()
    data = upnext.prepare(log.select(list(columns)), order="ids", **columns, **rules)
    of = [upnext.GRU4Rec(layers=[8], epochs=2, batch_size=16).fit(part.train) for part in (prepared, data)]
    assert np.array_equal(of[0].item_vectors(), of[1].item_vectors())


def weights(folder: Path) -> list[str]:
    """The files of a model's weights, whose names are hashes of them."""
    found = sorted(path.name for path in folder.rglob("*") if path.suffix == ".safetensors")
    assert found
    return found


def test_a_training_from_the_disk_is_that_from_memory(engine, tmp_path: Path) -> None:
    columns = {"session": "session", "item": "item", "time": "time"}
    prepared = engine.prepare(random_log(22), tmp_path, **columns, validation="1d")
    upnext.prepare(random_log(22).select(list(columns)), order="ids", **columns, validation="1d").save(tmp_path / "parts")
    small = ["--set", "model.layers=8", "--epochs", "3", "--quiet"]
    for more in ([], ["--validate"]):
        found = []
        for number, (folder, flags) in enumerate([(prepared.path, ["--from-disk"]), (prepared.path, []), (tmp_path / "parts", [])]):
            out = tmp_path / f"model{len(more)}{number}"
            command = [sys.executable, "-m", "upnext", "train", folder, "--out", out, *small, *more, *flags]
            subprocess.run(command, check=True, capture_output=True)
            found.append(weights(out))
        assert found[0] == found[1] == found[2]
    command = [sys.executable, "-m", "upnext", "train", prepared.path, "--out", tmp_path / "knn", "--from-disk", "--model", "item-knn"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode != 0 and "--from-disk" in refused.stderr and "only networks" in refused.stderr, refused.stderr
