"""An artifact is located by the fields that Argo wrote into the Workflow, and by nothing else."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given

from runwright.artifacts.hosts import Endpoint
from runwright.artifacts.locate import Located, find_node_id, locate_artifact
from runwright.artifacts.packing import Packing
from runwright.artifacts.places import ArtifactError, GcsPlace, RawPlace, S3Place, SecretKey
from runwright.core.workflow.build import Needs, ObjectRef
from tests.unit.core.strategies import JSON

S3 = {"endpoint": "minio:9000", "bucket": "artifacts", "insecure": True, "region": "us-east-1", "useSDKCreds": True}
KEY = {"name": "model", "path": "/tmp/model", "s3": {"key": "train/model.tgz"}}
DEFAULT = ObjectRef("ConfigMap", "artifact-repositories", "team")


def workflow(*artifacts: dict[str, Any], repository: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    node = {"id": "train-1", "name": "train.fit", "displayName": "fit", "type": "Pod", "templateName": "fit"}
    nodes = {
        "train": {"id": "train", "name": "train", "displayName": "train", "type": "DAG", "outputs": {}},
        "train-1": {**node, "templateScope": "local/train", "outputs": {"artifacts": list(artifacts)}},
    }
    ref = {} if repository is None else {"artifactRepositoryRef": {"default": True, "artifactRepository": repository}}
    return {
        "metadata": {"name": "train", "namespace": "team"},
        "spec": {"templates": [{"name": "fit"}]},
        "status": {"nodes": nodes, **ref, **status},
    }


def located(body: dict[str, Any], node: str = "train-1", name: str = "model", **objects: Any) -> Located:
    found = locate_artifact(body, node, name, {DEFAULT: objects.get("default")} if objects else {})
    assert isinstance(found, Located)
    return found


def refused(body: dict[str, Any], node: str = "train-1", name: str = "model", **objects: Any) -> tuple[str, str]:
    with pytest.raises(ArtifactError) as caught:
        locate_artifact(body, node, name, {DEFAULT: objects.get("default")} if objects else {})
    return caught.value.reason, caught.value.message


def test_a_key_without_a_bucket_is_located_in_the_repository():
    place = located(workflow(KEY, repository={"s3": S3})).place
    assert place == S3Place(Endpoint("minio", 9000, False), "artifacts", "train/model.tgz", "us-east-1", {})
    assert isinstance(place, S3Place) and place.own_identity and place.store == "minio:9000/artifacts"


def test_a_complete_location_is_used_unchanged():
    own = {"s3": {"endpoint": "s3.amazonaws.com", "bucket": "mine", "key": "k"}}
    place = located(workflow({"name": "model", **own}, repository={"s3": S3})).place
    assert place == S3Place(Endpoint("s3.amazonaws.com", 443, True), "mine", "k", "", {})


def test_an_incomplete_location_is_that_in_the_repository():
    """Argo 3.7: `Relocate` takes all but the key, another bucket of the artifact's included."""
    partial = {"name": "model", "s3": {"bucket": "mine", "key": "k"}}
    place = located(workflow(partial, repository={"s3": S3})).place
    assert isinstance(place, S3Place)
    assert (place.bucket, place.key) == ("artifacts", "k")


def test_the_repository_may_be_of_another_kind_than_the_key():
    assert located(workflow(KEY, repository={"gcs": {"bucket": "b"}, "s3": S3})).place == GcsPlace(
        "b", "train/model.tgz", {}
    )


def test_the_templates_archive_location_goes_before_the_repository():
    location = {"archiveLocation": {"s3": {**S3, "bucket": "theirs", "key": "any"}}}
    body = workflow(KEY, repository={"s3": S3})
    body["spec"]["templates"] = [{"name": "fit", **location}]
    assert getattr(located(body).place, "bucket", "") == "theirs"
    # One without a key is none, in Argo's eyes.
    body["spec"]["templates"] = [{"name": "fit", "archiveLocation": {"s3": {**S3, "bucket": "theirs"}}}]
    assert getattr(located(body).place, "bucket", "") == "artifacts"


@pytest.mark.parametrize(
    ("node", "stored"),
    [
        ({"templateRef": {"name": "lib", "template": "fit"}}, {"namespaced/lib/fit": "theirs"}),
        ({"templateRef": {"name": "lib", "template": "fit", "clusterScope": True}}, {"cluster/lib/fit": "theirs"}),
        ({"templateName": "fit", "templateScope": "namespaced/lib"}, {"namespaced/lib/fit": "theirs"}),
    ],
)
def test_the_template_of_another_object(node: dict[str, Any], stored: dict[str, str]):
    templates = {
        name: {"name": "fit", "archiveLocation": {"s3": {**S3, "bucket": bucket, "key": "any"}}}
        for name, bucket in stored.items()
    }
    body = workflow(KEY, repository={"s3": S3}, storedTemplates=templates)
    body["status"]["nodes"]["train-1"] = {"outputs": {"artifacts": [KEY]}, **node}
    assert getattr(located(body).place, "bucket", "") == "theirs"


