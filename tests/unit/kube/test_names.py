"""Names of objects and namespaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.names import is_data_key, is_namespace_name, is_object_name, is_path_segment
from runwright.kube.objects import Key
from runwright.kube.resource import CONFIG_MAPS


@pytest.mark.parametrize("name", ["a", "a-b", "a.b", "0", "a" * 63, ".".join(["a" * 63] * 3), "sha256-" + "0" * 64])
def test_an_object_name_is_a_dns_subdomain(name: str):
    assert is_object_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a..b", "-a", "a-", "A", "a b", "a\n", "é", "a" * 254, "%2e", None, 1, ["a"]]
)
def test_no_object_has_such_a_name(name: object):
    assert not is_object_name(name) and not is_namespace_name(name)


def test_a_namespace_has_no_dots_and_at_most_63_characters():
    assert is_namespace_name("team-a") and not is_namespace_name("team.a") and not is_namespace_name("a" * 64)


@pytest.mark.parametrize(("key", "valid"), [("a.yaml", True), ("A_b-c", True), ("..", False), (".", False), ("a/b", False), ("", False), (None, False)])  # fmt: skip
def test_a_key_of_data(key: object, valid: bool):
    assert is_data_key(key) is valid


@pytest.mark.parametrize(("name", "valid"), [("system:a", True), ("A b", True), ("..", False), ("a/b", False), ("a%", False), ("", False), ("a\n", False)])  # fmt: skip
def test_a_path_segment(name: str, valid: bool):
    assert is_path_segment(name) is valid


@given(st.text(max_size=80))
def test_an_accepted_name_is_one_segment_of_a_path(name: str):
    if is_object_name(name):
        assert CONFIG_MAPS.object_path(Key("team", name)) == f"/api/v1/namespaces/team/configmaps/{name}"
