"""A shard selects runs by the rules of Kubernetes' label selectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.core.shard import EVERYTHING, parse_selector, parse_shard
from runwright.core.workflow.build import in_shard
from tests.unit.fake.apiserver import selects

LABELS: list[dict[str, str]] = [{}, {"team": "a"}, {"team": "b"}, {"team": ""}, {"team": "a", "x.dev/tier": "gold"}]

SELECTORS = [
    ("team=a", [False, True, False, False, True]),
    ("team==a", [False, True, False, False, True]),
    (" team = a ", [False, True, False, False, True]),
    ("team!=a", [True, False, True, True, False]),
    ("team in (a,b)", [False, True, True, False, True]),
    ("team in (a, b )", [False, True, True, False, True]),
    ("team in ()", [False, False, False, True, False]),
    ("team notin (a,b)", [True, False, False, True, False]),
    ("team", [False, True, True, True, True]),
    ("!team", [True, False, False, False, False]),
    ("team=", [False, False, False, True, False]),
    ("team=a,x.dev/tier in (gold,silver)", [False, False, False, False, True]),
    ("team in (a,b),!x.dev/tier", [False, True, True, False, False]),
]


@pytest.mark.parametrize(("selector", "expected"), SELECTORS)
def test_a_selector_selects_by_the_rules_of_kubernetes(selector: str, expected: list[bool]):
    shard = parse_shard("one", selector)
    assert [shard.includes(labels) for labels in LABELS] == expected


@pytest.mark.parametrize(
    ("name", "selector"),
    [
        ("", "team=a"),
        ("one", ""),
        ("one", " "),
        ("One", "team=a"),
        ("o" * 64, "team=a"),
        ("one", "team=a,"),
        ("one", ",team=a"),
        ("one", "team in a"),
        ("one", "team in (a"),
        ("one", "team=a b"),
        ("one", "te am"),
        ("one", "team>1"),
        ("one", "team~a"),
        ("one", "team=a;x=b"),
    ],
)
def test_an_invalid_shard_is_refused(name: str, selector: str):
    with pytest.raises(ValueError, match=r"expected|syntax error"):
        parse_shard(name, selector)


def test_without_a_shard_every_run_matches():
    assert parse_shard("", "") == EVERYTHING
    assert EVERYTHING.includes({"a": "b"})
    assert EVERYTHING.run_selector() == ""
    assert EVERYTHING.workflow_selector == "runwright.dev/run"


def test_what_is_asked_of_the_api_server():
    shard = parse_shard("one", "team in (a,b)")
    assert shard.run_selector() == "team in (a,b)"
    assert shard.run_selector("x=y") == "x=y,team in (a,b)"
    assert shard.workflow_selector == "runwright.dev/run,runwright.dev/shard=one"


WORDS = st.sampled_from(["a", "b", "c"])
PARTS = st.one_of(
    st.builds("{}={}".format, WORDS, WORDS),
    st.builds("{}!={}".format, WORDS, WORDS),
    st.builds("{} in ({},{})".format, WORDS, WORDS, WORDS),
    st.builds("{} notin ({})".format, WORDS, WORDS),
    WORDS,
    st.builds("!{}".format, WORDS),
)


@given(st.lists(PARTS, min_size=1, max_size=4), st.dictionaries(WORDS, WORDS))
def test_a_selector_selects_runs_that_meet_all_requirements(parts: list[str], labels: dict[str, str]):
    whole = parse_shard("one", ",".join(parts))
    assert len(whole.requirements) == len(parts)
    assert whole.includes(labels) == all(parse_selector(part)[0].holds(labels) for part in parts)
    # What the tests' own API server makes of it, which was written before and apart.
    if all("in" not in part for part in parts):
        assert whole.includes(labels) == selects(whole.selector, labels)


@given(st.lists(WORDS, min_size=1, max_size=3, unique=True), st.dictionaries(st.just("team"), WORDS))
def test_each_run_is_in_exactly_one_of_two_complementary_shards(values: list[str], labels: dict[str, str]):
    some = parse_shard("some", f"team in ({','.join(values)})")
    rest = parse_shard("rest", f"team notin ({','.join(values)})")
    assert some.includes(labels) != rest.includes(labels)


def test_the_label_on_a_workflow():
    workflow = {"metadata": {"name": "x", "labels": {"runwright.dev/run": "x", "runwright.dev/shard": "old"}}}
    assert in_shard(workflow, "new")["metadata"]["labels"] == {
        "runwright.dev/run": "x",
        "runwright.dev/shard": "new",
    }
    assert in_shard(workflow, "")["metadata"]["labels"] == {"runwright.dev/run": "x"}
    assert workflow["metadata"]["labels"]["runwright.dev/shard"] == "old"
