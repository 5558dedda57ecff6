"""The outputs in a run's status fit a byte budget."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runwright.core.workflow.outputs import OUTPUTS_BUDGET, VALUE_LIMIT, bounded_outputs

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
NAMED = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(max_size=260)},
        optional={"value": JSON, "s3": st.fixed_dictionaries({"key": st.text(max_size=600)}), "x": JSON},
    ),
    max_size=40,
)


@given(st.fixed_dictionaries({}, optional={"parameters": JSON | NAMED, "artifacts": JSON | NAMED}))
def test_any_outputs_are_bounded(outputs: dict[str, Any]) -> None:
    found = bounded_outputs(outputs)
    if found is None:
        return
    found.model_validate(found.model_dump())
    items = [*(found.parameters or ()), *(found.artifacts or ())]
    written = [
        json.dumps(item.model_dump(exclude_none=True), separators=(",", ":"), ensure_ascii=False) for item in items
    ]
    assert sum(len(text.encode()) for text in written) <= OUTPUTS_BUDGET


def test_parameters_and_artifacts_by_name_and_key() -> None:
    found = bounded_outputs(
        {
            "parameters": [{"name": "accuracy", "value": "0.93"}],
            "artifacts": [
                {"name": "model", "s3": {"key": "run/model.tgz"}},
                {"name": "main-logs", "s3": {"key": "run/main.log"}},
                {"name": "nowhere"},
            ],
        }
    )
    assert found is not None
    assert found.model_dump(exclude_none=True) == {
        "parameters": [{"name": "accuracy", "value": "0.93"}],
        "artifacts": [{"name": "model", "key": "run/model.tgz"}, {"name": "nowhere"}],
    }


def test_a_later_one_replaces_an_earlier_one() -> None:
    found = bounded_outputs(
        {"parameters": [{"name": "a", "value": "1"}]}, {"parameters": [{"name": "a", "value": "2"}]}
    )
    assert found is not None and found.parameters is not None
    assert [p.value for p in found.parameters] == ["2"]


def test_a_long_value_is_left_out_and_its_name_kept() -> None:
    found = bounded_outputs({"parameters": [{"name": "a", "value": "x" * (VALUE_LIMIT + 1)}]})
    assert found is not None and found.parameters is not None
    assert [(p.name, p.value) for p in found.parameters] == [("a", None)]


def test_outputs_beyond_the_budget_are_counted() -> None:
    found = bounded_outputs({"parameters": [{"name": f"p{n}", "value": "x" * 100} for n in range(100)]})
    assert found is not None and found.parameters is not None
    assert found.omitted == 100 - len(found.parameters)


def test_no_outputs_give_none() -> None:
    assert bounded_outputs({}, {"parameters": []}) is None
    assert bounded_outputs({"artifacts": [{"name": "main-logs"}]}) is None
