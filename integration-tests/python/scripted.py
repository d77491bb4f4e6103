"""A model that does what the first row of its input says, and otherwise tells which one it is.

Its input has the columns `do` and `value`, or else is a dictionary of a language model and is given back; its configuration holds `tag` and perhaps `gate`, `spoiled` and `refuse`.
"""

import os
import pathlib
import sys
import time

import mlflow


def wait_for(path):
    while not pathlib.Path(path).exists():
        time.sleep(0.02)


class Scripted(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        configuration = context.model_config
        if configuration.get("refuse") or pathlib.Path(configuration.get("spoiled", "/nowhere")).exists():
            raise RuntimeError("this model refuses to load")
        if configuration.get("gate"):
            wait_for(configuration["gate"])
        self.tag = configuration["tag"]

    def predict(self, context, model_input, params=None):
        if isinstance(model_input, dict):
            return {"heard": model_input}
        first = model_input.iloc[0]
        return getattr(self, f"do_{first.get('do', 'which')}")(first.get("value"), model_input)

    def do_which(self, value, rows):
        return [self.tag] * len(rows)

    def do_echo(self, value, rows):
        return rows["value"].tolist()

    def do_process(self, value, rows):
        return os.getpid()

    def do_python(self, value, rows):
        return [*sys.version_info[:3], sys.prefix]

    def do_environment(self, value, rows):
        return dict(os.environ)

    def do_draw(self, value, rows):
        """Its process, and a number of each generator that is there without asking."""
        import random

        import numpy

        return [os.getpid(), random.random(), numpy.random.random()]

    def do_wait(self, value, rows):
        """Says that it has begun by making `value`, and ends when `value`.go is there."""
        pathlib.Path(value).touch()
        wait_for(f"{value}.go")
        return [self.tag] * len(rows)

    def do_raise(self, value, rows):
        raise ValueError(value)

    def do_exit(self, value, rows):
        os._exit(int(value))

    def do_take(self, value, rows):
        """Keeps so many megabytes, written to so that they are memory."""
        self.taken = getattr(self, "taken", []) + [b"x" * (int(value) << 20)]
        return [self.tag] * len(rows)

    def do_not_a_number(self, value, rows):
        return [float("nan"), float("inf"), 1.0]

    def do_big(self, value, rows):
        return ["x" * 1023] * int(value)


mlflow.models.set_model(Scripted())
