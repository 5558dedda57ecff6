"""Conditions are set by the Kubernetes API conventions."""

from datetime import UTC, datetime, timedelta

from runwright.api.pipelinerun import Condition
from runwright.core.status.conditions import MESSAGE_LIMIT, STALLED, SUCCEEDED, find_condition, set_condition

NOW = datetime(2026, 11, 24, 12, 0, 5, 999, tzinfo=UTC)
OLD = Condition(
    type=SUCCEEDED, status="Unknown", reason="Running", last_transition_time=NOW - timedelta(hours=1), message="0/2"
)


def test_the_first_one_is_added_with_whole_seconds() -> None:
    (condition,) = set_condition(None, STALLED, "True", "Why", "because", now=NOW, generation=3)
    assert condition.last_transition_time == NOW.replace(microsecond=0)
    assert (condition.type, condition.status, condition.reason, condition.message) == (
        STALLED,
        "True",
        "Why",
        "because",
    )
    assert condition.observed_generation == 3


def test_the_time_moves_only_with_the_status() -> None:
    (same,) = set_condition([OLD], SUCCEEDED, "Unknown", "Stalled", "", now=NOW, generation=1)
    (other,) = set_condition([OLD], SUCCEEDED, "True", "Succeeded", "", now=NOW, generation=1)
    assert same.last_transition_time == OLD.last_transition_time
    assert same.reason == "Stalled"
    assert other.last_transition_time == NOW.replace(microsecond=0)


def test_other_conditions_keep_their_order() -> None:
    others = [OLD.model_copy(update={"type": name}) for name in ("A", SUCCEEDED, "B")]
    found = set_condition(others, SUCCEEDED, "True", "Succeeded", "", now=NOW, generation=1)
    assert [c.type for c in found] == ["A", SUCCEEDED, "B"]
    assert (found[0], found[2]) == (others[0], others[2])
    assert others[1].status == "Unknown", "what was given is not changed"


def test_a_long_message_is_cut() -> None:
    (condition,) = set_condition(None, SUCCEEDED, "False", "Failed", "x" * 5000, now=NOW, generation=1)
    assert len(condition.message.encode()) == MESSAGE_LIMIT


def test_find_condition_returns_the_condition_of_the_type() -> None:
    assert find_condition([OLD], SUCCEEDED) is OLD
    assert find_condition([OLD], STALLED) is None
    assert find_condition(None, STALLED) is None
