"""One engine a run, which the environment variable UPNEXT_ENGINE names: each has an environment of packages of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

ENGINE = os.environ.get("UPNEXT_ENGINE", "duckdb")


class Engine:
    """An engine, and what tests need of it."""

    name = ENGINE

    def log(self, table: pyarrow.Table, folder: Path) -> Any:
        """A log of the engine with these rows, in several files and in no order."""
        folder.mkdir()
        rows = table.take(np.random.default_rng(5).permutation(len(table)))
        size = len(rows) // 3 + 1
        for number in range(3):
            pyarrow.parquet.write_table(rows.slice(number * size, size), folder / f"rows{number}.parquet")
        return self._open(folder)

    def _open(self, folder: Path) -> Any:
        raise NotImplementedError

    def prepare(self, table: pyarrow.Table, folder: Path, **options: Any) -> Any:
        """Prepares these rows."""
        folder.mkdir(exist_ok=True)
        return self._module().prepare(self.log(table, folder / "log"), folder / "data", **options)

    def _module(self) -> Any:
        raise NotImplementedError


class DuckDB(Engine):
    def _open(self, folder: Path) -> Any:
        return str(folder / "*.parquet")

    def _module(self) -> Any:
        import upnext.duckdb

        return upnext.duckdb


class DataFusion(Engine):
    def _open(self, folder: Path) -> Any:
        import datafusion

        return datafusion.SessionContext().read_parquet(str(folder))

    def _module(self) -> Any:
        import upnext.datafusion

        return upnext.datafusion


class Spark(Engine):
    def __init__(self, session: Any) -> None:
        self.session = session

    def _open(self, folder: Path) -> Any:
        return self.session.read.parquet(str(folder)).repartition(5)

    def _module(self) -> Any:
        import upnext.spark

        return upnext.spark


def _spark(folder: Path) -> Any:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2,4]").appName("upnext")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "2g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "3",
        "spark.sql.session.timeZone": "America/New_York",  # Which must not matter.
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _sail() -> tuple[Any, Any]:
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _, port = server.listening_address
    return server, SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()


@pytest.fixture(scope="session")
def engine(tmp_path_factory) -> Any:
    if ENGINE == "duckdb":
        yield DuckDB()
    elif ENGINE == "datafusion":
        yield DataFusion()
    elif ENGINE == "spark":
        session = _spark(tmp_path_factory.mktemp("spark"))
        yield Spark(session)
        session.stop()
    else:
        server, session = _sail()
        yield Spark(session)
        session.stop()
        server.stop()


#: Cases that take Spark minutes and tell no more than the others do; UPNEXT_ALL=1 runs them, too.
_SLOW_IN_SPARK = (
    "test_random_logs[0]",
    "test_random_logs[3]",
    "test_ids_and_times_of_all_types[text",
    "test_ids_and_times_of_all_types[integer",
    "test_ids_and_times_of_all_types[float",
    "test_ids_and_times_of_all_types[decimal",
    "test_what_is_wrong_is_told",
    "test_a_network_learns",
    "test_a_training_from_the_disk",
    "test_partitions_do_not_matter[integer-1]",
    "test_partitions_do_not_matter[integer-40]",
)


def pytest_collection_modifyitems(config, items) -> None:
    if ENGINE != "spark" or os.environ.get("UPNEXT_ALL") == "1":
        return
    slow = [item for item in items if item.name.startswith(_SLOW_IN_SPARK)]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]
