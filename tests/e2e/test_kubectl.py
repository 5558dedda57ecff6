"""`kubectl runwright` as kubectl starts it: docs/kubectl.md as it stands there, and what a page cannot show."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from localcluster.catalogue import S3_ENVIRONMENT

from tests.e2e.cluster import Kubectl, ended
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import instant, one_step, pipeline_run, suspended
from tests.e2e.processes import REPOSITORY, Lines

PAGE = REPOSITORY / "docs" / "kubectl.md"

ENDED_BADLY, TIMED_OUT, INTERRUPTED = 3, 4, 130


# -------------------------------------------------------------------------------------------------------------- a shell
class Shell:
    """bash in a folder of its own, whose kubectl finds the plugin, and works in the test's namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path) -> None:
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        config["contexts"][0]["context"]["namespace"] = namespace
        (folder / "kubeconfig").write_text(json.dumps(config))
        (folder / "kubeconfig").chmod(0o600)
        commands = folder / "bin"
        commands.mkdir()
        for name, module, function in (
            ("kubectl-runwright", "runwright.kubectl.commands", "kubectl"),
            ("runwright", "runwright.cli", "main"),
        ):
            plugin = commands / name
            plugin.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(REPOSITORY / 'operator')!r})\n"
                f"from {module} import {function}\n{function}()\n"
            )
            plugin.chmod(0o755)
        self.folder = folder
        path = f"{commands}:{os.environ['PATH']}"
        clean: dict[str, str] = {
            name: value for name, value in os.environ.items() if not name.startswith(("RUNWRIGHT", "AWS_"))
        }
        self.environment = {
            **clean,
            **S3_ENVIRONMENT,
            "KUBECONFIG": str(folder / "kubeconfig"),
            "PATH": path,
        }

    def run(self, command: str, code: int | None = 0, timeout: float = 180) -> str:
        """What it prints, errors too."""
        done = subprocess.run(
            ["bash", "-c", f"exec 2>&1; {command}"],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
            cwd=self.folder,
        )
        assert code is None or done.returncode == code, f"{command}: {done.returncode}: {done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout

    def start(self, command: str) -> subprocess.Popen[str]:
        """The command as a process."""
        return subprocess.Popen(
            command.split(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )


@pytest.fixture
def shell(kubectl: Kubectl, namespace: str, tmp_path: Path, operator: None) -> Shell:
    return Shell(kubectl, namespace, tmp_path)


# -------------------------------------------------------------------------------------------------------------- the page
def recorded(page: str) -> list[tuple[str, list[str]]]:
    """The commands of the page whose output it shows, up to its tables, and that output."""
    story = page.partition("## The commands")[0].partition("```yaml")[2]
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", story, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(lines: list[str]) -> list[str]:
    """Output without what differs between runs: times and column widths."""
    text = "\n".join(line for line in lines if line.strip())
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\b(\d+h)?(\d+m)?\d+s\b", "SPAN", text)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_commands_of_the_page_print_what_it_shows(shell: Shell, kubectl: Kubectl, namespace: str):
    page = PAGE.read_text()
    manifest = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert manifest is not None
    (shell.folder / "train.yaml").write_text(manifest[1])
    commands = recorded(page)
    assert len(commands) == 17
    for command, expected in commands:
        said = shell.run(command, code=None).replace(namespace, "ml").splitlines()
        if "--watch" in command:
            # Which of the steps on the way is seen depends on when the operator writes.
            assert shape(said)[-3:] == shape(expected)[-3:], command
            assert shape(said)[0] == shape(expected)[0], command
        else:
            assert shape(said) == shape(expected), command
    assert kubectl.find(namespace, "prun", "train") is None


# ------------------------------------------------------------------------------------------------------------ submitting
def test_submit_accepts_files_urls_and_templates(shell: Shell, apply: Apply, kubectl: Kubectl, namespace: str):
    template = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "daily"}}
    apply({**template, "spec": instant()})
    said = shell.run("kubectl runwright submit --from workflowtemplate/daily --label team=ml --wait")
    created, outcome = said.splitlines()
    name = re.fullmatch(r"pipelinerun\.runwright\.dev/(daily-\w{5}) created", created)
    assert name, said
    assert outcome == f"pipelinerun.runwright.dev/{name[1]}: it has ended as Succeeded"
    assert kubectl.get(namespace, "prun", name[1])["metadata"]["labels"]["team"] == "ml"

    (shell.folder / "run.json").write_text(json.dumps(pipeline_run({"spec": instant()}, "mine")))
    assert shell.run("cat run.json | kubectl runwright submit - -o name") == "pipelinerun.runwright.dev/mine\n"
    assert "AlreadyExists" in shell.run("kubectl runwright submit run.json", code=1)
    shell.run("kubectl runwright submit run.json --name other --dry-run server")
    assert kubectl.find(namespace, "prun", "other") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": {"workflow": {"spec": {}, "templateRef": {"name": "a"}}}}, "exactly one of manifest, spec"),
        ({"spec": {"workflow": {"spec": instant()}, "retrys": 1}}, "retrys"),
        ({"metadata": {"name": "Not_a_name"}}, "metadata.name"),
        ({"spec": {"workflow": {"spec": {**instant(), "entrypoint": "absent"}}}}, "entrypoint"),
    ],
)
def test_submit_of_a_bad_run_names_the_field(shell: Shell, change: dict[str, object], message: str):
    run = {**pipeline_run({"spec": instant()}), **change}
    (shell.folder / "run.json").write_text(json.dumps(run))
    said = shell.run("kubectl runwright submit run.json", code=1)
    (line,) = said.splitlines()
    assert line.startswith("runwright: ")
    assert message in line


