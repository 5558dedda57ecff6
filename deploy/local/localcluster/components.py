"""Command lines and configuration files of a cluster of real components. Pure functions."""

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import catalogue, mirror
from .cgroups import group_name
from .paths import LOCAL, ClusterPaths
from .processes import Component
from .subnets import Addresses

API_PORT = 6443
CLUSTER_DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Plan:
    """Inputs of the components: paths, addresses, programs and images."""

    paths: ClusterPaths
    addresses: Addresses
    programs: Mapping[str, Path]
    blobs: Path

    @property
    def node(self) -> str:
        return f"runwright-{self.paths.name}"

    @property
    def server(self) -> str:
        return f"https://{self.addresses.node}:{API_PORT}"


def kubeconfig(plan: Plan, user: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """A self-contained kubeconfig with its current context, as JSON (which is YAML)."""
    name = f"runwright-{plan.paths.name}"
    encode = lambda data: base64.b64encode(data).decode()  # noqa: E731
    cluster = {"server": plan.server, "certificate-authority-data": encode(authority)}
    credentials = {"client-certificate-data": encode(certificate), "client-key-data": encode(key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": f"{name}-{user}", "user": credentials}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-{user}", "namespace": "default"}}],
        "current-context": name,
    }
    return json.dumps(document, indent=2) + "\n"


