"""A kind cluster in Docker, with the same DNS names, S3 server and Argo as the cluster of real components."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import argo_install, binaries, catalogue, home, pins
from .errors import ClusterError
from .kubectl import Kubectl, find
from .layers import Process
from .paths import PROGRAMS, ClusterPaths
from .progress import step

BASE = "python:3.11-slim"


def cluster_name(name: str) -> str:
    """Name of the cluster in kind."""
    return f"runwright-{name}"


def _run(command: list[str], title: str, cwd: Path | None = None, timeout: float = 900) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=timeout)
    if done.returncode != 0:
        tail = "\n    ".join(done.stderr.strip().splitlines()[-8:])
        raise ClusterError(
            f"{title} failed:\n    {tail}", "Check `docker info` and `docker ps`, then run the command again."
        )
    return done.stdout


def program() -> str:
    """Path of kind: from PATH, or built from its pinned module."""
    return shutil.which("kind") or str(binaries.build_all([pins.KIND])["kind"])


def dockerfile(process: Process, base: str, copies: Mapping[str, str]) -> str:
    """A Dockerfile that copies files (source -> target) onto a base image and sets the process."""
    lines = [f"FROM {base}", *(f"COPY --chmod=755 {source} {target}" for source, target in copies.items())]
    lines += [f"ENV {entry}" for entry in process.env if not entry.startswith("PATH=")]
    if process.user:
        lines.append(f"USER {process.user}")
    if process.entrypoint:
        lines.append(f"ENTRYPOINT {json.dumps(list(process.entrypoint))}")
    if process.cmd:
        lines.append(f"CMD {json.dumps(list(process.cmd))}")
    return "\n".join(lines) + "\n"


def _docker_build(tag: str, text: str, files: Mapping[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, source in files.items():
            shutil.copy(source, Path(folder) / name)
        (Path(folder) / "Dockerfile").write_text(text)
        _run(["docker", "build", "--quiet", "--tag", tag, folder], f"docker build of {tag}")


def _images(programs: Mapping[str, Path]) -> list[str]:
    """Build the images of our programs. The node pulls public images itself."""
    keys = tuple(f"{key}={value}" for key, value in catalogue.S3_ENVIRONMENT.items())
    built = {
        catalogue.ARGOEXEC: ("argoexec", Process(entrypoint=("/bin/argoexec",), env=keys), "scratch"),
        catalogue.CONTROLLER: ("workflow-controller", Process(user="8737"), "scratch"),
        catalogue.VERSITYGW: ("versitygw", Process(entrypoint=("/bin/versitygw",)), "scratch"),
    }
    for tag, (name, process, base) in built.items():
        copies = {name: f"/bin/{name}"}
        _docker_build(tag, dockerfile(process, base, copies), {name: programs[name]})
    for tag, version in (("v1", Process(cmd=("cowsay",))), ("v2", Process(entrypoint=("/argosay",)))):
        copies = {"argosay": "/argosay", "cowsay": "/usr/local/bin/cowsay"}
        _docker_build(f"argoproj/argosay:{tag}", dockerfile(version, BASE, copies), {n: PROGRAMS / n for n in copies})
    return [*built, "argoproj/argosay:v1", "argoproj/argosay:v2"]


def up(paths: ClusterPaths) -> None:
    """Create the kind cluster if it does not exist, load our images, install Argo and S3."""
    kind, name = program(), cluster_name(paths.name)
    paths.home.mkdir(parents=True, exist_ok=True)
    if name not in _run([kind, "get", "clusters"], "kind get clusters").split():
        with step(f"kind creates cluster {name}", estimate=60):
            _run(
                [kind, "create", "cluster", "--name", name, "--kubeconfig", str(paths.kubeconfig), "--wait", "120s"],
                "kind",
            )
    home.write_kubeconfig(paths, _run([kind, "get", "kubeconfig", "--name", name], "kind get kubeconfig"))
    kubectl = Kubectl(find(), paths.kubeconfig)
    home.link_programs(paths, {"kubectl": kubectl.program})
    if not argo_install.missing(kubectl):
        return
    programs = binaries.build_all([pins.ARGO, pins.VERSITYGW])
    with step("build and load images", estimate=60):
        for image in _images(programs):
            _run([kind, "load", "docker-image", image, "--name", name], f"kind load of {image}")
    argo_install.install(kubectl, own_images=True)
    home.link_programs(paths, {"kubectl": kubectl.program})


def load(paths: ClusterPaths, file: Path) -> None:
    """Load the images of an archive into the cluster."""
    _run([program(), "load", "image-archive", str(file), "--name", cluster_name(paths.name)], f"kind load of {file}")


def down(paths: ClusterPaths) -> None:
    """Delete the kind cluster."""
    _run([program(), "delete", "cluster", "--name", cluster_name(paths.name)], "kind delete cluster")
