"""Log lines: text for people or JSON for machines, each with the run it is about."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from typing_extensions import override

from runwright.kube.objects import Key

current_run: ContextVar[Key | None] = ContextVar("current_run", default=None)

LogFormat = Literal["text", "json"]


@contextmanager
def run_context(key: Key) -> Generator[None]:
    """Within it, every log line of this task names the run."""
    token = current_run.set(key)
    try:
        yield
    finally:
        current_run.reset(token)


class RunFilter(logging.Filter):
    """Puts the current run on each record."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        record.run = current_run.get()
        return True


class RepetitionFilter(logging.Filter):
    """Drops a line that says just what the one before it said: Kopf repeats itself for every CRD that comes."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        repeated, self._last = message == self._last, message
        return not repeated


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO    team-a/train-7: created Workflow`."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        run: Key | None = getattr(record, "run", None)
        line = f"{timestamp(record)} {record.levelname:<7} {f'{run}: ' if run else ''}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and namespace and run where it is about one."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        run: Key | None = getattr(record, "run", None)
        fields = {
            "time": timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if run:
            fields |= {"namespace": run.namespace, "run": run.name}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def timestamp(record: logging.LogRecord) -> str:
    """When the record was made, RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure(log_format: LogFormat, level: str) -> None:
    """Send all log lines to standard error in this format; Kopf's own chatter below warnings only when debugging."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RunFilter())
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.getLogger("kopf").setLevel(logging.NOTSET if level.upper() == "DEBUG" else logging.WARNING)
    logging.getLogger("kopf._core.reactor.observation").addFilter(RepetitionFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
