"""`python -m runwright`."""

from runwright.cli import run

run()
