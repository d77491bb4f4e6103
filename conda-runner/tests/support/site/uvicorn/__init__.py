"""Stands for uvicorn in a fork of a template: runs the worker of the tests."""

import os
import pathlib
import runpy


def main(arguments, prog_name):
    os.environ.setdefault("SEEN_PATH", os.environ["PATH"])
    worker = pathlib.Path(__file__).parents[2] / "worker.py"
    runpy.run_path(str(worker), init_globals={"FORKED": True}, run_name="__main__")
