"""Waits for the end of stdin, that is of the tests, then kills every process that names the run's folder.

Usage: reaper.py FOLDER
"""

import os
import signal
import sys

folder = os.fsencode(sys.argv[1])
# An interrupt goes to the tests; their end is the signal here.
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.stdin.buffer.read()


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def working_folder(process):
    try:
        return os.readlink(f"/proc/{process}/cwd".encode())
    except OSError:
        return b""


# A process that is about to start another may escape one pass, not several.
for _ in range(5):
    for process in filter(str.isdigit, os.listdir("/proc")):
        if int(process) == os.getpid():
            continue
        traces = read(f"/proc/{process}/cmdline"), read(f"/proc/{process}/environ"), working_folder(process)
        if any(folder in trace for trace in traces):
            try:
                os.kill(int(process), signal.SIGKILL)
            except ProcessLookupError:
                pass
