"""Each threat on the page names tests that exist, and each rule of the page has its table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
TESTS = REPOSITORY / "tests"
PAGE = (REPOSITORY / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`((?:[\w/]+/)?test_\w+\.py)(?:::(test_\w+))?`")
RULES = (
    "Decode in a bounded place",
    "Identity before work",
    "No address from a tenant",
    "Every loop is supervised",
)


def section(title: str) -> str:
    """The text below a heading."""
    found = re.search(rf"^## (?:\d\. )?{re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a section's table rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ---")][1:]


THREATS = [row for rule in (*RULES, "Rights and the rest") for row in rows(section(rule))]


def test_each_rule_has_threats():
    for rule in RULES:
        assert len(rows(section(rule))) >= 3, rule


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[0][:60])
def test_a_threat_names_tests_that_exist(row: list[str]):
    _, mitigation, tests = row
    assert mitigation
    named = NAMED.findall(tests)
    assert named, "a threat without a test belongs to the accepted risks"
    for file, function in named:
        found = [path for path in TESTS.rglob(Path(file).name) if path.as_posix().endswith(f"/{file}")]
        assert found, file
        assert not function or any(f"def {function}(" in path.read_text() for path in found), f"{file}::{function}"


def test_accepted_risks_have_a_reason():
    assert all(len(row) == 2 and row[1] for row in rows(section("Accepted risks")))


def test_security_md_and_the_page_link_each_other():
    assert "docs/threat-model.md" in (REPOSITORY / "SECURITY.md").read_text()
    assert "../SECURITY.md" in PAGE
    assert "SECURITY.md" in (REPOSITORY / "README.md").read_text()
