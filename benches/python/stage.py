"""Puts the contenders of the scoring benchmark on stage, all with the same model, and keeps them until its input ends.

    python stage.py --model iris --work FOLDER --sluicegate PROGRAM --peer mlserver=PYTHON … CONTENDER …

Starts an MLflow server, logs the model there, starts each contender on a port that the system chose, scores each body with each
contender, and compares the answers with the model's own. Then it prints one line of JSON: where each contender listens, the
requests to send to it (path, headers beside that of JSON, bodies for each number of rows), a part that each right answer contains, and its
process; and the versions of the programs. Whoever started this measures; when it closes this program's input, everything is ended.

Run by the Python that serves for MLflow and for Sluicegate's workers; the peers have environments of their own.
"""

import argparse
import json
import pathlib
import sys

import contenders
from processes import Stage

ROWS = (1, 16, 256)
# Different bodies of each size, which callers send in turn: nobody's users all ask the same.
BODIES = 64


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--sluicegate", required=True, type=pathlib.Path)
    parser.add_argument("--peer", action="append", default=[], help="NAME=PYTHON: the interpreter of a peer's environment")
    parser.add_argument("contenders", nargs="+")
    arguments = parser.parse_args()
    peers = dict(one.split("=", 1) for one in arguments.peer)
    arguments.work.mkdir(parents=True, exist_ok=True)

    with Stage(arguments.work) as stage:
        registry = contenders.start_registry(stage)
        model = contenders.log_model(stage, registry, arguments.model)
        # All at once: importing is most of a start, and nothing is measured yet.
        begun = [
            (name, contenders.start(stage, name, model=model, registry=registry, peers=peers, sluicegate=arguments.sluicegate))
            for name in arguments.contenders
        ]
        ready = [(name, next(steps)) for name, steps in begun]
        stage.note("all contenders are started")
        for name, steps in begun:
            next(steps, None)
        announced = {
            "versions": contenders.versions(arguments.contenders, peers, arguments.sluicegate),
            "contenders": [announce(stage, name, contender, model) for name, contender in ready],
        }
        print(json.dumps(announced), flush=True)
        # Whoever measures holds the other end: when it ends, however it ends, so does this.
        sys.stdin.read()


def announce(stage, name, contender, model):
    """What is told about a contender, after it has given the right answer to each body."""
    requests = {str(count): [] for count in ROWS}
    for count in ROWS:
        for number in range(BODIES):
            first = number * len(model["rows"]) // BODIES
            rows, right = ((model[what] * 2)[first:first + count] for what in ("rows", "answers"))
            body = contender.body(model["columns"], model["types"], rows)
            answer = contender.score(body)
            given = contender.read(json.loads(answer))
            if given != right:
                sys.exit(f"{name} answers {given} where the model says {right}; see {stage.folder}")
            requests[str(count)].append({"body": body, "answer_contains": contender.expected(answer, right)})
    stage.note(f"{name} is ready, and right")
    return {
        "name": name,
        "address": f"127.0.0.1:{contender.port}",
        "path": contender.path,
        "headers": contender.headers,
        "process": contender.process,
        "requests": requests,
    }


if __name__ == "__main__":
    main()
