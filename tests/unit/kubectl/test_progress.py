"""Progress: plain lines without a terminal, one redrawn line on a terminal."""

from __future__ import annotations

import io
import math
import re
import sys

import pytest

from runwright.kubectl.progress import print_progress, show_bytes, show_counts


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def attach_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make the standard error a terminal, in the test itself: pytest sets its own at each phase."""
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    monkeypatch.setenv("TERM", "xterm")
    return found


@pytest.mark.parametrize(("interval", "lines"), [(0.0, ["1 run", "2 runs"]), (math.inf, []), (3600, [])])
def test_without_a_terminal_a_line_is_printed_per_interval(
    interval: float, lines: list[str], capsys: pytest.CaptureFixture[str]
):
    with show_counts(interval) as show:
        show("1 run")
        show("2 runs")
    assert capsys.readouterr() == ("", "".join(f"{line}\n" for line in lines))


def test_without_a_terminal_bytes_are_not_shown(capsys: pytest.CaptureFixture[str]):
    with show_bytes("model") as add:
        add(5)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_count_is_drawn_and_erased(monkeypatch: pytest.MonkeyPatch):
    terminal = attach_terminal(monkeypatch)
    with show_counts(math.inf) as show:
        show("27 runs")
    assert "27 runs" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_on_a_terminal_the_bytes_stay_with_the_name_as_it_is(monkeypatch: pytest.MonkeyPatch):
    terminal = attach_terminal(monkeypatch)
    with show_bytes("model[bold]") as add:
        add(2_000_000)
        add(500_000)
    assert "model[bold] 2.5 MB" in re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())


def test_a_line_that_stays_is_printed(capsys: pytest.CaptureFixture[str]):
    print_progress("27 runs")
    assert capsys.readouterr().err == "27 runs\n"
