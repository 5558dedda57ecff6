"""Bounds of a PipelineManifest, in the model and in the CRD, and names by digest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runwright.api.kinds import PIPELINE_MANIFEST
from runwright.api.pipelinemanifest import MAX_SHARED_MANIFEST, digest_label, manifest_name
from runwright.core.workflow.manifest import digest_of
from runwright.kube.names import is_object_name
from tests.unit.api.instances import SERVERS


@pytest.mark.parametrize(
    ("manifest", "valid"),
    [("a", True), ("", False), ("a" * MAX_SHARED_MANIFEST, True), ("a" * (MAX_SHARED_MANIFEST + 1), False), (1, False)],
)
def test_the_manifest_is_a_text_of_bounded_length(manifest: object, valid: bool):
    document: Any = {"manifest": manifest}
    assert SERVERS[PIPELINE_MANIFEST.name].is_valid(document) is valid
    if valid:
        PIPELINE_MANIFEST.model.model_validate(document)
    else:
        with pytest.raises(ValidationError):
            PIPELINE_MANIFEST.model.model_validate(document)


@given(st.text())
def test_a_digest_gives_the_name_of_an_object_and_the_value_of_a_label(manifest: str):
    digest = digest_of(manifest)
    assert is_object_name(manifest_name(digest)) and manifest_name(digest).startswith(f"sha256-{digest_label(digest)}")
    assert len(digest_label(digest)) == 32
