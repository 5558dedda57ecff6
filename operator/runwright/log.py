"""Log lines, as text or JSON, each with the run that it is about."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import click
from typing_extensions import override

from runwright.kube.objects import Key

current_run: ContextVar[Key | None] = ContextVar("current_run", default=None)

MAX_MESSAGE = 8000
"""Characters of a message that are logged."""

LogFormat = Literal["text", "json"]

UNUSED = ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks", "_srcfile")
"""What `logging` need not find out for each record, since no format prints it ("Optimization" in Python's logging HOWTO)."""

Command = TypeVar("Command", bound=Callable[..., Any])


def log_options(command: Command) -> Command:
    """Add --log-format and --log-level."""
    levels = click.Choice(["debug", "info", "warning", "error"])
    for option in (
        click.option("--log-level", type=levels, default="info", help="Lowest level that is logged."),
        click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Format of log lines."),
    ):
        command = option(command)
    return command


@contextmanager
def run_context(key: Key) -> Generator[None]:
    """Name the run in every log line of this task."""
    token = current_run.set(key)
    try:
        yield
    finally:
        current_run.reset(token)


class RunFilter(logging.Filter):
    """Adds the current run to each record."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        record.run = current_run.get()
        return True


class ClientErrorFilter(logging.Filter):
    """Drops the errors of a server's library that only a client can cause. They would let anyone who reaches a port fill the log."""

    def __init__(self, *errors: type[Exception]) -> None:
        super().__init__()
        self._errors = errors

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], self._errors))


def client_errors() -> Mapping[str, tuple[type[Exception], ...]]:
    """By logger: malformed HTTP and connections that end early, which get a 400 if possible; gRPC's metadata that is no UTF-8."""
    from aiohttp.http_exceptions import HttpProcessingError  # commands without a server start faster without it

    return {
        "aiohttp.server": (HttpProcessingError, ConnectionError),
        "grpc._cython.cygrpc": (UnicodeDecodeError,),
    }


class RepetitionFilter(logging.Filter):
    """Drops a line that equals the line before: Kopf repeats one for each CRD."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        repeated, self._last = message == self._last, message
        return not repeated


def on_one_line(text: str) -> str:
    """The text with escapes for what is not printable, such as newlines: a name that a client sends cannot look like a line."""
    text = cut_message(text)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def indented(text: str) -> str:
    """The lines of a text, each indented, so that none looks like a line of the log."""
    return "\n".join(f"  {on_one_line(line)}" for line in text.split("\n"))


def cut_message(text: str) -> str:
    """The text without what exceeds MAX_MESSAGE."""
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}… ({len(text)} characters)"


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO    team-a/train-7: created Workflow`."""

    def __init__(self) -> None:
        super().__init__()
        self._timestamps = TimestampCache()

    @override
    def format(self, record: logging.LogRecord) -> str:
        run: Key | None = getattr(record, "run", None)
        time = self._timestamps.format(record.created)
        line = f"{time} {record.levelname:<7} {f'{run}: ' if run else ''}{on_one_line(record.getMessage())}"
        return f"{line}\n{indented(self.formatException(record.exc_info))}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and namespace and name of the run."""

    def __init__(self) -> None:
        super().__init__()
        self._timestamps = TimestampCache()
        self._encode = json.JSONEncoder(ensure_ascii=False).encode

    @override
    def format(self, record: logging.LogRecord) -> str:
        run: Key | None = getattr(record, "run", None)
        fields = {
            "time": self._timestamps.format(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": cut_message(record.getMessage()),
        }
        if run:
            fields |= {"namespace": run.namespace, "run": run.name}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return self._encode(fields)


class TimestampCache:
    """Formats times; the part up to the second is formatted once per second."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def format(self, created: float) -> str:
        """Seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
        second, microseconds = divmod(round(created * 1_000_000), 1_000_000)
        if second != self._second:
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._prefix}.{microseconds // 1000:03d}Z"


def configure_logging(log_format: LogFormat, level: str) -> None:
    """Send all log lines to the standard error in this format. Kopf's lines below warnings are logged at level debug only."""
    for name in UNUSED:
        setattr(logging, name, None)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RunFilter())
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.getLogger("kopf").setLevel(logging.NOTSET if level.upper() == "DEBUG" else logging.WARNING)
    logging.getLogger("kopf._core.reactor.observation").addFilter(RepetitionFilter())
    for name, errors in client_errors().items():
        logging.getLogger(name).addFilter(ClientErrorFilter(*errors))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
