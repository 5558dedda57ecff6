"""The merge patch of two objects is minimal and turns one into the other."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runwright.core.status.patch import merge_patch
from tests.unit.fake.apiserver import merged

VALUES = st.recursive(
    st.integers(0, 3) | st.booleans() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_patch_turns_one_into_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_patch(old, new)) == new


@given(OBJECTS)
def test_nothing_is_to_be_patched_between_equals(old: dict[str, Any]) -> None:
    assert merge_patch(old, old) == {}


def test_only_what_differs_is_in_the_patch() -> None:
    old = {"phase": "Running", "progress": "0/2", "workflow": {"name": "a", "uid": "1"}, "nodes": [1, 2]}
    new = {"phase": "Running", "workflow": {"name": "a", "uid": "2"}, "nodes": [1, 3]}
    assert merge_patch(old, new) == {"progress": None, "workflow": {"uid": "2"}, "nodes": [1, 3]}
