"""The programs built from Go modules: packages, pin folders, build flags, and the hash that is the key of the cache."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KUBERNETES_VERSION = "v1.34.4"
ARGO_VERSION = "v3.7.3"
VERSITYGW_VERSION = "v1.8.0"
COREDNS_VERSION = "v1.15.0"
ARGO_MODULE = "github.com/argoproj/argo-workflows/v3"
ARGOCD_MODULE = "github.com/argoproj/argo-cd/v3"


@dataclass(frozen=True)
class Family:
    """Programs that share one go.mod under deploy/local/pins/NAME.

    `packages` maps each program to its main package. `vendored` families are built from a vendor folder, in which the
    symlinks of `links` (path in the vendor folder -> target) are restored and the empty files of `blanks` are created,
    because a module zip contains neither. `seconds` is the duration of a cold build on 2 cores.
    """

    name: str
    packages: Mapping[str, str]
    ldflags: str = "-s -w"
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    blanks: tuple[str, ...] = ()
    seconds: float = 60.0
    optional: bool = False

    @property
    def vendored(self) -> bool:
        return bool(self.links or self.blanks)


_K8S_FLAGS = f"-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}"
_ARGO_FLAGS = f"-s -w -X {ARGO_MODULE}.version={ARGO_VERSION}"
_K8S = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")

ETCD = Family("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, seconds=51)
KUBERNETES = Family(
    "kubernetes", {name: f"k8s.io/kubernetes/cmd/{name}" for name in _K8S}, ldflags=_K8S_FLAGS, seconds=235
)
KUBECTL = Family("kubectl", {"kubectl": "k8s.io/kubernetes/cmd/kubectl"}, ldflags=_K8S_FLAGS, seconds=60)
ARGO = Family(
    "argo",
    {name: f"{ARGO_MODULE}/cmd/{name}" for name in ("workflow-controller", "argoexec", "argo")},
    ldflags=_ARGO_FLAGS,
    # executor/osspecific/signal_linux.go is a symlink in Argo's repository. The CLI embeds a web page that the module lacks.
    links={f"{ARGO_MODULE}/workflow/executor/osspecific/signal_linux.go": "signal_darwin.go"},
    blanks=(f"{ARGO_MODULE}/ui/dist/app/index.html",),
    seconds=185,
)
VERSITYGW = Family("versitygw", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}, seconds=60)
COREDNS = Family("coredns", {"coredns": "github.com/coredns/coredns"}, seconds=90, optional=True)
KIND = Family("kind", {"kind": "sigs.k8s.io/kind"}, seconds=20)
HELM = Family("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}, seconds=65)  # for the chart's tests
# Argo CD's sync engine as a program, for the tests of deploy/argocd.
GITOPS = Family("gitops", {"agent": "github.com/argoproj/argo-cd/gitops-engine/agent"}, seconds=95)

COMPONENT_FAMILIES = (ETCD, KUBERNETES, ARGO, VERSITYGW, COREDNS)


def pin_folder(family: Family) -> str:
    """Name of the folder under deploy/local/pins. kubectl is in the module of the other Kubernetes programs."""
    return "kubernetes" if family is KUBECTL else family.name


def family_hash(family: Family, go_mod: bytes, go_sum: bytes) -> str:
    """Cache key of the family's binaries. Changes with the pins, checksums and build flags."""
    digest = hashlib.sha256()
    recipe = repr((sorted(family.packages.items()), family.ldflags, sorted(family.links.items()), family.blanks))
    for part in (go_mod, go_sum, recipe.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def read_hash(family: Family, pins: Path) -> str:
    """`family_hash` of the pin folder under `pins`."""
    folder = pins / pin_folder(family)
    return family_hash(family, (folder / "go.mod").read_bytes(), (folder / "go.sum").read_bytes())


def required_go(go_mod: str) -> tuple[int, int, int]:
    """The Go version in the `go` line of a go.mod."""
    match = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?", go_mod, re.MULTILINE)
    if match is None:
        return (1, 21, 0)
    return (int(match[1]), int(match[2]), int(match[3] or 0))


def parse_go_version(text: str) -> tuple[int, int, int] | None:
    """The version in `go env GOVERSION` output such as `go1.26.8`, or None if there is none."""
    match = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
