"""Progress of a measurement, on one line of standard error."""

from __future__ import annotations

import sys

WIDTH = 60


def show_progress(text: str) -> None:
    """Replace the line by this text."""
    print(f"\r  {text:<{WIDTH}}", end="", file=sys.stderr, flush=True)
