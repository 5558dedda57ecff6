"""The HTTP form of each RPC, as data that does not come from the code."""

from __future__ import annotations

import pytest

from runwright.service.bindings import FILES, bindings, match_path

HTTP = {
    "RunService/CreateRun": ("POST", "/apis/v1beta1/runs", "run"),
    "RunService/GetRun": ("GET", "/apis/v1beta1/runs/{run_id}", ""),
    "RunService/ListRuns": ("GET", "/apis/v1beta1/runs", ""),
    "RunService/ArchiveRun": ("POST", "/apis/v1beta1/runs/{id}:archive", ""),
    "RunService/UnarchiveRun": ("POST", "/apis/v1beta1/runs/{id}:unarchive", ""),
    "RunService/DeleteRun": ("DELETE", "/apis/v1beta1/runs/{id}", ""),
    "RunService/ReportRunMetrics": ("POST", "/apis/v1beta1/runs/{run_id}:reportMetrics", "*"),
    "RunService/ReadArtifact": (
        "GET",
        "/apis/v1beta1/runs/{run_id}/nodes/{node_id}/artifacts/{artifact_name}:read",
        "",
    ),
    "RunService/TerminateRun": ("POST", "/apis/v1beta1/runs/{run_id}/terminate", ""),
    "RunService/RetryRun": ("POST", "/apis/v1beta1/runs/{run_id}/retry", ""),
    "ExperimentService/CreateExperiment": ("POST", "/apis/v1beta1/experiments", "experiment"),
    "ExperimentService/GetExperiment": ("GET", "/apis/v1beta1/experiments/{id}", ""),
    "ExperimentService/ListExperiment": ("GET", "/apis/v1beta1/experiments", ""),
    "ExperimentService/DeleteExperiment": ("DELETE", "/apis/v1beta1/experiments/{id}", ""),
    "ExperimentService/ArchiveExperiment": ("POST", "/apis/v1beta1/experiments/{id}:archive", ""),
    "ExperimentService/UnarchiveExperiment": ("POST", "/apis/v1beta1/experiments/{id}:unarchive", ""),
    "HealthzService/GetHealthz": ("GET", "/apis/v1beta1/healthz", ""),
}


def test_every_rpc_has_the_method_path_and_body_of_kfp():
    assert {one.method: (one.verb, one.template, one.body) for one in bindings()} == HTTP
    assert {service.full_name for file in FILES for service in file.services_by_name.values()} == {
        "api.RunService",
        "api.ExperimentService",
        "api.HealthzService",
    }


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/apis/v1beta1/runs", {"CreateRun", "ListRuns"}),
        ("/apis/v1beta1/runs/x", {"GetRun", "DeleteRun"}),
        ("/apis/v1beta1/runs/x:archive", {"ArchiveRun"}),
        ("/apis/v1beta1/runs/x:other", {"GetRun", "DeleteRun"}),
        ("/apis/v1beta1/runs/x/terminate", {"TerminateRun"}),
        ("/apis/v1beta1/runs/", set()),
        ("/apis/v1beta1/runs/x/y", set()),
        ("/apis/v2beta1/runs", set()),
    ],
)
def test_a_path_matches_its_rpcs_and_a_verb_is_not_part_of_an_id(path: str, methods: set[str]):
    assert {one.descriptor.name for one in match_path(path)} == methods


def test_variables_are_percent_decoded():
    (read,) = [one for one in bindings() if one.method == "RunService/ReadArtifact"]
    assert read.path_fields == ("run_id", "node_id", "artifact_name")
    path = "/apis/v1beta1/runs/r/nodes/a%2Fb:c/artifacts/x%3A:read"
    assert read.variables(path) == {"run_id": "r", "node_id": "a/b:c", "artifact_name": "x:"}
    assert read.variables("/apis/v1beta1/runs/r") is None
    with pytest.raises(UnicodeDecodeError):
        read.variables("/apis/v1beta1/runs/%ff/nodes/n/artifacts/a:read")
