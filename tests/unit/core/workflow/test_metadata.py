"""Labels and annotations that steer Runwright, Argo or a deployment tool never reach the run's Workflow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.labels import RUN_LABEL, SHARD_LABEL
from runwright.core.workflow.expect import Refused
from runwright.core.workflow.metadata import RESERVED, carried_metadata, drop_reserved, is_reserved
from runwright.core.workflow.record import ATTEMPT_ANNOTATION, RESTORED_ANNOTATION, SOURCE_ANNOTATION

OURS = (RUN_LABEL, SHARD_LABEL, ATTEMPT_ANNOTATION, RESTORED_ANNOTATION, SOURCE_ANNOTATION, "runwright.dev/anything")
OTHERS = (
    *sorted(RESERVED),
    "argocd.argoproj.io/instance",
    "argocd.argoproj.io/tracking-id",
    "meta.helm.sh/release-name",
    "kustomize.toolkit.fluxcd.io/name",
    "objectset.rio.cattle.io/hash",
    "kapp.k14s.io/app",
)
FREE = ("team", "app.kubernetes.io/name", "workflows.argoproj.io/title", "workflows.argoproj.io/controller-instanceid")


@pytest.mark.parametrize("key", OURS + OTHERS)
@pytest.mark.parametrize("part", ["labels", "annotations", "labelsFrom"])
def test_reserved_key_of_workflow_metadata_is_dropped(part: str, key: str) -> None:
    value = {"expression": "'x'"} if part == "labelsFrom" else "x"
    spec: dict[str, Any] = {"workflowMetadata": {part: {key: value, "team": value}}}
    drop_reserved(spec, None)
    assert spec == {"workflowMetadata": {part: {"team": value}}}
    assert carried_metadata({key: "x", "team": "y"}, "metadata.labels") == {"team": "y"}


@pytest.mark.parametrize("key", FREE)
def test_other_key_is_carried(key: str) -> None:
    assert not is_reserved(key)
    assert carried_metadata({key: "x"}, "metadata.labels") == {key: "x"}


@pytest.mark.parametrize("part", ["labels", "annotations"])
@pytest.mark.parametrize("key", OTHERS)
def test_reserved_key_of_the_template_gets_an_empty_value(part: str, key: str) -> None:
    """Argo merges both, and the Workflow's value wins."""
    template = {"workflowMetadata": {part: {key: "x", "team": "y"}}}
    spec: dict[str, Any] = {}
    drop_reserved(spec, template)
    assert spec == {"workflowMetadata": {part: {key: ""}}}
    spec = {"workflowMetadata": {part: {key: "mine", "a": "b"}}}
    drop_reserved(spec, template)
    assert spec == {"workflowMetadata": {part: {"a": "b", key: ""}}}


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("labels", RUN_LABEL),
        ("annotations", ATTEMPT_ANNOTATION),
        ("labelsFrom", RUN_LABEL),
        ("labelsFrom", "kapp.k14s.io/app"),
    ],
)
def test_template_that_cannot_be_overruled_is_refused(part: str, key: str) -> None:
    with pytest.raises(Refused) as refused:
        drop_reserved({}, {"workflowMetadata": {part: {key: "x"}}})
    assert (refused.value.refusal.reason, refused.value.refusal.heals) == ("MetadataInvalid", True)
    assert f'spec.workflowMetadata.{part}: "{key}" is reserved' in refused.value.refusal.message


@pytest.mark.parametrize("value", [1, [], "x"])
@pytest.mark.parametrize("part", ["labels", "annotations", "labelsFrom", ""])
def test_other_type_is_refused(part: str, value: Any) -> None:
    with pytest.raises(Refused, match="expected a mapping"):
        drop_reserved({"workflowMetadata": {part: value} if part else value}, None)


KEYS = st.sampled_from(OURS + OTHERS + FREE)
PARTS = st.dictionaries(st.sampled_from(["labels", "annotations", "labelsFrom"]), st.dictionaries(KEYS, st.just("x")))


@given(PARTS, PARTS)
def test_after_argos_merge_no_reserved_key_has_a_value(own: dict[str, Any], inherited: dict[str, Any]) -> None:
    spec: dict[str, Any] = {"workflowMetadata": own}
    try:
        drop_reserved(spec, {"workflowMetadata": inherited})
    except Refused:
        return
    for part in ("labels", "annotations", "labelsFrom"):
        merged = {**inherited.get(part, {}), **spec["workflowMetadata"].get(part, {})}
        assert not any(value for key, value in merged.items() if is_reserved(key))
