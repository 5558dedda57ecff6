"""CPU time and memory of a process of this machine, from /proc."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU time and memory of a process."""

    cpu: float
    """Seconds since the process started, user and system."""
    resident: float
    """Resident memory in MiB."""
    peak: float
    """Largest resident memory since the process started, in MiB."""


def read_process(pid: int) -> Usage:
    """CPU time and memory so far. Raises FileNotFoundError if there is no such process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = {name: int(size) for name, size in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE)}
    seconds = (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
    return Usage(seconds, kilobytes["VmRSS"] / 1024, kilobytes["VmHWM"] / 1024)
