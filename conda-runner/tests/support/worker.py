"""Stands for a scoring server of MLflow in tests: the same paths on the socket that UVICORN_UDS names."""

import asyncio
import http.server
import json
import multiprocessing
import os
import signal
import socketserver
import subprocess
import sys
import time
import warnings

MODE = os.environ.get("MODE", "")
# What starts python3 here may be a wrapper that puts folders of its own first.
VARIABLES = dict(os.environ, PATH=os.environ["SEEN_PATH"])
# Said by whoever runs this as a fork of a template.
FORKED = globals().get("FORKED", False)
scored = []
taken = []


def has_event_loop():
    """As models find it while they are loaded."""
    with warnings.catch_warnings():
        # Some versions of Python say that they will not make one some day.
        warnings.simplefilter("ignore")
        try:
            asyncio.get_event_loop()
        except RuntimeError:
            return False
    return True


HAS_EVENT_LOOP = has_event_loop()


def spawned():
    """How a new interpreter ends that a model's pool might start."""
    process = multiprocessing.get_context("spawn").Process(target=abs, args=(1,))
    process.start()
    process.join()
    return process.exitcode


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        if self.path.startswith("/take/"):
            # Written to, so that it is memory and no promise of some.
            taken.append(b"x" * (int(self.path.rsplit("/", 1)[1]) << 20))
            return self.answer(200, "true")
        if self.path == "/spawned":
            return self.answer(200, json.dumps(spawned()))
        answers = {
            "/ping": "\n",
            "/version": "9.9.9" if MODE == "stranger" else "3.17.2",
            "/environment": json.dumps({"variables": VARIABLES, "cwd": os.getcwd(), "event_loop": HAS_EVENT_LOOP}),
            "/scored": json.dumps(scored),
        }
        self.answer(200, answers[self.path])

    def do_POST(self):
        if MODE == "dies of the example":
            print("Fatal Python error: Segmentation fault", flush=True)
            os._exit(7)
        if MODE == "never scores" or MODE == "never scores in a fork" and FORKED:
            time.sleep(1000)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        scored.append([self.headers["Content-Type"], body])
        if MODE == "wrong example":
            self.answer(400, "no such column")
        else:
            self.answer(200, '{"predictions": [0]}')

    def address_string(self):
        return "-"

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def tell(name, number):
    """Writes a process id where the test looks, whole or not at all."""
    path = os.path.join(os.environ["PIDS"], name)
    with open(path + ".new", "w") as file:
        file.write(str(number))
    os.rename(path + ".new", path)


print("worker of mode", repr(MODE), flush=True)
if "PIDS" in os.environ and MODE != "forks":
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1000)"
    child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
    child.stdout.readline()
    tell("grandchild", child.pid)
    tell("worker", os.getpid())
if MODE == "forks" and os.fork() == 0:
    tell("child", os.getpid())
    time.sleep(1000)
if MODE == "raises":
    raise ValueError("a broken model")
if MODE == "raises if told" and os.path.exists(os.environ["TOLD"]):
    raise ValueError("a broken model")
if MODE == "large":
    taken.append(b"x" * (200 << 20))
if MODE == "peaks":
    # Longer than between two looks.
    taken.append(b"x" * (220 << 20))
    time.sleep(2.5)
    taken.clear()
if MODE == "dies in a fork" and FORKED:
    print("Fatal Python error: a fork", flush=True)
    os._exit(9)
if MODE == "silent":
    time.sleep(1000)
if MODE == "silent in a fork if told" and FORKED and os.path.exists(os.environ["TOLD"]):
    time.sleep(1000)
if MODE == "lets requests end":
    signal.signal(signal.SIGTERM, lambda *_: (print("last words", flush=True), os._exit(0)))
Server(os.environ["UVICORN_UDS"], Handler).serve_forever()
