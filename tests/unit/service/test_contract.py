"""The wire contract: the field and enum numbers that clients of KFP v1beta1 depend on."""

from __future__ import annotations

import importlib
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from runwright.service.contract import run_pb2

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACT = REPOSITORY / "operator" / "runwright" / "service" / "contract"

FIELDS = {
    "CreateRunRequest": {"run": 1},
    "GetRunRequest": {"run_id": 1},
    "ListRunsRequest": {"page_token": 1, "page_size": 2, "sort_by": 3, "resource_reference_key": 4, "filter": 5},
    "TerminateRunRequest": {"run_id": 1},
    "RetryRunRequest": {"run_id": 1},
    "ListRunsResponse": {"runs": 1, "total_size": 3, "next_page_token": 2},
    "ArchiveRunRequest": {"id": 1},
    "UnarchiveRunRequest": {"id": 1},
    "DeleteRunRequest": {"id": 1},
    "Run": {
        "id": 1,
        "name": 2,
        "storage_state": 10,
        "description": 3,
        "pipeline_spec": 4,
        "resource_references": 5,
        "service_account": 14,
        "created_at": 6,
        "scheduled_at": 7,
        "finished_at": 13,
        "status": 8,
        "error": 12,
        "metrics": 9,
    },
    "PipelineRuntime": {"pipeline_manifest": 10, "workflow_manifest": 11},
    "RunDetail": {"run": 1, "pipeline_runtime": 2},
    "RunMetric": {"name": 1, "node_id": 2, "number_value": 3, "format": 4},
    "ReportRunMetricsRequest": {"run_id": 1, "metrics": 2},
    "ReportRunMetricsResponse": {"results": 1},
    "ReportRunMetricsResponse.ReportRunMetricResult": {
        "metric_name": 1,
        "metric_node_id": 2,
        "status": 3,
        "message": 4,
    },
    "ReadArtifactRequest": {"run_id": 1, "node_id": 2, "artifact_name": 3},
    "ReadArtifactResponse": {"data": 1},
    "PipelineSpec": {
        "pipeline_id": 1,
        "pipeline_name": 5,
        "workflow_manifest": 2,
        "pipeline_manifest": 3,
        "parameters": 4,
    },
    "Parameter": {"name": 1, "value": 2},
    "ResourceKey": {"type": 1, "id": 2},
    "ResourceReference": {"key": 1, "name": 3, "relationship": 2},
    "Error": {"error_message": 1, "error_details": 2},
    "Experiment": {
        "id": 1,
        "name": 2,
        "description": 3,
        "created_at": 4,
        "resource_references": 5,
        "storage_state": 6,
    },
    "ListExperimentsRequest": {
        "page_token": 1,
        "page_size": 2,
        "sort_by": 3,
        "filter": 4,
        "resource_reference_key": 5,
    },
    "ListExperimentsResponse": {"experiments": 1, "total_size": 3, "next_page_token": 2},
    "GetHealthzResponse": {"multi_user": 3},
    "Predicate": {
        "op": 1,
        "key": 2,
        "int_value": 3,
        "long_value": 4,
        "string_value": 5,
        "timestamp_value": 6,
        "int_values": 7,
        "long_values": 8,
        "string_values": 9,
    },
    "Filter": {"predicates": 1},
}

ENUMS = {
    "Run.StorageState": {"STORAGESTATE_AVAILABLE": 0, "STORAGESTATE_ARCHIVED": 1},
    "RunMetric.Format": {"UNSPECIFIED": 0, "RAW": 1, "PERCENTAGE": 2},
    "ReportRunMetricsResponse.ReportRunMetricResult.Status": {
        "UNSPECIFIED": 0,
        "OK": 1,
        "INVALID_ARGUMENT": 2,
        "DUPLICATE_REPORTING": 3,
        "INTERNAL_ERROR": 4,
    },
    "ResourceType": {
        "UNKNOWN_RESOURCE_TYPE": 0,
        "EXPERIMENT": 1,
        "JOB": 2,
        "PIPELINE": 3,
        "PIPELINE_VERSION": 4,
        "NAMESPACE": 5,
    },
    "Relationship": {"UNKNOWN_RELATIONSHIP": 0, "OWNER": 1, "CREATOR": 2},
    "Experiment.StorageState": {
        "STORAGESTATE_UNSPECIFIED": 0,
        "STORAGESTATE_AVAILABLE": 1,
        "STORAGESTATE_ARCHIVED": 2,
    },
}


def pool():
    return run_pb2.DESCRIPTOR.pool


@pytest.mark.parametrize("message", FIELDS)
def test_a_message_has_the_fields_and_numbers_of_kfp(message: str):
    for module in ("filter", "error"):
        importlib.import_module(f"runwright.service.contract.{module}_pb2")
    found = pool().FindMessageTypeByName(f"api.{message}")
    assert {field.name: field.number for field in found.fields} == FIELDS[message]


@pytest.mark.parametrize("enum", ENUMS)
def test_an_enum_has_the_values_and_numbers_of_kfp(enum: str):
    found = pool().FindEnumTypeByName(f"api.{enum}")
    assert {value.name: value.number for value in found.values} == ENUMS[enum]


def test_the_generated_modules_match_the_protos(tmp_path: Path):
    """`make generate` was run after the last change of a `.proto`."""
    out = tmp_path / "all.bin"
    protos = sorted(CONTRACT.glob("*.proto"))
    packages = sysconfig.get_path("purelib")
    command = ["-m", "grpc_tools.protoc", "-I", str(REPOSITORY / "operator"), "-I", packages]
    subprocess.run([sys.executable, *command, f"--descriptor_set_out={out}", *map(str, protos)], check=True)
    written = FileDescriptorSet.FromString(out.read_bytes()).file
    assert len(written) == len(protos)
    for file in written:
        module = importlib.import_module(f"runwright.service.contract.{Path(file.name).stem}_pb2")
        kept = type(file)()
        module.DESCRIPTOR.CopyToProto(kept)
        # json_name is what protoc itself fills in.
        for one in (kept, file):
            for message in one.message_type:
                for field in message.field:
                    field.ClearField("json_name")
                for nested in message.nested_type:
                    for field in nested.field:
                        field.ClearField("json_name")
        assert kept == file, file.name
