"""Argo's workflow-controller as a process of this machine, on a control plane of a test's own, where no pod runs."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.local.localcluster import binaries, pins
from tests.e2e.control_plane import ControlPlane
from tests.e2e.processes import Mortal, start_logged

CONFIGURATION = "workflow-controller-configmap"
CRDS = Path("manifests") / "base" / "crds" / "minimal"


def install_argo(plane: ControlPlane) -> None:
    """All of Argo's kinds, and the ConfigMap that its controller reads in the namespace it looks after."""
    folder = binaries.argo_source() / CRDS
    kinds = sorted(folder.glob("argoproj.io_*.yaml"))
    assert kinds, f"no CRDs in {folder}"
    plane.install(*(option for kind in kinds for option in ("-f", str(kind))))
    configuration = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIGURATION, "namespace": "default"},
        "data": {"metricsConfig": json.dumps({"enabled": False})},
    }
    plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(configuration))


class Argo(Mortal):
    """The controller, which can die at any moment and be started again; it looks after the namespace `default`."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        program = binaries.folder(pins.ARGO) / "workflow-controller"
        self._command = [str(program), "--kubeconfig", str(kubeconfig), "--namespaced", "--loglevel=warn"]
        self._command += [f"--configmap={CONFIGURATION}", "--executor-image=none"]
        self._log = log
        self._wanted = False

    def start(self) -> None:
        """Start it, and return at once."""
        self._wanted = True
        environment = {"LEADER_ELECTION_DISABLE": "true", "DEFAULT_REQUEUE_TIME": "1s"}
        self._process = start_logged(self._command, self._log, environment)

    @property
    def ended(self) -> bool:
        """Whether it ended by itself, as where it cannot reach the API server when it starts; a Deployment starts it again."""
        return self._wanted and not self.alive

    def kill(self) -> None:
        """SIGKILL; it is not to be started again before somebody starts it."""
        self._wanted = False
        super().kill()
