"""Logs the models of the tests and prints, as its last line, where each went.

    iris          scikit-learn, with a signature and an input example
    scripted-a…d  does what its input says (see scripted.py)
    refusing      raises when it is loaded
    gated         scripted, but is loaded only when the file GATE is there
    spoilable     scripted, but raises when it is loaded while the file GATE.spoiled is there
    impossible    scripted, with requirements that no index can satisfy

Only if they are named:

    declared-iris like iris, with the requirements that MLflow finds out by itself (it takes longer)
    rowwise       answers each row by itself (see rowwise.py)
    centred-1…2   subtracts the mean of all rows; logged with an example of one row, or two

Usage: log_models.py TRACKING_URI GATE [NAME…]
"""

import inspect
import json
import pathlib
import sys

tracking_uri, gate, *wanted = sys.argv[1:]

import mlflow
import mlflow.pyfunc
import mlflow.sklearn
import pandas
import sklearn
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

SCRIPTED = str(pathlib.Path(__file__).with_name("scripted.py"))
ROWWISE = str(pathlib.Path(__file__).with_name("rowwise.py"))
# Before MLflow 3 a model is a folder of its run, and has no id.
NAMED = "name" in inspect.signature(mlflow.pyfunc.log_model).parameters
# Named here, because MLflow would otherwise load each model once more, in another process, to find them out.
REQUIREMENTS = [f"mlflow=={mlflow.__version__}"]


def place(name):
    return {"name": name} if NAMED else {"artifact_path": name}


def log_iris(name, **requirements):
    iris = load_iris(as_frame=True)
    features = iris.data.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis=1)
    model = LogisticRegression(max_iter=1000).fit(features, iris.target)
    return mlflow.sklearn.log_model(
        model,
        **place(name),
        signature=infer_signature(features, model.predict(features)),
        input_example=features.head(2),
        **requirements,
    )


def log_scripted(name, requirements=(), **config):
    return mlflow.pyfunc.log_model(
        **place(name),
        python_model=SCRIPTED,
        model_config=config,
        pip_requirements=[*REQUIREMENTS, *requirements],
    )


def log_rowwise(name, model, input_example=None):
    return mlflow.pyfunc.log_model(
        **place(name),
        python_model=ROWWISE,
        model_config={"model": model},
        input_example=input_example,
        pip_requirements=REQUIREMENTS,
    )


def log_centred(name, rows):
    return log_rowwise(name, "centred", pandas.DataFrame({"number": [1.5, 4.0][:rows]}))


LOGGERS = {
    "iris": lambda name: log_iris(name, pip_requirements=[*REQUIREMENTS, f"scikit-learn=={sklearn.__version__}"]),
    **{f"scripted-{tag}": lambda name, tag=tag: log_scripted(name, tag=tag) for tag in "abcd"},
    "refusing": lambda name: log_scripted(name, tag=name, refuse=True),
    "gated": lambda name: log_scripted(name, tag=name, gate=gate),
    "spoilable": lambda name: log_scripted(name, tag=name, spoiled=f"{gate}.spoiled"),
    "impossible": lambda name: log_scripted(name, ["sluicegate-no-such-package==99"], tag=name),
}

ON_DEMAND = {
    "declared-iris": log_iris,
    "rowwise": lambda name: log_rowwise(name, "rowwise"),
    **{f"centred-{rows}": lambda name, rows=rows: log_centred(name, rows) for rows in (1, 2)},
}

mlflow.set_tracking_uri(tracking_uri)
mlflow.set_experiment("integration-tests")
logged = {}
for name in wanted or LOGGERS:
    with mlflow.start_run() as run:
        information = (LOGGERS | ON_DEMAND)[name](name)
    model_id = getattr(information, "model_id", None)
    logged[name] = {
        "run_id": run.info.run_id,
        "model_id": model_id,
        "source": f"models:/{model_id}" if model_id else f"{run.info.artifact_uri}/{name}",
    }
print(json.dumps(logged))
