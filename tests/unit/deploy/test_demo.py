"""Output and exit code of the demo."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import demo


def run(phase: str, progress: str = "", **nodes: str) -> dict[str, Any]:
    listed = [{"id": f"hello-{name}", "type": "Pod", "name": name, "phase": node} for name, node in nodes.items()]
    return {"metadata": {"name": "hello"}, "status": {"phase": phase, "progress": progress, "nodes": listed}}


def test_news_lists_only_changes():
    before = run("Running", "0/2", greet="Running")
    after = run("Running", "1/2", greet="Succeeded", shout="Pending")
    assert [line.split() for line in demo.news(before, after)] == [
        ["run", "hello", "Running", "1/2"],
        ["pod", "greet", "Succeeded"],
        ["pod", "shout", "Pending"],
    ]
    assert demo.news(after, after) == []


def test_a_run_without_a_status_has_no_news():
    assert demo.news({}, {"metadata": {"name": "hello"}}) == []


def test_a_failed_node_shows_its_message():
    after = run("Failed", greet="Failed")
    after["status"]["nodes"][0]["message"] = "exit code 3"
    assert demo.news({}, after)[-1].endswith("Failed     exit code 3")


@given(
    st.lists(st.dictionaries(st.text(), st.text() | st.integers()), max_size=5),
    st.integers(min_value=1, max_value=40),
    st.sampled_from([None, 4]),
)
def test_objects_are_parsed_from_any_pieces(documents: list[dict[str, Any]], size: int, indent: int | None):
    text = "\n".join(json.dumps(document, indent=indent) for document in documents)
    pieces = (text[start : start + size] for start in range(0, len(text), size))
    assert list(demo.objects(pieces)) == documents


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1)])
def test_the_exit_code_depends_on_the_phase(phase: str, code: int, monkeypatch: pytest.MonkeyPatch):
    def follow() -> dict[str, Any]:
        return run(phase)

    def kubectl(*_: str, show: bool = True) -> None:
        assert show in (True, False)

    monkeypatch.setattr(demo, "follow", follow)
    monkeypatch.setattr(demo, "kubectl", kubectl)
    monkeypatch.setattr(demo, "show_logs", lambda: None)
    assert demo.main() == code
