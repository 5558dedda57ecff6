"""The deployed operator's metrics, as a real Prometheus sees them: scraped, asked with PromQL, judged by the rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from localcluster import host

from monitoring.monitoring import DASHBOARD, RULES
from tests.e2e.cluster import Kubectl, WaitError, ended
from tests.e2e.conftest import OPERATOR_PODS, SYSTEM, Apply, WaitRun
from tests.e2e.manifests import instant, pipeline_run, shell, suspended
from tests.e2e.processes import forwarded, start_logged
from tests.ports import free_port

SCRAPE = RULES.parent / "scrape.yaml"
RULES_TEST = RULES.parent / "rules_test.yaml"

COUNTED = {
    'runwright_run_duration_seconds_count{phase="Succeeded"}': 2,
    "runwright_run_queue_seconds_count": 4,
    "runwright_mirror_lag_seconds_count": 5,
    'runwright_reconcile_duration_seconds_count{result="success"}': 5,
    'runwright_api_request_duration_seconds_count{verb="create", resource="workflows", code="201"}': 4,
    'runwright_api_request_duration_seconds_count{verb="patch", resource="workflows", code="200"}': 1,
    'runwright_api_request_duration_seconds_count{verb="patch", resource="pipelineruns/status", code="200"}': 6,
}
"""By how much four Workflows, five phases of theirs and a run that is stalled raise what is counted of all runs, at least."""

Loaded = dict[str, Any]


def program(name: str) -> str:
    """`promtool` or `prometheus`: the machine's own, or Debian's, which is then downloaded and not installed."""
    return shutil.which(name) or str(host.unpacked("prometheus") / "usr" / "bin" / name)


def promtool(*arguments: str | Path, given: str | None = None) -> str:
    """What promtool says, all of it; fails where it finds fault."""
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def queries() -> list[str]:
    """What the dashboard asks, for all namespaces of the job."""
    document = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]
    chosen = {"$job": "runwright", "$namespace": ".*", "$__rate_interval": "1m"}
    for name, value in chosen.items():
        found = [query.replace(name, value) for query in found]
    assert not [query for query in found if "$" in query]
    return found


class Prometheus:
    """A Prometheus of the test's own, on loopback."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its HTTP API; fails with its error where it gives one."""
        url = f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error

    def value(self, query: str) -> float | None:
        """The one value that the query gives now; None where it gives none."""
        found = cast(list[Loaded], self.ask("query", query=query)["result"])
        assert len(found) < 2, f"{query} gives {len(found)} series"
        return float(found[0]["value"][1]) if found else None

    def wait(self, what: str, look: Callable[[], Any], until: Callable[[Any], bool], timeout: float = 60) -> Any:
        """What `look` gives once `until` is true of it. There is nothing to watch: it is asked again and again."""
        deadline, last = time.monotonic() + timeout, None
        while time.monotonic() < deadline:
            try:
                last = look()
            except OSError as error:
                last = error
            else:
                if until(last):
                    return last
            time.sleep(0.3)
        raise WaitError(f"{what} did not come to it in {timeout:.0f} s; last: {last}")

    def wait_value(self, query: str, until: Callable[[float | None], bool]) -> float:
        """The value of the query once `until` is true of it."""
        return self.wait(query, lambda: self.value(query), until)


def discovered(kubectl: Kubectl) -> list[Loaded]:
    """What Prometheus' role `endpoints` finds, as static_configs: Debian's build of it has no discovery of Kubernetes.

    Of the labels that it gives (2.42, `__meta_kubernetes_…`), those that scrape.yaml looks at.
    """
    found: list[Loaded] = []
    for namespace in (SYSTEM, "kube-system", "argo"):
        for endpoints in kubectl.list(namespace, "endpointslices"):
            name = endpoints["metadata"]["labels"]["kubernetes.io/service-name"]
            service = kubectl.get(namespace, "service", name)["metadata"].get("labels") or {}
            labels = {f"service_label_{re.sub('[^a-zA-Z0-9]', '_', key)}": value for key, value in service.items()}
            for endpoint, port in product(endpoints["endpoints"] or (), endpoints["ports"] or ()):
                labels |= {
                    "namespace": namespace,
                    "endpoint_port_name": port["name"],
                    "pod_name": endpoint.get("targetRef", {}).get("name", ""),
                }
                address = f"{endpoint['addresses'][0]}:{port['port']}"
                meta = {f"__meta_kubernetes_{key}": value for key, value in labels.items()}
                found.append({"targets": [address], "labels": meta})
    return found


