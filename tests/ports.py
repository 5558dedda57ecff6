"""Ports of this machine for tests and measurements."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Port on the loopback address that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
