"""Names of Argo's images."""

from __future__ import annotations

from localcluster import argo


def test_argos_images_have_the_pinned_version() -> None:
    images = argo.images_of("        image: registry.example/argoproj/workflow-controller:latest\n")
    assert images.controller == "registry.example/argoproj/workflow-controller:v3.7.3"
    assert images.executor == "registry.example/argoproj/argoexec:v3.7.3"
