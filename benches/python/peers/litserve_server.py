"""LitServe's server for the benchmark: rows in, predictions out, concurrent calls joined by LitServe."""

import itertools
import os
import sys

import litserve
import mlflow
import pandas


class Scoring(litserve.LitAPI):
    def setup(self, device):
        self.model = mlflow.pyfunc.load_model(os.environ["BENCH_MODEL"])
        self.columns = self.model.metadata.get_input_schema().input_names()

    def decode_request(self, request):
        return request["rows"]

    def batch(self, inputs):
        self.counts = [len(rows) for rows in inputs]
        return [row for rows in inputs for row in rows]

    def predict(self, rows):
        return self.model.predict(pandas.DataFrame(rows, columns=self.columns)).tolist()

    def unbatch(self, output):
        rest = iter(output)
        return [list(itertools.islice(rest, count)) for count in self.counts]

    def encode_response(self, output):
        return {"predictions": output}


if __name__ == "__main__":
    api = Scoring(
        max_batch_size=int(os.environ.get("BENCH_MAX_BATCH_SIZE", 64)),
        batch_timeout=float(os.environ.get("BENCH_BATCH_TIMEOUT", 0.002)),
        api_path="/invocations",
    )
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=int(os.environ.get("BENCH_WORKERS_PER_DEVICE", 1)), timeout=60,
        fast_queue=os.environ.get("BENCH_FAST_QUEUE") == "1",
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning")
