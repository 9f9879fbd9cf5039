"""SQL of a stranger: what it may not do, tried; what it may, still works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from in_process import InProcess, utterance
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.errors import ConfigError
from raypipe.store import sandbox as room
from raypipe.store.query import connect, query, query_runs

CANARY = "hunter2-canary"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    from raypipe.engines import plugins

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "BUILT_IN", {**plugins.BUILT_IN, "fake": "fake_engine:PLUGIN"})
        runs = InProcess(tmp_path_factory.mktemp("run"))
        runs.write(*(utterance(f"u{number}") for number in range(4)))
        runs.finished(strategies=["greedy"])
    return runs


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files that hold a canary; the environment and the home hold it as well."""
    for name in ("csv", "txt", "json", "py"):
        (tmp_path / f"secret.{name}").write_text(f'{{"a": "{CANARY}"}}\n')
    with duckdb.connect(str(tmp_path / "secret.db")) as database:
        database.execute(f"CREATE TABLE kept AS SELECT '{CANARY}' AS a")
        database.execute(f"COPY kept TO '{tmp_path}/secret.parquet'")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://user:{CANARY}@proxy.invalid:3128")
    for name in ("AWS_SECRET_ACCESS_KEY", "SECRET"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("HOME", str(tmp_path / CANARY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


REFUSED = {
    "a CSV file": "SELECT * FROM read_csv('{folder}/secret.csv')",
    "a text": "SELECT * FROM read_text('{folder}/secret.txt')",
    "bytes": "SELECT * FROM read_blob('{folder}/secret.txt')",
    "JSON": "SELECT * FROM read_json('{folder}/secret.json')",
    "JSON lines": "SELECT * FROM read_ndjson_objects('{folder}/secret.json')",
    "Parquet": "SELECT * FROM read_parquet('{folder}/secret.parquet')",
    "Parquet by its schema": "SELECT * FROM parquet_schema('{folder}/secret.parquet')",
    "a database": "SELECT * FROM read_duckdb('{folder}/secret.db')",
    "a sniffer": "SELECT * FROM sniff_csv('{folder}/secret.csv')",
    "a file by its name": "FROM '{folder}/secret.csv'",
    "a Parquet file by its name": "FROM '{folder}/secret.parquet'",
    "a relative name": "FROM 'secret.csv'",
    "a list of files": "SELECT * FROM glob('{folder}/*')",
    "a file in a subquery": "SELECT (SELECT content FROM read_text('{folder}/secret.txt'))",
    "a file by a query in a text": "FROM query('FROM read_text(''{folder}/secret.txt'')')",
    "a file while explaining": "EXPLAIN ANALYZE SELECT * FROM read_text('{folder}/secret.txt')",
    "the system's password file": "SELECT * FROM read_text('/etc/passwd')",
    "the environment": "SELECT * FROM read_text('/proc/self/environ')",
    "COPY": "COPY predictions TO '{folder}/out.csv'",
    "COPY of a query": "COPY (SELECT 1) TO '{folder}/out.parquet'",
    "COPY to the terminal": "COPY predictions TO '/dev/stdout'",
    "COPY while explaining": "EXPLAIN ANALYZE COPY predictions TO '{folder}/out.csv'",
    "COPY after a query": "SELECT 1; COPY predictions TO '{folder}/out.csv'",
    "COPY before a query": "COPY predictions TO '{folder}/out.csv'; SELECT 1",
    "EXPORT": "EXPORT DATABASE '{folder}/out'",
    "IMPORT": "IMPORT DATABASE '{folder}'",
    "ATTACH": "ATTACH '{folder}/secret.db' AS other",
    "ATTACH of a new file": "ATTACH '{folder}/out.db' AS other",
    "ATTACH of memory": "ATTACH ':memory:' AS other",
    "INSTALL": "INSTALL httpfs",
    "INSTALL by force": "FORCE INSTALL spatial FROM community",
    "LOAD": "LOAD httpfs",
    "LOAD of a file": "LOAD '{folder}/secret.duckdb_extension'",
    "the network": "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "the network by a name": "FROM 'https://127.0.0.1:9/x.parquet'",
    "object storage": "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SET": "SET enable_external_access = true",
    "RESET": "RESET enable_external_access",
    "SET of the lock": "SET lock_configuration = false",
    "SET of the memory": "SET GLOBAL memory_limit = '100GB'",
    "PRAGMA": "PRAGMA enable_external_access = true",
    "PRAGMA of a file": "PRAGMA import_database('{folder}')",
    "CALL": "CALL enable_logging(storage = 'file', storage_path = '{folder}/log')",
    "a secret": "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "a secret that stays": "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "a view": "CREATE OR REPLACE TEMP VIEW predictions AS SELECT 1",
    "DROP": "DROP VIEW predictions",
    "INSERT": "INSERT INTO predictions SELECT * FROM predictions",
    "a macro": "CREATE MACRO f(x) AS TABLE FROM read_text(x)",
    "PREPARE": "PREPARE p AS COPY predictions TO '{folder}/out.csv'",
    "a transaction": "BEGIN",
    "a checkpoint": "CHECKPOINT",
}
UNKNOWN = {
    "a variable of Python": "FROM local_table",
    "a global of Python": "FROM CANARY",
    "a name in quotes": "FROM '/etc/passwd'",
    "a function that reads the environment": "SELECT getenv('SECRET')",
    "pointers": "SELECT * FROM arrow_scan(1::POINTER, 1::POINTER, 1::POINTER)",
    "an object of Python": "SELECT * FROM pandas_scan(140000000000000)",
}


def listed(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize("attack", REFUSED.values(), ids=REFUSED)
def test_sql_that_reaches_out_is_refused_in_one_line(
    run: InProcess, secrets: Path, attack: str
) -> None:
    before = listed(secrets)
    with pytest.raises(ConfigError, match=r"SQL (may read|sees) the run's tables") as refused:
        query(run.tables, attack.format(folder=secrets))
    assert "--unsafe" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert CANARY not in str(refused.value)
    assert listed(secrets) == before


@pytest.mark.parametrize("attack", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_outside_of_the_run_is_not_there(
    run: InProcess, secrets: Path, attack: str
) -> None:
    local_table = pa.table({"a": [CANARY]})
    with pytest.raises(duckdb.Error) as refused:
        query(run.tables, attack)
    assert CANARY not in str(refused.value)
    assert len(local_table) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name, value FROM duckdb_settings()",
        "SELECT name, setting FROM pg_settings",
        "SELECT current_setting('http_proxy'), current_setting('home_directory')",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM duckdb_databases()",
        "SELECT getvariable('SECRET')",
    ],
)
def test_settings_tell_nothing_of_the_machine(run: InProcess, secrets: Path, sql: str) -> None:
    assert CANARY not in str(query(run.tables, sql).to_pylist())


def test_the_attacks_succeed_where_they_are_let(run: InProcess, secrets: Path) -> None:
    """What the sandbox refuses would otherwise work: the attacks are attacks."""
    read = query(run.tables, f"FROM read_text('{secrets}/secret.txt')", unsafe=True)
    assert CANARY in str(read.to_pylist())
    query(run.tables, f"COPY predictions TO '{secrets}/out.csv'", unsafe=True)
    assert (secrets / "out.csv").stat().st_size
    settings = query(run.tables, "SELECT value FROM duckdb_settings()", unsafe=True)
    assert CANARY in str(settings.to_pylist())


def test_several_runs_are_in_a_sandbox_too(run: InProcess, secrets: Path) -> None:
    places = {"a": run.tables, "b": run.tables}
    for sql in ("COPY predictions TO 'out.csv'", "FROM read_text('secret.txt')"):
        with pytest.raises(ConfigError, match="the run's tables"):
            query_runs(places, sql)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("FROM predictions", 4),
        ("SHOW TABLES", 7),
        ("DESCRIBE SELECT run, js FROM predictions", 2),
        ("SUMMARIZE SELECT js FROM predictions", 1),
        ("EXPLAIN SELECT js FROM predictions", 1),
        ("PIVOT distributions ON label USING avg(share) GROUP BY utterance_id", 4),
        ("WITH best AS (FROM predictions ORDER BY js LIMIT 2) FROM best", 2),
        ("SELECT 1; SELECT unnest([1, 2])", 2),
        ("VALUES (1), (2), (3)", 3),
    ],
)
def test_what_reads_the_run_still_works(run: InProcess, sql: str, rows: int) -> None:
    assert len(query(run.tables, sql)) == rows


def test_memory_is_bounded(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(room, "_SETTINGS", {**room._SETTINGS, "memory_limit": "200MB"})
        with pytest.raises(ConfigError, match="more memory than it may have"):
            query(run.tables, "SELECT list(range) FROM range(100000000)")
    monkeypatch.setattr(os, "sysconf", lambda name: 4096)
    with pytest.raises(ConfigError, match="the answer is larger than 4 MiB"):
        query(run.tables, "FROM range(10000000)")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("CAST(concat('x', i) AS INT)", "Could not convert string 'x9999999' to INT32"),
        ("error('of its own')", "of its own"),
    ],
)
def test_what_is_wrong_with_a_late_row_is_told_as_with_the_first(
    run: InProcess, wrong: str, message: str
) -> None:
    late = f"SELECT CASE WHEN i = 9999999 THEN {wrong} ELSE i END FROM range(10000000) AS t(i)"
    with pytest.raises(duckdb.Error, match=message):
        query(run.tables, late)
    told = CliRunner().invoke(app, ["query", late, "--run", run.tables.uri])
    assert told.exit_code == 2
    assert "Invalid value for SQL" in told.stderr


