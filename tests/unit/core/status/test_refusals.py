"""Errors of the API server and invalid runs become refusals with a reason and a message."""

import pytest

from runwright.api.pipelinerun import PipelineRun
from runwright.core.status.refusals import cut_object, invalid_run, read_forbidden, refusal_from_error
from runwright.core.workflow.build import ObjectRef
from runwright.kube.objects import Incompleteness


@pytest.mark.parametrize(
    ("code", "reason", "message", "causes", "expected", "heals"),
    [
        (403, "Forbidden", "because it is being terminated", ("NamespaceTerminating",), "NamespaceTerminating", True),
        (403, "Forbidden", "User cannot create", (), "Forbidden", True),
        (403, "Forbidden", "exceeded quota: workflows", (), "Forbidden", True),
        (404, "NotFound", "the server could not find the requested resource", (), "ArgoNotInstalled", True),
        (400, "BadRequest", "unknown field", (), "WorkflowInvalid", False),
        (422, "Invalid", "spec.templates: Required value", (), "WorkflowInvalid", False),
        (413, "RequestEntityTooLarge", "limit is 3145728", (), "WorkflowTooLarge", False),
        (500, "InternalError", "etcdserver: request is too large", (), "WorkflowTooLarge", False),
    ],
)
def test_an_error_of_the_api_server_is_mapped_to_a_refusal(
    code: int, reason: str, message: str, causes: tuple[str, ...], expected: str, heals: bool
) -> None:
    refusal = refusal_from_error(code, reason, message, causes)
    assert refusal is not None
    assert (refusal.reason, refusal.heals) == (expected, heals)
    assert expected == "ArgoNotInstalled" or message in refusal.message


@pytest.mark.parametrize("code", [0, 401, 408, 409, 429, 500, 503, 504])
def test_a_temporary_error_is_not_a_refusal(code: int) -> None:
    assert refusal_from_error(code, "Whatever", "try again", ()) is None


def test_an_invalid_run_is_refused_with_its_field() -> None:
    with pytest.raises(ValueError) as error:
        PipelineRun.model_validate({"spec": {"workflow": {"manifest": 7}}})
    refusal = invalid_run(error.value)  # pyright: ignore[reportArgumentType]
    assert refusal.reason == "RunInvalid"
    assert refusal.message.startswith("spec.workflow.manifest: ")
    assert not refusal.heals


def test_an_object_that_was_cut_is_refused_with_the_field_and_the_limit() -> None:
    refusal = cut_object(Incompleteness("TooDeep", "spec.x is nested deeper than 100 levels"))
    assert (refusal.reason, refusal.heals) == ("TooDeep", False)
    assert refusal.message.startswith("spec.x is nested deeper than 100 levels. Flatten it")


def test_a_forbidden_object_is_named() -> None:
    refusal = read_forbidden(ObjectRef("ConfigMap", "pipeline", "team"), "no")
    assert (refusal.reason, refusal.heals) == ("Forbidden", True)
    assert 'ConfigMap "pipeline" in namespace "team"' in refusal.message
