"""An etcd and a kube-apiserver of a test's own, on loopback: to be restarted, and to lack what a cluster has.

The programs are those that `make cluster` has built. There are no controllers: nothing is collected, no pod runs.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from deploy.local.localcluster import binaries, pins
from tests.e2e.cluster import Kubectl, WaitError
from tests.e2e.processes import start_logged
from tests.ports import free_port

TOKEN = "of-a-test"
READY_SECONDS = 90.0


def programs() -> dict[str, Path] | None:
    """The programs, by name; None where they are not built, as on a machine whose cluster is another's."""
    if not (binaries.is_built(pins.ETCD) and binaries.is_built(pins.KUBERNETES)):
        return None
    return {
        "etcd": binaries.folder(pins.ETCD) / "etcd",
        "kube-apiserver": binaries.folder(pins.KUBERNETES) / "kube-apiserver",
    }


def after(prefix: str) -> str:
    """The first key that is behind all with this prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def base64_of(text: str) -> str:
    """How etcd's HTTP gateway takes a key."""
    return base64.b64encode(text.encode()).decode()


class ControlPlane:
    """One etcd, one API server, and an admin's way in."""

    def __init__(self, folder: Path, built: dict[str, Path], *options: str, etcd_options: tuple[str, ...] = ()) -> None:
        """`options` are added to the API server's, `etcd_options` to etcd's."""
        self._folder, self._programs, self._options, self._etcd_options = folder, built, options, etcd_options
        self._etcd_port, self._peer_port, self._port = free_port(), free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kubeconfig = folder / "kubeconfig"
        self.kubectl = Kubectl(self.kubeconfig)

    def __enter__(self) -> ControlPlane:
        key = self._folder / "account.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        (self._folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        try:
            self.start_etcd()
            self.start_api_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _run(self, name: str, *options: str) -> None:
        command = [str(self._programs[name]), *options]
        self._processes[name] = start_logged(command, self._folder / f"{name}.log", folder=self._folder)

    def start_etcd(self) -> None:
        """Start it, and return at once: the API server waits for it."""
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        self._run(
            "etcd",
            *("--name=test", f"--data-dir={self._folder}/etcd", "--unsafe-no-fsync", "--log-level=warn"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=test={peer}"),
            *self._etcd_options,
        )

    def start_api_server(self) -> None:
        """Start it, and return once it is ready."""
        here = self._folder
        self._run(
            "kube-apiserver",
            *(f"--etcd-servers=http://127.0.0.1:{self._etcd_port}", f"--secure-port={self._port}"),
            *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--cert-dir={here}"),
            *(f"--token-auth-file={here}/tokens.csv", "--authorization-mode=RBAC", "--profiling=false"),
            *("--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://test"),
            *(
                f"--service-account-key-file={here}/account.key",
                f"--service-account-signing-key-file={here}/account.key",
            ),
            *("--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none", *self._options),
        )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._processes["kube-apiserver"].poll() is not None:
                break
            certificate = here / "apiserver.crt"
            if certificate.exists():
                self._write_kubeconfig(certificate.read_bytes())
                ready = self.kubectl.command("get", "--raw", "/readyz", "--request-timeout=2s")
                if subprocess.run(ready, capture_output=True).returncode == 0:
                    return
            time.sleep(0.2)
        raise WaitError(f"kube-apiserver is not ready: {(here / 'kube-apiserver.log').read_text()[-2000:]}")

    def kill_api_server(self) -> None:
        """SIGKILL, as when its machine fails. What it has acknowledged is in etcd."""
        self.kill("kube-apiserver")

    def kill(self, name: str) -> None:
        """SIGKILL for `etcd` or `kube-apiserver`."""
        self._processes[name].kill()
        self._processes[name].wait()

    def signal(self, name: str, number: int) -> None:
        """Send `etcd` or `kube-apiserver` a signal, such as SIGSTOP."""
        self._processes[name].send_signal(number)

    def install(self, *arguments: str, input: str | None = None) -> None:
        """Apply CRDs, and return once each can be watched, which is later than Established.

        Until then the API server refuses a watch with 429 (1.34: its cache of the kind is being initialized).
        """
        names = self.kubectl("apply", "--server-side", "-o", "name", *arguments, input=input).split()
        self.kubectl.wait_established(*names)
        found = json.loads(self.kubectl("get", *names, "-o", "json"))
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self._until_watchable, found.get("items", [found])))

    def _until_watchable(self, crd: dict[str, Any]) -> None:
        spec = crd["spec"]
        version = next(one["name"] for one in spec["versions"] if one["storage"])
        path = f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?watch=true&timeoutSeconds=1"
        deadline = time.monotonic() + 30
        while subprocess.run(self.kubectl.command("get", "--raw", path), capture_output=True).returncode:
            if time.monotonic() > deadline:
                raise WaitError(f"{path} is refused for 30 s")
            time.sleep(0.1)

    def copy_etcd(self, where: Path) -> None:
        """Take a cold copy of etcd's data, as a backup; the API server is restarted with it."""
        self._end("kube-apiserver", "etcd")
        shutil.copytree(self._folder / "etcd", where)
        self.start_etcd()
        self.start_api_server()

    def restore_etcd(self, copy: Path) -> None:
        """Go back to the copy; the API server is restarted with it."""
        self._end("kube-apiserver", "etcd")
        shutil.rmtree(self._folder / "etcd")
        shutil.copytree(copy, self._folder / "etcd")
        self.start_etcd()
        self.start_api_server()

    def _end(self, *names: str) -> None:
        for name in names:
            self._processes[name].terminate()
            self._processes[name].wait(30)

    def compact(self) -> int:
        """Make etcd forget all versions but the present ones; gives the revision up to which it has."""
        revision = int(self._etcd("range", {"key": base64_of("a")})["header"]["revision"])
        self._etcd("compaction", {"revision": str(revision), "physical": True})
        return revision

    def bytes_in_use(self) -> int:
        """Bytes that the present versions of all objects take in etcd: its history is compacted, and the file defragmented."""
        self.compact()
        self._ask("maintenance/defragment", {})
        return int(self._ask("maintenance/status", {})["dbSizeInUse"])

    def alarms(self) -> list[str]:
        """The alarms that etcd has raised, such as `NOSPACE`: it then refuses every write but deletions."""
        return [one["alarm"] for one in self._ask("maintenance/alarm", {"action": "GET"}).get("alarms", ())]

    def relieve(self) -> None:
        """What an admin does once there is room again: compact, defragment, and take back the alarms."""
        self.compact()
        self._ask("maintenance/defragment", {})
        for one in self._ask("maintenance/alarm", {"action": "GET"}).get("alarms", ()):
            self._ask("maintenance/alarm", {"action": "DEACTIVATE", **one})

    def stored(self, prefix: str) -> list[dict[str, Any]]:
        """The objects under this prefix as etcd holds them; of kinds that are stored as JSON."""
        end = after(prefix)
        reply: dict[str, Any] = self._etcd("range", {"key": base64_of(prefix), "range_end": base64_of(end)})
        return [json.loads(base64.b64decode(one["value"])) for one in reply.get("kvs", ())]

    def put(self, values: Sequence[tuple[str, str]]) -> None:
        """Put values under these keys in one transaction, past the API server."""
        puts = [{"request_put": {"key": base64_of(key), "value": base64_of(value)}} for key, value in values]
        self._etcd("txn", {"success": puts})

    def history(self, prefix: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Everything that etcd ever held under this prefix, in order: the rest of the key, and the object, None where it was deleted.

        Only where nothing was forgotten: with `--etcd-compaction-interval=0`. Read past the API server, so it may be dead.
        Raises WaitError where etcd refuses.
        """
        last = f"{prefix}~"
        self._etcd("put", {"key": base64_of(last)})
        wanted = {"key": base64_of(prefix), "range_end": base64_of(after(prefix))}
        body = {"create_request": wanted | {"start_revision": "1", "fragment": True}}
        with self._open("watch", body) as reply:
            for line in reply:
                result = json.loads(line)["result"]
                if result.get("canceled"):
                    raise WaitError(f"etcd does not tell the history of {prefix}: {result}")
                for event in result.get("events", ()):
                    key = base64.b64decode(event["kv"]["key"]).decode()
                    if key == last:
                        return
                    deleted = event.get("type") == "DELETE"
                    value = None if deleted else json.loads(base64.b64decode(event["kv"]["value"]))
                    yield key.removeprefix(prefix), value

    def _etcd(self, call: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
        return self._ask(f"kv/{call}", body)

    def _ask(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        with self._open(path, body) as reply:
            return json.load(reply)

    def _open(self, path: str, body: Mapping[str, object]) -> HTTPResponse:
        url = f"http://127.0.0.1:{self._etcd_port}/v3/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return urllib.request.urlopen(request, timeout=60)

    def _write_kubeconfig(self, authority: bytes) -> None:
        server = f"https://127.0.0.1:{self._port}"
        cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        # kubectl may read it at the same time.
        partial = self._folder / "kubeconfig.partial"
        partial.write_text(json.dumps(document))
        os.replace(partial, self.kubeconfig)
