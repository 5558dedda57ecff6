"""How a command ends, and the keys and errors of its runs."""

from __future__ import annotations

import os
import ssl
from typing import Any

import pytest

from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kubectl import session
from runwright.kubectl.session import CommandError, Exit, Session, run_command, without_system_authorities
from tests.unit.fake.client import FakeClient


async def fail_with(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Exit(3), 3),
        (KeyboardInterrupt(), 130),
        (ApiError(404, "NotFound", "no\nsuch"), "runwright: 404 NotFound: no such"),
        (ApiError(0, "Unreachable", "no reply"), "runwright: Unreachable: no reply"),
        (CommandError("a.yaml: it is\nempty"), "runwright: a.yaml: it is empty"),
        (OSError("disk"), "runwright: OSError: disk"),
    ],
)
def test_an_error_ends_the_process_with_its_code_or_one_line(
    error: BaseException, code: int | str, monkeypatch: pytest.MonkeyPatch
):
    def run(command: Any) -> None:
        command.close()
        raise error

    monkeypatch.setattr(session, "run_interruptible", run)
    with pytest.raises(SystemExit) as ended:
        run_command(fail_with(error))
    assert ended.value.code == code


def test_a_run_is_named_with_or_without_its_namespace(here: Session):
    assert here.key("train") == Key("team", "train")
    assert here.key("other/train") == Key("other", "train")


async def test_a_run_that_does_not_exist_is_an_error_with_its_namespace(here: Session):
    with pytest.raises(ApiError, match='"train" not found in namespace team'):
        await here.read_run(Key("team", "train"))


async def test_a_cluster_without_the_crds_is_an_error_that_says_so(client: FakeClient, here: Session):
    client.fail("get pipelineruns", ApiError(404, "Unknown", "404 page not found"))
    with pytest.raises(ApiError, match="not served by this cluster: install the CRDs"):
        await here.read_run(Key("team", "train"))


def test_the_environment_is_restored_after_contexts_without_authorities(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/own.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with without_system_authorities():
        assert ssl.create_default_context().get_ca_certs() == []
    assert os.environ["SSL_CERT_FILE"] == "/etc/own.pem"
    assert "SSL_CERT_DIR" not in os.environ
