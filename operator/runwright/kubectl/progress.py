"""Progress on the standard error: one line of a terminal that is redrawn by rich, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def show_counts(interval: float = 0.0) -> Generator[Callable[[str], None]]:
    """Yield a function that shows what has been done so far.

    Without a terminal, it prints a line, except within `interval` seconds after the last one.
    """
    if not sys.stderr.isatty():
        yield plain_lines(interval)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as progress:
        task = progress.add_task("0 objects", total=None)
        yield lambda text: progress.update(task, description=text)


def plain_lines(interval: float) -> Callable[[str], None]:
    """A function that prints lines, and drops those within `interval` seconds after the last one."""
    last = time.monotonic() if interval else 0.0

    def show(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= interval:
            last = now
            print_progress(text)

    return show


@contextmanager
def show_bytes(name: str) -> Generator[Callable[[int], None]]:
    """Yield a function that adds a number of bytes; on a terminal, size, rate and time are shown. Elsewhere, nothing is."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import FileSizeColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), FileSizeColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False)) as progress:
        task = progress.add_task(escape(name), total=None)
        yield lambda count: progress.advance(task, count)


def print_progress(line: str) -> None:
    """Print a line that stays."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
