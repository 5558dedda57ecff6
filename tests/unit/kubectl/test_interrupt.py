"""Ctrl-C: the first SIGINT ends a command that swallows its cancellation, blocks, or fails."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runwright.kubectl import interrupt

PROGRAM = """
import asyncio, os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from runwright.kubectl import interrupt
interrupt.CANCEL_SECONDS, interrupt.EXIT_SECONDS = 0.05, float(sys.argv[2])
signal.signal(signal.SIGINT, {before})

async def command():
    print("started", flush=True)
{body}

try:
    interrupt.run_interruptible(command())
except KeyboardInterrupt:
    print("KeyboardInterrupt")
    sys.exit(interrupt.INTERRUPTED)
"""

WAITS = "await asyncio.sleep(60)"
SWALLOWS = """
for _ in range(3):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("swallowed", flush=True)
await asyncio.sleep(60)
"""
RETURNS = """
try:
    await asyncio.sleep(60)
except asyncio.CancelledError:
    pass
"""
FAILS = """
try:
    await asyncio.sleep(60)
finally:
    raise ValueError("broken")
"""
BLOCKS = "time.sleep(60)"
KEEPS_A_THREAD = "await asyncio.to_thread(time.sleep, 60)"


def interrupted(body: str, before: str = "signal.default_int_handler", exit_seconds: float = 30) -> tuple[int, str]:
    """Exit code and output of a process that runs a command and receives one SIGINT once the command has begun."""
    program = PROGRAM.format(body=textwrap.indent(body.strip(), "    "), before=before)
    folder = str(Path(interrupt.__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", program, folder, str(exit_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        return process.wait(20), process.stdout.read()


@pytest.mark.parametrize("body", [WAITS, SWALLOWS, RETURNS, FAILS], ids=["waits", "swallows", "returns", "fails"])
def test_first_sigint_ends_a_command_whatever_it_does_with_its_cancellation(body: str):
    code, output = interrupted(body)
    assert code == 130, output
    assert output.splitlines()[-1] == "KeyboardInterrupt"
    assert output.count("swallowed") == (3 if body == SWALLOWS else 0)
    assert "Traceback" not in output


@pytest.mark.parametrize("body", [BLOCKS, KEEPS_A_THREAD], ids=["blocks", "keeps a thread"])
def test_sigint_ends_the_process_where_no_cancellation_reaches_the_command(body: str):
    assert interrupted(body, exit_seconds=0.2) == (130, "")


def test_sigint_ends_a_command_that_was_started_with_sigint_ignored():
    code, _ = interrupted(WAITS, before="signal.SIG_IGN")
    assert code == 130


def test_without_a_signal_the_error_of_the_command_is_raised_and_the_handler_is_restored():
    async def fail() -> None:
        raise ValueError("broken")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="broken"):
        interrupt.run_interruptible(fail())
    assert signal.getsignal(signal.SIGINT) is before
