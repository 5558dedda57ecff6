"""Installs Runwright in the cluster of the current context and waits until it is ready, or uninstalls it.

`make deploy` and `make undeploy` run it. It applies deploy/overlays/local. For a production cluster, see docs/install.md.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

from image import ClusterError, deliver

OVERLAY = Path(__file__).resolve().parent / "overlays" / "local"
PLACEHOLDER = "image: runwright:dev\n"
BUCKET_PLACEHOLDER = "--artifact-bucket=HOST/BUCKET"
CRDS = ("crd", "--selector=app.kubernetes.io/part-of=runwright")
NAMESPACE = "runwright-system"
DEPLOYMENTS = ("deployment/runwright-operator", "deployment/runwright-serve")
ROLLOUT_SECONDS = 180


def kubectl(*arguments: str, given: str | None = None, show: bool = False) -> str:
    """Run kubectl and return its output. With `show`, the output goes to the terminal.

    Raises:
        SystemExit: if kubectl fails, with kubectl's exit code.
    """
    stdout = None if show else subprocess.PIPE
    done = subprocess.run(["kubectl", *arguments], input=given, stdout=stdout, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""


def default_bucket() -> str:
    """The bucket of Argo's default artifact repository as HOST/BUCKET; the placeholder itself if it is unknown."""
    path = "jsonpath={range .items[*]}{.data.artifactRepository}{end}"
    config = kubectl(
        "get", "configmaps", "-A", "--field-selector=metadata.name=workflow-controller-configmap", "-o", path
    )
    # The local cluster's configuration is JSON. A configuration in YAML is ignored.
    with contextlib.suppress(ValueError, KeyError, TypeError):
        s3 = json.loads(config)["s3"]
        return f"{s3['endpoint']}/{s3['bucket']}"
    return "HOST/BUCKET"


def up(image: str) -> int:
    """Apply the overlay with `image`, and wait until the operator and the run service are ready."""
    start = time.monotonic()
    rendered = kubectl("kustomize", str(OVERLAY))
    if PLACEHOLDER not in rendered:
        sys.exit(f"{OVERLAY}: expected {PLACEHOLDER.strip()!r} in the rendered manifests, to replace it with {image}")
    context = kubectl("config", "current-context").strip()
    print(f"→ installing Runwright ({image}) in cluster {context}, namespace {NAMESPACE}", flush=True)
    applied = kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=runwright-install", "-f", "-",
        given=rendered.replace(PLACEHOLDER, f"image: {image}\n").replace(
            BUCKET_PLACEHOLDER, f"--artifact-bucket={default_bucket()}"
        ),
    )  # fmt: skip
    print(
        f"  ✓ {len(applied.splitlines())} objects applied: CRDs, RBAC, operator, run service",
        flush=True,
    )
    kubectl("wait", "--for=condition=Established", *CRDS, "--timeout=60s")
    for deployment in DEPLOYMENTS:
        rollout = ["kubectl", "rollout", "status", deployment, "-n", NAMESPACE, f"--timeout={ROLLOUT_SECONDS}s"]
        if subprocess.run(rollout, stdout=subprocess.DEVNULL, check=False).returncode:
            print(f"  ✗ {deployment} was not ready within {ROLLOUT_SECONDS} s. Its pods and their logs:", flush=True)
            component = deployment.rpartition("-")[2]
            kubectl("describe", "pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/component={component}", show=True)
            kubectl("logs", deployment, "-n", NAMESPACE, "--tail=50", "--all-containers", show=True)
            return 1
    print(f"  ✓ operator and run service are ready after {time.monotonic() - start:.1f} s")
    return 0


def down() -> int:
    """Delete everything that `up` applied, and with the CRDs all PipelineRuns. Argo and its objects stay."""
    print("→ uninstalling Runwright: operator, RBAC, and the CRDs with all PipelineRuns", flush=True)
    removed = kubectl("delete", "-k", str(OVERLAY), "--ignore-not-found", "--wait", "--timeout=120s")
    print(f"  ✓ {len(removed.splitlines())} objects deleted")
    return 0


def main() -> int:
    """Read the command line and install or uninstall."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("up", help="install or upgrade")
    command.add_argument(
        "--image", help="an image that the cluster can pull (default: build one and load it into the cluster)"
    )
    command.add_argument("--name", default="default", help="the local cluster to load a built image into")
    commands.add_parser("down", help="uninstall")
    arguments = parser.parse_args()
    if arguments.command == "down":
        return down()
    try:
        return up(arguments.image or deliver(arguments.name))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
