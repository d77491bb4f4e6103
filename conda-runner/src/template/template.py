"""Forks workers of one environment: has imported what they need, and never a model.

Arguments: the path of the Unix socket to listen on, and the flavors of the first model. Each connection is for one
worker. It brings a line of JSON with two descriptors, the worker's output and its leash; it is told {"pid": …} when the
worker runs, or {"error": …}, and {"code": …} or {"signal": …} when it has ended, and the worker is reaped when the
connection is closed: until then nobody else gets its number. A worker tells its pid itself and keeps a copy of its
connection, which tells of its end if this process has ended before; it says {"model_raised": true} there if its model
cannot be loaded.
"""

import gc
import importlib
import importlib.util
import json
import os
import platform
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
import warnings

# What a worker has imported of these is then imported here as well, for those after it. To import them starts no
# thread. They are looked for where this process looks, and no model's code is there.
SHARED = {
    "anyio", "cloudpickle", "fastapi", "h11", "httptools", "joblib", "lightgbm", "numpy", "pandas", "patsy", "pydantic",
    "scipy", "sklearn", "skops", "starlette", "statsmodels", "threadpoolctl", "uvicorn", "xgboost",
}  # fmt: skip
FLAVORS = {
    "lightgbm": ["mlflow.lightgbm", "lightgbm"],
    "sklearn": ["mlflow.sklearn", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline", "skops.io"],
    "statsmodels": ["mlflow.statsmodels", "statsmodels.api"],
    "xgboost": ["mlflow.xgboost", "xgboost"],
}
SERVER = [
    "mlflow.pyfunc.scoring_server",
    "mlflow.pyfunc.model",
    "pandas",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
]
# Endings of what tells which packages are where modules are.
INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".pth")
# Holds the read end of a pipe that only the gateway can write to: it closes when the gateway ends, however it ends.
WATCHDOG = "trap '' HUP INT TERM; read -r end; kill -s KILL 0"
ASKS_TO_END = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
LONGEST_LINE = 4 << 20
PATIENCE = 10
# What serves workers HTTP, beside this file, and as a module.
PLAIN_HTTP = "plain_http.py"
PLAIN_HTTP_MODULE = "sluicegate_plain_http"


class Worker:
    def __init__(self, process, connection):
        self.process = process
        self.connection = connection
        self.is_told = False


class Order:
    """What a worker is to be; its descriptors are this process's own."""

    def __init__(self, connection):
        line, descriptors = receive(connection)
        order = json.loads(line)
        self.connection = connection
        self.output, self.leash = descriptors
        self.directory = order["directory"]
        self.environment = order["environment"]
        self.arguments = order["arguments"]
        self.modules = set(order["modules"])


class Refused(Exception):
    """This process must not fork that worker."""

    def __init__(self, refusal, message):
        super().__init__(message)
        self.refusal = refusal


class Template:
    def __init__(self, path, folders, installed, of_server):
        self.workers = []
        # Of then: what is imported may add folders of its own.
        self.folders = folders
        self.installed = installed
        self.of_server = of_server
        self.selector = selectors.DefaultSelector()
        # What workers have imported, each list in one message.
        self.lessons, self.teacher = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ends, self.end = os.pipe()
        os.set_blocking(self.ends, False)
        os.set_blocking(self.end, False)
        signal.set_wakeup_fd(self.end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(128)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(self.ends, selectors.EVENT_READ, self.look_for_ends)
        self.selector.register(self.lessons, selectors.EVENT_READ, self.learn)

    def run(self):
        """Returns in a worker, with its order."""
        while True:
            for key, _ in self.selector.select():
                order = key.data()
                if order is not None:
                    return order

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE)
        try:
            order = Order(connection)
        except (OSError, ValueError, KeyError) as error:
            tell(connection, {"error": f"the order was not understood: {error!r}"})
            connection.close()
            return None
        try:
            self.check(order)
            return self.fork(order)
        except Refused as refused:
            tell(connection, {"error": str(refused), "refusal": refused.refusal})
            connection.close()
        except OSError as error:
            tell(connection, {"error": f"cannot fork: {error}"})
            connection.close()
        finally:
            # Of a worker, it has become something else by now.
            if order.connection is connection:
                os.close(order.output)
                os.close(order.leash)
        return None

    def check(self, order):
        """What a worker imports is to be what it would import by itself."""
        if installed(self.folders) != self.installed:
            raise Refused("stale", "packages have been installed since it started")
        others = sorted(order.modules & (roots() - self.of_server))
        if others:
            names = ", ".join(others)
            raise Refused("unsuited", f"the model brings modules of its own by names that are imported already: {names}")

    def fork(self, order):
        others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if others:
            raise OSError(f"something that was imported has started threads: {others}")
        # None of what is here now is garbage: nobody is to write to it by looking.
        gc.freeze()
        with warnings.catch_warnings():
            # Native threads of libraries: they wait for work, and workers start their own.
            warnings.simplefilter("ignore")
            process = os.fork()
        if process == 0:
            try:
                return self.become(order)
            except BaseException:
                # There must not be a second template.
                traceback.print_exc()
                os._exit(70)
        lead_group(process)
        worker = Worker(process, order.connection)
        self.workers.append(worker)
        self.selector.register(order.connection, selectors.EVENT_READ, lambda: self.hang_up(worker))
        return None

    def hang_up(self, worker):
        """The runner knows all, or is gone: a worker that still lives is its leash's business."""
        try:
            if worker.connection.recv(1):
                return
        except OSError:
            pass
        self.selector.unregister(worker.connection)
        worker.connection.close()
        worker.connection = None
        self.reap(worker)

    def look_for_ends(self):
        try:
            os.read(self.ends, 4096)
        except BlockingIOError:
            pass
        for worker in list(self.workers):
            if worker.connection is None:
                self.reap(worker)
            elif not worker.is_told:
                end = peek(worker.process)
                if end is not None:
                    worker.is_told = True
                    tell(worker.connection, end)

    def reap(self, worker):
        try:
            reaped, _ = os.waitpid(worker.process, os.WNOHANG)
        except ChildProcessError:
            reaped = worker.process
        if reaped:
            self.workers.remove(worker)

    def learn(self):
        for name in json.loads(self.lessons.recv(1 << 20)):
            if is_shared(name):
                load(name)
        gc.collect()

    def become(self, order):
        """Leaves behind what is the template's."""
        lead_group(0)
        # Not the template: if that ends now, nobody would be told, and a worker that nobody knows would hold the line.
        tell(order.connection, {"pid": os.getpid()})
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN, None):
                # Python has its own way with an interrupt.
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for worker in self.workers:
            if worker.connection is not None:
                worker.connection.close()
        self.selector.close()
        self.listener.close()
        self.lessons.close()
        os.close(self.ends)
        os.close(self.end)
        order.teacher = self.teacher
        # Kept open, by no program that the worker runs and no process that it forks: its end is the worker's.
        order.lifeline = order.connection
        order.connection = None
        return order


