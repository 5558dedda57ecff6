"""What is read from the machine and the API server, and what the components are told."""

import json
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from localcluster import addons, argo, cgroups, components, host, kind_cluster, pki, processes, readiness
from localcluster.argo_install import controllers
from localcluster.components import Plan
from localcluster.layers import Process
from localcluster.paths import PROGRAMS, ClusterPaths
from localcluster.progress import seconds, still_line
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


def test_every_component_has_a_name_that_can_be_stopped() -> None:
    each = plan("one", 201)
    names = [c.name for c in (*components.before_api(each), *components.after_api(each))]
    assert tuple(names) == components.NAMES


def test_the_kubeconfig_is_whole_and_its_context_set() -> None:
    document = json.loads(components.kubeconfig(plan("one", 201), "admin", b"ca", b"crt", b"key"))
    assert document["current-context"] == "runwright-one"
    assert document["clusters"][0]["cluster"]["server"] == "https://10.201.255.2:6443"
    assert "certificate-authority-data" in document["clusters"][0]["cluster"]


def test_the_api_servers_certificate_names_the_service_pods_reach_it_by() -> None:
    server = next(i for i in pki.identities("one", "node", Addresses(201)) if i.file == "apiserver")
    assert "IP:10.201.0.1" in pki.extensions(server)
    assert "DNS:kubernetes.default.svc" in pki.extensions(server)
    kubelet = next(i for i in pki.identities("one", "node", Addresses(201)) if i.file == "kubelet")
    assert pki.subject(kubelet) == "/O=system:nodes/CN=system:node:node"


V1 = "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n"


def test_processes_join_v1_hierarchies_but_are_sought_in_all() -> None:
    found = cgroups.parse_mounts(V1)
    assert found == [(Path("/sys/fs/cgroup/pids"), False), (Path("/sys/fs/cgroup/unified"), True)]
    assert cgroups.with_controllers(found) == [(Path("/sys/fs/cgroup/pids"), False)]


