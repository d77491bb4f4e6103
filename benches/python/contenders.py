"""Who takes part in the scoring benchmark: how each is started and asked, at the best settings for it that we found.

Each is a generator: it starts its program, yields what to ask, and when resumed waits until that answers. A contender's name
may say other settings, for example `mlserver:max_batch_size=64,max_batch_time=0.02` or `sluicegate-1:batching=off`. The reasons
for those that hold otherwise are in docs/benchmarks/peers.md.
"""

import json
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

import forms
from processes import free_port

HERE = pathlib.Path(__file__).parent
# Beside the interpreter are its programs, and uv.
PATH = f"{pathlib.Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "PATH": PATH, "PYTHONDONTWRITEBYTECODE": "1"}


class Contender:
    """A server that is asked: where, how, and how its answers read."""

    def __init__(self, port, process, form, path, headers=None):
        self.port, self.process, self.path = port, process.pid, path
        self.headers = headers or {}
        self.body, self.read, self.expected = form

    def score(self, body):
        headers = {"content-type": "application/json", **self.headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.path}", body.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            sys.exit(f"port {self.port}: {error.code} {error.read().decode()[:500]}")


def start_registry(stage):
    port = free_port()
    process = stage.start("registry", [
        sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", port,
        "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts",
    ], {**QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    stage.wait_for("registry", f"http://127.0.0.1:{port}/health", process)
    return f"http://127.0.0.1:{port}"


def log_model(stage, registry, name):
    """Logs the model, and fetches the files that the peers serve: what Sluicegate gets from the registry."""
    with open(stage.folder / "log_models.log", "wb") as log:
        printed = subprocess.run(
            [sys.executable, HERE / "log_models.py", registry, stage.folder / "files", name],
            check=True, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **QUIET}, cwd=stage.folder,
        ).stdout
    # MLflow prints links to its pages as well; ours is the last line.
    return {"name": name, **json.loads(printed.splitlines()[-1])[name]}


def mlflow_serve(workers):
    """`mlflow models serve`, asked directly."""

    def start(stage, name, model, settings, **_):
        port = free_port()
        process = stage.start(name, [
            sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model["files"], "--env-manager", "local",
            "--host", "127.0.0.1", "--port", port, "--workers", workers,
        ], QUIET)
        yield Contender(port, process, forms.MLFLOW, "/invocations")
        stage.wait_for(name, f"http://127.0.0.1:{port}/ping", process)

    return start


def mlserver(stage, name, model, peers, settings, **_):
    """MLServer with its MLflow runtime. Only its own protocol (V2) is batched there: `/invocations` never is."""
    chosen = {"max_batch_size": 256, "max_batch_time": 0.001, "parallel_workers": 0, **settings}
    port, home = free_port(), stage.folder / name
    home.mkdir(parents=True, exist_ok=True)
    (home / "settings.json").write_text(json.dumps({
        "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port(),
        "metrics_endpoint": None, "debug": False, "gzip_enabled": False,
        "parallel_workers": int(chosen["parallel_workers"]),
    }))
    (home / "model-settings.json").write_text(json.dumps({
        "name": "model", "implementation": "mlserver_mlflow.MLflowRuntime", "parameters": {"uri": model["files"]},
        "max_batch_size": int(chosen["max_batch_size"]), "max_batch_time": float(chosen["max_batch_time"]),
    }))
    program = pathlib.Path(peers["mlserver"]).with_name("mlserver")
    process = stage.start(name, [program, "start", "."], QUIET)
    yield Contender(port, process, forms.V2, "/v2/models/model/infer")
    stage.wait_for(name, f"http://127.0.0.1:{port}/v2/models/model/ready", process)


def bentoml(stage, name, model, peers, settings, **_):
    """BentoML with a service that loads the model through pyfunc and takes batches."""
    port = free_port()
    program = pathlib.Path(peers["bentoml"]).with_name("bentoml")
    process = stage.start(name, [
        program, "serve", "bentoml_service:Scoring", "--working-dir", HERE / "peers", "--host", "127.0.0.1", "--port", port,
    ], {
        **QUIET, **_told(settings), "BENCH_MODEL": model["files"], "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": str(stage.folder / name),
    })
    yield Contender(port, process, forms.ROWS, "/invocations")
    stage.wait_for(name, f"http://127.0.0.1:{port}/readyz", process)


def litserve(stage, name, model, peers, settings, **_):
    """LitServe with an API that loads the model through pyfunc and takes batches."""
    port = free_port()
    process = stage.start(name, [peers["litserve"], HERE / "peers/litserve_server.py", port],
                          {**QUIET, **_told(settings), "BENCH_MODEL": model["files"]})
    yield Contender(port, process, forms.ROWS, "/invocations")
    stage.wait_for(name, f"http://127.0.0.1:{port}/health", process)


def _told(settings):
    """Settings for a server of ours that runs in a peer's environment."""
    return {f"BENCH_{key.upper()}": value for key, value in settings.items()}


def sluicegate(workers):
    """The real gateway: a real registry, a token on each request, the model enabled as a person does it."""

    def start(stage, name, model, registry, sluicegate, settings, **_):
        port = free_port()
        data = stage.folder / name / "data"
        data.parent.mkdir(parents=True, exist_ok=True)

        def command(*words, environment=None):
            ended = subprocess.run(
                [str(sluicegate), *words], capture_output=True, text=True, env={**os.environ, **QUIET, **(environment or {})},
            )
            if ended.returncode != 0:
                sys.exit(f"{name}: `sluicegate {' '.join(words)}` ended with {ended.returncode}:\n{ended.stderr}")
            return ended.stdout.strip()

        def token(principal, *rights):
            return command("tokens", "create", "--principal", principal, *rights, "--local", "--data-dir", str(data))

        data.mkdir()
        admin, caller = token("operator", "--admin"), token("caller", "--read", model["name"])
        process = stage.start(name, [
            sluicegate, "serve", "--registry", registry, "--listen", f"127.0.0.1:{port}", "--data-dir", data,
            "--env-manager", "local", "--python", sys.executable, "--poll-interval", "5s",
        ], {**QUIET, "SLUICEGATE_ACCESS_LOG_ENABLED": "true"})
        yield Contender(port, process, forms.MLFLOW, f"/model/{model['name']}/1/invocations",
                        {"authorization": f"Bearer {caller}"})
        stage.wait_for(name, f"http://127.0.0.1:{port}/healthz", process)
        client = {"SLUICEGATE_URL": f"http://127.0.0.1:{port}", "SLUICEGATE_TOKEN": admin}
        # More may wait than the default allows: the largest load has 256 connections, none of which is to be turned away.
        chosen = {"replicas": workers, "max_queue": 512, **settings}
        command("models", "enable", model["name"], "--wait", "--timeout", "10m", environment=client)
        command("models", "settings", model["name"], *(f"{key}={value}" for key, value in chosen.items()), "--wait",
                environment=client)

    return start


ALL = {
    "mlflow-1": mlflow_serve(1),
    "mlflow-2": mlflow_serve(2),
    "mlserver": mlserver,
    "bentoml": bentoml,
    "litserve": litserve,
    "sluicegate-1": sluicegate(1),
    "sluicegate-2": sluicegate(2),
}


def start(stage, name, **given):
    """Starts the contender of this name; the name may end in settings."""
    kind, _, words = name.partition(":")
    if kind not in ALL:
        sys.exit(f"there is no contender {kind}; there are {', '.join(ALL)}")
    settings = dict(word.split("=", 1) for word in words.split(",") if word)
    # In a path it would begin a list.
    return ALL[kind](stage, name=name.replace(":", "+"), settings=settings, **given)


# By the beginning of a contender's name: what it is called, and its package in its own environment.
PROGRAMS = {
    "mlflow": ("MLflow", "mlflow"),
    "mlserver": ("MLServer", "mlserver"),
    "bentoml": ("BentoML", "bentoml"),
    "litserve": ("LitServe", "litserve"),
}


def versions(names, peers, sluicegate):
    """The versions of the programs behind these contenders."""

    def printed(*command):
        return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    found = {"Python": sys.version.split()[0]}
    for kind in dict.fromkeys(name.split(":")[0].split("-")[0] for name in names):
        if kind in PROGRAMS:
            title, package = PROGRAMS[kind]
            ask = f"import importlib.metadata as metadata; print(metadata.version({package!r}))"
            found[title] = printed(peers.get(kind, sys.executable), "-c", ask)
        else:
            found["Sluicegate"] = printed(sluicegate, "--version").split()[-1]
    return found
