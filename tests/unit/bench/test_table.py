from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as program
from bench import table as table_module
from bench.table import Row, figure, keep, kept, span, table

ROW = Row("create to finished, one step", 6.1, 6.0, "s", "the same Workflow created directly", at_most=1.05)


def test_a_goal_applies_to_the_ratio_if_there_is_one():
    assert ROW.met and ROW.goal == "≤ 1.05: met"
    assert replace(ROW, ours=7.0).goal == "≤ 1.05: MISSED"
    assert replace(ROW, at_most=None, at_least=0.95, ours=3.0).goal == "≥ 0.95: MISSED"


def test_a_goal_applies_to_the_figure_without_a_ratio():
    row = Row("writes a run", 4.0, None, "", at_most=4)
    assert row.ratio is None and row.met
    assert not replace(row, ours=4.2).met


def test_a_given_ratio_replaces_the_quotient():
    assert replace(ROW, given_ratio=1.2).ratio == 1.2
    assert not replace(ROW, given_ratio=1.2).met


def test_the_table_has_the_command_for_each_row():
    lines = table({"one": [ROW], "other": [Row("writes a run", 4.0, None, "")]}).splitlines()
    assert len(lines) == 3
    assert lines[1].split("  ")[0] == "create to finished, one step"
    assert "1.017" in lines[1] and lines[1].endswith("python -m bench one")
    assert lines[2].endswith("python -m bench other")
    assert lines[0].index("command") == lines[1].index("python -m")


def test_figures_have_four_digits_and_a_unit():
    assert [figure(one) for one in (123456.7, 123.45, 12.345, 1.2345, None)] == [
        "123,457",
        "123.5",
        "12.35",
        "1.234",
        "",
    ]
    assert figure(3.0, "ms") == "3.000 ms"


def test_kept_rows_are_read_back(tmp_path: Path):
    path = keep("one", [ROW], "a machine", "abc-dirty", 7, tmp_path)
    found = kept(tmp_path)
    assert path.name == "one.json"
    assert found["one"]["rows"] == [ROW]
    assert found["one"]["command"] == "python -m bench one --count 7"
    assert found["one"]["count"] == 7
    assert found["one"]["commit"] == "abc-dirty"


def test_span_names_both_commits_if_they_differ():
    assert span("abc", "abc") == "abc"
    assert span("abc", "def-dirty") == "abc to def-dirty"


async def succeeds(count: int | None) -> list[Row]:
    return [ROW]


async def fails(count: int | None) -> list[Row]:
    raise RuntimeError("etcd is not built here")


@pytest.mark.parametrize("ours, code", [(6.1, 0), (9.0, 1)])
def test_the_exit_code_is_1_if_a_goal_is_missed(ours: float, code: int, monkeypatch: pytest.MonkeyPatch):
    async def measured(count: int | None) -> list[Row]:
        return [replace(ROW, ours=ours)]

    monkeypatch.setattr(program, "ON_A_STAGE", {"mirror_lag": measured})
    monkeypatch.setattr("sys.argv", ["bench", "mirror_lag"])
    assert program.main() == code


def test_a_failed_measurement_is_reported_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    kept_rows: list[str] = []
    monkeypatch.setattr(table_module, "keep", lambda name, *_: kept_rows.append(name))
    monkeypatch.setattr(program, "ON_A_STAGE", {"many_runs": fails, "mirror_lag": succeeds})
    monkeypatch.setattr("sys.argv", ["bench", "--keep", "many_runs", "mirror_lag"])
    assert program.main() == 1
    output = capsys.readouterr().out
    assert "python -m bench mirror_lag" in output
    assert "not measured: many_runs: RuntimeError: etcd is not built here" in output
    assert kept_rows == ["mirror_lag"]
