"""Commands, files and kubeconfig of the components."""

from __future__ import annotations

import json
from pathlib import Path

from localcluster import components
from localcluster.components import Plan
from localcluster.paths import ClusterPaths
from localcluster.subnets import Addresses

PROGRAM_NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "argo")


def plan(name: str, slot: int) -> Plan:
    return Plan(ClusterPaths(name), Addresses(slot), {n: Path("/cache") / n for n in PROGRAM_NAMES}, Path("/blobs"))


def test_two_clusters_share_no_path_and_no_address() -> None:
    one, two = plan("one", 201), plan("two", 202)
    words: list[set[str]] = []
    for each in (one, two):
        argv = [word for c in (*components.before_api(each), *components.after_api(each)) for word in c.argv]
        texts = [*argv, *components.files(each).values(), *map(str, components.files(each))]
        words.append(set("\n".join(texts).replace('"', " ").replace("=", " ").replace(",", " ").split()))
    own = {
        word
        for word in words[0] & words[1]
        if "/var/lib/runwright" in word or "/run/runwright" in word or "10.2" in word
    }
    assert own == set()


def test_the_components_have_the_names_of_the_command_line() -> None:
    each = plan("one", 201)
    names = [c.name for c in (*components.before_api(each), *components.after_api(each))]
    assert tuple(names) == components.NAMES


def test_the_kubeconfig_is_self_contained_and_has_a_context() -> None:
    document = json.loads(components.kubeconfig(plan("one", 201), "admin", b"ca", b"crt", b"key"))
    assert document["current-context"] == "runwright-one"
    assert document["clusters"][0]["cluster"]["server"] == "https://10.201.255.2:6443"
    assert "certificate-authority-data" in document["clusters"][0]["cluster"]
