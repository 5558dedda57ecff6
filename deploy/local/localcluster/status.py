"""The output of `cluster.py status`."""

from . import addons, components, components_cluster, network, processes, record
from .errors import ClusterError
from .kubectl import Kubectl, find
from .paths import ClusterPaths
from .progress import say


def show_components(paths: ClusterPaths) -> bool:
    """Print the state of a cluster of real components; True if it is ready."""
    known = record.read(paths)
    if known is None:
        leftovers = processes.find_all(paths) or paths.run.exists() or paths.state.exists()
        hint = ", but parts of it remain; `down` removes them" if leftovers else ""
        say(f"cluster {paths.name}: not running{hint}")
        return False
    plan = components_cluster.plan_of(paths, known.slot)
    pids = {name: processes.running(paths, name) for name in components.NAMES}
    waiting: list[str] = [f"{name} is not running" for name, pid in pids.items() if pid is None]
    if pids["apiserver"] is not None and paths.kubeconfig.exists():
        try:
            waiting += components_cluster.unready(plan, Kubectl(find(), paths.kubeconfig), known)
        except ClusterError as error:
            waiting.append(error.problem)
    if not network.exists(paths):
        waiting.append("its network or mount namespace does not exist")
    say(f"cluster {paths.name}: {'Ready' if not waiting else 'NOT ready'} (real components, node {plan.node})")
    for reason in waiting:
        say(f"  ! {reason}")
    for name, pid in pids.items():
        say(f"  {name:<19} {'pid ' + str(pid) if pid else 'stopped':<12} {processes.log_file(paths, name)}")
    where = plan.addresses
    say(f"  {'addresses':<19} services {where.services}, pods {where.pods}; reachable from this machine")
    s3 = f"http://{where.s3_service}:{addons.S3_PORT} bucket {addons.S3_BUCKET}, Secret {addons.S3_SECRET_NAME}"
    say(f"  {'S3':<19} {s3}")
    say(f"  {'audit log':<19} {paths.audit_log}")
    say(f"  {'programs':<19} {paths.bin}")
    say(f"  {'kubeconfig':<19} {paths.kubeconfig}")
    if waiting:
        say("  next: `cluster.py up` starts the missing parts")
    return not waiting


def show_remote(paths: ClusterPaths, kind: str) -> bool:
    """Print the state of a kind cluster or a named one; True if its API server answers."""
    if not paths.kubeconfig.exists():
        say(f"cluster {paths.name}: not running")
        return False
    kubectl = Kubectl(find(), paths.kubeconfig)
    up = kubectl.answers()
    say(f"cluster {paths.name}: {'answers' if up else 'does NOT answer'} ({kind}, kubeconfig {paths.kubeconfig})")
    if up:
        text = kubectl.run("get", "nodes,deployments", "--all-namespaces", check=False)
        say("  " + text.replace("\n", "\n  ").rstrip())
    return up


def how_to_use(paths: ClusterPaths) -> str:
    """The last lines of `up`: how to use the cluster."""
    lines = [
        f"  export KUBECONFIG={paths.kubeconfig}",
        f"  export PATH={paths.bin}:$PATH    # argo, kubectl",
        "  kubectl get nodes",
    ]
    return "To use it:\n" + "\n".join(lines)
