"""Which models schemathesis calls: `iris`, which is served, is only read; all else is done to `bare`, which has no version.

Settings are random: a model with versions would start up to 64 workers of each.
"""

import schemathesis


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if path_parameters and path_parameters.get("name") == "iris":
        if context.operation.method.upper() != "GET":
            return {**path_parameters, "name": "bare"}
    return path_parameters


@schemathesis.hook
def before_call(context, case, kwargs):
    """Without what has no end: logs that are followed. A wait for a model without versions ends within a second."""
    if case.query and "follow" in case.query:
        del case.query["follow"]
    if case.query and case.query.get("wait") == "ready":
        case.query["timeout"] = "1s"