def test_submit_of_a_too_large_manifest_names_the_limit(shell: Shell):
    (shell.folder / "large.yaml").write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n#" + "x" * 1_000_000
    )
    assert "more than the 1000000 that fit into a Workflow" in shell.run("kubectl runwright submit large.yaml", code=1)


# ------------------------------------------------------------------------------------------------- watching and waiting
def test_get_watch_redraws_a_tree_on_a_terminal(shell: Shell, apply: Apply):
    """Each frame is drawn in place of the one before; the description of the run stays at the end."""
    apply(pipeline_run({"spec": one_step("sleep 12")}))
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        ["kubectl", "runwright", "get", "run", "-w"],
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        env={**shell.environment, "TERM": "xterm-256color"},
        close_fds=True,
    )
    os.close(its_end)
    drawn = b"".join(pieces(terminal)).decode()
    assert process.wait(30) == 0, drawn
    erasure = r"\r((?:\x1b\[2K|\x1b\[1A)+)"
    frames, erasures = re.split(erasure, drawn)[::2], re.findall(erasure, drawn)
    assert len(frames) > 2, drawn
    assert any("Running" in frame for frame in frames[:-1]), drawn
    for before, erased in zip(frames, erasures, strict=False):
        assert before.count("\n") == erased.count("\x1b[1A"), drawn
    assert re.search(r"^run +Succeeded", frames[-1], re.MULTILINE), frames[-1]


def pieces(terminal: int) -> Iterator[bytes]:
    """What is written to a terminal until nobody has it open any more."""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            return
        if not piece:
            return
        yield piece


def test_list_watch_prints_changes_until_ctrl_c(shell: Shell, apply: Apply):
    apply(pipeline_run({"spec": suspended()}, "first"))
    process = shell.start("kubectl-runwright list -w")
    with ended(process):
        assert process.stdout is not None
        lines = Lines(process.stdout)
        lines.wait(lambda line: line.startswith("NAME"))
        apply(pipeline_run({"spec": instant()}, "second"))
        lines.wait(lambda line: re.match(r"second +Succeeded", line) is not None, timeout=120)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == INTERRUPTED
        assert "Traceback" not in "".join(lines.seen())


def test_wait_returns_when_runs_reach_the_phase(shell: Shell, apply: Apply):
    apply(pipeline_run({"spec": suspended()}, "goes"))
    apply(pipeline_run({"spec": instant()}, "ends"))
    apply(pipeline_run({"spec": suspended(activeDeadlineSeconds=1)}, "fails"))
    assert shell.run("kubectl runwright wait ends") == "pipelinerun.runwright.dev/ends Succeeded\n"
    assert shell.run("kubectl runwright wait ends fails", ENDED_BADLY).count("pipelinerun.runwright.dev/") == 2
    assert shell.run("kubectl runwright wait fails --for failed") == "pipelinerun.runwright.dev/fails Failed\n"
    assert "and not succeeded" in shell.run("kubectl runwright wait fails --for succeeded", ENDED_BADLY)
    assert "goes: timed out" in shell.run("kubectl runwright wait goes ends --timeout 2s", TIMED_OUT)
    assert 'NotFound: pipelineruns.runwright.dev "absent" not found' in shell.run("kubectl runwright wait absent", 1)


# --------------------------------------------------------------------------------------------------------------- editing
def test_edits_of_several_runs_report_each(
    shell: Shell, apply: Apply, wait_run: WaitRun, kubectl: Kubectl, namespace: str
):
    for name in ("one", "two"):
        apply(pipeline_run({"spec": suspended()}, name))
    wait_run("one", "Running")
    wait_run("two", "Running")
    said = shell.run("kubectl runwright terminate --stop --all")
    assert sorted(said.splitlines()) == [f"pipelinerun.runwright.dev/{name} stopped" for name in ("one", "two")]
    shell.run("kubectl runwright wait --all", ENDED_BADLY)
    said = shell.run("kubectl runwright terminate one absent", code=1)
    assert "one unchanged: it was terminated and has ended as Failed" in said
    assert '"absent" not found' in said

    assert shell.run("kubectl runwright archive one").endswith("one archived\n")
    shell.run("kubectl runwright wait one --for archived")
    assert "unchanged: it is already archived" in shell.run("kubectl runwright archive one")
    assert shell.run("kubectl runwright list -o name").splitlines() == ["pipelinerun.runwright.dev/two"]
    assert shell.run("kubectl runwright list --all --phase Failed --phase Error -o name").count("\n") == 2
    assert shell.run("kubectl runwright retry one").endswith("one unarchived and retried (retry 1)\n")
    run = wait_run("one", lambda run: run["status"]["retries"] == 1 and run["status"]["phase"] == "Running")
    assert (run["spec"]["retries"], run["spec"].get("shutdown")) == (1, None)
    assert "storage-state" not in json.dumps(run["metadata"].get("labels") or {})

    shell.run("kubectl runwright delete one two")
    assert kubectl.list(namespace, "prun") == []
    shell.run("kubectl runwright delete one", code=1)
    assert shell.run("kubectl runwright delete one --ignore-not-found") == ""


