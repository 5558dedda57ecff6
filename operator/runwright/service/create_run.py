"""CreateRun: checks a request (the rules of KFP 1.8.22) and makes the PipelineRun for it.

Everything is checked before anything is written, and the run is written before its Workflow: a refused or lost request
leaves nothing running.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from runwright.api.labels import MANIFEST_LABEL
from runwright.api.pipelinemanifest import digest_label
from runwright.api.pipelinerun import KIND, PipelineRun
from runwright.api.resources import API_VERSION, GROUP
from runwright.core.workflow.build import BuildOptions, Built, Needs, ObjectRef, build_workflow
from runwright.kube.objects import spec_of
from runwright.service.contract.pipeline_spec_pb2 import PipelineSpec
from runwright.service.contract.resource_reference_pb2 import Relationship, ResourceReference, ResourceType
from runwright.service.contract.run_pb2 import Run
from runwright.service.errors import ServiceError, invalid_argument, not_found
from runwright.service.manifests import ref_by_digest
from runwright.service.present import protobuf_text

CREATED_BY = f"{GROUP}/created-by"
"""Annotation of a run that the service created: the user."""

REQUEST_DIGEST = f"{GROUP}/request-digest"
"""Annotation of a run: digest of the request that created it, to recognize a repeated request."""

MAX_PARAMETERS = 10_000
"""Bytes of the parameters as JSON (KFP 1.8.22)."""

MAX_KEY = 255
"""Characters of an idempotency key."""

PREFIX = "Validate create run request failed."

REFERENCE_ID = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.:]{0,251}[A-Za-z0-9])?")
"""An id that a run may refer to: UIDs, and names of objects."""

MAX_REFERENCE_NAME = 253
"""Characters of a reference's name."""

UNSUPPORTED = (ResourceType.UNKNOWN_RESOURCE_TYPE, ResourceType.PIPELINE)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A request that passed the checks that need no cluster."""

    run: Run
    manifest: str
    """Empty for a run of a WorkflowTemplate."""
    template: str
    experiment_id: str
    """Empty for the Default experiment."""
    digest: str
    """SHA-256 of the whole request."""


def check_create_request(run: Run) -> RunRequest:
    """Check a request by itself, in KFP's order. Raises ServiceError (INVALID_ARGUMENT)."""
    try:
        return _read(run)
    except ServiceError as error:
        raise error.within(PREFIX) from error


def _read(run: Run) -> RunRequest:
    if not run.name:
        raise invalid_argument("The run name is empty. Please specify a valid name.")
    spec = run.pipeline_spec
    for number, one in enumerate(run.resource_references):
        check_reference(one, f"resource_references[{number}]")
    version = next((one.key.id for one in run.resource_references if names_pipeline_version(one)), "")
    if spec.workflow_manifest and (spec.pipeline_id or version):
        raise invalid_argument(
            "Please don't specify a pipeline version or pipeline ID when you specify a workflow manifest."
        )
    template = version or spec.pipeline_id
    if not spec.workflow_manifest and not template:
        raise invalid_argument(
            "Please specify a pipeline by providing a (workflow manifest) or (pipeline id or/and pipeline version)."
        )
    if version and spec.pipeline_id and version != spec.pipeline_id:
        raise invalid_argument("pipeline ID should be parent of pipeline version.")
    size = len(json.dumps([{"name": one.name, "value": one.value} for one in spec.parameters]).encode())
    if size > MAX_PARAMETERS:
        raise invalid_argument(f"The input parameter length exceed maximum size of {MAX_PARAMETERS}.")
    experiments = [one.key.id for one in run.resource_references if one.key.type == ResourceType.EXPERIMENT]
    if len(experiments) > 1:
        raise invalid_argument("resource_references: expected one EXPERIMENT at most")
    digest = hashlib.sha256(run.SerializeToString(deterministic=True)).hexdigest()
    return RunRequest(run, spec.workflow_manifest, template, experiments[0] if experiments else "", digest)


def check_reference(one: ResourceReference, path: str) -> None:
    """Check a reference. Raises ServiceError for a type that no run can refer to, or a missing id."""
    if one.key.type in UNSUPPORTED or one.key.type not in ResourceType.values():
        name = ResourceType.Name(one.key.type) if one.key.type in ResourceType.values() else one.key.type
        raise invalid_argument(f"{path}.key.type: Unsupported resource type: {name}")
    if not one.key.id:
        raise invalid_argument(f"{path}.key.id: expected an id, found none")
    if not REFERENCE_ID.fullmatch(one.key.id):
        raise invalid_argument(
            f"{path}.key.id: expected up to 253 letters, digits and the characters '-', '_', '.' and ':'"
        )
    if len(one.name) > MAX_REFERENCE_NAME or not one.name.isprintable():
        raise invalid_argument(f"{path}.name: expected up to {MAX_REFERENCE_NAME} printable characters")
    if one.relationship not in (Relationship.OWNER, Relationship.CREATOR):
        raise invalid_argument(f"{path}.relationship: expected OWNER or CREATOR")


def check_owners(asked: RunRequest, namespace: str) -> None:
    """Check that the namespaces the run refers to are its own. Raises ServiceError (INVALID_ARGUMENT)."""
    for number, one in enumerate(asked.run.resource_references):
        if one.key.type == ResourceType.NAMESPACE and one.key.id != namespace:
            raise invalid_argument(
                f"{PREFIX}: resource_references[{number}].key.id: expected {namespace!r}, the namespace of the run's "
                f"experiment, found {one.key.id!r}"
            )


