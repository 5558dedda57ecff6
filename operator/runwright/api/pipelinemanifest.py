"""`PipelineManifest` (`runwright.dev/v1alpha1`): a manifest that many runs share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from runwright.api.model import Model
from runwright.api.resources import API_VERSION, PIPELINE_MANIFESTS

KIND = "PipelineManifest"
PLURAL = PIPELINE_MANIFESTS.plural

MAX_SHARED_MANIFEST = 1_048_576
"""Characters of `manifest`: as many as a ConfigMap holds. etcd refuses requests over 1.5 MB."""


class PipelineManifest(Model):
    """A PipelineManifest contains a manifest that many runs share."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    manifest: Annotated[str, Field(min_length=1, max_length=MAX_SHARED_MANIFEST)] = Field(
        description="One Argo Workflow as YAML or JSON text, as in `spec.workflow.manifest` of a PipelineRun. Cannot change."
    )


def manifest_name(digest: str) -> str:
    """The name under which the run service stores a manifest with this digest (`sha256:…`)."""
    return digest.replace(":", "-")


def digest_label(digest: str) -> str:
    """A digest as the value of MANIFEST_LABEL, which may have 63 characters: its first half."""
    return digest.removeprefix("sha256:")[:32]
