"""A cluster of real components on this machine: create, heal, check, remove."""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import (
    addons,
    argo,
    binaries,
    cgroups,
    components,
    delivery,
    home,
    host,
    images,
    network,
    pins,
    pki,
    processes,
    readiness,
    record,
    store,
    subnets,
)
from .components import Plan
from .errors import ClusterError
from .kubectl import Kubectl, find
from .paths import PINS, ClusterPaths, cache_root
from .progress import seconds, step, warn
from .record import Action, Record

READY_TIMEOUT = 120.0


def up(paths: ClusterPaths) -> None:
    """Make the cluster Ready from any state.

    Raises:
        ClusterError: if the machine does not meet a requirement, or a component does not become ready.
    """
    known = record.read(paths)
    leftovers = paths.state.exists() or paths.run.exists() or bool(cgroups.processes(paths.name))
    action, why = record.decide(known, network.exists(paths), leftovers)
    if action is Action.HEAL and known is not None:
        _heal(paths, known)
    else:
        host.ensure_packages(host.PACKAGES)
        programs = ensure_programs()
        names = images.build_all(programs)
        if action is Action.RECREATE:
            with step(f"remove the remains of cluster {paths.name}: {why}"):
                down(paths)
        _create(paths, programs, names)


def ensure_programs() -> dict[str, Path]:
    """Program name -> binary. Builds missing programs.

    Raises:
        ClusterError: if disk space or memory is insufficient, or a build fails.
    """
    families = list(pins.COMPONENT_FAMILIES)
    missing = [family for family in families if not binaries.is_built(family)]
    if missing:
        host.check_space("Building the cluster's programs", cache_root(), 12 * host.GIB, 4 * host.GIB)
    else:
        host.check_space("Running the cluster", cache_root(), 2 * host.GIB, int(1.5 * host.GIB))
    return binaries.build_all(families)


def plan_of(paths: ClusterPaths, slot: int, programs: dict[str, Path] | None = None) -> Plan:
    """The plan of a cluster. Without `programs`, it uses the programs of the current pins."""
    if programs is None:
        programs = {n: binaries.folder(f) / n for f in pins.COMPONENT_FAMILIES for n in f.packages}
    return Plan(paths, subnets.Addresses(slot), programs, store.blobs_folder())


def _create(paths: ClusterPaths, programs: dict[str, Path], names: dict[str, str]) -> None:
    addresses = subnets.allocate(paths.name, network.networks_in_use(), record.slots_in_use(paths.name))
    plan = plan_of(paths, addresses.slot, programs)
    families = {family.name: pins.read_hash(family, PINS) for family in pins.COMPONENT_FAMILIES}
    known = Record(paths.name, addresses.slot, families, with_dns="coredns" in programs)
    paths.state.mkdir(parents=True, exist_ok=True)
    paths.run.mkdir(parents=True, exist_ok=True)
    record.write(paths, known)
    with step(f"prepare namespaces, addresses ({addresses.whole}), certificates, configuration"):
        cgroups.create(paths.name)
        network.create(paths, addresses)
        _write_files(plan, names)
    with step("start etcd, containerd, image mirror, API server", estimate=6):
        for component in components.before_api(plan):
            processes.start(paths, component)
        kubectl = Kubectl(find(), paths.kubeconfig)
        _wait(paths, "the API server", lambda: [] if kubectl.answers() else ["not ready"], components.NAMES[:4])
    with step("start controller-manager, scheduler, kubelet, kube-proxy; install DNS, S3, Argo", estimate=6):
        for component in components.after_api(plan):
            processes.start(paths, component)
        manifests = _manifests(plan, kubectl, known)
        _install(kubectl, manifests)
    with step("wait for node, DNS, S3 and Argo's controller", estimate=15):
        _wait(paths, "the cluster", lambda: unready(plan, kubectl, known), components.NAMES)
    record.write(paths, replace(known, complete=True, installed=record.fingerprint(manifests)))


def _write_files(plan: Plan, names: dict[str, str]) -> None:
    paths, pki_folder = plan.paths, plan.paths.pki
    identities = pki.identities(paths.name, plan.node, plan.addresses)
    pki.create(pki_folder, identities)
    for path, content in components.files(plan).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    authority = (pki_folder / "ca.crt").read_bytes()
    for identity in identities:
        pair = [(pki_folder / f"{identity.file}.{kind}").read_bytes() for kind in ("crt", "key")]
        target = paths.config / f"{identity.file}.kubeconfig"
        target.write_text(components.kubeconfig(plan, identity.file, authority, pair[0], pair[1]))
        target.chmod(0o600)
    delivery.write_names(paths, names)
    _write_home(plan)


def _write_home(plan: Plan) -> None:
    home.write_kubeconfig(plan.paths, (plan.paths.config / "admin.kubeconfig").read_text())
    home.link_programs(plan.paths, {"argo": plan.programs["argo"], "kubectl": find()})


def _manifests(plan: Plan, kubectl: Kubectl, known: Record) -> str:
    """All manifests of the add-ons, as one YAML text."""
    documents = [addons.namespace(addons.ARGO_NAMESPACE), *addons.executor_rights()]
    documents += addons.s3(plan.addresses.s3_service, f"{plan.paths.state}/s3")
    if known.with_dns:
        documents += addons.dns(plan.addresses.dns_service, components.CLUSTER_DOMAIN)
    # An address works without DNS.
    rendered = argo.render(kubectl.program, f"{plan.addresses.s3_service}:{addons.S3_PORT}")
    return f"{addons.as_stream(documents)}---\n{rendered}"


