"""`runwright export` keeps the former backup where it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runwright import cli
from runwright.kube.errors import ApiError
from runwright.kubectl import backup


def test_export_leaves_the_former_file_where_the_api_server_fails_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    @asynccontextmanager
    async def connection(options: object) -> AsyncIterator[Any]:
        yield None

    async def write_objects(_objects: Any, _pages: Any, file: Any, _counts: Any) -> None:
        file.write(b"{}\n")
        raise ApiError(410, "Expired", "too old")

    monkeypatch.setattr(backup, "connection", connection)
    monkeypatch.setattr(backup, "KubernetesObjects", lambda api, namespaces: None)
    monkeypatch.setattr(backup, "write_objects", write_objects)
    file = tmp_path / "runs.jsonl"
    file.write_text("the former backup")
    done = CliRunner().invoke(cli.main, ["export", str(file)])
    assert done.exit_code == 1
    assert file.read_text() == "the former backup"
    assert list(tmp_path.iterdir()) == [file]
