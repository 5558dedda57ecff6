"""The Workflow of a run is built from each source, or refused with the field and the reason."""

import json
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from runwright.api.labels import RUN_LABEL
from runwright.api.pipelinerun import MAX_MANIFEST, PipelineRun, PipelineRunSpec
from runwright.api.resources import API_VERSION
from runwright.core.records import Refusal
from runwright.core.workflow.build import MAX_WORKFLOW, BuildOptions, Built, Needs, ObjectRef, build_workflow
from runwright.core.workflow.manifest import digest_of
from runwright.kube.objects import INCOMPLETE, Incompleteness

SPEC: dict[str, Any] = {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "alpine"}}]}
OPTIONS = BuildOptions()


def run_of(workflow: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> PipelineRun:
    base = {"name": "train", "namespace": "team", "uid": "0-1-2", "creationTimestamp": "2026-11-24T10:00:00Z"}
    return PipelineRun.model_validate({"metadata": base | (metadata or {}), "spec": {"workflow": workflow, **spec}})


def manifest(spec: Any = SPEC, **metadata: Any) -> str:
    return json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec})


def built(
    run: PipelineRun, objects: dict[ObjectRef, Any] | None = None, options: BuildOptions = OPTIONS
) -> dict[str, Any]:
    outcome = build_workflow(run, objects or {}, options)
    assert isinstance(outcome, Built), outcome
    return outcome.workflow


def needs(
    run: PipelineRun, objects: dict[ObjectRef, Any] | None = None, options: BuildOptions = OPTIONS
) -> set[ObjectRef]:
    outcome = build_workflow(run, objects or {}, options)
    assert isinstance(outcome, Needs), outcome
    return set(outcome.objects)


def refused(run: PipelineRun, objects: dict[ObjectRef, Any] | None = None) -> Refusal:
    outcome = build_workflow(run, objects or {}, OPTIONS)
    assert isinstance(outcome, Refusal), outcome
    return outcome


def account(name: str) -> ObjectRef:
    return ObjectRef("ServiceAccount", name, "team")