def _install(kubectl: Kubectl, manifests: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            kubectl.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests)
            return
        except ClusterError:
            # The API server answers before it has created its namespaces and priority classes.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def unready(plan: Plan, kubectl: Kubectl, known: Record) -> list[str]:
    """The parts that are not ready, as short clauses; empty if the cluster is ready."""
    listing = kubectl.json("get", "nodes,deployments", "--all-namespaces")
    waiting = readiness.unready(listing, readiness.wanted_deployments(known.with_dns))
    if waiting:
        return waiting
    if not readiness.http_ok(plan.addresses.s3_service, addons.S3_PORT, "/health"):
        waiting.append(f"S3 at {plan.addresses.s3_service}:{addons.S3_PORT} does not answer")
    name = f"s3.{addons.ARGO_NAMESPACE}.svc.{components.CLUSTER_DOMAIN}"
    if known.with_dns and not readiness.dns_answers(plan.addresses.dns_service, name):
        waiting.append(f"DNS at {plan.addresses.dns_service} does not answer for {name}")
    return waiting


def _wait(paths: ClusterPaths, part: str, check: Callable[[], list[str]], needed: tuple[str, ...]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        dead = [name for name in needed if processes.running(paths, name) is None]
        if dead:
            log = processes.log_file(paths, dead[0])
            tail = "\n    ".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
            raise ClusterError(
                f"{', '.join(dead)} exited during the start. {log} ends with:\n    {tail}",
                f"Read the log. To clean up: `cluster.py down --name {paths.name}`.",
            )
        try:
            waiting = check()
        except ClusterError as error:
            waiting = [error.problem]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{part} is not ready after {seconds(READY_TIMEOUT)}: {'; '.join(waiting)}.",
                f"Read the logs in {paths.logs}, then run `cluster.py down --name {paths.name}` and start the cluster again.",
            )
        time.sleep(0.2)


def _heal(paths: ClusterPaths, known: Record) -> None:
    plan = plan_of(paths, known.slot)
    stale = [n for n, h in known.families.items() if (PINS / n).exists() and _current_hash(n) != h]
    if stale:
        warn(f"the running builds of {', '.join(stale)} are older than the pins; to update: make cluster-down cluster")
    if any(not program.exists() for name, program in plan.programs.items() if name != "coredns"):
        plan = plan_of(paths, known.slot, ensure_programs())
    delivery.refresh(paths, images.build_all(plan.programs))
    dead = [name for name in components.NAMES if processes.running(paths, name) is None]
    _write_home(plan)
    kubectl = Kubectl(find(), paths.kubeconfig)
    if dead:
        with step(f"restart {', '.join(dead)}"):
            start_named(plan, kubectl, dead)
    manifests = _manifests(plan, kubectl, known)
    waiting = _unready_or_error(plan, kubectl, known)
    if known.installed != record.fingerprint(manifests) or any("absent" in reason for reason in waiting):
        with step("update DNS, S3 and Argo"):
            _install(kubectl, manifests)
        record.write(paths, replace(known, installed=record.fingerprint(manifests)))
        waiting = _unready_or_error(plan, kubectl, known)
    if waiting:
        with step(f"wait for {'; '.join(waiting)}"):
            for where, name in sorted(readiness.wanted_deployments(known.with_dns)):
                if f"deployment {where}/{name} is stopped" in waiting:
                    kubectl.run("scale", "-n", where, f"deployment/{name}", "--replicas=1")
            _wait(paths, "the cluster", lambda: unready(plan, kubectl, known), components.NAMES)


def _unready_or_error(plan: Plan, kubectl: Kubectl, known: Record) -> list[str]:
    try:
        return unready(plan, kubectl, known)
    except ClusterError as error:
        return [error.problem]


def _current_hash(family: str) -> str:
    return next(pins.read_hash(f, PINS) for f in pins.COMPONENT_FAMILIES if f.name == family)


def start_named(plan: Plan, kubectl: Kubectl, names: list[str]) -> None:
    """Start those of the named components that are not running, in dependency order."""
    paths, first, later = plan.paths, components.before_api(plan), components.after_api(plan)
    names = [name for name in names if processes.running(paths, name) is None]
    for component in first:
        if component.name in names:
            processes.start(paths, component)
    wanted = [component for component in later if component.name in names]
    if wanted or "apiserver" in names or "etcd" in names:
        # The controller-manager and the scheduler exit if no API server answers at their start.
        _wait(paths, "the API server", lambda: [] if kubectl.answers() else ["not ready"], ("apiserver", "etcd"))
    for component in wanted:
        processes.start(paths, component)


def stop_named(paths: ClusterPaths, name: str) -> bool:
    """Stop one component. False if it was not running."""
    return processes.stop(paths, name)


def down(paths: ClusterPaths) -> None:
    """Remove the cluster from this machine. Built binaries and images stay in the cache."""
    known = record.read(paths)
    # Killing containerd alone would let its shims start new processes, so kill all until none is left.
    processes.end_all(paths)
    network.remove(paths, known.slot if known else None)
    deadline = time.monotonic() + 10
    while held := cgroups.remove(paths.name):
        if time.monotonic() > deadline:
            warn(f"the cgroup {held[0]} could not be removed; it is empty and harmless")
            break
        time.sleep(0.1)
    for folder in (paths.state, paths.run):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            subprocess.run(["rm", "-rf", str(folder)], check=False)
        try:
            folder.parent.rmdir()
        except OSError:
            continue
