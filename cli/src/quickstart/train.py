"""Trains two classifiers of iris flowers and registers both: version 1 goes to Production, version 2 waits.

Version 1 answers with the number of a species, version 2 with its name, so that anybody sees which one answered.
Usage: train.py TRACKING_URI MODEL_NAME. Each line that begins with "* " tells what was done.
"""

import sys
import time
import urllib.error
import urllib.request

tracking_uri, model_name = sys.argv[1:]

import mlflow
import numpy
import pandas
import sklearn
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
# Declared by hand: MLflow would otherwise load each model once more in a process of its own to find them.
REQUIREMENTS = [
    f"{module.__name__ if module is not sklearn else 'scikit-learn'}=={module.__version__}"
    for module in (mlflow, sklearn, numpy, pandas)
]


def tell(text):
    print(f"* {text}", flush=True)


def wait_for_server(deadline_seconds):
    """The server starts while this script loads its libraries."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        try:
            with urllib.request.urlopen(f"{tracking_uri}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def register(classifier, features, target):
    classifier.fit(features, target)
    with mlflow.start_run():
        mlflow.log_metric("training_accuracy", classifier.score(features, target))
        logged = mlflow.sklearn.log_model(
            classifier,
            name="model",
            signature=infer_signature(features, classifier.predict(features)),
            input_example=features.head(2),
            pip_requirements=REQUIREMENTS,
            registered_model_name=model_name,
        )
    return logged.registered_model_version


iris = load_iris()
features = pandas.DataFrame(iris.data, columns=COLUMNS)
species_number = iris.target
species_name = iris.target_names.astype(str)[iris.target]

wait_for_server(deadline_seconds=120)
mlflow.set_tracking_uri(tracking_uri)
mlflow.set_experiment("quickstart")

first = register(LogisticRegression(max_iter=1000), features, species_number)
mlflow.MlflowClient().transition_model_version_stage(model_name, first, "Production")
tell(f"version {first}: logistic regression, answers with the number of a species, in Production")

second = register(GaussianNB(), features, species_name)
tell(f"version {second}: naive Bayes, answers with the name of a species")
