"""`python -m runwright`."""

from runwright.cli import main

main()
