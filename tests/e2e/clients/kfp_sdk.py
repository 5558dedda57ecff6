"""The life of runs through `kfp.Client` 1.8.22 and `kfp_server_api` 1.8.5, as they come; prints what it saw as JSON.

Arguments: host, token (empty for none), namespace (empty in single-user mode), the manifests of a run that succeeds, of one
that fails and of one that goes on until somebody ends it, as JSON of {name: path}.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import base64
import json
import sys

import kfp
import kfp_server_api

host, token, namespace, paths = sys.argv[1:]
manifests = json.loads(paths)
client = kfp.Client(host=host, existing_token=token or None, namespace=namespace or "kubeflow")
saw = {}


def refused(call, *arguments, **options):
    """Status and code of a call that is refused."""
    try:
        call(*arguments, **options)
    except kfp_server_api.ApiException as error:
        return [error.status, json.loads(error.body)["code"]]
    return None


# ------------------------------------------------------------------------------------------------------ experiments
experiment = client.create_experiment("exp one", description="first", namespace=namespace or None)
again = client.create_experiment("exp one", namespace=namespace or None)
saw["experiment_same"] = experiment.id == again.id
saw["experiment"] = [experiment.name, experiment.description, experiment.storage_state]
saw["experiment_got"] = (
    client.get_experiment(experiment_name="exp one", namespace=namespace or None).id == experiment.id
)
saw["experiments"] = [one.name for one in client.list_experiments(namespace=namespace or None).experiments]
reference = {"key": {"type": "EXPERIMENT", "id": experiment.id}, "relationship": "OWNER"}
if namespace:
    twin = kfp_server_api.ApiExperiment(
        name="exp one",
        resource_references=[{"key": {"type": "NAMESPACE", "id": namespace}, "relationship": "OWNER"}],
    )
else:
    twin = kfp_server_api.ApiExperiment(name="exp one")
saw["experiment_twice"] = refused(client.experiments.create_experiment, body=twin)

# ------------------------------------------------------------------------------------------------------------- runs
run = client.run_pipeline(experiment.id, "good run", manifests["good"], params={"text": "from the client"})
saw["created"] = [run.name, run.status, run.service_account, run.finished_at.year]
detail = client.wait_for_run_completion(run.id, 240)
saw["good"] = detail.run.status
workflow = json.loads(detail.pipeline_runtime.workflow_manifest)
saw["good_nodes"] = sorted(node["displayName"] for node in workflow["status"]["nodes"].values())
saw["good_parameters"] = {one.name: one.value for one in detail.run.pipeline_spec.parameters}
saw["good_manifest"] = json.loads(detail.run.pipeline_spec.workflow_manifest)["spec"]["entrypoint"]

bad = client.run_pipeline(experiment.id, "bad run", manifests["bad"])
saw["bad"] = client.wait_for_run_completion(bad.id, 240).run.status
saw["terminate_ended"] = refused(client.runs.terminate_run, bad.id)
client.runs.retry_run(bad.id)
saw["retry_of_good"] = refused(client.runs.retry_run, run.id)
endless = client.run_pipeline(experiment.id, "endless run", manifests["endless"])
client.runs.terminate_run(endless.id)
client.runs.terminate_run(endless.id)
saw["endless"] = client.wait_for_run_completion(endless.id, 240).run.status

# ---------------------------------------------------------------------------------------------------------- metrics
node = next(node for node in workflow["status"]["nodes"].values() if node["type"] == "Pod")
metrics = [
    {"name": "accuracy", "node_id": node["id"], "number_value": 0.75, "format": "PERCENTAGE"},
    {"name": "1st", "node_id": node["id"], "number_value": 1},
    {"name": "accuracy", "node_id": node["id"], "number_value": 0.5},
]
reported = client.runs.report_run_metrics(run.id, body={"metrics": metrics})
saw["reported"] = [[one.metric_name, one.status] for one in reported.results]
saw["metrics"] = [[one.name, one.number_value, one.format] for one in client.get_run(run.id).run.metrics]

# -------------------------------------------------------------------------------------------------------- artifacts
data = base64.b64decode(client.runs.read_artifact(run.id, node["id"], "out").data)
saw["artifact"] = data[:2].hex()
saw["artifact_missing"] = refused(client.runs.read_artifact, run.id, node["id"], "none")
saw["node_missing"] = refused(client.runs.read_artifact, run.id, "none", "out")

# ------------------------------------------------------------------------------------------------------------ lists
key = {"resource_reference_key_type": "EXPERIMENT", "resource_reference_key_id": experiment.id}
saw["listed"] = [one.name for one in client.list_runs(experiment_id=experiment.id, sort_by="name desc").runs]
pages, page_token = [], ""
while True:
    page = client.list_runs(page_token=page_token, page_size=2, sort_by="created_at desc", experiment_id=experiment.id)
    pages.append(len(page.runs))
    page_token = page.next_page_token
    if not page_token:
        break
saw["pages"] = [pages, page.total_size]
filter = json.dumps({"predicates": [{"op": 9, "key": "name", "stringValue": "GOOD"}]})
saw["filtered"] = [one.name for one in client.list_runs(experiment_id=experiment.id, filter=filter).runs]
by_metric = client.runs.list_runs(sort_by="metric:accuracy desc", page_size=1, **key)
saw["by_metric"] = [by_metric.runs[0].name, by_metric.total_size]
saw["bad_token"] = refused(client.runs.list_runs, page_token="forged", **key)

# ----------------------------------------------------------------------------------------------- archive and delete
client.runs.archive_run(run.id)
client.runs.archive_run(run.id)
saw["archived"] = client.get_run(run.id).run.storage_state
archived = json.dumps({"predicates": [{"op": 1, "key": "storage_state", "stringValue": "STORAGESTATE_ARCHIVED"}]})
saw["archived_listed"] = [one.name for one in client.list_runs(experiment_id=experiment.id, filter=archived).runs]
client.runs.unarchive_run(run.id)
saw["unarchived"] = client.get_run(run.id).run.storage_state
saw["retried"] = client.wait_for_run_completion(bad.id, 240).run.status
client.runs.delete_run(bad.id)
saw["deleted"] = [refused(client.runs.delete_run, bad.id), refused(client.get_run, bad.id)]
saw["unknown"] = refused(client.runs.archive_run, "no-such-run")

# ------------------------------------------------------------------------------------------- the convenient way, and the end
made = client.create_run_from_pipeline_package(
    manifests["good"], {"text": "x"}, run_name="convenient", experiment_name="exp two", namespace=namespace or None
)
saw["convenient"] = made.wait_for_run_completion(240).run.status
client.archive_experiment(experiment.id)
states = {one.name: one.storage_state for one in client.list_runs(experiment_id=experiment.id).runs}
saw["archived_with_experiment"] = states
saw["experiment_archived"] = client.get_experiment(experiment.id).storage_state
client.experiments.unarchive_experiment(experiment.id)
client.delete_experiment(experiment.id)
saw["experiment_deleted"] = refused(client.experiments.get_experiment, experiment.id)
saw["run_stays"] = client.get_run(run.id).run.name
print(json.dumps(saw))
