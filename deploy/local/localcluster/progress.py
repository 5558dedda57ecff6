"""Progress on the terminal: the current step, its elapsed time and its duration."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one line and flush. If the reader of a pipe has ended (`… | head`), discard this and later output."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def seconds(value: float) -> str:
    """A readable duration: `0.4 s`, `12 s`, `3 min 05 s`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def progress_line(title: str, elapsed: float, estimate: float | None) -> str:
    """The line for a step in progress: elapsed time and estimate."""
    if estimate is None:
        return f"      … {title}: {seconds(elapsed)} so far"
    if elapsed > estimate:
        return f"      … {title}: {seconds(elapsed)} so far, longer than the usual {seconds(estimate)}"
    return f"      … {title}: {seconds(elapsed)} of about {seconds(estimate)}"


@contextmanager
def step(title: str, estimate: float | None = None, every: float = 15.0) -> Iterator[None]:
    """Print the title when the step starts and ends, and a progress line every `every` seconds.

    `estimate` is the usual duration in seconds. It is shown, not enforced.
    """
    say(f"  → {title}" + (f" (about {seconds(estimate)})" if estimate and estimate >= every else ""))
    start = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(every):
            say(progress_line(title, time.monotonic() - start, estimate))

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        say(f"  ✗ {title} failed after {seconds(time.monotonic() - start)}")
        raise
    finally:
        done.set()
        ticker.join()
    say(f"  ✓ {title}: {seconds(time.monotonic() - start)}")


def warn(text: str) -> None:
    """Print a warning."""
    print(f"  ! {text}", file=sys.stderr, flush=True)
