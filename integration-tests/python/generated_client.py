"""Scores with a client that openapi-python-client wrote: generated_client.py URL TOKEN, with the client on PYTHONPATH."""

import json
import sys

from iris_client import AuthenticatedClient
from iris_client.api.scoring import score
from iris_client.models import DataframeRecordsRequest, DataframeSplit, DataframeSplitRequest, ErrorBody, Record

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token)
names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
rows = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]

records = [Record.from_dict(dict(zip(names, row))) for row in rows]
by_record = score.sync(client=client, body=DataframeRecordsRequest(dataframe_records=records))
split = DataframeSplit(columns=names, data=rows)
by_split = score.sync(client=client, body=DataframeSplitRequest(dataframe_split=split))
bare = score.sync(client=client, body=records)
refused = score.sync(client=AuthenticatedClient(base_url=url, token="sgp_no"), body=records)
assert isinstance(refused, ErrorBody)
print(json.dumps([by_record.predictions, by_split.predictions, bare, refused.error_code]))