def kubelet_config(plan: Plan) -> dict[str, Any]:
    """KubeletConfiguration that tolerates cgroup v1, swap, a shared disk and a fixed oom_score_adj."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "featureGates": {"KubeletInUserNamespace": True},
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": group_name(plan.paths.name),
        "failSwapOn": False,
        "resolvConf": "",
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "registryPullQPS": 0,
        "serializeImagePulls": False,
        "maxPods": 250,
        "podLogsDir": str(plan.paths.logs / "pods"),
        "clusterDNS": [plan.addresses.dns_service],
        "clusterDomain": CLUSTER_DOMAIN,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plan.paths.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{plan.paths.containerd_socket}",
        "shutdownGracePeriod": "0s",
    }


def proxy_config(plan: Plan) -> dict[str, Any]:
    """KubeProxyConfiguration: iptables, without changes of machine-wide conntrack limits."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": plan.node,
        "clusterCIDR": plan.addresses.pods,
        "clientConnection": {"kubeconfig": str(plan.paths.config / "proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
    }


def audit_policy() -> dict[str, Any]:
    """An audit policy that logs the metadata of every completed request. Benchmarks count API calls from this log."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]}, {"level": "Metadata"}],
    }


def cni_config(plan: Plan) -> dict[str, Any]:
    """A bridge for pods without masquerading: packets reach only this machine, which has a route back."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": plan.addresses.pods}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return {
        "cniVersion": "0.4.0",
        "name": "runwright",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def containerd_config(plan: Plan) -> str:
    """containerd's configuration (version 2, for 1.6 and later)."""
    state, run = plan.paths.state, plan.paths.run
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{state}/containerd"
state = "{run}/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{plan.paths.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[{cri}]
  sandbox_image = "{catalogue.PAUSE}"
  restrict_oom_score_adj = true
  max_concurrent_downloads = 8
[{cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
[{cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{plan.paths.config}/cni"
[{cri}.registry]
  config_path = "{plan.paths.config}/registries"
"""


def registry_hosts() -> str:
    """containerd's hosts file for every registry: only the mirror on loopback."""
    address = f"http://127.0.0.1:{mirror.PORT}"
    return f'server = "{address}"\n[host."{address}"]\n  capabilities = ["pull", "resolve"]\n'


def files(plan: Plan) -> dict[Path, str]:
    """All configuration files except the kubeconfigs: path -> content."""
    config = plan.paths.config
    documents = {
        "kubelet.json": kubelet_config(plan),
        "proxy.json": proxy_config(plan),
        "audit.json": audit_policy(),
        "cni/10-runwright.conflist": cni_config(plan),
    }
    texts = {
        "containerd.toml": containerd_config(plan),
        "registries/_default/hosts.toml": registry_hosts(),
    }
    return {config / name: json.dumps(content, indent=2) for name, content in documents.items()} | {
        config / name: content for name, content in texts.items()
    }


def _etcd(plan: Plan) -> Component:
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return Component(
        "etcd",
        (
            *(str(plan.programs["etcd"]), "--name=local", f"--data-dir={plan.paths.state}/etcd"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=local={peer}"),
            # The machine's page cache survives a killed etcd, and the cluster does not survive a restart of the machine.
            *("--unsafe-no-fsync", "--quota-backend-bytes=4294967296", "--log-level=warn"),
            *("--auto-compaction-mode=periodic", "--auto-compaction-retention=10m"),
        ),
    )


def _apiserver(plan: Plan) -> Component:
    pki, config = plan.paths.pki, plan.paths.config
    return Component(
        "apiserver",
        (
            *(str(plan.programs["kube-apiserver"]), "--etcd-servers=http://127.0.0.1:2379"),
            *(f"--secure-port={API_PORT}", f"--advertise-address={plan.addresses.node}", "--allow-privileged=true"),
            *(f"--service-cluster-ip-range={plan.addresses.services}", f"--client-ca-file={pki}/ca.crt"),
            *(f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key"),
            *(f"--kubelet-client-certificate={pki}/admin.crt", f"--kubelet-client-key={pki}/admin.key"),
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
            *(f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key"),
            *("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"),
            *(f"--audit-log-path={plan.paths.audit_log}", f"--audit-policy-file={config}/audit.json"),
            *("--audit-log-maxsize=1024", "--audit-log-maxbackup=2"),
            "--profiling=false",
        ),
    )


def _clients(plan: Plan) -> list[Component]:
    pki, config = plan.paths.pki, plan.paths.config
    manager, scheduler = f"{config}/controller-manager.kubeconfig", f"{config}/scheduler.kubeconfig"
    return [
        Component(
            "controller-manager",
            (
                *(str(plan.programs["kube-controller-manager"]), f"--kubeconfig={manager}", "--leader-elect=false"),
                *(f"--root-ca-file={pki}/ca.crt", f"--service-account-private-key-file={pki}/sa.key"),
                *("--use-service-account-credentials=true", "--kube-api-qps=200", "--kube-api-burst=400"),
                *("--bind-address=127.0.0.1", "--profiling=false"),
            ),
        ),
        Component(
            "scheduler",
            (
                *(str(plan.programs["kube-scheduler"]), f"--kubeconfig={scheduler}", "--leader-elect=false"),
                *("--bind-address=127.0.0.1", "--profiling=false"),
            ),
        ),
        Component(
            "kubelet",
            (
                *(str(plan.programs["kubelet"]), f"--config={config}/kubelet.json"),
                *(f"--kubeconfig={config}/kubelet.kubeconfig", f"--root-dir={plan.paths.state}/kubelet"),
                *(f"--node-ip={plan.addresses.node}", f"--hostname-override={plan.node}"),
                f"--cert-dir={plan.paths.state}/kubelet-pki",
            ),
        ),
        Component("proxy", (str(plan.programs["kube-proxy"]), f"--config={config}/proxy.json")),
    ]


def _mirror(plan: Plan) -> Component:
    command = (sys.executable, "-m", "localcluster.mirror", "--blobs", str(plan.blobs))
    return Component("mirror", (*command, "--names", str(plan.paths.image_names)), {"PYTHONPATH": str(LOCAL)})


def _containerd(plan: Plan) -> Component:
    return Component("containerd", ("containerd", "--config", f"{plan.paths.config}/containerd.toml"))


def before_api(plan: Plan) -> list[Component]:
    """The components that start before the API server and the API server itself, in order."""
    return [_etcd(plan), _mirror(plan), _containerd(plan), _apiserver(plan)]


def after_api(plan: Plan) -> list[Component]:
    """The components that need a ready API server."""
    return _clients(plan)


NAMES = ("etcd", "mirror", "containerd", "apiserver", "controller-manager", "scheduler", "kubelet", "proxy")
