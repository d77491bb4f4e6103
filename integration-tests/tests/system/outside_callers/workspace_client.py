"""The unmodified databricks-sdk drives serving and tokens. Prints what it saw as JSON."""
import json
import os
import time

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import DatabricksError, NotFound

host, model = os.environ["HOST"], os.environ["MODEL"]
workspace = WorkspaceClient(host=host, token=os.environ["TOKEN"], auth_type="pat")
do = workspace.api_client.do
named = {"registered_model_name": model}
seen = {}

for prefix in ("/api/2.0/mlflow/endpoints/", "/api/2.0/preview/mlflow/endpoints/"):
    seen["enable"] = do("POST", prefix + "enable", body=named)
    seen["status"] = do("GET", prefix + "get-status", query=named)
    # A body on a GET works as well.
    assert do("GET", prefix + "get-status", body=named) == seen["status"]
    deadline = time.time() + 240
    while True:
        versions = do("GET", prefix + "list-versions", query=named)["endpoint_versions"]
        if versions and all(one["state"] == "VERSION_STATE_READY" for one in versions):
            break
        assert time.time() < deadline, versions
        time.sleep(0.1)
    seen["versions"] = versions
    seen["list"] = do("GET", prefix + "list")["endpoints"]
do("POST", "/api/2.0/mlflow/endpoints/disable", body=named)
try:
    do("GET", "/api/2.0/mlflow/endpoints/get-status", query=named)
except NotFound as error:
    seen["disabled"] = [error.error_code, str(error)]

created = workspace.tokens.create(comment="by the SDK", lifetime_seconds=3600)
info = created.token_info
seen["token"] = {
    "comment": info.comment,
    "lifetime": (info.expiry_time - info.creation_time) / 1000,
    "listed": info.token_id in [one.token_id for one in workspace.tokens.list()],
}
theirs = WorkspaceClient(host=host, token=created.token_value, auth_type="pat")
seen["token"]["works"] = "endpoints" in theirs.api_client.do("GET", "/api/2.0/mlflow/endpoints/list")
endless = workspace.tokens.create()
seen["token"]["endless"] = endless.token_info.expiry_time
for one in (info, endless.token_info):
    workspace.tokens.delete(token_id=one.token_id)
seen["token"]["left"] = info.token_id in [one.token_id for one in workspace.tokens.list()]
try:
    theirs.api_client.do("GET", "/api/2.0/mlflow/endpoints/list")
except DatabricksError as error:
    seen["token"]["revoked"] = [type(error).__name__, error.error_code]
try:
    workspace.tokens.delete(token_id=info.token_id)
except NotFound as error:
    seen["token"]["gone"] = error.error_code
print(json.dumps(seen))
