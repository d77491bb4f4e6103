"""The same API through the helper that MLflow's own Python package calls servers with. Prints what it saw as JSON."""
import json
import os

from mlflow.utils.rest_utils import MlflowHostCreds, http_request, verify_rest_response

model = os.environ["MODEL"]
credentials = MlflowHostCreds(host=os.environ["HOST"], token=os.environ["TOKEN"])


def call(endpoint, method, body):
    path = "/api/2.0/mlflow/endpoints/" + endpoint
    # As notebooks do: what is asked for is in the query of a GET, and in the body of a POST.
    arguments = {"params": body} if method == "GET" else {"json": body}
    answer = http_request(host_creds=credentials, endpoint=path, method=method, **arguments)
    return verify_rest_response(answer, path).json()


named = {"registered_model_name": model}
seen = {"enable": call("enable", "POST", named)}
seen["status"] = call("get-status", "GET", named)
seen["versions"] = call("list-versions", "GET", named)
seen["list"] = call("list", "GET", {})
seen["disable"] = call("disable", "POST", named)
try:
    call("get-status", "GET", named)
except Exception as error:
    seen["refused"] = str(error)
print(json.dumps(seen))
