"""Applies a PipelineRun, shows it run to its end, and exits with 0 only if it Succeeded. `make demo` runs it.

Everything is done with kubectl, on the current context, as a user would; each command that matters is shown.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent / "examples"
NAMESPACE = "runwright-demo"
RUN = "hello"
PATIENCE = 300.0
"""Seconds until the demo gives up; the run takes about 15, longer where images must be pulled first."""

Object = dict[str, Any]


def kubectl(*arguments: str, show: bool = True) -> None:
    """Run kubectl in the demo's namespace with its output on the terminal.

    Raises:
        SystemExit: if kubectl fails, with its own exit code; it has said why.
    """
    if show:
        print(f"\n$ kubectl {' '.join(arguments)}", flush=True)
    done = subprocess.run(["kubectl", *arguments], check=False, stdout=None if show else subprocess.DEVNULL)
    if done.returncode:
        sys.exit(done.returncode)


def objects(chunks: Iterator[str]) -> Iterator[Object]:
    """The JSON documents in a text that comes in pieces, one after the other without a separator."""
    decoder, text = json.JSONDecoder(), ""
    for chunk in chunks:
        text += chunk
        while text := text.lstrip():
            try:
                document, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break
            yield document
            text = text[end:]


def watch() -> Iterator[Object]:
    """The run as it is now and after every change, until the caller stops or `PATIENCE` is over."""
    command = ["kubectl", "get", "pipelinerun", RUN, "-n", NAMESPACE, "-o", "json", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        limit = threading.Timer(PATIENCE, process.terminate)
        limit.start()
        try:
            # A document ends with a line "}" of its own, so that whole lines are soon enough.
            yield from objects(iter(process.stdout.readline, ""))
        finally:
            limit.cancel()
            process.terminate()


def news(before: Object, after: Object) -> list[str]:
    """What changed between two states of a run, one line each: the run's own phase, then its nodes."""
    old, new = before.get("status", {}), after.get("status", {})
    lines: list[str] = []
    if (new.get("phase"), new.get("progress")) != (old.get("phase"), old.get("progress")):
        lines.append(
            f"run {after['metadata']['name']:<12} {new.get('phase', ''):<10} {new.get('progress', '')}".rstrip()
        )
    seen = {node["id"]: node.get("phase") for node in old.get("nodes", [])}
    lines += [
        f"    {node['type'].lower():<4} {node['name']:<7} {node['phase']:<10} {node.get('message', '')}".rstrip()
        for node in new.get("nodes", [])
        if seen.get(node["id"]) != node["phase"]
    ]
    return lines


def follow() -> Object | None:
    """Print what happens to the run, with seconds since now, and return it as it ended; None if it did not end."""
    start = time.monotonic()
    before: Object = {}
    for run in watch():
        for line in news(before, run):
            print(f"  {time.monotonic() - start:5.1f} s  {line}", flush=True)
        before = run
        if run.get("status", {}).get("finishedAt"):
            return run
    return None


def show_logs() -> None:
    """Print what the pods of the run printed, without the lines that Argo's own program adds in the same container."""
    command = [
        "kubectl",
        "logs",
        "-n",
        NAMESPACE,
        "-l",
        f"workflows.argoproj.io/workflow={RUN}",
        "-c",
        "main",
        "--prefix",
    ]
    print(f"\n$ {' '.join(command)} | grep -v argo=true")
    logs = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout
    print("\n".join(line for line in logs.splitlines() if "argo=true" not in line), flush=True)


def main() -> int:
    """Run the demo; the exit code is 0 only if the run Succeeded."""
    kubectl("apply", "-f", str(EXAMPLES / "namespace.yaml"), show=False)
    kubectl("delete", "pipelinerun", RUN, "-n", NAMESPACE, "--ignore-not-found", "--cascade=foreground", show=False)
    kubectl("apply", "-n", NAMESPACE, "-f", os.path.relpath(EXAMPLES / "hello.yaml"))
    run = follow()
    if run is None:
        print(f"\nThe run did not end within {PATIENCE:.0f} s. What it says, and what the operator says:")
        kubectl("describe", "pipelinerun", RUN, "-n", NAMESPACE)
        kubectl("logs", "-n", "runwright-system", "deployment/runwright-operator", "--tail=30")
        return 1
    show_logs()
    kubectl("get", "pipelineruns", "-n", NAMESPACE)
    kubectl("get", "pipelinerun", RUN, "-n", NAMESPACE, "-o", "jsonpath={.status.outputs}{'\\n'}")
    if run["status"]["phase"] != "Succeeded":
        print(f"\nThe run ended as {run['status']['phase']}: {run['status'].get('message', 'it gave no message')}")
        return 1
    print(
        "\nIt ran in real pods and ended as Succeeded. Yours next: docs/first-run.md. All of it away: make cluster-down"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
