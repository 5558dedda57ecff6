"""What every end-to-end test starts from: kubectl on the cluster under test, a namespace of its own, waiting for runs.

Tests that stop or restart what others share are marked `serial` and run alone, after the others.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from localcluster import binaries, pins

from tests.e2e.access import account_kubeconfig
from tests.e2e.cluster import FINISHED, WAIT_SECONDS, Kubectl, Object, WaitError, describe, finished
from tests.e2e.control_plane import ControlPlane, programs
from tests.e2e.helm import Helm
from tests.e2e.manifests import executor_rights, pipeline_run
from tests.e2e.processes import Operator
from tests.e2e.runs import Run
from tests.e2e.schedule import REPLACES, arrange, name_groups, uses

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SYSTEM = "runwright-system"
OPERATOR = ("-n", SYSTEM, "deployment/runwright-operator")
OPERATOR_PODS = "app.kubernetes.io/name=runwright,app.kubernetes.io/component=operator"
OPERATOR_LOGS = ("-n", SYSTEM, "-l", OPERATOR_PODS, "--tail=-1")


class Apply(Protocol):
    """`kubectl apply` in the test's namespace, of one document or of text; gives what kubectl printed."""

    def __call__(self, document: str | Object, *arguments: str) -> str: ...


class WaitRun(Protocol):
    """The run once it is so: in a phase, or as a function says; without `until`, once it has ended."""

    def __call__(
        self, name: str, until: str | Callable[[Object], bool] | None = None, timeout: float = WAIT_SECONDS
    ) -> Object: ...


# ------------------------------------------------------------------------------------------------- is there a cluster?
def kubeconfig_path() -> Path:
    """The kubeconfig of the cluster under test: `KUBECONFIG`, or what `make cluster` left."""
    return Path(os.environ.get("KUBECONFIG") or REPOSITORY / ".cluster" / "kubeconfig").absolute()


def missing_part(path: Path) -> str | None:
    """Which part of what these tests need is not there, and what to do about it; None where all is."""
    if not path.exists():
        return f"no cluster: {path} does not exist. Set KUBECONFIG, or run `make cluster`"
    if shutil.which("kubectl") is None:
        return "no kubectl on PATH: install it, or add the folder .cluster/bin, where `make cluster` leaves one"
    kubectl = Kubectl(path)
    try:
        kubectl("get", "--raw", "/readyz", "--request-timeout=10s")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        return f"the cluster of {path} does not answer: {said(error)}. `make cluster` starts it"
    for name, remedy in (
        ("workflows.argoproj.io", "install Argo Workflows, or run `make cluster`"),
        ("pipelineruns.runwright.dev", "run `make deploy`, or `kubectl apply --server-side -k crds`"),
    ):
        try:
            kubectl("get", "crd", name, "-o", "name")
        except subprocess.CalledProcessError as error:
            return f"the cluster of {path} has no {name}: {said(error)}. To get it: {remedy}"
    return None


def said(error: Exception) -> str:
    """What kubectl said, on one line."""
    return " ".join(str(getattr(error, "stderr", None) or error).split())


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Arrange the tests of this folder before `-m` selects among them, and name their groups after that."""
    mine = [item for item in items if HERE in item.path.parents]
    others = [item for item in items if HERE not in item.path.parents]
    arrange(mine)
    items[:] = others + mine
    yield
    name_groups(mine)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say at once, and once, that there is no cluster."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        problem = missing_part(kubeconfig_path())
        if problem:
            pytest.exit(problem, returncode=4)


# ----------------------------------------------------------------------------------------------------------- fixtures
@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """Path of the kubeconfig of the cluster under test."""
    return kubeconfig_path()


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    """Runs kubectl on the cluster under test, and waits on its watches."""
    return Kubectl(kubeconfig)


@pytest.fixture(scope="session")
def helm(kubeconfig: Path) -> Helm:
    """helm, built if this is the first time."""
    return Helm(binaries.build_all([pins.HELM])["helm"], kubeconfig)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server of the module's own, without anything of ours in it: for what is of the whole cluster."""
    built = programs()
    if built is None:
        pytest.skip("no programs of a control plane here: the cluster is another machine's")
    with ControlPlane(tmp_path_factory.mktemp("bare"), built) as plane:
        yield plane