def receive(connection):
    """A line and the two descriptors that came with its beginning."""
    room = socket.CMSG_SPACE(2 * 4)
    line, messages, _, _ = connection.recvmsg(1 << 16, room)
    descriptors = []
    for level, kind, data in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            whole = len(data) - len(data) % 4
            descriptors += [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, whole, 4)]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    while line and not line.endswith(b"\n") and len(line) < LONGEST_LINE:
        more = connection.recv(1 << 16)
        if not more:
            break
        line += more
    if len(descriptors) != 2 or not line.endswith(b"\n"):
        for descriptor in descriptors:
            os.close(descriptor)
        raise ValueError("it was cut off")
    return line, descriptors


def tell(connection, what):
    try:
        connection.sendall(json.dumps(what).encode() + b"\n")
    except OSError:
        # The runner has hung up, or its leash ends the worker.
        pass


def peek(process):
    """How a process ended; it stays until it is reaped, where the system can look without reaping."""
    if not hasattr(os, "waitid"):
        reaped, status = os.waitpid(process, os.WNOHANG)
        if not reaped:
            return None
        return {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)}
    end = os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if end is None:
        return None
    return {"code": end.si_status} if end.si_code == os.CLD_EXITED else {"signal": end.si_status}


def lead_group(process):
    """Parent and child both do it, so that it is done for whoever goes on first."""
    try:
        os.setpgid(process, process)
    except OSError:
        pass


def installed(folders):
    """What installers have written there."""
    found = {}
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(INSTALLED):
                        found[entry.path] = entry.stat().st_mtime_ns
        except OSError:
            # An archive, or nothing at all.
            pass
    return found


def roots():
    return {name.split(".")[0] for name in list(sys.modules)}


def is_shared(name):
    return name.split(".")[0] in SHARED


def load(name):
    """Imports a module if it is there."""
    try:
        importlib.import_module(name)
    except Exception:
        # Then a worker that needs it finds out why.
        pass


def warm():
    """What a worker does until it has answered its first request, with a model of our own that does next to nothing."""
    import asyncio
    import tempfile
    import types

    from mlflow.models import Model
    from mlflow.models.signature import ModelSignature
    from mlflow.pyfunc import scoring_server
    from mlflow.types import ColSpec, Schema

    class Nothing:
        def predict(self, rows, params=None):
            return rows["a"].to_numpy()

    nothing = types.ModuleType("sluicegate_nothing")
    nothing._load_pyfunc = lambda path: Nothing()
    sys.modules[nothing.__name__] = nothing
    inputs = Schema([ColSpec("double", "a"), ColSpec("string", "b", required=False)])
    function = {"loader_module": nothing.__name__, "python_version": platform.python_version()}
    declared = Model(signature=ModelSignature(inputs=inputs), flavors={"python_function": function})
    with tempfile.TemporaryDirectory(dir=".") as folder:
        declared.save(os.path.join(folder, "MLmodel"))
        with open(os.path.join(folder, "requirements.txt"), "w") as requirements:
            requirements.write("mlflow\nnumpy\npandas\n")
        app = scoring_server.init(scoring_server.load_model_with_mlflow_config(os.path.abspath(folder)))
    del sys.modules[nothing.__name__]
    bodies = [
        b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, "x"]]}}',
        b'{"dataframe_records": [{"a": 1}]}',
        b'{"inputs": [{"a": 1}]}',
    ]
    for body in bodies:
        asyncio.run(ask(app, body))


