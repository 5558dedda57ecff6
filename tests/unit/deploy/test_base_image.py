"""The Dockerfile's base image is pinned by the digest that a registry's client reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from base_image import BASE, CLIENTS, DIGEST, DOCKERFILE, BaseImageError, ask_registry, pin_base

NEW, OLD = ("sha256:" + letter * 64 for letter in "ab")


@pytest.mark.parametrize("before", ["python:3.11-slim", f"python:3.11-slim@{OLD}", "registry.example:5000/python:3.11"])
def test_the_digest_is_written_behind_the_name(tmp_path: Path, before: str):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"# a comment\nARG BASE={before}\n\nFROM ${{BASE}} AS build\n")
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return NEW

    name = before.partition("@")[0]
    assert pin_base(dockerfile, ask) == f"{name}@{NEW}"
    assert asked == [name]
    assert dockerfile.read_text() == f"# a comment\nARG BASE={name}@{NEW}\n\nFROM ${{BASE}} AS build\n"


def test_a_dockerfile_without_a_base_is_refused(tmp_path: Path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(BaseImageError, match="expected a line ARG BASE="):
        pin_base(tmp_path / "Dockerfile", lambda _: NEW)


def test_both_stages_of_the_dockerfile_use_the_base_that_is_pinned():
    text = DOCKERFILE.read_text()
    (found,) = BASE.finditer(text)
    assert found["digest"] is None or DIGEST.fullmatch(found["digest"])
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]


def client(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("name", CLIENTS)
def test_the_registry_is_asked_by_an_installed_client(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    client(tmp_path, name, f'case "$*" in *python:3.11-slim*) echo {NEW};; esac')
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_registry("python:3.11-slim") == NEW


def test_a_missing_client_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BaseImageError, match="skopeo or docker is needed on PATH"):
        ask_registry("python:3.11-slim")


@pytest.mark.parametrize("script", ["echo no route to host >&2; exit 1", "echo latest", "true"])
def test_a_reply_without_a_digest_is_refused(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    client(tmp_path, "skopeo", script)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BaseImageError, match=r"skopeo gives no digest of python:3\.11-slim"):
        ask_registry("python:3.11-slim")