def test_the_limit_is_half_of_the_memory_and_locked(run: InProcess) -> None:
    def bytes_of(connection: duckdb.DuckDBPyConnection) -> float:
        [(size,)] = connection.sql("SELECT current_setting('memory_limit')").fetchall()
        number, unit = str(size).split()
        return float(number) * {"MiB": 1, "GiB": 1024, "TiB": 1024**2}[unit]

    connection = connect(run.tables)
    with pytest.raises(duckdb.Error, match="locked"):
        connection.execute("SET memory_limit = '1TB'")
    with duckdb.connect() as free:  # 80 % by default
        assert bytes_of(connection) == pytest.approx(bytes_of(free) * 5 / 8, rel=0.02)


@pytest.mark.parametrize(
    "endless",
    [
        "WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM x) SELECT max(a) FROM x",
        "SELECT count(*) FROM range(100000000) AS a, range(100000000) AS b WHERE a.range < b.range",
    ],
)
def test_ctrl_c_ends_a_query_without_end(run: InProcess, endless: str) -> None:
    code = (
        "from raypipe.store.query import query; from raypipe.store.location import Location;"
        f"print('ready', flush=True); query(Location.parse({run.tables.uri!r}), {endless!r})"
    )
    # A shell's background jobs ignore Ctrl-C, and so would this one's children.
    started = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert started.stdout is not None
    started.stdout.readline()
    time.sleep(2)
    started.send_signal(signal.SIGINT)
    try:
        _, said = started.communicate(timeout=30)
    finally:
        started.kill()
    assert said.decode().rstrip().endswith("KeyboardInterrupt")


def test_the_command_refuses_and_says_how_to_lift_it(run: InProcess, secrets: Path) -> None:
    asked = ["query", "COPY predictions TO 'out.csv'", "--run", run.tables.uri]
    refused = CliRunner().invoke(app, asked)
    assert isinstance(refused.exception, ConfigError)
    assert not (secrets / "out.csv").exists()
    lifted = CliRunner().invoke(app, [*asked, "--unsafe"], catch_exceptions=False)
    assert lifted.exit_code == 0
    assert "may read and write files" in lifted.stderr
    assert (secrets / "out.csv").exists()