def test_a_machine_with_v2_alone_uses_it() -> None:
    found = cgroups.parse_mounts("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    assert cgroups.with_controllers(found) == [(Path("/sys/fs/cgroup"), True)]


def test_a_process_is_told_from_a_later_one_and_from_a_zombie() -> None:
    stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0"
    assert processes.started_at(stat) == "12345"
    assert processes.started_at(stat.replace(") S", ") Z")) is None


def _deployment(namespace: str, name: str, **change: Any) -> dict[str, Any]:
    status = {"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 1, **change.get("status", {})}
    metadata = {"namespace": namespace, "name": name, "generation": 2}
    return {
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": change.get("replicas", 1)},
        "status": status,
    }


NODE = {"kind": "Node", "metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
WANTED = {("argo", "s3")}


def test_ready_is_a_ready_node_and_available_deployments() -> None:
    assert readiness.unready({"items": [NODE, _deployment("argo", "s3")]}, WANTED) == []


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([_deployment("argo", "s3")], "node not Ready"),
        ([NODE], "deployment argo/s3 absent"),
        ([NODE, _deployment("argo", "s3", replicas=0)], "deployment argo/s3 is stopped"),
        ([NODE, _deployment("argo", "s3", status={"readyReplicas": 0})], "deployment argo/s3 not available"),
        ([NODE, _deployment("argo", "s3", status={"observedGeneration": 1})], "deployment argo/s3 not available"),
        ([NODE, _deployment("argo", "s3", status={"updatedReplicas": 0})], "deployment argo/s3 not available"),
    ],
)
def test_what_is_not_ready_is_named(items: list[dict[str, Any]], reason: str) -> None:
    assert readiness.unready({"items": items}, WANTED) == [reason]


def test_a_dns_question_is_laid_out_as_rfc_1035_says() -> None:
    question = readiness.dns_question("s3.argo.", 7)
    assert question[:12] == struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    assert question[12:] == b"\x02s3\x04argo\x00\x00\x01\x00\x01"


def test_missing_packages_are_those_whose_program_is_not_there() -> None:
    present = {"containerd", "runc", "/usr/lib/cni/bridge"}
    missing = host.missing_packages(host.PACKAGES, lambda proof: proof in present)
    assert set(missing) == set(host.PACKAGES) - {"containerd", "runc", "containernetworking-plugins"}


def test_argos_images_keep_their_names_and_get_the_pinned_version() -> None:
    images = argo.images_of("        image: registry.example/argoproj/workflow-controller:latest\n")
    assert images.controller == "registry.example/argoproj/workflow-controller:v3.7.3"
    assert images.executor == "registry.example/argoproj/argoexec:v3.7.3"


def test_argo_is_configured_with_the_s3_server_for_every_namespace() -> None:
    config = {name: json.loads(text) for name, text in addons.argo_config("10.201.0.20:9000").items()}
    s3 = config["artifactRepository"]["s3"]
    assert (s3["endpoint"], s3["bucket"]) == ("10.201.0.20:9000", addons.S3_BUCKET)
    assert "accessKeySecret" not in s3
    assert {entry["name"] for entry in config["executor"]["env"]} == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_a_changed_configuration_makes_a_new_controller_pod() -> None:
    def deployment(endpoint: str) -> str:
        return addons.argo_overlay("base", addons.ArgoImages(), endpoint)["patches"][0]["patch"]

    assert deployment("10.201.0.20:9000") == deployment("10.201.0.20:9000")
    assert deployment("10.201.0.20:9000") != deployment("10.202.0.20:9000")


def test_documents_before_yaml_are_a_yaml_stream() -> None:
    assert addons.as_stream([{"a": 1}, {"b": 2}]) == '---\n{"a": 1}\n---\n{"b": 2}\n'


def test_an_argo_controller_is_known_by_its_image() -> None:
    item = _deployment("workflows", "ctl")
    item["spec"]["template"] = {"spec": {"containers": [{"image": "x/workflow-controller:v3"}, {"image": "sidecar"}]}}
    assert controllers({"items": [item]}) == [("workflows", "x/workflow-controller:v3")]


def test_a_dockerfile_for_kind_starts_as_the_image_of_the_mirror_does() -> None:
    text = kind_cluster.dockerfile(Process(entrypoint=("/argosay",), user="7"), "base", {"argosay": "/argosay"})
    assert text.splitlines() == [
        "FROM base",
        "COPY --chmod=755 argosay /argosay",
        "USER 7",
        'ENTRYPOINT ["/argosay"]',
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        ([], 0, "hello argo\n"),
        (["echo"], 0, "hello argo\n"),
        (["echo", "-n a"], 0, "-n a\n"),
        (["exit"], 0, ""),
        (["exit", "7"], 7, ""),
        (["sleep", "0.01s"], 0, ""),
        (["dance"], 1, ""),
    ],
)
def test_argosay(arguments: list[str], code: int, output: str) -> None:
    done = subprocess.run([PROGRAMS / "argosay", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, output)


def test_argosay_writes_reads_and_checks_files(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file"

    def say(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAMS / "argosay", *arguments], capture_output=True, text=True, check=False)

    assert say("echo", "a text", str(file)).returncode == 0
    assert say("cat", str(file)).stdout == "a text\n"
    assert say("assert_contains", str(file), "text").returncode == 0
    assert say("assert_contains", str(file), "no").returncode != 0


def test_times_as_a_person_reads_them() -> None:
    assert [seconds(value) for value in (0.42, 12.4, 185)] == ["0.4 s", "12 s", "3 min 05 s"]
    assert "12 s of about 60 s" in still_line("build", 12.4, 60)
    assert "longer than the usual 60 s" in still_line("build", 70, 60)


def test_home_of_the_default_cluster_is_the_checkouts_dot_cluster() -> None:
    paths = ClusterPaths("default", Path("/checkout"))
    assert paths.kubeconfig == Path("/checkout/.cluster/kubeconfig")
    assert replace(paths, name="t2").kubeconfig == Path("/checkout/.cluster/t2/kubeconfig")