@pytest.fixture
def stage(bare: ControlPlane, argo_kind: str) -> ControlPlane:
    """An API server with the kinds in it."""
    bare.install("-k", str(REPOSITORY / "crds"))
    bare.install("-f", "-", input=argo_kind)
    return bare


@pytest.fixture(scope="session")
def argo_kind(kubectl: Kubectl) -> str:
    """Argo's CRD of Workflows, as the cluster under test has it."""
    found = json.loads(kubectl("get", "crd", "workflows.argoproj.io", "-o", "json"))
    found["metadata"] = {"name": found["metadata"]["name"], "annotations": found["metadata"].get("annotations", {})}
    del found["status"]
    return json.dumps(found)


@pytest.fixture(scope="session")
def operator(kubectl: Kubectl) -> None:
    """An operator looks after PipelineRuns, in the cluster or from a shell: it says something about one that is bad."""
    with fresh_namespace(kubectl) as namespace:
        run = pipeline_run({"templateRef": {"name": "absent"}}, name="is-anybody-there")
        kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(run))
        try:
            kubectl.wait(namespace, "prun", "is-anybody-there", lambda found: "status" in found, timeout=30)
        except WaitError:
            pytest.fail(
                "no operator looks after PipelineRuns in this cluster: run `make deploy`, or "
                f"`runwright operator --kubeconfig {kubectl.kubeconfig}` in another shell"
            )


