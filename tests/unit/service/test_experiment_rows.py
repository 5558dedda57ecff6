"""Rows of experiments, and their messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube.objects import Key
from runwright.service.contract.experiment_pb2 import Experiment
from runwright.service.experiment_rows import experiment_message, experiment_row, row_bytes
from runwright.service.rows import MAX_TEXT


def body(**labels: str) -> dict[str, Any]:
    metadata = {
        "namespace": "team",
        "name": "nightly-1",
        "uid": "u",
        "resourceVersion": "9",
        "creationTimestamp": "2026-11-26T10:00:00Z",
        "labels": labels,
    }
    return {"metadata": metadata, "spec": {"displayName": "Nightly", "description": "d"}}


def test_a_row_has_the_fields_of_the_experiment():
    row = experiment_row(body())
    assert (row.id, row.key, row.version, row.name, row.description) == (
        "u",
        Key("team", "nightly-1"),
        9,
        "Nightly",
        "d",
    )
    assert row.scopes == (("", ""), ("NAMESPACE", "team"))
    assert row.value("name") == "Nightly" and row.value("created_at") == row.created_at == 1795687200


def test_the_label_of_the_archive_is_the_storage_state():
    assert experiment_row(body()).storage_state == "STORAGESTATE_AVAILABLE"
    row = experiment_row(body(**{"runwright.dev/storage-state": "Archived"}))
    assert experiment_message(row, multi_user=False).storage_state == Experiment.STORAGESTATE_ARCHIVED


@pytest.mark.parametrize("multi_user", [False, True])
def test_the_namespace_is_the_owner_in_multi_user_mode_only(multi_user: bool):
    message = experiment_message(experiment_row(body()), multi_user)
    owners = [(one.key.type, one.key.id, one.relationship) for one in message.resource_references]
    assert owners == ([(5, "team", 1)] if multi_user else [])
    assert message.created_at.ToJsonString() == "2026-11-26T10:00:00Z"


@pytest.mark.parametrize("odd", [{}, {"metadata": None}, {"metadata": {"uid": 5}, "spec": [], "status": 1}])
def test_an_odd_object_is_a_row_without_values(odd: dict[str, Any]):
    row = experiment_row(odd)
    assert (row.id, row.name, row.version, row.created_at) == ("", "", 0, 0)
    experiment_message(row, multi_user=True)


@given(st.text(max_size=300), st.integers(0, 6000), st.booleans())
def test_a_row_and_its_message_are_bounded(name: str, size: int, multi_user: bool):
    changed = body()
    changed["spec"] = {"displayName": name, "description": "😀" * size}
    row = experiment_row(changed)
    assert len(row.description) == min(size, MAX_TEXT)
    assert experiment_message(row, multi_user).ByteSize() <= row_bytes(row)
