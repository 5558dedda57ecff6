"""CPU time of each step with the largest objects that the API server takes: `.venv/bin/python -m bench.loop_blocks`.

A step on the event loop is one block of it. A step in a thread leaves the loop its turn every 5 ms, except during a call of C.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

from runwright.api.pipelinerun import PipelineRun
from runwright.core.retry.reset import encode_in_pieces, pack_json
from runwright.core.run_record import run_record
from runwright.core.workflow.build import BuildOptions, build_workflow
from runwright.core.workflow.packed import MAX_UNPACKED_BYTES
from runwright.core.workflow.record import workflow_record
from runwright.kube.decoding import decode, shape_of

Object = dict[str, Any]
ROUNDS = 5


def measure(label: str, step: Callable[[], object]) -> None:
    """Print the least CPU time of a step, in milliseconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        step()
        best = min(best, time.thread_time() - began)
    print(f"{label:48} {best * 1000:7.1f} ms", flush=True)


def run_of(spec: Object) -> Object:
    """A run with an inline spec, as the API server returns it."""
    metadata = {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 1}
    return {"kind": "PipelineRun", "metadata": metadata, "spec": {"workflow": {"spec": spec}}}


def usual_spec() -> Object:
    """1,150 steps with scripts of 900 characters: 1.3 MB."""
    container = {"image": "python:3.12", "command": ["python", "-c"], "args": ["x" * 900], "env": [{"name": "A"}]}
    step = {"inputs": {"parameters": [{"name": "a", "value": "b"}]}, "container": container, "metadata": {"labels": {}}}
    return {"entrypoint": "t0", "templates": [{"name": f"t{number}", **step} for number in range(1150)]}


def crafted_spec() -> Object:
    """100,000 keys: 1.3 MB."""
    return {"entrypoint": "m", "templates": [{"name": "m"}], "x": {f"k{number}": "v" for number in range(100_000)}}


def node(number: int) -> Object:
    """A node with what Argo (3.7) writes into it."""
    return {
        "id": f"r-{number}",
        "name": f"r.{number}",
        "type": "Pod",
        "phase": "Succeeded",
        "message": "m" * 300,
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:00Z",
        "boundaryID": "r",
        "inputs": {"parameters": [{"name": "a", "value": "b"}]},
        "outputs": {"exitCode": "0", "artifacts": [{"name": "main-logs", "s3": {"key": "r/r-1/main.log"}}]},
        "resourcesDuration": {"cpu": 1, "memory": 2},
        "children": ["end"],
    }


def main() -> None:
    """Measure all steps."""
    for label, spec in (("usual spec, 1.3 MB", usual_spec()), ("crafted spec, 1.3 MB", crafted_spec())):
        body = run_of(spec)
        data = json.dumps(body, separators=(",", ":")).encode()
        run = PipelineRun.model_validate(body)
        measure(f"{label}: decode", lambda data=data: decode(data))
        measure(f"{label}: read the record", lambda body=body: run_record(body))
        measure(f"{label}: build (in a thread)", lambda run=run: build_workflow(run, {}, BuildOptions()))
        measure(f"{label}: encode for the request", lambda body=body: json.dumps(body).encode())
    few = {"metadata": {}, "status": {"nodes": {f"r-{number}": node(number) for number in range(1000)}}}
    measure("1,000 nodes: read the record", lambda: workflow_record(few))
    nodes = {f"r-{number}": node(number) for number in range(10_000)}
    text = pack_json(nodes)
    packed = base64.b64decode(text)
    raw = zlib.decompress(packed, 31)
    many = {"metadata": {}, "status": {"compressedNodes": text}}
    measure("10,000 nodes: read the record (in a thread)", lambda: workflow_record(many))
    measure("  of this, C: gunzip", lambda: zlib.decompressobj(31).decompress(packed, MAX_UNPACKED_BYTES))
    measure("  of this, C: measure the shape", lambda: shape_of(raw))
    measure("10,000 nodes: encode (in a thread)", lambda: "".join(encode_in_pieces(nodes, 1)))


if __name__ == "__main__":
    main()
