"""The effective policy of a namespace: cached reads, watch events, errors."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.controller.policies import REREAD_SECONDS, policy_in
from runwright.kube.errors import ApiError
from tests.unit.controller.bench import Bench, after_first_call, before_first_call, failing, virtually
from tests.unit.fake.world import NAMESPACE

DEFAULT = RetentionPolicySpec(delete_after="7d", keep_failed=5)
READ = {"get retentionpolicies": 1}


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": NAMESPACE, "name": "default"}, "spec": spec}


def test_policy_is_read_on_first_use_and_cached() -> None:
    async def test(bench: Bench) -> None:
        bench.world.policy(archiveAfter="1h", keepFailed=0)
        assert bench.calls() == {}, "no read before the first use"
        for _ in range(3):
            held = await bench.policies.of(NAMESPACE)
            assert held == RetentionPolicySpec(archive_after="1h", delete_after="7d", keep_failed=0)
        assert bench.calls() == READ
        assert await bench.policies.of("other") == DEFAULT
        assert bench.calls() == {"get retentionpolicies": 2}

    virtually(test, default=DEFAULT)


def test_namespace_without_a_policy_has_the_default_and_caches_it() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(3):
            assert await bench.policies.of(NAMESPACE) == DEFAULT
        assert bench.calls() == READ

    virtually(test, default=DEFAULT)


def test_concurrent_calls_share_one_read() -> None:
    async def test(bench: Bench) -> None:
        held = await asyncio.gather(*(bench.policies.of(NAMESPACE) for _ in range(16)))
        assert held == [DEFAULT] * 16
        assert bench.calls() == READ

    virtually(test, default=DEFAULT)


def test_policy_is_read_again_after_the_reread_interval() -> None:
    async def test(bench: Bench) -> None:
        await bench.policies.of(NAMESPACE)
        bench.world.policy(deleteAfter="1h")
        await bench.wait(REREAD_SECONDS - 1)
        assert await bench.policies.of(NAMESPACE) == DEFAULT, "its event was lost"
        await bench.wait(2)
        assert (await bench.policies.of(NAMESPACE)).delete_after == "1h"
        assert bench.calls() == {"get retentionpolicies": 2}

    virtually(test, default=DEFAULT)


def test_watched_policy_is_cached_for_the_reread_interval() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(3):
            bench.policies.update(NAMESPACE, body(deleteAfter="1h"))
            await bench.wait(REREAD_SECONDS - 1)
            assert (await bench.policies.of(NAMESPACE)).delete_after == "1h"
        assert bench.calls() == {}

    virtually(test)


def test_read_error_is_raised() -> None:
    async def test(bench: Bench) -> None:
        bench.client.handlers["get retentionpolicies"] = failing(ApiError(500, "InternalError", "no"))
        for _ in range(2):
            with pytest.raises(ApiError):
                await bench.policies.of(NAMESPACE)
        bench.client.handlers.clear()
        assert await bench.policies.of(NAMESPACE) == DEFAULT
        await bench.wait(REREAD_SECONDS + 1)
        bench.client.handlers["get retentionpolicies"] = failing(ApiError(0, "Unreachable", "no"))
        with pytest.raises(ApiError):
            await bench.policies.of(NAMESPACE)

    virtually(test, default=DEFAULT)


def test_watch_event_during_a_read_wins() -> None:
    async def test(bench: Bench) -> None:
        bench.world.policy(deleteAfter="1h")
        bench.client.handlers["get retentionpolicies"] = after_first_call(
            lambda: bench.policies.update(NAMESPACE, body(deleteAfter="30d"))
        )
        assert (await bench.policies.of(NAMESPACE)).delete_after == "30d", "the read was overtaken by the watch"
        bench.client.handlers["get retentionpolicies"] = before_first_call(
            lambda: bench.policies.update(NAMESPACE, None)
        )
        await bench.wait(REREAD_SECONDS + 1)
        assert await bench.policies.of(NAMESPACE) == RetentionPolicySpec()

    virtually(test)


@pytest.mark.parametrize("watched", [True, False])
def test_policy_change_marks_the_namespace_changed(watched: bool) -> None:
    async def test(bench: Bench) -> None:
        async def holds(**spec: Any) -> set[str]:
            if watched:
                bench.policies.update(NAMESPACE, body(**spec))
            else:
                bench.world.policy(**spec)
                await bench.wait(REREAD_SECONDS + 1)
                await bench.policies.of(NAMESPACE)
            changed, bench.sweep._changed = bench.sweep._changed, set()
            return changed

        assert await holds(deleteAfter="1h") == set(), "no run was scheduled under another policy"
        assert await holds(deleteAfter="1h") == set()
        assert await holds(deleteAfter="2h") == {NAMESPACE}
        assert await holds(deleteAfter="2h", keepFailed=5) == set(), "the operator's default has the same value"
        assert await holds() == {NAMESPACE}

    virtually(test, default=DEFAULT)


def test_watch_event_after_the_read_marks_no_second_change() -> None:
    async def test(bench: Bench) -> None:
        await bench.policies.of(NAMESPACE)
        await bench.wait(REREAD_SECONDS + 1)
        bench.world.policy(deleteAfter="1h")
        await bench.policies.of(NAMESPACE)
        bench.policies.update(NAMESPACE, body(deleteAfter="1h"))
        assert bench.sweep._changed == {NAMESPACE}

    virtually(test)


# --------------------------------------------------------------------------------------------------- policies that begin

NO_DEFAULT, DELETES = RetentionPolicySpec(), RetentionPolicySpec(delete_after="7d")


@pytest.mark.parametrize(
    ("default", "spec", "begun"),
    [
        # Archived runs may have no deletion date from the policy before the operator's restart.
        (NO_DEFAULT, {"deleteAfter": "1h"}, {NAMESPACE}),
        (NO_DEFAULT, {"archiveAfter": "1h"}, set()),
        (NO_DEFAULT, None, set()),
        (DELETES, None, {""}),
        (DELETES, {"keepFailed": 3}, {""}),
        (DELETES, {"deleteAfter": "7d"}, {""}),
        (DELETES, {"deleteAfter": "8d"}, {"", NAMESPACE}),
    ],
)
@pytest.mark.parametrize("watched", [True, False])
def test_first_policy_that_deletes_is_reported_as_begun(
    default: RetentionPolicySpec, spec: dict[str, Any] | None, begun: set[str], watched: bool
) -> None:
    async def test(bench: Bench) -> None:
        for _ in range(2):
            if watched:
                bench.policies.update(NAMESPACE, body(**spec) if spec is not None else None)
            elif spec is not None:
                bench.world.policy(**spec)
            await bench.policies.of(NAMESPACE)
        assert bench.sweep._begun == begun and bench.sweep._changed == set()

    virtually(test, default=default)


def test_policy_that_gets_a_delete_time_is_a_change() -> None:
    async def test(bench: Bench) -> None:
        bench.policies.update(NAMESPACE, None)
        bench.policies.update(NAMESPACE, body(deleteAfter="1h"))
        assert bench.sweep._begun == set() and bench.sweep._changed == {NAMESPACE}

    virtually(test)


# ------------------------------------------------------------------------------------------------------ what can be read


def test_unreadable_field_is_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A newer version may know more units; the default, which may be shorter, must not apply either."""
    with caplog.at_level(logging.WARNING):
        held = policy_in(NAMESPACE, body(archiveAfter="1h", deleteAfter="3 fortnights", keepFailed=-1), DEFAULT)
    assert held == RetentionPolicySpec(archive_after="1h")
    assert "['deleteAfter', 'keepFailed']" in caplog.text and NAMESPACE in caplog.text


