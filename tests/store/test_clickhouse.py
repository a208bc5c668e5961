"""A ClickHouse server is spoken to over HTTP: parameters beside the question, credentials in headers, errors told.

No server can be had here: a stand-in that hands each question to the engine in this process answers for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.activities import activity_table, write_activities
from wardship.model.errors import ConfigError, Unavailable
from wardship.store.clickhouse import ClickHouseEngine
from wardship.store.engine import Engine

pytestmark = pytest.mark.servers


@pytest.fixture
def stand_in() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(URL, what it was asked)."""
    import chdb

    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sql = self.rfile.read(int(self.headers["Content-Length"])).decode()
            query = dict(parse_qsl(urlsplit(self.path).query))
            asked.append(
                {"sql": sql, "query": query, "headers": {name.lower(): text for name, text in self.headers.items()}}
            )
            values = {name[6:]: value for name, value in query.items() if name.startswith("param_")}
            try:
                status, body = 200, chdb.query(sql, query["default_format"], params=values).bytes()
            except RuntimeError as error:
                status, body = 400, str(error).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://reader:p%40ss@127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()


def _count(engine: Engine, operation: str) -> list[tuple[Any, ...]]:
    sql = "WITH a AS (SELECT * FROM activity) SELECT count(*) AS n, min(time) AS t FROM a WHERE operation = {op:String}"
    return list(engine.query(sql, {"op": operation}))


def test_a_server_gives_what_the_engine_here_gives(tmp_path: Path, stand_in: Any) -> None:
    url, asked = stand_in
    rows = [{"time": f"2026-11-{day:02}T10:00:00", "operation": "It's"} for day in (1, 2, 3)]
    table = activity_table(
        write_activities(tmp_path / "a.parquet", rows), write_activities(tmp_path / "b'x.parquet", rows)
    )
    with ClickHouseEngine([table], url) as engine:
        over_http = _count(engine, "It's")
    with ClickHouseEngine([table]) as engine:
        assert _count(engine, "It's") == over_http
    assert over_http[0][0] == 6
    assert asked[0]["query"]["param_op"] == "It's"
    assert asked[0]["query"]["readonly"] == "2"
    assert (asked[0]["headers"]["x-clickhouse-user"], asked[0]["headers"]["x-clickhouse-key"]) == ("reader", "p@ss")
    assert "p@ss" not in str(asked[0]["query"]) + asked[0]["sql"]


def test_what_a_server_refuses_is_told(stand_in: Any) -> None:
    with ClickHouseEngine([activity_table()], stand_in[0]) as engine, pytest.raises(Unavailable, match="nothing_like"):
        list(engine.query("SELECT nothing_like_it FROM activity", {}))
    with (
        ClickHouseEngine([activity_table()], "http://127.0.0.1:9") as engine,
        pytest.raises(Unavailable, match="ClickHouse"),
    ):
        list(engine.query("SELECT 1", {}))
    with pytest.raises(ConfigError, match="http"):
        ClickHouseEngine([activity_table()], "clickhouse://x")
