"""Requests of the run service's tests."""

from __future__ import annotations

from typing import Any

from runwright.service.contract.pipeline_spec_pb2 import PipelineSpec
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceReference
from runwright.service.contract.run_pb2 import CreateRunRequest, Run
from tests.unit.service.bench import MANIFEST_TEXT, Bench

EXPERIMENT, JOB, PIPELINE, VERSION, NAMESPACE = 1, 2, 3, 4, 5
OWNER, CREATOR = 1, 2


def ref(kind: int, id: str, relationship: int = OWNER) -> ResourceReference:
    """A reference of a run."""
    return ResourceReference(key=ResourceKey(type=kind, id=id), relationship=relationship)  # type: ignore[arg-type]


def create_request(name: str = "Train it", manifest: str = MANIFEST_TEXT, **more: Any) -> CreateRunRequest:
    """A request of CreateRun; `more` are fields of the run, `parameters` and `spec` of its pipeline spec."""
    parameters = more.pop("parameters", [])
    spec = PipelineSpec(workflow_manifest=manifest, parameters=parameters, **more.pop("spec", {}))
    return CreateRunRequest(run=Run(name=name, pipeline_spec=spec, **more))


async def create_run(it: Bench) -> str:
    """Create a run; returns its id."""
    return (await it.call("RunService/CreateRun", create_request())).run.id
