"""Steps on the terminal: what is being done, how far it is, how long it took."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one line at once, also into a pipe; when its reader has left (`… | head`), the work goes on unheard."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def seconds(value: float) -> str:
    """`value` seconds as a person reads it: `0.4 s`, `12 s`, `3 min 05 s`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def still_line(what: str, elapsed: float, estimate: float | None) -> str:
    """The line that shows a long step is alive, and how far it may be."""
    if estimate is None:
        return f"      … {what}: {seconds(elapsed)} so far"
    if elapsed > estimate:
        return f"      … {what}: {seconds(elapsed)} so far, longer than the usual {seconds(estimate)}"
    return f"      … {what}: {seconds(elapsed)} of about {seconds(estimate)}"


@contextmanager
def step(what: str, estimate: float | None = None, every: float = 15.0) -> Iterator[None]:
    """Show `what` when it starts and when it ends, and every `every` seconds in between.

    `estimate` is in seconds, from measured runs; it is shown, never enforced.
    """
    say(f"  → {what}" + (f" (about {seconds(estimate)})" if estimate and estimate >= every else ""))
    start = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(every):
            say(still_line(what, time.monotonic() - start, estimate))

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        say(f"  ✗ {what} failed after {seconds(time.monotonic() - start)}")
        raise
    finally:
        done.set()
        ticker.join()
    say(f"  ✓ {what}: {seconds(time.monotonic() - start)}")


def warn(text: str) -> None:
    """Something the user should know that does not stop the work."""
    print(f"  ! {text}", file=sys.stderr, flush=True)
