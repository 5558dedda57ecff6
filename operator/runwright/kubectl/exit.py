"""How every process of ours ends: with its output written, and without finalizing the interpreter."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import NoReturn, TextIO

import click

LOST_OUTPUT = 120
"""Exit code of a process whose last output could not be written, as in Python."""


def run_to_exit(command: click.Command, prog_name: str) -> NoReturn:
    """Run a command with the arguments of the process, and end the process with its exit code.

    The interpreter is not finalized and no `atexit` function runs. Threads of obstore and gRPC outlive the event loop. Until
    Python 3.13, a thread that asks for the GIL during finalization is ended by `pthread_exit`; in a thread of Rust that
    aborts the process with SIGABRT, after its work was done: 13 % of reads of a small artifact, on two busy cores.
    """
    try:
        command(prog_name=prog_name)
        code = 0
    except SystemExit as end:
        code = exit_code(end)
    except BaseException:  # Also the interrupts that click does not turn into an exit.
        traceback.print_exc()
        code = 1
    logging.shutdown()
    written = [flush(stream) for stream in (sys.stdout, sys.stderr)]
    os._exit(code if all(written) else code or LOST_OUTPUT)


def exit_code(end: SystemExit) -> int:
    """The exit code of a SystemExit; a message is printed, as Python does."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    sys.stderr.write(f"{end.code}\n")
    return 1


def flush(stream: TextIO | None) -> bool:
    """Whether a standard stream could be written to its end; None is one that was closed before the start."""
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        return False
    return True
