"""The cluster's certificates and keys, created with openssl: one CA, one certificate per component."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import ClusterError
from .subnets import Addresses

DAYS = "3650"


@dataclass(frozen=True)
class Identity:
    """Subject of a certificate. `groups` are Kubernetes groups (RBAC reads the subject's O)."""

    file: str
    user: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def identities(cluster: str, node: str, addresses: Addresses) -> list[Identity]:
    """All certificates of a cluster."""
    dns = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    ips = (addresses.api_service, addresses.node, "127.0.0.1")
    server = (*(f"DNS:{name}" for name in (*dns, "localhost")), *(f"IP:{ip}" for ip in ips))
    return [
        Identity("apiserver", "kube-apiserver", names=server),
        Identity("admin", f"runwright-{cluster}-admin", ("system:masters",)),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("proxy", "system:kube-proxy"),
        Identity("kubelet", f"system:node:{node}", ("system:nodes",)),
    ]


def _openssl(*arguments: str, text: str | None = None) -> None:
    process = subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise ClusterError(
            f"openssl {arguments[0]} failed: {process.stderr.strip().splitlines()[-1:]}",
            "Install the Debian package openssl (3.0 or newer) and run the same command again.",
        )


def _key(target: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(target))
    target.chmod(0o600)


def subject(identity: Identity) -> str:
    """The subject of a certificate in openssl's notation."""
    return "".join(f"/O={group}" for group in identity.groups) + f"/CN={identity.user}"


def extensions(identity: Identity) -> str:
    """The v3 extensions of a certificate in openssl's notation."""
    lines = ["basicConstraints=CA:FALSE", "keyUsage=digitalSignature", "extendedKeyUsage=serverAuth,clientAuth"]
    if identity.names:
        lines.append("subjectAltName=" + ",".join(identity.names))
    return "\n".join(lines) + "\n"


def create(folder: Path, wanted: list[Identity]) -> None:
    """Create the CA (`ca`), the service account key (`sa`) and the certificates of `wanted` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    ca_key, ca = folder / "ca.key", folder / "ca.crt"
    _key(ca_key)
    _openssl(
        *("req", "-x509", "-new", "-key", str(ca_key), "-subj", "/CN=runwright-local", "-days", DAYS, "-out", str(ca)),
        *("-addext", "keyUsage=critical,keyCertSign,digitalSignature"),
    )
    _key(folder / "sa.key")
    _openssl("pkey", "-in", str(folder / "sa.key"), "-pubout", "-out", str(folder / "sa.pub"))
    for identity in wanted:
        key, request = folder / f"{identity.file}.key", folder / f"{identity.file}.csr"
        extension = folder / f"{identity.file}.ext"
        extension.write_text(extensions(identity))
        _key(key)
        _openssl("req", "-new", "-key", str(key), "-subj", subject(identity), "-out", str(request))
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial"),
            *("-days", DAYS, "-extfile", str(extension), "-out", str(folder / f"{identity.file}.crt")),
        )
        request.unlink()
        extension.unlink()
