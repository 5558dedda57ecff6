from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.table import Row, figure, keep, kept, table

ROW = Row("create to finished, one step", 6.1, 6.0, "s", "the Workflow by itself", at_most=1.05)


def test_a_goal_is_of_the_ratio_where_there_is_one():
    assert ROW.met and ROW.goal == "≤ 1.05: met"
    assert replace(ROW, ours=7.0).goal == "≤ 1.05: MISSED"
    assert replace(ROW, at_most=None, at_least=0.95, ours=3.0).goal == "≥ 0.95: MISSED"


def test_a_goal_is_of_the_figure_where_nothing_is_beside_it():
    row = Row("writes a run", 4.0, None, "", at_most=4)
    assert row.ratio is None and row.met
    assert not replace(row, ours=4.2).met


def test_the_median_of_the_pairs_stands_for_the_ratio():
    assert replace(ROW, given_ratio=1.2).ratio == 1.2
    assert not replace(ROW, given_ratio=1.2).met


def test_the_table_has_the_command_for_each_row():
    lines = table({"one": [ROW], "other": [Row("writes a run", 4.0, None, "")]}).splitlines()
    assert len(lines) == 3
    assert lines[1].split("  ")[0] == "create to finished, one step"
    assert "1.017" in lines[1] and lines[1].endswith("python -m bench one")
    assert lines[2].endswith("python -m bench other")
    assert lines[0].index("again with") == lines[1].index("python -m")


def test_figures():
    assert [figure(one) for one in (123456.7, 123.45, 12.345, 1.2345, None)] == [
        "123,457",
        "123.5",
        "12.35",
        "1.234",
        "",
    ]
    assert figure(3.0, "ms") == "3.000 ms"


def test_what_is_kept_is_found_again(tmp_path: Path):
    path = keep("one", [ROW], "a machine", 7, tmp_path)
    found = kept(tmp_path)
    assert path.name == "one.json"
    assert found["one"]["rows"] == [ROW]
    assert found["one"]["command"] == "python -m bench one --count 7"
    assert found["one"]["commit"] != "unknown"