@pytest.fixture(scope="session")
def account(kubectl: Kubectl, no_operator: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the rights of the deployed operator, which is away."""
    return account_kubeconfig(kubectl, SYSTEM, "runwright-operator", tmp_path_factory.mktemp("account") / "kubeconfig")


@pytest.fixture(scope="session")
def no_operator() -> None:
    """The deployed operator is away, for `serial` tests: the hooks below scale it down and up between the tests."""


@pytest.fixture(scope="session")
def serve_account(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the rights that the deployed run service has, and no others."""
    return account_kubeconfig(kubectl, SYSTEM, "runwright-serve", tmp_path_factory.mktemp("serve") / "kubeconfig")


@pytest.fixture
def mortal(account: Path) -> Iterator[Operator]:
    """The only operator; not yet started. Whatever happens to it, it logs no error."""
    with Operator(account) as process:
        yield process
    assert process.errors() == []


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace that this test alone uses; its deletion is started when the test ends."""
    with fresh_namespace(kubectl) as name:
        yield name


@pytest.fixture
def run(kubectl: Kubectl, namespace: str) -> Run:
    """The run of the test's namespace, which the test creates and edits."""
    return Run(kubectl, namespace)


@pytest.fixture
def apply(kubectl: Kubectl, namespace: str) -> Apply:
    """`kubectl apply`, in the test's namespace, of a document (dict) or of text."""

    def run(document: str | Object, *arguments: str) -> str:
        text = document if isinstance(document, str) else json.dumps(document)
        return kubectl("apply", "-n", namespace, "-f", "-", *arguments, input=text)

    return run


@pytest.fixture
def wait_run(kubectl: Kubectl, namespace: str, operator: None) -> WaitRun:
    """Waits for a PipelineRun of the test's namespace."""

    def wait(name: str, until: str | Callable[[Object], bool] | None = None, timeout: float = WAIT_SECONDS) -> Object:
        return wait_for_run(kubectl, namespace, name, until, timeout)

    return wait


def wait_for_run(
    kubectl: Kubectl,
    namespace: str,
    name: str,
    until: str | Callable[[Object], bool] | None = None,
    timeout: float = WAIT_SECONDS,
) -> Object:
    """The run as it is once `until` holds. Raises WaitError also as soon as it has ended in another phase than `until`."""

    def there(found: Object) -> bool:
        if until is None:
            return finished(found)
        if callable(until):
            return until(found)
        phase = (found.get("status") or {}).get("phase")
        if phase != until and phase in FINISHED:
            raise WaitError(f"PipelineRun {namespace}/{name} ended as {phase}, not {until}: {describe(found)}")
        return phase == until

    return kubectl.wait(namespace, "prun", name, there, timeout)


class fresh_namespace:  # noqa: N801 - a context manager, used like a function
    """A namespace of a new name in which Argo's executor may report; its deletion is started at the end."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._name = f"test-{uuid.uuid4().hex[:10]}"

    def __enter__(self) -> str:
        # Not `create`: Kubernetes may be the first to create the service account.
        self._kubectl("apply", "--server-side", "-f", "-", input=json.dumps(executor_rights(self._name)))
        return self._name

    def __exit__(self, *_: object) -> None:
        self._kubectl("delete", "namespace", self._name, "--wait=false", "--ignore-not-found")


# ------------------------------------------------------------------------------------------- taking the operator away
class DeployedOperator:
    """The operator that `make deploy` has installed; scaled down for as long as tests run that replace it."""

    def __init__(self) -> None:
        self._replicas = ""
        """What it is scaled up to again; empty while it is there."""

    def take_away(self) -> None:
        """Scale it down, unless it is, and wait until its pods are gone."""
        if not self._replicas:
            kubectl = Kubectl(kubeconfig_path())
            self._replicas = kubectl("get", *OPERATOR, "-o", "jsonpath={.spec.replicas}")
            kubectl("scale", *OPERATOR, "--replicas=0")
            kubectl("wait", "-n", SYSTEM, "--for=delete", "pods", "-l", OPERATOR_PODS, "--timeout=60s", timeout=70)

    def bring_back(self) -> None:
        """Scale it up, unless it is, and wait until it is ready."""
        if self._replicas:
            kubectl = Kubectl(kubeconfig_path())
            kubectl("scale", *OPERATOR, f"--replicas={self._replicas}")
            self._replicas = ""
            kubectl("rollout", "status", *OPERATOR, "--timeout=120s", timeout=130)


deployed_operator = DeployedOperator()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Take the deployed operator away before the first test in a row that replaces it."""
    if uses(item, REPLACES):
        deployed_operator.take_away()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """Bring the deployed operator back after the last test in a row that replaces it."""
    try:
        yield
    finally:
        if nextitem is None or not uses(nextitem, REPLACES):
            deployed_operator.bring_back()


def pytest_sessionfinish() -> None:
    """Bring the deployed operator back where the tests were interrupted."""
    deployed_operator.bring_back()


# --------------------------------------------------------------------------------------------- what the report of a failure has
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what the cluster says about the test's namespace into the report of a failure."""
    report = yield
    namespace: Any = getattr(item, "funcargs", {}).get("namespace")
    if report.when == "call" and report.failed and isinstance(namespace, str):
        report.sections.append((f"namespace {namespace}", diagnosis(Kubectl(kubeconfig_path()), namespace)))
    return report


def diagnosis(kubectl: Kubectl, namespace: str) -> str:
    """What a person would look at first, bounded in length."""
    questions = {
        "runs, Workflows and pods": (8000, ("get", "-n", namespace, "prun,workflow,pods", "-o", "wide")),
        "PipelineRuns": (16000, ("describe", "-n", namespace, "prun")),
        "Workflows": (16000, ("get", "-n", namespace, "workflow", "-o", "yaml")),
        "Events": (8000, ("events", "-n", namespace)),
        "operator's log": (16000, ("logs", *OPERATOR_LOGS, "--prefix", "--since=10m")),
    }
    parts: list[str] = []
    for title, (limit, arguments) in questions.items():
        try:
            answer = kubectl(*arguments, timeout=20)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            answer = said(error)
        parts.append(f"--- {title} (kubectl {' '.join(arguments)})\n{answer[-limit:]}")
    return "\n".join(parts)
