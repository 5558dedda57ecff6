"""Image references, and the image behind each."""

from __future__ import annotations

import pytest
from localcluster import catalogue


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("busybox", ("library/busybox", "latest")),
        ("alpine:3.6", ("library/alpine", "3.6")),
        ("argoproj/argosay:v2", ("argoproj/argosay", "v2")),
        ("registry.example/argoproj/argosay:v2", ("argoproj/argosay", "v2")),
        ("registry.example:5000/library/busybox", ("library/busybox", "latest")),
        ("localhost/runwright:dev", ("library/runwright", "dev")),
        ("runwright:dev-1", ("library/runwright", "dev-1")),
        ("busybox@sha256:" + "0" * 64, ("library/busybox", "sha256:" + "0" * 64)),
    ],
)
def test_a_reference_is_split_into_repository_and_tag(reference: str, expected: tuple[str, str]) -> None:
    assert catalogue.split_reference(reference) == expected


NAMES = {pattern: label for label, (_, patterns) in catalogue.STEP_IMAGES.items() for pattern in patterns}


@pytest.mark.parametrize(
    ("reference", "label"),
    [
        ("busybox", "shell"),
        ("alpine:3.7", "shell"),
        ("python:alpine3.6", "python"),
        ("python:3.11-slim", "python"),
        ("debian:9.4", "bash"),
        ("argoproj/argosay:v1", "cowsay"),
        ("argoproj/argosay:v2", "argosay"),
        ("docker/whalesay:latest", "bash"),
        ("golang:1.18", None),
        ("someone/busybox", None),
    ],
)
def test_public_names_resolve_to_images(reference: str, label: str | None) -> None:
    assert catalogue.resolve(NAMES, *catalogue.split_reference(reference)) == label


def test_argos_configuration_has_the_commands_of_images() -> None:
    commands = catalogue.argo_image_commands()
    assert commands["argoproj/argosay:v2"] == {"entrypoint": ["/argosay"]}
    assert commands["busybox"] == {"cmd": ["sh"]}
    assert commands["python:3.11-slim"] == {"cmd": ["python3"]}
