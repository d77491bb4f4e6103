"""What a notebook of 2020 did with the preview's REST API: enable, wait, score, disable. Prints what it saw as JSON."""
import json
import os
import time

import requests

host, token, model = os.environ["HOST"], os.environ["TOKEN"], os.environ["MODEL"]
headers = {"Authorization": "Bearer " + token}
seen = {"endpoint_states": [], "version_states": [], "scores": []}


def note(key, value):
    if not seen[key] or seen[key][-1] != value:
        seen[key].append(value)


def call(method, what, body):
    # Preview, no Content-Type, and a body even where the method is GET.
    url = host + "/api/2.0/preview/mlflow/endpoints/" + what
    answer = requests.request(method, url, headers=headers, data=json.dumps(body))
    answer.raise_for_status()
    return answer.json()


def score(version):
    return requests.post(
        "%s/model/%s/%s/invocations" % (host, model, version),
        auth=("token", token),
        headers={"Content-Type": "application/json; format=pandas-records"},
        data=json.dumps([{"do": "which", "value": None}]),
    )


def wait(what):
    deadline = time.time() + 240
    while not what():
        if time.time() > deadline:
            raise SystemExit("this takes too long: " + json.dumps(seen))
        time.sleep(0.05)


def endpoint_is_ready():
    state = call("GET", "get-status", {"registered_model_name": model})["endpoint_status"]["state"]
    note("endpoint_states", state)
    return state == "ENDPOINT_STATE_READY"


def version_is_ready():
    # A version that is on its way is scored at the same time: a caller may not know better.
    note("scores", score("1").status_code)
    listed = call("GET", "list-versions", {"registered_model_name": model})["endpoint_versions"]
    states = {one["endpoint_version_name"]: one["state"] for one in listed}
    note("version_states", states.get("1"))
    return states.get("1") == "VERSION_STATE_READY"


call("POST", "enable", {"registered_model_name": model})
at_once = call("GET", "list-versions", {"registered_model_name": model})["endpoint_versions"]
seen["listed_at_once"] = [one["endpoint_version_name"] for one in at_once]
wait(endpoint_is_ready)
wait(version_is_ready)
answer = score("1")
note("scores", answer.status_code)
seen["answer"] = answer.json()
seen["listed"] = call("GET", "list", {})["endpoints"]
call("POST", "disable", {"registered_model_name": model})
seen["after"] = requests.get(
    host + "/api/2.0/preview/mlflow/endpoints/get-status",
    headers=headers,
    params={"registered_model_name": model},
).json()
print(json.dumps(seen))