# ------------------------------------------------------------------------------------------------------------------ logs
def test_logs_are_followed_until_the_run_has_ended(shell: Shell, apply: Apply):
    """Of both pods, also of the one that begins after the other has ended; of `wait` too."""
    tasks = [[{"name": "a", "template": "main"}], [{"name": "b", "template": "main"}]]
    spec = one_step("echo begun; sleep 3; echo done")
    spec["templates"].append({"name": "both", "steps": tasks})
    apply(pipeline_run({"spec": {**spec, "entrypoint": "both"}}))
    said = [line for line in shell.run("kubectl runwright logs run -f").splitlines() if "argo=true" not in line]
    assert [line for line in said if line.endswith(("begun", "done"))] == [
        "[[0].a] begun",
        "[[0].a] done",
        "[[1].b] begun",
        "[[1].b] done",
    ]
    one = shell.run("kubectl runwright logs run --node b --no-prefix")
    assert [line for line in one.splitlines() if "argo=true" not in line] == ["begun", "done"]
    assert "container 'nope' has not started" in shell.run("kubectl runwright logs run -c nope", code=1)


# ---------------------------------------------------------------------------------------------------------- completion
def test_kubectl_completes_plugin_commands(shell: Shell, apply: Apply):
    """By the executable that kubectl asks, as the shell functions of `kubectl completion` do."""
    apply(pipeline_run({"spec": suspended()}, "train-1"))
    shell.run(
        "kubectl runwright completion kubectl > bin/kubectl_complete-runwright; chmod +x bin/kubectl_complete-runwright"
    )

    def completed(words: str) -> list[str]:
        said = shell.run(f"kubectl __complete {words} 2>/dev/null").splitlines()
        return [line.partition("\t")[0] for line in said]

    assert completed("runwright unarch") == ["unarchive", ":4"]
    assert completed("runwright list --phase Err") == ["Error", ":4"]
    assert answered(lambda: completed("runwright get tr"), ["train-1", ":4"])


def test_bash_completes_commands_and_names(shell: Shell, apply: Apply):
    apply(pipeline_run({"spec": suspended()}, "train-1"))
    asked = 'COMP_WORDS=(runwright get tr); COMP_CWORD=2; _runwright_completion runwright; echo "${COMPREPLY[@]}"'
    assert answered(lambda: shell.run(f"source <(runwright completion bash); {asked}").split(), ["train-1"])


def answered(ask: Callable[[], list[str]], expected: list[str]) -> bool:
    """Whether it comes to this in some tries: a cluster that takes longer than two seconds is not waited for."""
    return any(ask() == expected for _ in range(8))


@pytest.mark.parametrize("command", ["list", "get a", "logs a", "retry a", "submit -"])
def test_an_unreachable_cluster_is_reported_in_one_line(command: str, shell: Shell):
    config = json.loads((shell.folder / "kubeconfig").read_text())
    config["clusters"][0]["cluster"] = {"server": "http://127.0.0.1:9"}
    (shell.folder / "kubeconfig").write_text(json.dumps(config))
    run = json.dumps(pipeline_run({"spec": instant()}))
    said = shell.run(f"echo '{run}' | kubectl runwright {command}", code=1)
    assert re.fullmatch(r"runwright: (\S+: )?Unreachable: no reply from the API server: .*\n", said), said


def names_of(lines: str, wanted: Callable[[str], bool]) -> list[str]:
    return [line.split()[0] for line in lines.splitlines() if wanted(line)]


def test_only_metadata_is_read_for_names(shell: Shell, apply: Apply):
    apply(
        {"apiVersion": "v1", "kind": "List", "items": [pipeline_run({"spec": suspended()}, f"r-{n}") for n in (1, 2)]}
    )
    listed = shell.run("kubectl runwright list")
    assert set(names_of(listed, lambda line: line.startswith("r-"))) == {"r-1", "r-2"}
    assert set(shell.run("kubectl runwright list -A -o name").split()) >= {
        f"pipelinerun.runwright.dev/r-{n}" for n in (1, 2)
    }
    items = json.loads(shell.run("kubectl runwright list -o json"))["items"]
    assert {item["spec"]["workflow"]["spec"]["entrypoint"] for item in items} == {"main"}