def test_the_template_of_the_workflow_template_that_the_workflow_was_made_from():
    spec = {"templates": [{"name": "fit", "archiveLocation": {"s3": {**S3, "bucket": "theirs", "key": "any"}}}]}
    body = workflow(KEY, repository={"s3": S3}, storedWorkflowTemplateSpec=spec)
    body["spec"] = {"workflowTemplateRef": {"name": "lib"}}
    assert getattr(located(body).place, "bucket", "") == "theirs"


def test_the_config_map_that_argo_would_read():
    assert locate_artifact(workflow(KEY), "train-1", "model", {}) == Needs((DEFAULT,))
    config = {
        "metadata": {"annotations": {"workflows.argoproj.io/default-artifact-repository": "mine"}},
        "data": {"mine": json.dumps({"s3": S3}), "other": "s3:\n  bucket: no\n"},
    }
    assert getattr(located(workflow(KEY), default=config).place, "bucket", "") == "artifacts"


def test_the_config_map_that_the_workflow_names():
    body = workflow(KEY)
    body["spec"]["artifactRepositoryRef"] = {"configMap": "repos", "key": "b"}
    ref = ObjectRef("ConfigMap", "repos", "team")
    assert locate_artifact(body, "train-1", "model", {}) == Needs((ref,))
    config = {"data": {"b": "s3:\n  bucket: artifacts\n  endpoint: minio:9000\n"}}
    found = locate_artifact(body, "train-1", "model", {ref: config})
    assert isinstance(found, Located) and getattr(found.place, "bucket", "") == "artifacts"


def test_the_config_map_that_argo_found():
    """What Argo before 3.1 recorded: the reference alone."""
    found = {"configMap": "artifact-repositories", "key": "a", "namespace": "argo"}
    body = workflow(KEY, artifactRepositoryRef=found)
    assert locate_artifact(body, "train-1", "model", {}) == Needs(
        (ObjectRef("ConfigMap", "artifact-repositories", "argo"),)
    )


ANNOTATED = {"metadata": {"annotations": {"workflows.argoproj.io/default-artifact-repository": "a"}}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, 'ConfigMap "artifact-repositories" in namespace "team", which would name the bucket, does not exist'),
        ({}, "expected the annotation workflows.argoproj.io/default-artifact-repository"),
        ({**ANNOTATED, "data": {"b": "secret"}}, 'data["a"]: expected an artifact repository, found no such key'),
        ({**ANNOTATED, "data": {"a": "{secret"}}, 'data["a"]: expected YAML'),
        (
            {**ANNOTATED, "data": {"a": "[secret]"}},
            "expected one of artifactory, azure, gcs, hdfs, oss, s3, found none",
        ),
        ({**ANNOTATED, "data": {"a": ""}}, "expected one of"),
        ({**ANNOTATED, "data": {"a": "s3: {bucket: b}"}}, 'data["a"]: s3.endpoint: expected HOST or HOST:PORT'),
    ],
)
def test_a_config_map_without_the_repository_is_refused(config: dict[str, Any] | None, message: str):
    reason, said = refused(workflow(KEY), default=config)
    assert reason == "Unsupported"
    assert message in said
    assert "secret" not in said


def test_a_workflow_without_a_repository_is_refused():
    reason, said = refused(workflow(KEY, artifactRepositoryRef={"default": True}))
    assert (reason, said) == (
        "Unsupported",
        "Argo recorded only a key, and has no artifact repository for this Workflow",
    )


@pytest.mark.parametrize("name", ["../secrets/x", "..", "a/b", "A", "a" * 254])
def test_a_config_map_is_never_a_path(name: str):
    for ref in ({"configMap": name}, {"configMap": "a", "namespace": name}):
        assert refused(workflow(KEY, artifactRepositoryRef=ref))[0] == "Unsupported"


def test_raw_is_in_the_workflow():
    assert located(workflow({"name": "model", "raw": {"data": "hello"}})).place == RawPlace("hello")


@pytest.mark.parametrize("kind", ["git", "http", "hdfs", "oss", "artifactory"])
def test_an_unsupported_kind_is_refused(kind: str):
    fields = {"repo": "r", "url": "u", "addresses": ["a"], "endpoint": "e", "bucket": "b", "key": "k", "path": "p"}
    reason, said = refused(workflow({"name": "model", kind: fields}))
    assert reason == "Unsupported"
    assert f"artifacts in {kind} are not supported" in said


def test_an_artifact_is_located_with_its_packing():
    assert located(workflow(KEY, repository={"s3": S3})).packing == Packing.UNSAID
    assert located(workflow({**KEY, "archive": {"none": {}}}, repository={"s3": S3})).packing == Packing.NONE


