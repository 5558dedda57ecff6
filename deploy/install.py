"""Installs Runwright in the current context's cluster and waits until it is ready, or takes it out again.

`make deploy` and `make undeploy` run it. It applies deploy/overlays/local; for a cluster that is kept, see docs/install.md.
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
    """What kubectl prints; with `show` it goes to the terminal instead.

    Raises:
        SystemExit: if kubectl fails, with its own exit code; it has said why.
    """
    stdout = None if show else subprocess.PIPE
    done = subprocess.run(["kubectl", *arguments], input=given, stdout=stdout, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""


def default_bucket() -> str:
    """The bucket of Argo's default artifact repository as HOST/BUCKET, or what stands for none that is known."""
    path = "jsonpath={range .items[*]}{.data.artifactRepository}{end}"
    config = kubectl(
        "get", "configmaps", "-A", "--field-selector=metadata.name=workflow-controller-configmap", "-o", path
    )
    # The local cluster writes it as JSON; what somebody else wrote as YAML is not looked into.
    with contextlib.suppress(ValueError, KeyError, TypeError):
        s3 = json.loads(config)["s3"]
        return f"{s3['endpoint']}/{s3['bucket']}"
    return "HOST/BUCKET"


def up(image: str) -> int:
    """Apply everything with `image`, and wait for the operator and the run service to be ready."""
    start = time.monotonic()
    rendered = kubectl("kustomize", str(OVERLAY))
    if PLACEHOLDER not in rendered:
        sys.exit(f"{OVERLAY}: nothing in it says {PLACEHOLDER.strip()!r}, so the image has no place to go in.")
    context = kubectl("config", "current-context").strip()
    print(f"→ Runwright ({image}) into the cluster {context}, namespace {NAMESPACE}", flush=True)
    applied = kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=runwright-install", "-f", "-",
        given=rendered.replace(PLACEHOLDER, f"image: {image}\n").replace(
            BUCKET_PLACEHOLDER, f"--artifact-bucket={default_bucket()}"
        ),
    )  # fmt: skip
    print(
        f"  ✓ {len(applied.splitlines())} objects applied: the CRDs, access rights, the operator, the run service",
        flush=True,
    )
    kubectl("wait", "--for=condition=Established", *CRDS, "--timeout=60s")
    for deployment in DEPLOYMENTS:
        rollout = ["kubectl", "rollout", "status", deployment, "-n", NAMESPACE, f"--timeout={ROLLOUT_SECONDS}s"]
        if subprocess.run(rollout, stdout=subprocess.DEVNULL, check=False).returncode:
            print(
                f"  ✗ {deployment} was not ready within {ROLLOUT_SECONDS} s. Its pods, and what they say:", flush=True
            )
            component = deployment.rpartition("-")[2]
            kubectl("describe", "pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/component={component}", show=True)
            kubectl("logs", deployment, "-n", NAMESPACE, "--tail=50", "--all-containers", show=True)
            return 1
    print(f"  ✓ operator and run service are ready ({time.monotonic() - start:.1f} s in all)")
    return 0


def down() -> int:
    """Delete everything that `up` applied, and with the CRDs all PipelineRuns; Argo and its own objects stay."""
    print("→ taking Runwright out: operator, access rights, and the CRDs with every PipelineRun", flush=True)
    removed = kubectl("delete", "-k", str(OVERLAY), "--ignore-not-found", "--wait", "--timeout=120s")
    print(f"  ✓ {len(removed.splitlines())} objects deleted")
    return 0


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("up", help="install, or bring up to date")
    command.add_argument("--image", help="an image that the cluster can pull; without it one is built and given to it")
    command.add_argument("--name", default="default", help="the local cluster to give a built image to")
    commands.add_parser("down", help="take out")
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