def load_plain_http():
    """Brings what reads and writes HTTP in place of uvicorn, where it does what this uvicorn would do."""
    path = os.path.join(os.path.dirname(os.path.realpath(__file__)), PLAIN_HTTP)
    specification = importlib.util.spec_from_file_location(PLAIN_HTTP_MODULE, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    if not module.is_alike():
        raise ValueError("this uvicorn does it in another way")
    sys.modules[PLAIN_HTTP_MODULE] = module


def forget_event_loops():
    """Older versions of Python remember that one has ended, and then make none for a model that asks while it loads."""
    if sys.version_info < (3, 12):
        import asyncio

        asyncio.set_event_loop_policy(None)


async def ask(app, body):
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/invocations", "raw_path": b"/invocations", "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json")], "server": ("localhost", 80), "client": ("", 0),
    }  # fmt: skip
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message):
        pass

    await app(scope, receive, send)


def prepare(flavors, variables):
    """Returns the names of what the server alone imports."""
    # A worker looks in its own folder first, as the server's command does.
    if os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]
    for name in SERVER:
        load(name)
    of_server = roots()
    for name in [module for flavor in flavors for module in FLAVORS.get(flavor, [])]:
        load(name)
    imported = dict(os.environ)
    try:
        warm()
    except Exception as error:
        print(f"the template is not warm: {error!r}", flush=True)
    try:
        load_plain_http()
    except Exception as error:
        print(f"uvicorn's own HTTP is used: {error!r}", flush=True)
    forget_event_loops()
    # What libraries set while they are imported stays: a fork does not import them again. See `serve`.
    os.environ.clear()
    os.environ.update({**imported, **variables})
    gc.collect()
    return of_server


def watch(leash):
    """The worker's own watchdog, one of its group. It takes no notice of signals that ask the group to end."""
    null = "/dev/null"
    actions = [
        (os.POSIX_SPAWN_DUP2, leash, 0),
        (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
    ]
    os.posix_spawn("/bin/sh", ["sh", "-c", WATCHDOG], {}, file_actions=actions, setsigmask=ASKS_TO_END)


def report(known, teacher):
    """Tells the template what this worker has imported of what is shared."""
    news = [name for name in list(sys.modules) if name not in known and is_shared(name)]
    with teacher:
        try:
            teacher.setblocking(False)
            teacher.send(json.dumps(news).encode())
        except OSError:
            # More than fits: the next worker takes its time as well.
            pass


def serve(order, variables):
    """What the command `uvicorn` does, in this process, which began with these variables."""
    os.dup2(order.output, 1)
    os.dup2(order.output, 2)
    os.close(order.output)
    watch(order.leash)
    os.close(order.leash)
    of_libraries = {name: value for name, value in os.environ.items() if name not in variables}
    os.environ.clear()
    os.environ.update({**of_libraries, **order.environment})
    time.tzset()
    os.chdir(order.directory)
    gc.enable()
    # `random` does so by itself.
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    sys.argv = ["uvicorn", *order.arguments]
    become_main("uvicorn.__main__")
    # A process that the model forks is not the worker: its end must not have to wait for that one's.
    os.register_at_fork(after_in_child=order.lifeline.close)

    import mlflow.pyfunc.scoring_server as scoring_server
    import uvicorn

    known, init, load_model = set(sys.modules), scoring_server.init, scoring_server.load_model_with_mlflow_config

    def reporting(model):
        scoring_server.init = init
        report(known, order.teacher)
        return init(model)

    # The server calls it with the loaded model.
    scoring_server.init = reporting
    if PLAIN_HTTP_MODULE in sys.modules:
        uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{PLAIN_HTTP_MODULE}:PlainProtocol"
    try:
        uvicorn.main(order.arguments, prog_name="uvicorn")
    except Exception as error:
        if is_models_own(error, load_model):
            tell(order.lifeline, {"model_raised": True})
        raise


def become_main(name):
    """New interpreters of `multiprocessing` and the like look for the main module of whoever starts them, and this one's
    file goes with the template. A module of this name they leave alone, as in a worker that was started by it."""
    specification = importlib.util.find_spec(name)
    if specification is not None:
        main = sys.modules["__main__"]
        main.__spec__, main.__file__ = specification, specification.origin


def is_models_own(error, load_model):
    """Whether it was raised while the model was loaded, and not because this process is a fork."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code is not load_model.__code__:
        frame = frame.tb_next
    if frame is None:
        return False
    seen = []
    while error is not None and all(error is not one for one in seen):
        seen.append(error)
        error = error.__cause__ or error.__context__
    return not any("fork" in str(one).lower() for one in seen)


if __name__ == "__main__":
    gc.disable()
    path, *flavors = sys.argv[1:]
    folders = list(sys.path[1:])
    before, variables = installed(folders), dict(os.environ)
    of_server = prepare(flavors, variables)
    serve(Template(path, folders, before, of_server).run(), variables)
