"""Logs and registers the models of the benchmark: python log_models.py TRACKING_URL FOLDER [NAME …]

Each has a signature and an input example, as a model that somebody serves should. The last line of the output is JSON:
for each model the version's files (fetched below the folder, as the registry gives them to anybody), the columns, and rows
with the answers that the model itself gives to them.
"""

import contextlib
import json
import pathlib
import sys
import tempfile

import mlflow
import numpy
import pandas
from mlflow.models import infer_signature
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

# As many as the largest body has.
ROWS = 256


def iris():
    """The smallest useful model: what it costs is the server's share."""
    features, target = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=500).fit(features, target)
    rows = features.sample(ROWS, replace=True, random_state=6).reset_index(drop=True)
    return rows, model.predict(rows), dict(sk_model=model)


def forest():
    """200 trees over 30 columns: milliseconds for a call, nearly the same for one row and for hundreds."""
    data, target = make_classification(2000, 30, n_informative=12, n_classes=3, random_state=6)
    features = pandas.DataFrame(data.round(4), columns=[f"feature_{number:02}" for number in range(30)])
    model = RandomForestClassifier(200, random_state=6).fit(features, target)
    rows = features.head(ROWS)
    return rows, model.predict(rows), dict(sk_model=model)


def scorecard():
    """Pure Python: a call with many rows costs as much as the rows one by one."""
    random = numpy.random.default_rng(6)
    rows = pandas.DataFrame(
        {
            "age": random.integers(18, 80, ROWS),
            "income": random.uniform(8_000, 150_000, ROWS).round(2),
            "debt": random.uniform(0, 90_000, ROWS).round(2),
            "late_payments": random.integers(0, 5, ROWS),
            "years_employed": random.integers(0, 40, ROWS),
            "open_accounts": random.integers(0, 15, ROWS),
        }
    )
    code = pathlib.Path(__file__).with_name("scorecard.py")
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(folder + "/model", python_model=str(code))
        answers = mlflow.pyfunc.load_model(folder + "/model").predict(rows)
    return rows, answers, dict(python_model=str(code))


MODELS = {"iris": iris, "forest": forest, "scorecard": scorecard}


def log(name, folder):
    rows, answers, what = MODELS[name]()
    flavor = mlflow.sklearn if "sk_model" in what else mlflow.pyfunc
    if flavor is mlflow.sklearn:
        # The format that MLflow writes by default differs between its versions; this one every peer can load.
        what["serialization_format"] = "cloudpickle"
    with mlflow.start_run():
        info = flavor.log_model(
            name=name, registered_model_name=name, input_example=rows.head(4),
            signature=infer_signature(rows, answers), **what,
        )
    files = mlflow.artifacts.download_artifacts(info.model_uri, dst_path=f"{folder}/{name}")
    split = json.loads(rows.to_json(orient="split", index=False, double_precision=15))
    return {
        "files": files,
        "columns": split["columns"],
        "types": [str(kind) for kind in rows.dtypes],
        "rows": split["data"],
        "answers": answers.tolist(),
    }


def main():
    tracking, folder, *names = sys.argv[1:]
    mlflow.set_tracking_uri(tracking)
    mlflow.set_experiment("benchmark")
    with contextlib.redirect_stdout(sys.stderr):
        logged = {name: log(name, pathlib.Path(folder).resolve()) for name in names or MODELS}
    print(json.dumps(logged))


if __name__ == "__main__":
    main()
