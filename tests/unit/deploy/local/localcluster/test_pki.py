"""Names in the certificates."""

from __future__ import annotations

from localcluster import pki
from localcluster.subnets import Addresses


def test_the_api_servers_certificate_has_the_names_of_its_service() -> None:
    server = next(i for i in pki.identities("one", "node", Addresses(201)) if i.file == "apiserver")
    assert "IP:10.201.0.1" in pki.extensions(server)
    assert "DNS:kubernetes.default.svc" in pki.extensions(server)
    kubelet = next(i for i in pki.identities("one", "node", Addresses(201)) if i.file == "kubelet")
    assert pki.subject(kubelet) == "/O=system:nodes/CN=system:node:node"
