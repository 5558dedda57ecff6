from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright.kube.kubeconfig import ConfigError, read_context

PEM = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(PEM.encode()).decode()


def config(
    user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, name: str = "here", **context: Any
) -> dict[str, Any]:
    """A kubeconfig with one context."""
    return {
        "current-context": name,
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": {} if user is None else user}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u", **context}}],
    }


def write(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def test_certificates_in_the_file_are_fixed_credentials(tmp_path: Path) -> None:
    user = {"client-certificate-data": DATA, "client-key-data": DATA}
    cluster = {"certificate-authority-data": DATA, "tls-server-name": "kubernetes", "proxy-url": "http://proxy:3128"}
    found = read_context(write(tmp_path / "config", config(user, cluster, namespace="team")), None)
    assert (found.server, found.namespace, found.fixed) == ("https://10.0.0.1:6443", "team", True)
    assert (found.certificate_data, found.key_data, found.ca_data) == (PEM, PEM, PEM)
    assert (found.server_name, found.proxy, found.insecure) == ("kubernetes", "http://proxy:3128", False)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    user = {"client-certificate": "me.crt", "client-key": "/keys/me.key"}
    cluster = {"certificate-authority": "ca.crt", "insecure-skip-tls-verify": True}
    found = read_context(write(tmp_path / "config", config(user, cluster)), None)
    assert (found.certificate_file, found.key_file) == (str(tmp_path / "me.crt"), "/keys/me.key")
    assert (found.ca_file, found.insecure, found.namespace) == (str(tmp_path / "ca.crt"), True, "default")


def test_data_wins_over_a_path_as_kubectl_has_it(tmp_path: Path) -> None:
    user = {"client-certificate": "me.crt", "client-certificate-data": DATA, "client-key": "k", "client-key-data": DATA}
    cluster = {"certificate-authority": "ca.crt", "certificate-authority-data": DATA}
    found = read_context(write(tmp_path / "config", config(user, cluster)), None)
    assert (found.certificate_file, found.key_file, found.ca_file) == ("", "", "")


@pytest.mark.parametrize(
    ("user", "fixed"),
    [
        ({}, True),
        ({"token": "secret"}, True),
        ({"tokenFile": "/token"}, False),
        ({"exec": {"command": "aws"}}, False),
        ({"auth-provider": {"name": "oidc"}}, False),
        ({"username": "me", "password": "secret"}, False),
        ({"token": "secret", "as": "somebody"}, False),
    ],
)
def test_only_a_certificate_or_a_token_is_fixed(tmp_path: Path, user: dict[str, Any], fixed: bool) -> None:
    assert read_context(write(tmp_path / "config", config(user)), None).fixed is fixed


def test_several_files_are_merged_and_the_first_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "one" / "config", config({"client-certificate": "a.crt"}, name="one"))
    second = write(tmp_path / "two" / "config", config({"client-certificate": "b.crt"}, name="two", namespace="later"))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([first, str(tmp_path / "missing"), second, ""]))
    assert read_context(None, None).certificate_file == str(tmp_path / "one" / "a.crt")
    # The second context is known, and its user is the first file's: names are global.
    other = read_context(None, "two")
    assert (other.namespace, other.certificate_file) == ("later", str(tmp_path / "one" / "a.crt"))


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        ({}, None, "no kubeconfig with a context"),
        (config(), "elsewhere", "context 'elsewhere' does not exist"),
        ({**config(), "clusters": []}, None, "names cluster 'c', which does not exist"),
        ("a: [", None, "cannot be read as a kubeconfig"),
        (config({"client-key-data": "###"}), None, "client-key-data: expected a certificate or key in PEM"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_it(
    tmp_path: Path, content: Any, context: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_context(write(tmp_path / "config", content), context)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no kubeconfig"):
        read_context(str(tmp_path / "missing"), None)


def test_odd_entries_are_passed_over(tmp_path: Path) -> None:
    content = {**config(), "users": ["odd", {"name": "u"}]}
    assert read_context(write(tmp_path / "config", content), None).fixed
