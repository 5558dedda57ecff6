"""Readiness of node and deployments, and DNS."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from localcluster import readiness


def _deployment(namespace: str, name: str, **change: Any) -> dict[str, Any]:
    status = {"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 1, **change.get("status", {})}
    metadata = {"namespace": namespace, "name": name, "generation": 2}
    return {
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": change.get("replicas", 1)},
        "status": status,
    }


NODE = {"kind": "Node", "metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


WANTED = {("argo", "s3")}


def test_a_ready_node_with_available_deployments_is_ready() -> None:
    assert readiness.unready({"items": [NODE, _deployment("argo", "s3")]}, WANTED) == []


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([_deployment("argo", "s3")], "node not Ready"),
        ([NODE], "deployment argo/s3 absent"),
        ([NODE, _deployment("argo", "s3", replicas=0)], "deployment argo/s3 is stopped"),
        ([NODE, _deployment("argo", "s3", status={"readyReplicas": 0})], "deployment argo/s3 not available"),
        ([NODE, _deployment("argo", "s3", status={"observedGeneration": 1})], "deployment argo/s3 not available"),
        ([NODE, _deployment("argo", "s3", status={"updatedReplicas": 0})], "deployment argo/s3 not available"),
    ],
)
def test_each_unready_part_is_named(items: list[dict[str, Any]], reason: str) -> None:
    assert readiness.unready({"items": items}, WANTED) == [reason]


def test_a_dns_question_has_the_format_of_rfc_1035() -> None:
    question = readiness.dns_question("s3.argo.", 7)
    assert question[:12] == struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    assert question[12:] == b"\x02s3\x04argo\x00\x00\x01\x00\x01"
