"""The end of a process: its exit code and output are complete, and the interpreter is not finalized."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPERATOR = Path(__file__).parents[3] / "operator"

PROGRAM = """
import atexit, logging, sys, click
sys.path.insert(0, {operator!r})
from runwright.kubectl.exit import run_to_exit

@click.command()
def command():
    atexit.register(print, "finalized")
    {body}

run_to_exit(command, "prog")
"""


def run_body(body: str, out: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command with this body in a process of its own."""
    program = PROGRAM.format(operator=str(OPERATOR), body=body)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE if out is None else out,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        env=environment,
    )


@pytest.mark.parametrize(
    ("body", "code", "out", "error"),
    [
        ("print('all')", 0, "all\n", ""),
        ("sys.stdout.write('no line end')", 0, "no line end", ""),
        ("print('all'); sys.exit(3)", 3, "all\n", ""),
        ("print('all'); sys.exit('runwright: what went wrong')", 1, "all\n", "runwright: what went wrong\n"),
        (
            "raise click.UsageError('not that')",
            2,
            "",
            "Usage: prog [OPTIONS]\nTry 'prog --help' for help.\n\nError: not that\n",
        ),
        ("logging.StreamHandler(sys.stderr).stream.write('logged')", 0, "", "logged"),
    ],
)
def test_output_and_exit_code_are_those_of_the_command(body: str, code: int, out: str, error: str):
    done = run_body(body)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, error)


def test_an_error_of_the_program_is_a_traceback_and_exit_code_1():
    done = run_body("raise LookupError('a bug')")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("LookupError: a bug\n")


def test_output_that_cannot_be_written_is_no_success():
    with open("/dev/full", "w") as full:
        assert run_body("print('all')", full.fileno()).returncode == 120


def test_a_thread_that_outlives_the_command_does_not_hold_the_process():
    body = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); print('all')"
    done = run_body(body)
    assert (done.returncode, done.stdout) == (0, "all\n")