class TestMetadata:
    def test_name_namespace_label_and_owner_are_the_runs(self) -> None:
        workflow = built(run_of({"spec": SPEC}))
        assert workflow == {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {
                "name": "train",
                "namespace": "team",
                "labels": {RUN_LABEL: "train"},
                "ownerReferences": [
                    {
                        "apiVersion": API_VERSION,
                        "kind": "PipelineRun",
                        "name": "train",
                        "uid": "0-1-2",
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": SPEC,
        }

    def test_the_manifests_labels_and_annotations_are_kept_and_nothing_else_of_its_metadata(self) -> None:
        text = manifest(
            name="a", generateName="a-", namespace="elsewhere", uid="x", resourceVersion="1", finalizers=["f"],
            ownerReferences=[{}], managedFields=[{}], labels={"team": "x", RUN_LABEL: "y"}, annotations={"note": "z"},
        )  # fmt: skip
        metadata = built(run_of({"manifest": text}))["metadata"]
        assert set(metadata) == {"name", "namespace", "labels", "annotations", "ownerReferences"}
        assert metadata["labels"] == {"team": "x", RUN_LABEL: "train"}
        assert metadata["annotations"] == {"note": "z"}

    def test_status_is_dropped(self) -> None:
        text = json.dumps(json.loads(manifest()) | {"status": {"phase": "Succeeded"}})
        assert "status" not in built(run_of({"manifest": text}))

    def test_labels_and_annotations_of_the_run_are_not_copied(self) -> None:
        own = {
            "labels": {"app.kubernetes.io/instance": "app", "x": "y"},
            "annotations": {"argocd.argoproj.io/tracking-id": "z"},
        }
        assert built(run_of({"spec": SPEC}, own)) == built(run_of({"spec": SPEC}))

    @pytest.mark.parametrize(
        "key",
        [
            "app.kubernetes.io/instance",
            "argocd.argoproj.io/tracking-id",
            "argocd.argoproj.io/instance",
            "kubectl.kubernetes.io/last-applied-configuration",
            "workflows.argoproj.io/completed",
            "workflows.argoproj.io/phase",
            "workflows.argoproj.io/workflow-archiving-status",
            "runwright.dev/storage-state",
        ],
    )
    def test_labels_of_other_controllers_are_not_copied(self, key: str) -> None:
        text = manifest(labels={key: "x", "kept": "y"}, annotations={key: "x"})
        metadata = built(run_of({"manifest": text}))["metadata"]
        assert metadata["labels"] == {"kept": "y", RUN_LABEL: "train"}
        assert "annotations" not in metadata

    def test_workflow_metadata_cannot_take_the_run_label_away(self) -> None:
        spec = SPEC | {
            "workflowMetadata": {"labels": {RUN_LABEL: "x", "a": "b"}, "labelsFrom": {RUN_LABEL: {"expression": "1"}}}
        }
        assert built(run_of({"spec": spec}))["spec"]["workflowMetadata"] == {"labels": {"a": "b"}, "labelsFrom": {}}

    @pytest.mark.parametrize("metadata", [{"labels": {"a": 1}}, {"annotations": {"a": None}}, {"labels": ["a"]}])
    def test_labels_that_are_not_strings_are_refused(self, metadata: dict[str, Any]) -> None:
        assert refused(run_of({"manifest": manifest(**metadata)})).reason == "MetadataInvalid"


class TestSpec:
    def test_the_run_is_not_changed(self) -> None:
        spec = SPEC | {"arguments": {"parameters": [{"name": "a", "value": "1"}]}}
        run = run_of({"spec": spec}, parameters=[{"name": "a", "value": "2"}])
        before = run.model_dump_json()
        built(run)["spec"]["templates"].clear()
        assert run.model_dump_json() == before

    @pytest.mark.parametrize(
        ("spec", "reason", "said"),
        [
            ({}, "TemplatesMissing", "spec.templates: expected at least one template, found none"),
            ({"templates": {}}, "SpecInvalid", "spec.templates: expected a list"),
            ({"templates": ["a"]}, "SpecInvalid", "spec.templates[0]: expected a mapping"),
            ({"templates": [{"name": "a"}]}, "EntrypointMissing", 'expected the name of a template: "a"'),
            (
                {"templates": [{"name": "a"}], "entrypoint": "b"},
                "EntrypointMissing",
                'no template "b" in spec.templates, only "a"',
            ),
            ({"templates": [{"name": "a"}], "entrypoint": ["a"]}, "SpecInvalid", "spec.entrypoint: expected a string"),
            (SPEC | {"serviceAccountName": {}}, "SpecInvalid", "spec.serviceAccountName: expected a string"),
            (SPEC | {"workflowTemplateRef": "x"}, "SpecInvalid", "spec.workflowTemplateRef: expected a mapping"),
        ],
    )
    def test_refused(self, spec: dict[str, Any], reason: str, said: str) -> None:
        for source in ({"spec": spec}, {"manifest": manifest(spec)}):
            refusal = refused(run_of(source))
            assert (refusal.reason, refusal.heals) == (reason, False)
            assert said in refusal.message

    @pytest.mark.parametrize("source", [{}, {"spec": SPEC, "manifest": "x"}])
    def test_exactly_one_source(self, source: dict[str, Any]) -> None:
        assert refused(run_of(source)).reason == "SourceInvalid"

    def test_too_large(self) -> None:
        spec = {"entrypoint": "main", "templates": [{"name": "main", "script": {"source": "é" * (MAX_WORKFLOW // 2)}}]}
        refusal = refused(run_of({"spec": spec}))
        assert refusal.reason == "WorkflowTooLarge"
        assert str(MAX_WORKFLOW) in refusal.message

    def test_nested_too_deeply(self) -> None:
        deep: Any = 1
        for _ in range(5000):
            deep = [deep]
        refusal = refused(PipelineRun.model_construct(
            metadata={}, spec=PipelineRunSpec.model_construct(
                workflow=run_of({"spec": SPEC}).spec.workflow.model_copy(update={"spec": SPEC | {"x": deep}})
            )
        ))  # fmt: skip
        assert refusal.reason == "SpecInvalid"
        assert "nests deeper" in refusal.message

    def test_messages_fit_into_a_condition(self) -> None:
        spec = {"entrypoint": "x", "templates": [{"name": f"{'n' * 5000}{index}"} for index in range(100)]}
        assert len(refused(run_of({"spec": spec})).message) <= 1024


LABELED: dict[str, Any] = {"metadata": {"labels": {"runwright.dev/manifest": "true"}}}


class TestManifestFrom:
    REF = ObjectRef("ConfigMap", "pipelines", "team")

    def run(self, **more: Any) -> PipelineRun:
        return run_of({"manifestFrom": {"configMapKeyRef": {"name": "pipelines", "key": "train.yaml"}, **more}})

    def test_is_read_and_built(self) -> None:
        assert needs(self.run()) == {self.REF}
        assert built(self.run(), {self.REF: LABELED | {"data": {"train.yaml": manifest()}}})["spec"] == SPEC

    @pytest.mark.parametrize(
        ("config_map", "reason"),
        [
            (None, "ConfigMapNotFound"),
            (LABELED, "ConfigMapKeyNotFound"),
            ({"data": {"train.yaml": "secret: ["}}, "ConfigMapNotFound"),
            ({"metadata": {"labels": {"other": "x"}}, "data": {"x": "y"}}, "ConfigMapNotFound"),
            ({"metadata": None}, "ConfigMapNotFound"),
            (LABELED | {"data": {"other": "x"}}, "ConfigMapKeyNotFound"),
            (LABELED | {"data": {"train.yaml": "kind: Pod"}}, "NotAWorkflow"),
            (LABELED | {"data": {"train.yaml": "a: ["}}, "ManifestUnreadable"),
            (LABELED | {"data": {"train.yaml": "#" * (MAX_MANIFEST + 1)}}, "ManifestTooLarge"),
            (LABELED | {"data": {"train.yaml": manifest({})}}, "TemplatesMissing"),
        ],
    )
    def test_an_error_in_a_config_map_heals(self, config_map: Any, reason: str) -> None:
        refusal = refused(self.run(), {self.REF: config_map})
        assert (refusal.reason, refusal.heals) == (reason, True)
        assert "spec.templates" in refusal.message or '"pipelines"' in refusal.message

    def test_a_digest_of_another_manifest_is_refused(self) -> None:
        text = manifest()
        run = self.run(digest=digest_of(text))
        assert built(run, {self.REF: LABELED | {"data": {"train.yaml": text}}})["spec"] == SPEC
        refusal = refused(run, {self.REF: LABELED | {"data": {"train.yaml": text + " "}}})
        assert (refusal.reason, refusal.heals) == ("DigestMismatch", True)
        assert digest_of(text) in refusal.message and digest_of(text + " ") in refusal.message

    def test_an_invalid_manifest_with_the_right_digest_does_not_heal(self) -> None:
        refusal = refused(
            self.run(digest=digest_of("kind: Pod")), {self.REF: LABELED | {"data": {"train.yaml": "kind: Pod"}}}
        )
        assert (refusal.reason, refusal.heals) == ("NotAWorkflow", False)

    def test_an_invalid_config_map_name_is_refused_without_a_request(self) -> None:
        run = run_of({"manifestFrom": {"configMapKeyRef": {"name": "../secrets/x", "key": "k"}}})
        assert refused(run).reason == "NameInvalid"

    @pytest.mark.parametrize("config_map", [None, {}, {"data": {"password": "secret"}}])
    def test_a_config_map_without_the_label_is_refused_as_one_that_does_not_exist(self, config_map: Any) -> None:
        refusal = refused(self.run(), {self.REF: config_map})
        assert refusal == refused(self.run(), {self.REF: None})
        assert "kubectl label configmap -n team pipelines runwright.dev/manifest=true" in refusal.message

    def test_exactly_one_object_is_named(self) -> None:
        both = {"pipelineManifestRef": {"name": "a"}, "configMapKeyRef": {"name": "b", "key": "k"}}
        for source in ({}, both, {"digest": digest_of("x")}):
            refusal = refused(run_of({"manifestFrom": source}))
            assert (refusal.reason, refusal.heals) == ("SourceInvalid", False)


class TestPipelineManifestRef:
    REF = ObjectRef("PipelineManifest", "train", "team")

    def run(self, **more: Any) -> PipelineRun:
        return run_of({"manifestFrom": {"pipelineManifestRef": {"name": "train"}, **more}})

    def test_is_read_and_built(self) -> None:
        assert needs(self.run()) == {self.REF}
        assert built(self.run(), {self.REF: {"manifest": manifest()}})["spec"] == SPEC
        assert built(self.run(digest=digest_of(manifest())), {self.REF: {"manifest": manifest()}})["spec"] == SPEC

    @pytest.mark.parametrize(
        ("found", "reason", "heals"),
        [
            (None, "PipelineManifestNotFound", True),
            ({}, "SpecInvalid", True),
            ({"manifest": "kind: Pod"}, "NotAWorkflow", False),
            ({"manifest": "a: ["}, "ManifestUnreadable", False),
        ],
    )
    def test_an_error_names_the_object(self, found: Any, reason: str, heals: bool) -> None:
        refusal = refused(self.run(), {self.REF: found})
        assert (refusal.reason, refusal.heals) == (reason, heals)
        assert 'PipelineManifest "train" in namespace "team"' in refusal.message

    def test_another_digest_is_refused_until_the_object_is_replaced(self) -> None:
        refusal = refused(self.run(digest=digest_of("x")), {self.REF: {"manifest": manifest()}})
        assert (refusal.reason, refusal.heals) == ("DigestMismatch", True)

    def test_an_invalid_name_is_refused_without_a_request(self) -> None:
        assert refused(run_of({"manifestFrom": {"pipelineManifestRef": {"name": "../x"}}})).reason == "NameInvalid"


class TestTemplateRef:
    REF = ObjectRef("WorkflowTemplate", "etl", "team")
    TEMPLATE: ClassVar[dict[str, Any]] = {
        "spec": SPEC | {"arguments": {"parameters": [{"name": "day"}, {"name": "n", "value": "1"}]}}
    }

    def run(self, **spec: Any) -> PipelineRun:
        return run_of({"templateRef": {"name": "etl"}}, **spec)

    def test_is_built_as_argo_submit_from_does(self) -> None:
        run = self.run(parameters=[{"name": "day", "value": "mon"}])
        assert needs(run) == {self.REF}
        workflow = built(run, {self.REF: self.TEMPLATE})
        assert workflow["spec"] == {
            "workflowTemplateRef": {"name": "etl", "clusterScope": False},
            "arguments": {"parameters": [{"name": "day", "value": "mon"}, {"name": "n", "value": "1"}]},
        }
        assert workflow["metadata"]["labels"] == {"workflows.argoproj.io/workflow-template": "etl", RUN_LABEL: "train"}

    def test_cluster_scope(self) -> None:
        run = run_of({"templateRef": {"name": "etl", "clusterScope": True}})
        ref = ObjectRef("ClusterWorkflowTemplate", "etl")
        assert needs(run) == {ref}
        workflow = built(run, {ref: {"spec": SPEC}})
        assert workflow["spec"]["workflowTemplateRef"] == {"name": "etl", "clusterScope": True}
        assert "workflows.argoproj.io/cluster-workflow-template" in workflow["metadata"]["labels"]

    def test_a_name_that_is_too_long_for_a_label(self) -> None:
        ref = ObjectRef("WorkflowTemplate", "a" * 64, "team")
        workflow = built(run_of({"templateRef": {"name": ref.name}}), {ref: {"spec": SPEC}})
        assert workflow["metadata"]["labels"] == {RUN_LABEL: "train"}

    @pytest.mark.parametrize(
        ("template", "given", "reason"),
        [
            (None, {}, "TemplateNotFound"),
            ({}, {}, "SpecInvalid"),
            ({"spec": {"templates": []}}, {}, "TemplatesMissing"),
            ({"spec": {"templates": [{"name": "a"}]}}, {}, "EntrypointMissing"),
            (TEMPLATE, {}, "ParameterMissing"),
            (TEMPLATE, {"day": "mon", "x": "y"}, "ParameterUnknown"),
            ({**TEMPLATE, INCOMPLETE: Incompleteness("TooDeep", "spec.x is too deep")}, {}, "TooDeep"),
        ],
    )
    def test_an_error_in_a_template_heals(self, template: Any, given: dict[str, str], reason: str) -> None:
        run = self.run(parameters=[{"name": name, "value": value} for name, value in given.items()])
        refusal = refused(run, {self.REF: template})
        assert (refusal.reason, refusal.heals) == (reason, True)

    def test_a_manifest_may_name_one_too(self) -> None:
        spec = {"workflowTemplateRef": {"name": "etl"}, "arguments": {"parameters": [{"name": "day", "value": "tue"}]}}
        run = run_of({"manifest": manifest(spec)})
        assert needs(run) == {self.REF}
        whole = {"parameters": [{"name": "day", "value": "tue"}, {"name": "n", "value": "1"}]}
        assert built(run, {self.REF: self.TEMPLATE})["spec"] == spec | {"arguments": whole}
        assert "spec.workflowTemplateRef.name" in refused(run, {self.REF: None}).message

    def test_its_service_account_is_checked_and_not_overridden_by_the_default(self) -> None:
        template = {"spec": SPEC | {"serviceAccountName": "etl"}}
        options = BuildOptions(default_service_account="pipelines")
        assert needs(self.run(), {self.REF: template}, options) == {account("etl")}
        workflow = built(self.run(), {self.REF: template, account("etl"): {}}, options)
        assert "serviceAccountName" not in workflow["spec"]


class TestServiceAccount:
    KFP: ClassVar[dict[str, Any]] = {"annotations": {"pipelines.kubeflow.org/kfp_sdk_version": "1.8.22"}}

    @pytest.mark.parametrize(
        ("own", "manifests", "default", "expected"),
        [
            ("mine", "theirs", "installation", "mine"),
            (None, "theirs", "installation", "theirs"),
            (None, None, "installation", "installation"),
            (None, None, "", None),
            (None, "pipeline-runner", "installation", "pipeline-runner"),
        ],
    )
    def test_the_service_account_is_the_runs_or_the_manifests_or_the_default(
        self, own: str | None, manifests: str | None, default: str, expected: str | None
    ) -> None:
        spec = SPEC | ({"serviceAccountName": manifests} if manifests else {})
        run, options = run_of({"spec": spec}, serviceAccountName=own), BuildOptions(default)
        refs = {account(expected): {}} if expected else {}
        if expected:
            assert needs(run, {}, options) == {account(expected)}
        assert built(run, refs, options)["spec"].get("serviceAccountName") == expected

    def test_kfps_service_account_is_replaced_by_the_default(self) -> None:
        run = run_of({"manifest": manifest(SPEC | {"serviceAccountName": "pipeline-runner"}, **self.KFP)})
        assert built(run, {account("x"): {}}, BuildOptions("x"))["spec"]["serviceAccountName"] == "x"
        assert needs(run) == {account("pipeline-runner")}

    def test_a_missing_service_account_is_refused(self) -> None:
        refusal = refused(run_of({"spec": SPEC}, serviceAccountName="x"), {account("x"): None})
        assert (refusal.reason, refusal.heals) == ("ServiceAccountNotFound", True)
        assert 'spec.serviceAccountName: there is no ServiceAccount "x" in namespace "team"' in refusal.message

    def test_default_and_variables_are_not_checked(self) -> None:
        assert built(run_of({"spec": SPEC}, serviceAccountName="default"))["spec"]["serviceAccountName"] == "default"
        built(run_of({"spec": SPEC | {"serviceAccountName": "{{workflow.parameters.sa}}"}}))

    def test_the_objects_that_the_run_names_are_read_together(self) -> None:
        run = run_of({"templateRef": {"name": "etl"}}, serviceAccountName="x")
        assert needs(run) == {ObjectRef("WorkflowTemplate", "etl", "team"), account("x")}


class TestKfp:
    TEXT = manifest(
        SPEC | {"arguments": {"parameters": [{"name": "out", "value": "[[CurrentTime]]-[[RunUUID]]"}]}},
        generateName="p-",
        annotations={"pipelines.kubeflow.org/kfp_sdk_version": "1.8.22"},
    )

    def test_a_kfp_workflow_gets_the_fields_of_kfps_server(self) -> None:
        workflow = built(run_of({"manifest": self.TEXT}, displayName="My run"))
        assert workflow["metadata"]["labels"] == {RUN_LABEL: "train", "pipeline/runid": "0-1-2"}
        assert workflow["metadata"]["annotations"]["pipelines.kubeflow.org/run_name"] == "My run"
        assert workflow["spec"]["arguments"]["parameters"] == [{"name": "out", "value": "20261124100000-0-1-2"}]

    def test_given_values_may_hold_macros_too(self) -> None:
        run = run_of({"manifest": self.TEXT}, parameters=[{"name": "out", "value": "[[CurrentTime.2006]]"}])
        assert built(run)["spec"]["arguments"]["parameters"] == [{"name": "out", "value": "2026"}]

    def test_another_workflow_is_not_changed(self) -> None:
        spec = SPEC | {"arguments": {"parameters": [{"name": "out", "value": "[[RunUUID]]"}]}}
        assert built(run_of({"manifest": manifest(spec)}))["spec"] == spec

    @pytest.mark.parametrize("created", ["", "yesterday", "0001-01-01T00:00:00+14:00", None])
    def test_without_a_time_of_creation_the_macros_of_time_stay(self, created: Any) -> None:
        workflow = built(run_of({"manifest": self.TEXT}, {"creationTimestamp": created}))
        assert workflow["spec"]["arguments"]["parameters"][0]["value"] == "[[CurrentTime]]-0-1-2"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
odd = json_values | st.sampled_from(
    ["main", "etl", "pipeline-runner", {"name": "a"}, [{"name": "a"}], {"parameters": [{"name": "a"}]}]
)


def with_odd(base: dict[str, Any], *keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """`base` with some of `keys` holding anything at all."""
    return st.dictionaries(st.sampled_from(keys), odd, max_size=2).map(lambda more: base | more)


templates = st.lists(with_odd({"name": "main"}, "name", "metadata", "outputs", "inputs") | odd, max_size=2)
specs = st.builds(
    lambda spec, some: spec | ({"templates": some} if some is not None else {}),
    with_odd(
        SPEC,
        "entrypoint",
        "templates",
        "arguments",
        "serviceAccountName",
        "workflowTemplateRef",
        "podMetadata",
        "workflowMetadata",
    ),
    st.none() | templates,
)
kfp_metadata = {"annotations": {"pipelines.kubeflow.org/x": ""}}
workflows = st.builds(
    lambda workflow, spec, metadata: workflow | {"spec": spec, "metadata": metadata},
    with_odd({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}, "apiVersion", "kind", "status"),
    specs | specs | odd,
    with_odd(kfp_metadata, "labels", "annotations", "name") | odd,
)
texts = (
    workflows.map(json.dumps)
    | workflows.map(json.dumps)
    | odd.map(json.dumps)
    | st.text(alphabet=" \n-:?[]{}&*!|>'\"#%@`,akind01.<~\t")
)
sources = st.one_of(
    st.fixed_dictionaries({"manifest": texts.filter(bool)}),
    st.fixed_dictionaries({"spec": specs}),
    st.just({"templateRef": {"name": "etl"}}),
    st.just({"manifestFrom": {"configMapKeyRef": {"name": "etl", "key": "k"}}}),
)
objects_found = (
    st.none()
    | with_odd({}, "spec", "data", "metadata")
    | specs.map(lambda spec: {"spec": spec})
    | texts.map(lambda text: {"data": {"k": text}})
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    source=sources,
    metadata=with_odd({}, "name", "namespace", "uid", "creationTimestamp", "labels", "annotations"),
    parameters=st.lists(
        st.builds(lambda name, value: {"name": name or "a", "value": value}, st.text(max_size=4), st.text(max_size=4)),
        max_size=2,
    ),
    service_account=st.none() | st.sampled_from(["default", "x", "../x", ""]),
    found=objects_found,
    options=st.sampled_from([BuildOptions(), BuildOptions("x"), BuildOptions("A b")]),
)
def test_any_input_ends_in_a_workflow_or_a_refusal_within_three_rounds(
    source: dict[str, Any],
    metadata: dict[str, Any],
    parameters: Any,
    service_account: str | None,
    found: Any,
    options: BuildOptions,
) -> None:
    run = run_of(source, metadata, parameters=parameters, serviceAccountName=service_account)
    objects: dict[ObjectRef, Any] = {}
    for _ in range(4):
        outcome = build_workflow(run, objects, options)
        if not isinstance(outcome, Needs):
            break
        assert outcome.objects
        assert not set(outcome.objects) & set(objects)
        objects |= dict.fromkeys(outcome.objects, found)
    assert not isinstance(outcome, Needs)
    event(outcome.reason if isinstance(outcome, Refusal) else "Built")
    assert build_workflow(run, objects, options) == outcome
    if isinstance(outcome, Built):
        json.dumps(outcome.workflow, allow_nan=False)
        assert outcome.workflow["metadata"]["labels"][RUN_LABEL] == (
            metadata.get("name", "train") if isinstance(metadata.get("name", ""), str) else ""
        )
    else:
        assert outcome.reason.isalpha() and outcome.message
