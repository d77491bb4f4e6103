"""Programs that are started for a benchmark, each with a log and in a session of its own, and ended together."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request


class Stage:
    """Owns the programs; leaving it ends them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._running = []

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
        return self

    def __exit__(self, *_):
        # Who is impatient would leave them running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in reversed(self._running):
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + 30
        for process in self._running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            # Also what outlived its leader.
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def start(self, name, command, environment=None, folder=None):
        """Starts a program in the folder of its name; its output goes to a file beside it."""
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder or home,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )
        self._running.append(process)
        return process

    def wait_for(self, name, url, process, seconds=900):
        """Waits until a URL answers 200."""
        deadline = time.monotonic() + seconds
        while True:
            if process.poll() is not None:
                sys.exit(f"{name} ended with {process.returncode}; see {self.folder / name}.log")
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except OSError as error:
                if time.monotonic() > deadline:
                    sys.exit(f"{name} does not answer at {url}: {error}; see {self.folder / name}.log")
            time.sleep(0.1)


def _signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