def names_pipeline_version(one: ResourceReference) -> bool:
    """Whether the reference names the pipeline version to run."""
    return one.key.type == ResourceType.PIPELINE_VERSION and one.relationship == Relationship.CREATOR


def build_pipeline_run(
    asked: RunRequest, namespace: str, name: str, user: str, experiment: tuple[str, str]
) -> dict[str, Any]:
    """The PipelineRun to create; `experiment` is id and name of its experiment."""
    run, spec = asked.run, asked.run.pipeline_spec
    references = [stored_reference(one) for one in run.resource_references if one.key.type != ResourceType.EXPERIMENT]
    references.insert(0, {"type": "EXPERIMENT", "id": experiment[0], "name": experiment[1], "relationship": "OWNER"})
    if asked.template and not any(names_pipeline_version(one) for one in run.resource_references):
        version = {"type": "PIPELINE_VERSION", "id": asked.template, "name": asked.template, "relationship": "CREATOR"}
        references.append(version)
    labels: dict[str, str] = {}
    if asked.manifest:
        ref = ref_by_digest(namespace, asked.manifest)
        labels[MANIFEST_LABEL] = digest_label(ref.digest)
        source: dict[str, Any] = {"manifestFrom": {"pipelineManifestRef": {"name": ref.name}, "digest": ref.digest}}
    else:
        source = {"templateRef": {"name": asked.template}}
    body: dict[str, Any] = {
        "displayName": run.name,
        "workflow": source,
        "references": references,
    }
    if run.description:
        body["description"] = run.description
    if run.service_account:
        body["serviceAccountName"] = run.service_account
    if parameters := run_parameters(spec):
        body["parameters"] = parameters
    if pipeline := pipeline_origin(asked):
        body["pipeline"] = pipeline
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": {CREATED_BY: user[:1024], REQUEST_DIGEST: asked.digest},
        },
        "spec": body,
    }


def stored_reference(one: ResourceReference) -> dict[str, str]:
    """A reference in the form of `spec.references`."""
    kept = {
        "type": ResourceType.Name(one.key.type),
        "id": one.key.id,
        "relationship": Relationship.Name(one.relationship),
    }
    return kept | ({"name": one.name} if one.name else {})


def run_parameters(spec: PipelineSpec) -> list[dict[str, str]]:
    """The parameters in the form of `spec.parameters`; of two with one name, the last (KFP 1.8.22)."""
    return [{"name": name, "value": value} for name, value in {one.name: one.value for one in spec.parameters}.items()]


def pipeline_origin(asked: RunRequest) -> dict[str, str]:
    """The pipeline in the form of `spec.pipeline`."""
    spec = asked.run.pipeline_spec
    known = {"id": asked.template, "name": spec.pipeline_name or asked.template, "manifest": spec.pipeline_manifest}
    return {name: value for name, value in known.items() if value}


def validate_run(body: dict[str, Any]) -> PipelineRun:
    """Validate a run against its model. Raises ServiceError that names the field and what was expected."""
    try:
        return PipelineRun.model_validate(body)
    except ValidationError as error:
        problem = error.errors()[0]
        path = ".".join(str(part) for part in problem["loc"])
        raise invalid_argument(f"{PREFIX}: {path}: {problem['msg']}") from error


def preview_workflow(
    run: PipelineRun, manifest: str, found: dict[ObjectRef, Any], default_account: str
) -> Built | Needs:
    """Build the Workflow that the operator will create for the run, or return the objects to read for that.

    Service accounts are assumed to exist: without it a run is Stalled until it is created, which is
    not an error of the request. Raises ServiceError for a run that no operator could carry out.
    """
    namespace = str(run.metadata["namespace"])
    source = run.spec.workflow.manifest_from
    objects = dict(found)
    if source is not None and source.pipeline_manifest_ref is not None:
        objects[ObjectRef("PipelineManifest", source.pipeline_manifest_ref.name, namespace)] = {"manifest": manifest}
    while True:
        built = build_workflow(run, objects, BuildOptions(default_account))
        if isinstance(built, Built):
            return built
        if isinstance(built, Needs):
            accounts = [ref for ref in built.objects if ref.kind == "ServiceAccount"]
            if not accounts:
                return built
            objects |= {ref: {} for ref in accounts}
            continue
        if built.reason == "TemplateNotFound":
            raise not_found("Get pipelineVersionId failed.: WorkflowTemplate", template_name(run))
        if built.reason in ("ParameterUnknown", "ParameterMissing", "ParameterNotAllowed"):
            raise invalid_argument(f"Failed to verify parameters.: {built.message}")
        raise invalid_argument(f"{PREFIX}: Invalid argo workflow format. {built.message}")


def template_name(run: PipelineRun) -> str:
    """The name of the run's WorkflowTemplate, for messages."""
    ref = run.spec.workflow.template_ref
    return ref.name if ref else "of the manifest"


def choose_run_name(display_name: str, namespace: str, user: str, idempotency_key: str) -> str:
    """The object's name: display name and random digits, or a digest of the idempotency key."""
    if idempotency_key:
        digest = hashlib.sha256(json.dumps([namespace, user, idempotency_key]).encode()).hexdigest()
        return f"run-{digest[:40]}"
    return f"{slug(display_name)}-{secrets.token_hex(4)}"


def slug(name: str, limit: int = 40) -> str:
    """The part of a display name that is valid in an object's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:limit].strip("-") or "run"


def workflow_service_account(workflow: dict[str, Any]) -> str:
    """The service account of a Workflow; empty where it names none."""
    return protobuf_text(spec_of(workflow).get("serviceAccountName"))
