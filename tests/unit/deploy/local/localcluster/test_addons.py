"""Configuration of Argo and the documents that are applied."""

from __future__ import annotations

import json

from localcluster import addons


def test_argos_default_repository_is_the_s3_server_without_a_secret() -> None:
    config = {name: json.loads(text) for name, text in addons.argo_config("10.201.0.20:9000").items()}
    s3 = config["artifactRepository"]["s3"]
    assert (s3["endpoint"], s3["bucket"]) == ("10.201.0.20:9000", addons.S3_BUCKET)
    assert "accessKeySecret" not in s3
    assert {entry["name"] for entry in config["executor"]["env"]} == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_a_changed_configuration_changes_the_controllers_pod() -> None:
    def deployment(endpoint: str) -> str:
        return addons.argo_overlay("base", addons.ArgoImages(), endpoint)["patches"][0]["patch"]

    assert deployment("10.201.0.20:9000") == deployment("10.201.0.20:9000")
    assert deployment("10.201.0.20:9000") != deployment("10.202.0.20:9000")


def test_a_stream_starts_with_a_separator() -> None:
    assert addons.as_stream([{"a": 1}, {"b": 2}]) == '---\n{"a": 1}\n---\n{"b": 2}\n'
