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
    """Without what has no end, or waits for one: logs that are followed, and versions that are waited for, whose 504 after the
    time that was asked for is an answer, and a fault of the server to this tool."""
    for endless in ("follow", "wait"):
        if case.query and endless in case.query:
            del case.query[endless]
