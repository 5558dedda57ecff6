"""What `kfp.Client` 1.8.22 lists by TLS with the token of a file, as it does in Kubeflow's notebooks; prints it as JSON.

Arguments: host, certificate to trust, namespace. The token's file is what `KF_PIPELINES_SA_TOKEN_PATH` names.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import json
import sys

import kfp
import kfp_server_api

host, trusted, namespace = sys.argv[1:]
credentials = kfp.auth.ServiceAccountTokenVolumeCredentials()
client = kfp.Client(host=host, ssl_ca_cert=trusted, credentials=credentials, namespace=namespace)
try:
    saw = [one.name for one in client.list_runs(namespace=namespace).runs]
except kfp_server_api.ApiException as error:
    saw = error.status
print(json.dumps(saw))
