"""The same manifest twice: straight to Argo, and as a PipelineRun. Both must end alike, node by node."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.e2e.cluster import Kubectl, Object, finished
from tests.e2e.manifests import pipeline_run

SECONDS = 300.0


def ends_alike(
    kubectl: Kubectl,
    namespace: str,
    direct: str,
    name: str,
    manifest: str,
    parameters: dict[str, str] | None = None,
    racing: bool = False,
) -> tuple[Object, Object]:
    """The PipelineRun (in `namespace`) and its Workflow, once they have ended as the one in the namespace `direct` did.

    All have one name, so that Argo gives the nodes of both Workflows the same names and ids. `racing`: how nodes end is a race
    within Argo, so that two Workflows straight to Argo differ too; only the end as a whole is compared then.
    """
    workflow = yaml.safe_load(manifest)
    kept = {key: value for key, value in workflow["metadata"].items() if key in ("labels", "annotations")}
    workflow["metadata"] = {"name": name, **kept}
    for parameter in workflow["spec"].get("arguments", {}).get("parameters", []):
        if parameter["name"] in (parameters or {}):
            parameter["value"] = (parameters or {})[parameter["name"]]
    kubectl("create", "-n", direct, "-f", "-", input=json.dumps(workflow))
    document = pipeline_run({"manifest": manifest}, name, parameters=parameters)
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(document))

    argos = kubectl.wait(direct, "workflow", name, finished, SECONDS)
    run = kubectl.wait(namespace, "prun", name, finished, SECONDS)
    ours = kubectl.get(namespace, "workflow", name)
    if racing:
        assert ours["status"]["phase"] == argos["status"]["phase"]
    else:
        assert outcome(ours["status"], namespace) == outcome(argos["status"], direct)
    assert_mirrored(run["status"], ours["status"])
    return run, ours


def outcome(status: Object, namespace: str) -> Object:
    """How a Workflow ended: as a whole, and at each node. What it says of its own namespace is made alike."""
    found = {
        "": (status["phase"], status.get("message"), status.get("progress"), parameters_of(status)),
        **{
            node["name"]: (node["displayName"], node["type"], node["phase"], node.get("message"), parameters_of(node))
            for node in status.get("nodes", {}).values()
        },
    }
    return json.loads(json.dumps(found).replace(namespace, "the-namespace"))


def parameters_of(status: Object) -> list[Any]:
    """The output parameters and the exit code of a Workflow or of a node."""
    outputs = status.get("outputs") or {}
    found = [*outputs.get("parameters", []), {"name": "exit code", "value": outputs.get("exitCode")}]
    return sorted((parameter["name"], parameter.get("value")) for parameter in found)


def assert_mirrored(run: Object, workflow: Object) -> None:
    """A run's status tells what its Workflow's does."""
    for field in ("phase", "message", "progress", "startedAt", "finishedAt"):
        assert run.get(field) == workflow.get(field), field
    nodes = workflow.get("nodes", {})
    mirrored = run.get("nodes", [])
    assert len(mirrored) + run.get("nodesOmitted", 0) == len(nodes)
    for node in mirrored:
        argos = nodes[node["id"]]
        assert (node["name"], node["type"], node["phase"]) == (argos["displayName"], argos["type"], argos["phase"])