# ------------------------------------------------------------------------------------------------- what is not there
def test_no_such_node():
    reason, said = refused(workflow(KEY), node="nope")
    assert (reason, said) == ("NodeNotFound", 'the run has no node "nope"; it has "train-1 (fit)", "train"')


def test_no_such_artifact():
    """The message tells what the node has, and who has what was asked for."""
    reason, said = refused(workflow(KEY, {**KEY, "name": "loss"}), name="nope")
    assert (reason, said) == ("ArtifactNotFound", 'the node has no output artifact "nope"; it has "model", "loss"')
    assert refused(workflow(KEY), node="train")[1].endswith('it has none; "model" is an artifact of "train-1 (fit)"')


def test_a_deleted_artifact_is_refused():
    assert refused(workflow({**KEY, "deleted": True}, repository={"s3": S3}))[0] == "ArtifactCollected"


def test_an_artifact_that_was_not_saved_is_refused():
    assert refused(workflow({"name": "model", "path": "/tmp/model"}, repository={"s3": S3}))[0] == "ArtifactNotFound"


def test_nodes_in_argos_database():
    body = workflow(KEY)
    body["status"] = {"nodes": {}, "offloadNodeStatusVersion": "fnv:1"}
    assert refused(body)[0] == "Unsupported"


def test_nodes_that_argo_has_compressed():
    body = workflow(KEY, repository={"s3": S3})
    packed = base64.b64encode(gzip.compress(json.dumps(body["status"].pop("nodes")).encode())).decode()
    body["status"]["compressedNodes"] = packed
    assert getattr(located(body).place, "key", "") == "train/model.tgz"


def test_the_last_attempt_that_has_it():
    body = workflow(KEY, repository={"s3": S3})
    attempts = {
        f"train-{at}": {"id": f"train-{at}", "outputs": {"artifacts": [{"name": "model", "s3": {"key": f"k{at}"}}]}}
        for at in (2, 3)
    }
    attempts["train-4"] = {"id": "train-4", "phase": "Failed"}
    retry = {"id": "train-9", "type": "Retry", "children": list(attempts)}
    body["status"]["nodes"] |= {**attempts, "train-9": retry}
    assert getattr(located(body, node="train-9").place, "key", "") == "k3"
    retry["outputs"] = {"artifacts": [{"name": "model", "s3": {"key": "its own"}}]}
    assert getattr(located(body, node="train-9").place, "key", "") == "its own"


def test_the_workflows_own_outputs_are_those_of_its_root():
    body = workflow(repository={"s3": S3}, outputs={"artifacts": [{"name": "global", "s3": {"key": "g"}}]})
    assert getattr(located(body, node="train", name="global").place, "key", "") == "g"


@given(JSON, JSON)
def test_any_workflow_is_reset_or_refused(anything: Any, artifact: Any):
    for body in (
        {"metadata": {"name": "train", "namespace": "team"}, "status": anything, "spec": anything},
        workflow({"name": "model", "s3": anything}, repository={"s3": artifact}),
        workflow({"name": "model", "azure": artifact, "archive": anything}),
        workflow(KEY, artifactRepositoryRef=anything),
        workflow(KEY, repository={"s3": anything}, storedTemplates=artifact),
    ):
        try:
            locate_artifact(body, "train-1", "model", {DEFAULT: {"data": {"a": json.dumps(anything)}, **ANNOTATED}})
        except ArtifactError as error:
            assert error.message


# ------------------------------------------------------------------------------------------------------- what people say
def test_a_node_is_found_by_id_name_or_pod():
    body = workflow(KEY)
    body["status"]["nodes"]["train-2"] = {"name": "train.fit(0)", "displayName": "fit(0)"}
    assert find_node_id(body, "train-1") == "train-1"
    assert find_node_id(body, "fit") == "train-1"
    assert find_node_id(body, "train.fit") == "train-1"
    assert find_node_id(body, "train-some-template-2") == "train-2"
    assert find_node_id(body, "train.fit(0)") == "train-2"


def test_an_ambiguous_node_name_is_refused():
    body = workflow(KEY)
    body["status"]["nodes"]["train-2"] = {"name": "train.b.fit", "displayName": "fit"}
    with pytest.raises(ArtifactError, match='2 nodes have the name "fit"; use the id of one: train-1, train-2'):
        find_node_id(body, "fit")


def test_an_unknown_node_is_refused():
    for wanted in ("nope", "train-x-3", ""):
        with pytest.raises(ArtifactError, match=f'the run has no node "{wanted}"'):
            find_node_id(workflow(KEY), wanted)


def test_secrets_of_the_repository():
    repository = {
        "s3": {**S3, "accessKeySecret": {"name": "s", "key": "a"}, "secretKeySecret": {"name": "s", "key": "b"}}
    }
    place = located(workflow(KEY, repository=repository)).place
    assert isinstance(place, S3Place)
    assert place.secrets == {"accessKeySecret": SecretKey("s", "a"), "secretKeySecret": SecretKey("s", "b")}
    assert not place.own_identity
