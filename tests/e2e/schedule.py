"""Which end-to-end tests run beside each other, and in which order, for `pytest --dist loadgroup --no-loadscope-reorder`.

`make e2e` runs two parts. The first has the tests that share the deployed operator. The second has the `serial` tests, one
after the other on one worker, and beside them those that leave the cluster alone (`apart`), such as with an API server of their own.
"""

from __future__ import annotations

from collections import defaultdict

import pytest
from _pytest.nodeid import NodeId

PLANES = frozenset({"bare", "plane", "small"})
"""Fixtures that are an API server of the test's own."""

SHARED = frozenset({"namespace", "operator", "no_operator"})
"""Fixtures that use the deployed operator, or take its place."""

REPLACES = frozenset({"no_operator"})
"""Fixtures for which the deployed operator is away: their tests come in a row, so that it goes and comes back once."""

SERIAL = "serial"

USUAL_SECONDS = {
    1: ("test_chart.py", "test_resource", "test_sources"),
    2: ("test_admission", "test_deployment"),
    3: ("test_bad_input", "test_edits", "test_shutdown"),
    10: (
        "test_archive",
        "test_kubectl",
        "test_overlays",
        "test_pages",
        "test_retry.py",
        "test_run_metrics",
        "test_serve.py",
        "test_serve_replies",
    ),
    13: ("test_backup", "test_delete", "test_hera", "test_list", "test_survival"),
    20: ("test_addresses", "test_argo_examples", "test_chart_release", "test_kfp_sdk", "test_loops"),
    30: ("test_argocd_apps", "test_artifacts", "test_overload", "test_retry_oracle", "test_upgrade"),
    50: ("test_faults", "test_made_runs", "test_serve_clients"),
    90: ("test_serve_fuzz", "test_soak"),
    110: ("test_hostile",),
}
"""Usual time of one test of these files; of another file: DEFAULT_SECONDS."""

DEFAULT_SECONDS = 5


def arrange(items: list[pytest.Item]) -> None:
    """Mark the tests with `apart` and with their group, and sort the groups by time, the longest first."""
    seconds: dict[str, float] = defaultdict(float)
    for item in items:
        if uses(item, PLANES) and not uses(item, SHARED):
            item.add_marker(pytest.mark.apart)
        group = group_of(item)
        if group and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(group))
        seconds[unit_of(item)] += usual_seconds(item)
    items.sort(key=lambda item: (-seconds[unit_of(item)], unit_of(item), not uses(item, REPLACES)))


def group_of(item: pytest.Item) -> str:
    """Tests of a group run one after the other on one worker: the serial ones, and those that share a fixture of a module."""
    if item.get_closest_marker(SERIAL):
        return SERIAL
    info = getattr(item, "_fixtureinfo", None)
    scopes = {one[-1].scope for one in info.name2fixturedefs.values()} if info else set()
    return item.path.stem if "module" in scopes else ""


def unit_of(item: pytest.Item) -> str:
    """What a worker is given at once: a group, or a single test."""
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else item.nodeid


def name_groups(items: list[pytest.Item]) -> None:
    """Put the group that pytest-xdist has added to a test's id where pytest reads it.

    xdist 3.8 informs its scheduler by a suffix of `_nodeid`; pytest 9.2 has the id in `_id`.
    """
    for item in items:
        named = vars(item).get("_nodeid")
        if named:
            item._id = NodeId.parse(named)


def usual_seconds(item: pytest.Item) -> float:
    """Estimated time of a test."""
    found = [seconds for seconds, files in USUAL_SECONDS.items() if item.path.name.startswith(files)]
    return found[0] if found else DEFAULT_SECONDS


def uses(item: pytest.Item, fixtures: frozenset[str]) -> bool:
    """True if the test depends on one of these fixtures."""
    return not fixtures.isdisjoint(getattr(item, "fixturenames", ()))