@pytest.mark.parametrize("spec", [None, 7, [], "1h", {}])
def test_object_without_a_spec_has_the_default(spec: Any) -> None:
    assert policy_in(NAMESPACE, {"metadata": {}, "spec": spec}, DEFAULT) == DEFAULT


def test_unknown_field_is_ignored() -> None:
    assert policy_in(NAMESPACE, body(keepLongest=3, archiveAfter="1h"), RetentionPolicySpec()) == RetentionPolicySpec(
        archive_after="1h"
    )


DURATIONS = st.sampled_from(["0s", "90s", "1h30m", "7d"])
COUNTS = st.integers(0, 3)
ODD = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.just("1h"), max_size=2)
)
READABLE: dict[str, st.SearchStrategy[Any]] = {
    "archiveAfter": DURATIONS,
    "deleteAfter": DURATIONS,
    "keepWorkflow": DURATIONS,
    "keepSucceeded": COUNTS,
    "keepFailed": COUNTS,
}
SPECS = st.fixed_dictionaries({}, optional={name: good | ODD for name, good in READABLE.items()})
DEFAULTS = st.fixed_dictionaries({}, optional=READABLE).map(RetentionPolicySpec.model_validate)


@given(SPECS, DEFAULTS)
def test_each_field_is_from_the_policy_or_the_default_or_unset(
    spec: dict[str, Any], default: RetentionPolicySpec
) -> None:
    held = policy_in(NAMESPACE, body(**spec), default).model_dump(by_alias=True)
    otherwise = default.model_dump(by_alias=True)
    for name in READABLE:
        asked = spec.get(name)
        if asked is None:
            assert held[name] == otherwise[name]
        else:
            # What the API server lets through is of its type; anything else may be read or not.
            assert held[name] in (asked, None) or str(held[name]) == str(asked)
            if READABLE[name] is DURATIONS and asked in ("0s", "90s", "1h30m", "7d"):
                assert held[name] == asked
            if READABLE[name] is COUNTS and type(asked) is int and 0 <= asked <= 3:
                assert held[name] == asked
