"""Stands for uvicorn in a fork of a template: runs the worker of the tests."""

import os
import pathlib
import runpy

from mlflow.pyfunc.scoring_server import load_model_with_mlflow_config


def main(arguments, prog_name):
    os.environ.setdefault("SEEN_PATH", os.environ["PATH"])
    worker = pathlib.Path(__file__).parents[2] / "worker.py"
    load_model_with_mlflow_config(lambda: runpy.run_path(str(worker), init_globals={"FORKED": True}, run_name="worker"))
