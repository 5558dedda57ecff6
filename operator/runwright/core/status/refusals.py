"""Maps errors of the API server and of validation to refusals with a reason and a message."""

from __future__ import annotations

from pydantic import ValidationError

from runwright.core.records import Refusal
from runwright.core.status.conditions import ARGO_NOT_INSTALLED, NAMESPACE_TERMINATING
from runwright.core.workflow.build import ObjectRef
from runwright.kube.objects import Incompleteness

WORKFLOW_INVALID = "WorkflowInvalid"
WORKFLOW_TOO_LARGE = "WorkflowTooLarge"
FORBIDDEN = "Forbidden"
RUN_INVALID = "RunInvalid"


def refusal_from_error(code: int, reason: str, message: str, causes: tuple[str, ...]) -> Refusal | None:
    """Maps the error of a failed creation of a Workflow to a refusal; None for a temporary error."""
    if NAMESPACE_TERMINATING in causes:
        return Refusal(NAMESPACE_TERMINATING, f"the namespace is being deleted: {message}", heals=True)
    if code == 413 or "request is too large" in message or "Request entity too large" in message:
        return Refusal(WORKFLOW_TOO_LARGE, f"the Workflow is too large for etcd: {message}")
    match code:
        case 404:
            return Refusal(
                ARGO_NOT_INSTALLED,
                "the cluster has no workflows.argoproj.io: install Argo Workflows; then the run starts by itself",
                heals=True,
            )
        case 403:
            return Refusal(FORBIDDEN, f"creating the Workflow is not allowed: {message}", heals=True)
        case 400 | 422:
            return Refusal(WORKFLOW_INVALID, f"the API server refuses the Workflow: {message}")
        case _:
            return None


def invalid_run(error: ValidationError) -> Refusal:
    """The refusal of a stored run that its schema no longer allows."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return Refusal(RUN_INVALID, f"{field}: {first['msg']}")


def cut_object(mark: Incompleteness) -> Refusal:
    """The refusal of an object that was cut as it was decoded: nothing can be built from what is left of it."""
    return Refusal(mark.reason, f"{mark.message}. Flatten it, or move data into the text of a parameter")


def retry_forbidden(message: str) -> Refusal:
    """The refusal of a retry that the operator has no permission for."""
    return Refusal(FORBIDDEN, f"the operator may not retry runs: {message}", heals=True)


def read_forbidden(what: ObjectRef, message: str) -> Refusal:
    """The refusal of a run that refers to an object that the operator may not read."""
    return Refusal(FORBIDDEN, f"the operator may not read {what}: {message}", heals=True)
