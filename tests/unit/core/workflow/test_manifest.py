"""A manifest with one Workflow is read; any other text is refused with a hint."""

import json

import pytest

from runwright.api.pipelinerun import MAX_MANIFEST
from runwright.core.workflow.expect import Refused
from runwright.core.workflow.manifest import digest_of, read_manifest

HELLO = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: hello-}
spec: {entrypoint: main, templates: [{name: main, container: {image: alpine}}]}
"""


def refused(text: str) -> tuple[str, str]:
    with pytest.raises(Refused) as refusal:
        read_manifest(text, "spec.workflow.manifest")
    assert refusal.value.refusal.message.startswith("spec.workflow.manifest: ")
    assert not refusal.value.refusal.heals
    return refusal.value.refusal.reason, refusal.value.refusal.message


def test_yaml_and_json_give_the_same() -> None:
    workflow = read_manifest(HELLO, "here")
    assert workflow["spec"]["entrypoint"] == "main"
    assert read_manifest(json.dumps(workflow), "here") == workflow
    assert read_manifest("\n  " + json.dumps(workflow, indent=2), "here") == workflow


def test_empty_documents_are_ignored() -> None:
    assert read_manifest(f"---\n{HELLO}\n---\n# end\n", "here") == read_manifest(HELLO, "here")


def test_yaml_flow_style_is_not_taken_for_broken_json() -> None:
    text = "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {entrypoint: a}}"
    assert read_manifest(text, "here")["spec"] == {"entrypoint": "a"}


def test_each_call_returns_a_new_copy() -> None:
    read_manifest(HELLO, "here")["spec"]["entrypoint"] = "other"
    assert read_manifest(HELLO, "here")["spec"]["entrypoint"] == "main"


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("a: [1\nb: 2", "ManifestUnreadable", "line 2, column"),
        ('{"kind": "Workflow",}}', "ManifestUnreadable", "as JSON: line 1, column 21"),
        ('{"kind": "Workflow", "kind": "Pod"}', "ManifestUnreadable", 'duplicate key "kind"'),
        ("", "NotAWorkflow", "it is empty"),
        ("# nothing\n---\n", "NotAWorkflow", "it is empty"),
        ("hello", "NotAWorkflow", "it is a string"),
        ("[]", "NotAWorkflow", "it is a list"),
        (f"{HELLO}---{HELLO}", "NotAWorkflow", "2 documents (Workflow, Workflow)"),
        (f"{HELLO}---\nkind: ConfigMap\n", "NotAWorkflow", "2 documents (Workflow, ConfigMap)"),
        ("apiVersion: v1\nkind: List\nitems: []", "NotAWorkflow", "create a run for each"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow", "NotAWorkflow", "spec.workflowSpec"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate", "NotAWorkflow", "templateRef"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: ClusterWorkflowTemplate", "NotAWorkflow", "clusterScope: true"),
        ("apiVersion: v1\nkind: Pod", "NotAWorkflow", 'its kind is "Pod"; expected Workflow: make it'),
        ("apiVersion: v1\nkind: Service", "NotAWorkflow", 'its kind is "Service"; expected Workflow'),
        ("apiVersion: runwright.dev/v1alpha1\nkind: PipelineRun", "NotAWorkflow", "apply it itself"),
        (
            "apiVersion: tekton.dev/v1\nkind: PipelineRun",
            "NotAWorkflow",
            'its kind is "PipelineRun"; expected Workflow',
        ),
        ("kind: [Workflow]", "NotAWorkflow", "expected Workflow"),
        ("spec: {}", "NotAWorkflow", "it has no kind"),
        ("pipelineInfo: {name: x}\nroot: {}\nschemaVersion: 2.1.0", "NotAWorkflow", "KFP SDK 1.8"),
        ("apiVersion: argoproj.io/v1\nkind: Workflow\nspec: {}", "APIVersionUnsupported", "argoproj.io/v1alpha1"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow", "SpecInvalid", "spec: expected a mapping"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: [1]", "SpecInvalid", "found a list"),
        (
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\nmetadata: 1",
            "MetadataInvalid",
            "found a number",
        ),
        ("#" * (MAX_MANIFEST + 1), "ManifestTooLarge", f"{MAX_MANIFEST + 1} characters"),
    ],
)
def test_refused(text: str, reason: str, said: str) -> None:
    found, message = refused(text)
    assert found == reason
    assert said in message


def test_a_cached_text_is_refused_with_its_own_place() -> None:
    for where in ("one", "two"):
        with pytest.raises(Refused, match=f"^{where}: "):
            read_manifest("kind: Pod", where)


def test_the_largest_text_is_read() -> None:
    text = HELLO + "#" * (MAX_MANIFEST - len(HELLO))
    assert read_manifest(text, "here")["kind"] == "Workflow"


def test_digest_is_of_the_utf8_bytes() -> None:
    # echo -n 'é' | sha256sum
    assert digest_of("é") == "sha256:4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"
