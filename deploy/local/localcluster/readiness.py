"""Readiness of a cluster: from objects in the API server, and from replies of DNS and S3."""

import http.client
import secrets
import socket
import struct
from collections.abc import Mapping
from typing import Any

from .addons import ARGO_NAMESPACE, CONTROLLER_DEPLOYMENT


def unready(listing: Mapping[str, Any], deployments: set[tuple[str, str]], with_node: bool = True) -> list[str]:
    """Parts that are not ready in a `kubectl get nodes,deployments` listing: the node and `deployments` (namespace, name)."""
    waiting: list[str] = []
    nodes = [item for item in listing["items"] if item["kind"] == "Node"]
    if with_node and not any(_condition(node, "Ready") for node in nodes):
        waiting.append("node not Ready")
    found = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        for item in listing["items"]
        if item["kind"] == "Deployment"
    }
    for where, name in sorted(deployments):
        item = found.get((where, name))
        if item is None:
            waiting.append(f"deployment {where}/{name} absent")
        elif item["spec"].get("replicas", 1) == 0:
            waiting.append(f"deployment {where}/{name} is stopped")
        elif not is_available(item):
            waiting.append(f"deployment {where}/{name} not available")
    return waiting


def _condition(item: Mapping[str, Any], kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in item.get("status", {}).get("conditions", []))


def is_available(deployment: Mapping[str, Any]) -> bool:
    """True if all wanted pods of the newest template are ready."""
    status, meta = deployment.get("status", {}), deployment["metadata"]
    current = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    wanted = deployment["spec"].get("replicas", 1)
    return current and status.get("readyReplicas", 0) >= wanted and status.get("updatedReplicas", 0) >= wanted


def wanted_deployments(with_dns: bool) -> set[tuple[str, str]]:
    """The deployments this tool installs."""
    base = {(ARGO_NAMESPACE, CONTROLLER_DEPLOYMENT), (ARGO_NAMESPACE, "s3")}
    return base | ({("kube-system", "kube-dns")} if with_dns else set())


def dns_question(name: str, identity: int) -> bytes:
    """A DNS query for the A record of `name` (RFC 1035, section 4)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split("."))
    return struct.pack(">HHHHHH", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def dns_answers(server: str, name: str, timeout: float = 1.0) -> bool:
    """True if the DNS server returns an address for `name`."""
    identity = secrets.randbelow(1 << 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.sendto(dns_question(name, identity), (server, 53))
            reply = client.recv(512)
        except OSError:
            return False
    if len(reply) < 12:
        return False
    got, flags, _, answers = struct.unpack(">HHHH", reply[:8])
    return got == identity and flags & 0x000F == 0 and answers > 0


def http_ok(host: str, port: int, path: str, timeout: float = 1.0) -> bool:
    """True if a GET request returns status 200."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