def operators(kubectl: Kubectl) -> list[str]:
    """The names of the operator's pods; the one that acts comes first."""
    pods = kubectl.list(SYSTEM, "pods", "-l", OPERATOR_PODS)
    names = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    holder = kubectl.get(SYSTEM, "lease", "runwright-operator")["spec"]["holderIdentity"]
    return sorted(names, key=lambda name: not holder.startswith(f"{name}_"))


def configuration(kubectl: Kubectl, ports: Mapping[str, int]) -> Loaded:
    """The scrape configuration that we ship; what it picks of the cluster's pods is scraped at the port of each."""
    (job,) = yaml.safe_load(SCRAPE.read_text())
    assert job.pop("kubernetes_sd_configs") == [{"role": "endpoints"}]
    job["static_configs"] = discovered(kubectl)
    assert len(job["static_configs"]) > 1, "there is nothing that could be left out"
    # Pods cannot be reached from here in every cluster.
    job["relabel_configs"] += [
        {
            "source_labels": ["__meta_kubernetes_pod_name"],
            "regex": pod,
            "target_label": "__address__",
            "replacement": f"127.0.0.1:{port}",
        }
        for pod, port in ports.items()
    ]
    interval = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    return {"global": interval, "rule_files": [str(RULES)], "scrape_configs": [job]}


