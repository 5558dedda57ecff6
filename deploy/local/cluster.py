#!/usr/bin/env python3
"""Entry point of the local cluster tool; everything is in the package localcluster beside it."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is the message an older Python must be able to print
    sys.exit("cluster.py needs Python 3.11 or newer; run it as: python3.11 deploy/local/cluster.py …")

from localcluster.cli import main

if __name__ == "__main__":
    sys.exit(main())
