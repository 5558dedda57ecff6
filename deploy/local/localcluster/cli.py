"""The command line: up, down, status, images, load, kubeconfig, exec, start, stop, restart."""

import argparse
import sys

from .errors import ClusterError
from .paths import ClusterPaths, checked_name
from . import components_cluster


def main() -> int:
    p = argparse.ArgumentParser()
    p.add_argument("command"); p.add_argument("--name", default="default")
    o = p.parse_args()
    paths = ClusterPaths(checked_name(o.name))
    try:
        if o.command == "up":
            components_cluster.up(paths)
        elif o.command == "down":
            components_cluster.down(paths)
    except ClusterError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0
