"""Applies a PipelineRun, shows its progress, and exits with 0 only if it is Succeeded. `make demo` runs it.

It uses kubectl with the current context, as a user does, and prints the important commands.
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
TIMEOUT = 300.0
"""Seconds until the demo gives up. The run takes about 15 s, and longer if images are pulled first."""

Object = dict[str, Any]


def kubectl(*arguments: str, show: bool = True) -> None:
    """Run kubectl in the demo's namespace with its output on the terminal.

    Raises:
        SystemExit: if kubectl fails, with kubectl's exit code.
    """
    if show:
        print(f"\n$ kubectl {' '.join(arguments)}", flush=True)
    done = subprocess.run(["kubectl", *arguments], check=False, stdout=None if show else subprocess.DEVNULL)
    if done.returncode:
        sys.exit(done.returncode)


def objects(chunks: Iterator[str]) -> Iterator[Object]:
    """The JSON documents in a stream of text pieces. There is no separator between documents."""
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
    """The run now and after every change, until the caller stops or `TIMEOUT` ends."""
    command = ["kubectl", "get", "pipelinerun", RUN, "-n", NAMESPACE, "-o", "json", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        limit = threading.Timer(TIMEOUT, process.terminate)
        limit.start()
        try:
            # A document ends with the line "}", so reading whole lines causes no delay.
            yield from objects(iter(process.stdout.readline, ""))
        finally:
            limit.cancel()
            process.terminate()


def news(before: Object, after: Object) -> list[str]:
    """The changes between two states of a run, one line each: the run's phase, then its nodes."""
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
    """Print the changes of the run with the seconds since the start. Return the finished run, or None after the timeout."""
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
    """Print the logs of the run's pods, without the lines of Argo's executor."""
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
    """Run the demo. The exit code is 0 only if the run is Succeeded."""
    kubectl("apply", "-f", str(EXAMPLES / "namespace.yaml"), show=False)
    kubectl("delete", "pipelinerun", RUN, "-n", NAMESPACE, "--ignore-not-found", "--cascade=foreground", show=False)
    kubectl("apply", "-n", NAMESPACE, "-f", os.path.relpath(EXAMPLES / "hello.yaml"))
    run = follow()
    if run is None:
        print(f"\nThe run did not end within {TIMEOUT:.0f} s. Its description and the operator's log:")
        kubectl("describe", "pipelinerun", RUN, "-n", NAMESPACE)
        kubectl("logs", "-n", "runwright-system", "deployment/runwright-operator", "--tail=30")
        return 1
    show_logs()
    kubectl("get", "pipelineruns", "-n", NAMESPACE)
    kubectl("get", "pipelinerun", RUN, "-n", NAMESPACE, "-o", "jsonpath={.status.outputs}{'\\n'}")
    if run["status"]["phase"] != "Succeeded":
        print(f"\nThe run ended as {run['status']['phase']}: {run['status'].get('message', 'no message')}")
        return 1
    print(
        "\nThe run is Succeeded. Its steps were real pods. To run your own: docs/first-run.md. To remove the cluster: make cluster-down"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
