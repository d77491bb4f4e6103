"""BentoML's service for the benchmark: rows in, predictions out, concurrent calls joined by BentoML."""

import os
import typing

import bentoml
import mlflow
import pandas


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 1024}, metrics={"enabled": False})
class Scoring:
    def __init__(self):
        self.model = mlflow.pyfunc.load_model(os.environ["BENCH_MODEL"])
        self.columns = self.model.metadata.get_input_schema().input_names()

    @bentoml.api(
        route="/invocations", batchable=True,
        max_batch_size=int(os.environ.get("BENCH_MAX_BATCH_SIZE", 512)),
        max_latency_ms=int(os.environ.get("BENCH_MAX_LATENCY_MS", 10_000)),
    )
    def predict(self, rows: list[list[typing.Any]]) -> list[typing.Any]:
        return self.model.predict(pandas.DataFrame(rows, columns=self.columns)).tolist()