@pytest.fixture(scope="module")
def prometheus(kubectl: Kubectl, operator: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Scrapes the deployed operator every second, with the rules loaded."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    with ExitStack() as stack:
        config = folder / "prometheus.yml"
        ports = {
            pod: stack.enter_context(forwarded(kubectl, SYSTEM, f"pod/{pod}", "8080")) for pod in operators(kubectl)
        }
        config.write_text(yaml.safe_dump(configuration(kubectl, ports)))
        promtool("check", "config", config)
        command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        process = start_logged([*command, f"--web.listen-address=127.0.0.1:{port}"], folder / "log")
        stack.enter_context(ended(process))
        found = Prometheus(port)
        try:
            found.wait("Prometheus", lambda: found.ask("status/runtimeinfo"), lambda info: info["reloadConfigSuccess"])
        except WaitError as error:
            error.add_note((folder / "log").read_text()[-4000:])
            raise
        yield found


@pytest.fixture(scope="module")
def metrics(kubectl: Kubectl, operator: None) -> str:
    """What the operator that acts tells."""
    return kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{operators(kubectl)[0]}:8080/proxy/metrics")


def test_promtool_accepts_the_metrics(metrics: str):
    assert "runwright_build_info" in metrics
    assert promtool("check", "metrics", given=metrics) == ""


def test_promtool_reports_a_bad_metric(metrics: str):
    """The check above can fail: a counter without `_total` is one of the things that it looks for."""
    wrong = "# HELP runwright_wrong Wrong.\n# TYPE runwright_wrong counter\nrunwright_wrong 1\n"
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=metrics + wrong, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "runwright_wrong" in done.stderr


def test_alert_rules_pass_their_unit_tests():
    promtool("check", "rules", RULES)


def test_each_alert_fires_on_its_condition():
    assert "SUCCESS" in promtool("test", "rules", RULES_TEST)


def test_prometheus_finds_and_scrapes_both_operators(prometheus: Prometheus, kubectl: Kubectl):
    def targets() -> list[Loaded]:
        return prometheus.ask("targets", state="active")["activeTargets"]

    found = prometheus.wait(
        "the targets", targets, lambda found: {one["health"] for one in found} in ({"up"}, {"down"}, {"up", "down"})
    )
    assert [(one["health"], one["lastError"]) for one in found] == [("up", "")] * len(found)
    assert {one["labels"]["job"] for one in found} == {"runwright"}
    assert {one["labels"]["pod"] for one in found} == set(operators(kubectl))


def test_prometheus_loads_the_rules_and_none_fires(prometheus: Prometheus):
    def alerts() -> dict[str, Loaded]:
        return {one["name"]: one for group in prometheus.ask("rules")["groups"] for one in group["rules"]}

    expected = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    prometheus.wait_value('min(up{job="runwright"})', lambda value: value == 1)
    found = prometheus.wait("the rules", alerts, lambda found: all(one["health"] == "ok" for one in found.values()))
    assert set(found) == expected
    assert found["RunwrightDown"]["state"] != "firing"
    assert found["RunwrightNobodyActs"]["state"] != "firing"


def test_counters_increase_with_runs(
    prometheus: Prometheus, kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    prometheus.wait_value('min(up{job="runwright"})', lambda value: value == 1)
    before = {query: prometheus.value(f"sum({query})") or 0.0 for query in COUNTED}
    apply(pipeline_run({"spec": suspended()}, "waits"))
    for name in ("one", "two"):
        apply(pipeline_run({"spec": instant()}, name))
    apply(pipeline_run({"spec": suspended()}, "stopped"))
    apply(pipeline_run({"templateRef": {"name": "absent"}}, "stalled"))
    for name in ("one", "two"):
        wait_run(name, "Succeeded")
    for name in ("waits", "stopped"):
        wait_run(name, "Running")
    kubectl("patch", "-n", namespace, "prun", "stopped", "--type=merge", "-p", '{"spec": {"shutdown": "Terminate"}}')
    wait_run("stopped", "Failed")

    def runs(phase: str) -> str:
        return f'runwright_runs{{namespace="{namespace}", phase="{phase}"}}'

    def finished(phase: str, reason: str) -> str:
        return f'runwright_runs_finished_total{{namespace="{namespace}", phase="{phase}", reason="{reason}"}}'

    for query, expected in (
        (runs("Succeeded"), 2),
        (runs("Failed"), 1),
        (runs("Running"), 1),
        (runs("Pending"), 1),
        (finished("Succeeded", "Succeeded"), 2),
        (finished("Failed", "Terminated"), 1),
    ):
        prometheus.wait_value(query, lambda value, expected=expected: value == expected)
    for query, least in COUNTED.items():
        prometheus.wait_value(
            f"sum({query})", lambda value, least=before[query] + least: value is not None and value >= least
        )

    kubectl("delete", "-n", namespace, "prun", "--all", "--wait=true", timeout=120)
    prometheus.wait_value(f'sum(runwright_runs{{namespace="{namespace}"}})', lambda value: value is None)
    assert prometheus.value(finished("Succeeded", "Succeeded")) == 2, "what has ended stays counted"


def test_a_run_metric_is_a_series_until_the_run_is_deleted(
    prometheus: Prometheus, kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    file = '{"metrics": [{"name": "accuracy", "numberValue": 0.93}, {"name": "loss", "numberValue": 0.25}]}'
    leaving = shell(
        f"printf '%s' '{file}' > /tmp/metrics",
        outputs={"parameters": [{"name": "mlpipeline-metrics", "valueFrom": {"path": "/tmp/metrics"}}]},
    )
    for name in ("archived", "deleted"):
        apply(pipeline_run({"spec": {"entrypoint": "main", "templates": [leaving]}}, name))
    for name in ("archived", "deleted"):
        wait_run(name, "Succeeded")

    def series(run: str, metric: str) -> str:
        return f'runwright_run_metric{{namespace="{namespace}", run="{run}", metric="{metric}"}}'

    for name in ("archived", "deleted"):
        prometheus.wait_value(series(name, "accuracy"), lambda value: value == 0.93)
        assert prometheus.value(series(name, "loss")) == 0.25
    assert prometheus.value("sum(runwright_run_metrics_left_out)") == 0
    kubectl("label", "-n", namespace, "prun", "archived", "runwright.dev/storage-state=Archived")
    prometheus.wait_value(series("archived", "accuracy"), lambda value: value is None)
    assert prometheus.value(series("deleted", "accuracy")) == 0.93
    kubectl("delete", "-n", namespace, "prun", "deleted")
    prometheus.wait_value(series("deleted", "accuracy"), lambda value: value is None)
    assert prometheus.value("sum(runwright_leader)") == 1


def test_dashboard_queries_return_data(prometheus: Prometheus, tmp_path: Path):
    """Each query is PromQL, and those that count existing objects return samples."""
    prometheus.wait_value('min(up{job="runwright"})', lambda value: value == 1)
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)
    empty = [query for query in queries() if not prometheus.ask("query", query=query)["result"]]
    for metric in (
        "sum(up{",
        "runwright_workqueue_depth",
        "runwright_workqueue_oldest_seconds",
        "process_resident_memory_bytes",
    ):
        assert not [query for query in empty if metric in query], metric
