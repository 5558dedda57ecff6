"""Log lines: format, run and level."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.http_exceptions import BadHttpMessage
from hypothesis import given
from hypothesis import strategies as st

import runwright.service
from runwright.kube.objects import Key
from runwright.log import (
    UNUSED,
    ClientErrorFilter,
    JsonFormatter,
    RepetitionFilter,
    RunFilter,
    TextFormatter,
    TimestampCache,
    client_errors,
    configure_logging,
    current_run,
    run_context,
)

RUN = Key("team-a", "train-7")
NOON = 1795521600.25  # 2026-11-24T12:00:00.250Z


def record(message: str = "created Workflow", *args: object, error: bool = False) -> logging.LogRecord:
    try:
        raise ValueError("boom")
    except ValueError:
        info = sys.exc_info() if error else None
    made = logging.LogRecord("runwright.x", logging.INFO, "file.py", 1, message, args, info)
    made.created = NOON
    RunFilter().filter(made)
    return made


def test_text_has_time_level_run_and_message() -> None:
    assert TextFormatter().format(record("a %s", "b")) == "2026-11-24T12:00:00.250Z INFO    a b"
    with run_context(RUN):
        assert TextFormatter().format(record()) == "2026-11-24T12:00:00.250Z INFO    team-a/train-7: created Workflow"


def test_text_ends_with_the_traceback() -> None:
    lines = TextFormatter().format(record(error=True)).splitlines()
    assert lines[0].endswith("created Workflow")
    assert lines[-1] == "  ValueError: boom"


@given(st.text())
def test_no_text_of_a_client_looks_like_a_line(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        made = logging.LogRecord("x", logging.INFO, "file.py", 1, "namespace %s", (text,), sys.exc_info())
    first, *others = TextFormatter().format(made).splitlines()
    assert " INFO    namespace " in first and all(line.startswith("  ") for line in others)
    assert len(JsonFormatter().format(made).split("\n")) == 1


def test_a_long_message_is_cut() -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record("x" * 1_000_000))
        assert len(line) < 9000 and "(1000000 characters)" in line


def test_json_is_one_object_per_line_with_the_run() -> None:
    with run_context(RUN):
        line = JsonFormatter().format(record("größer\nals"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-11-24T12:00:00.250Z",
        "level": "info",
        "logger": "runwright.x",
        "message": "größer\nals",
        "namespace": "team-a",
        "run": "train-7",
    }


def test_json_omits_a_missing_run_and_has_the_exception() -> None:
    found = json.loads(JsonFormatter().format(record(error=True)))
    assert "run" not in found and "namespace" not in found
    assert "ValueError: boom" in found["exception"]


def test_the_run_is_set_only_inside_its_context() -> None:
    with run_context(RUN):
        with run_context(Key("b", "c")):
            assert current_run.get() == Key("b", "c")
        assert current_run.get() == RUN
    assert current_run.get() is None


@pytest.mark.parametrize(
    ("logger", "error", "logged"),
    [
        ("aiohttp.server", BadHttpMessage("no HTTP"), False),
        ("aiohttp.server", ClientConnectionResetError("closed"), False),
        ("aiohttp.server", OSError("disk"), True),
        ("aiohttp.server", None, True),
        ("grpc._cython.cygrpc", UnicodeDecodeError("utf-8", b"\xa1", 0, 1, "invalid start byte"), False),
        ("grpc._cython.cygrpc", ValueError("other"), True),
    ],
)
def test_errors_of_clients_are_not_logged(logger: str, error: Exception | None, logged: bool) -> None:
    info = (type(error), error, None) if error else None
    made = logging.LogRecord(logger, logging.ERROR, "", 1, "Error handling request", (), info)
    assert ClientErrorFilter(*client_errors()[logger]).filter(made) is logged


def test_grpc_writes_no_lines_of_its_own() -> None:
    """They are no JSON, and a client without a token can cause them."""
    assert runwright.service
    assert os.environ["GRPC_VERBOSITY"] == "NONE"


def test_a_repeated_line_is_dropped() -> None:
    repeated = RepetitionFilter()
    assert [repeated.filter(record(message)) for message in ("a", "a", "b", "a")] == [True, False, True, True]


@given(st.floats(0, 4e9))
def test_a_time_is_formatted_as_datetime_formats_it(created: float) -> None:
    cache = TimestampCache()
    for seconds in (created, created + 0.3, created):
        expected = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert cache.format(seconds) == expected


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger; it and Kopf's loggers are restored afterwards."""
    root, kopf = logging.getLogger(), logging.getLogger("kopf")
    observation = logging.getLogger("kopf._core.reactor.observation")
    recorded = {name: getattr(logging, name, None) for name in UNUSED}
    before = root.handlers[:], root.level, kopf.level, observation.filters[:]
    root.handlers = []
    yield root
    root.handlers, kopf.level, observation.filters = before[0], before[2], before[3]
    root.setLevel(before[1])
    for name, value in recorded.items():
        setattr(logging, name, value)


def test_lines_go_to_standard_error_in_the_configured_format(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("json", "info")
    with run_context(RUN):
        logging.getLogger("runwright.test").info("hello")
        logging.getLogger("runwright.test").debug("below the level")
        logging.getLogger("kopf.objects").info("a line of Kopf")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert json.loads(line)["message"] == "hello"
    assert json.loads(line)["run"] == "train-7"


def test_kopfs_lines_appear_at_level_debug(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "debug")
    logging.getLogger("kopf.objects").debug("a line of Kopf")
    assert "a line of Kopf" in capsys.readouterr().err
