//! The commands of MLflow that are run, each by the environment's own interpreter.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::child::Launch;
use super::forked::Order;
use super::host::Host;
use super::sockets::WorkerFolder;
use crate::env::{Environment, ScoringServer};
use crate::names;
use crate::words::Words;

/// How long uvicorn keeps an idle connection: longer than the gateway does, so that the gateway is the one who closes.
/// Its own default of five seconds makes a client race it.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Arguments of uvicorn as MLflow gives them: the socket comes by `UVICORN_UDS`, and the host does nothing then.
pub(crate) const UVICORN: [&str; 5] = [
    "--host",
    "127.0.0.1",
    "--workers",
    "1",
    "mlflow.pyfunc.scoring_server.app:app",
];

/// How many threads the libraries for numbers start. One that has started some in a template would wait for them in
/// vain in what was forked from it.
const THREADS: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "GOTO_NUM_THREADS",
];

/// Where gunicorn takes more options from, by itself and through MLflow 1.
const GUNICORN_OPTIONS: &str = "GUNICORN_CMD_ARGS";

/// Where MLflow's server finds the address of its model.
const MODEL: &str = "__pyfunc_model_path__";
/// Where it finds how many seconds a request may take.
const TIMEOUT: &str = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT";

/// What a scoring server has to know, whoever starts it.
pub(crate) struct Serving<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) model: &'a Path,
    pub(crate) words: &'a Words,
    /// What no request may exceed: a worker that gives up earlier would know better than whoever asks.
    pub(crate) longest_timeout: Duration,
    pub(crate) start_timeout: Duration,
    /// Whether it prints a line for each request.
    pub(crate) access_log: bool,
}

impl Serving<'_> {
    /// `mlflow models serve` with one worker on a Unix socket and on no port.
    ///
    /// Port 0 makes MLflow leave out the port. What then becomes of the host depends on the server: uvicorn is told
    /// of the socket by `UVICORN_UDS` and ignores the host, gunicorn gets the host as its address.
    pub(crate) fn mlflow_serve(&self, host: &Host, folder: &WorkerFolder) -> Launch {
        let address = match self.environment.server {
            ScoringServer::Uvicorn => "127.0.0.1".to_owned(),
            ScoringServer::Gunicorn => format!("unix:{}", folder.socket().display()),
        };
        let mut arguments = self.environment.mlflow();
        arguments.extend(["models", "serve", "-m"].map(OsString::from));
        arguments.push(self.model.into());
        arguments.extend(["--env-manager", "local", "-h"].map(OsString::from));
        arguments.push(address.into());
        arguments.extend(["-p", "0", "-w", "1", "-t"].map(OsString::from));
        arguments.push(self.timeout().into());
        self.launch(host, folder, arguments, &[])
    }

    /// What `mlflow models serve` would start, without it; `None` where that is gunicorn: its options come from the
    /// shell command that MLflow makes of them, which is not worth imitating for a generation that ends.
    pub(crate) fn direct(&self, host: &Host, folder: &WorkerFolder) -> Option<Launch> {
        let arguments = ["-m", "uvicorn"].into_iter().chain(UVICORN);
        let launch = || {
            let arguments = arguments.map(OsString::from).collect();
            self.launch(host, folder, arguments, &self.server_variables())
        };
        (self.environment.server == ScoringServer::Uvicorn).then(launch)
    }

    /// The name of the template that it can be forked from: the same for all whose variables are the same. `None` where
    /// it cannot be: for gunicorn, and if it is to have more than one thread for numbers, since what a template has
    /// imported is bound to one.
    pub(crate) fn template_key(&self, host: &Host) -> Option<String> {
        let shared = self.variables(host, None, &[]);
        let wants_threads = |(name, value): &(String, String)| {
            THREADS.contains(&name.as_str()) && value.trim() != "1"
        };
        if self.environment.server != ScoringServer::Uvicorn || shared.iter().any(wants_threads) {
            return None;
        }
        let python = self.environment.python.to_string_lossy().into_owned();
        let shared: BTreeMap<_, _> = shared.into_iter().collect();
        let shared = shared
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        let parts: Vec<String> = std::iter::once(python).chain(shared).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Some(names::digest(&parts))
    }

    /// That template: the program at `program`, which listens on the socket in its folder and has imported what models of
    /// these flavors need.
    pub(crate) fn template(
        &self,
        host: &Host,
        folder: &WorkerFolder,
        program: &Path,
        flavors: &[String],
    ) -> Launch {
        let fences = THREADS.map(|name| (name, "1".to_owned()));
        let files = [program.to_owned(), folder.socket()].map(OsString::from);
        Launch {
            program: self.environment.python.clone(),
            arguments: files
                .into_iter()
                .chain(flavors.iter().map(OsString::from))
                .collect(),
            environment: self.variables(host, None, &fences),
            directory: folder.path().to_owned(),
        }
    }

    /// What a fork of it is to become: the same as [`direct`](Self::direct) starts, with these modules of the model's own.
    pub(crate) fn order(&self, host: &Host, folder: &WorkerFolder, modules: &[String]) -> Order {
        let variables = self.variables(host, Some(folder), &self.server_variables());
        Order {
            directory: folder.path().to_owned(),
            environment: variables.into_iter().collect(),
            arguments: &UVICORN,
            modules: modules.to_vec(),
        }
    }

    /// What its launcher tells MLflow's server.
    fn server_variables(&self) -> [(&'static str, String); 2] {
        [(MODEL, file_uri(self.model)), (TIMEOUT, self.timeout())]
    }

    fn launch(
        &self,
        host: &Host,
        folder: &WorkerFolder,
        arguments: Vec<OsString>,
        variables: &[(&str, String)],
    ) -> Launch {
        Launch {
            program: self.environment.python.clone(),
            arguments,
            environment: self.variables(host, Some(folder), variables),
            directory: folder.path().to_owned(),
        }
    }

    /// The whole environment of a process, `variables` last: of the worker in this folder, or what all have in common.
    fn variables(
        &self,
        host: &Host,
        folder: Option<&WorkerFolder>,
        variables: &[(&str, String)],
    ) -> Vec<(String, String)> {
        let socket = folder.map(|folder| folder.socket().display().to_string());
        let keep_alive = KEEP_ALIVE.as_secs().to_string();
        let access_log = if self.access_log { "true" } else { "false" };
        let gunicorn = self.gunicorn_options();
        let words = self.words.environment.iter();
        let more = [("PYTHONUNBUFFERED", "1")]
            .into_iter()
            .chain(self.environment.activation())
            .chain(words.map(|(name, value)| (name.as_str(), value.as_str())))
            .chain(self.environment.variables())
            .chain([
                ("MLFLOW_DISABLE_TELEMETRY", "true"),
                ("UVICORN_TIMEOUT_KEEP_ALIVE", keep_alive.as_str()),
                ("UVICORN_ACCESS_LOG", access_log),
            ])
            .chain(socket.as_ref().map(|path| ("UVICORN_UDS", path.as_str())))
            .chain(
                gunicorn
                    .as_ref()
                    .map(|options| (GUNICORN_OPTIONS, options.as_str())),
            )
            .chain(
                variables
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            );
        host.environment(Some(&self.environment.bin), more)
    }

    /// Whole seconds, rounded up.
    fn timeout(&self) -> String {
        let timeout = match self.environment.server {
            ScoringServer::Uvicorn => self.longest_timeout,
            // gunicorn also kills a worker that needs longer than this to load its model.
            ScoringServer::Gunicorn => self.longest_timeout.max(self.start_timeout),
        };
        (timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)).to_string()
    }

    /// gunicorn prints no requests unless it is told to; `None` leaves its options as they are.
    fn gunicorn_options(&self) -> Option<String> {
        if !self.access_log || self.environment.server != ScoringServer::Gunicorn {
            return None;
        }
        let asked = self.words.environment.get(GUNICORN_OPTIONS);
        let asked = asked.map_or("", String::as_str);
        // What the model's own settings say comes last, and wins.
        Some(format!("--access-logfile - {asked}").trim_end().to_owned())
    }
}

/// As MLflow writes it: what is neither a letter, a digit nor one of `_.-~/` is percent-encoded.
fn file_uri(path: &Path) -> String {
    use std::fmt::Write;
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.fold("file://".to_owned(), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || b"_.-~/".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(uri, "%{byte:02X}");
        }
        uri
    })
}

/// How long an idle connection lives at a worker: gunicorn's plain workers close after each answer.
pub(crate) fn keep_alive(server: ScoringServer) -> Duration {
    match server {
        ScoringServer::Uvicorn => KEEP_ALIVE,
        ScoringServer::Gunicorn => Duration::ZERO,
    }
}

/// `mlflow artifacts download`; `variables` (the tracking address, credentials) are for this process only.
pub(crate) fn download(
    host: &Host,
    environment: &Environment,
    uri: &str,
    variables: &[(String, String)],
    into: &Path,
) -> Launch {
    let mut arguments = environment.mlflow();
    arguments
        .extend(["artifacts", "download", "--artifact-uri", uri, "--dst-path"].map(OsString::from));
    arguments.push(into.into());
    let more = environment
        .activation()
        .chain(environment.variables())
        .chain([("MLFLOW_DISABLE_TELEMETRY", "true")])
        .chain(
            variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
    Launch {
        program: environment.python.clone(),
        arguments,
        environment: host.environment(Some(&environment.bin), more),
        directory: into.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::config::RunnerConfig;
    use crate::env::Facts;
    use crate::process::sockets::Sockets;

    fn environment(server: ScoringServer) -> Environment {
        let facts = Facts {
            mlflow_version: "3.17.2".to_owned(),
            server,
            module: "mlflow".to_owned(),
        };
        Environment::local("/env/bin/python".into(), facts)
    }

    #[test]
    fn a_worker_is_given_the_longest_timeout_and_gunicorn_time_to_start_besides() {
        let folder = tempfile::tempdir().unwrap();
        let config = RunnerConfig::new(folder.path());
        let day = config.longest_timeout;
        let words = Words::of(&serving_core::Settings::default()).unwrap();
        let folder = Sockets::open(folder.path()).unwrap().next().unwrap();
        for (server, start_timeout, expected) in [
            (ScoringServer::Uvicorn, config.start_timeout, "86400"),
            (ScoringServer::Uvicorn, 2 * day, "86400"),
            (ScoringServer::Gunicorn, config.start_timeout, "86400"),
            (ScoringServer::Gunicorn, 2 * day, "172800"),
        ] {
            let serving = Serving {
                environment: &environment(server),
                model: Path::new("/model"),
                words: &words,
                longest_timeout: day,
                start_timeout,
                access_log: false,
            };
            let launch = serving.mlflow_serve(&Host::new(&[], TaskTracker::new()), &folder);
            let mut arguments = launch.arguments.iter();
            assert!(arguments.any(|argument| argument == "-t"));
            assert_eq!(arguments.next().unwrap(), expected, "{server:?}");
        }
    }

    #[test]
    fn a_models_address_is_written_as_mlflow_writes_it() {
        for (path, uri) in [
            ("/data/models/iris-1", "file:///data/models/iris-1"),
            ("/a b/ä%", "file:///a%20b/%C3%A4%25"),
        ] {
            assert_eq!(file_uri(Path::new(path)), uri);
        }
    }

    #[test]
    fn models_share_a_template_if_their_variables_are_the_same_and_leave_threads_alone() {
        let folder = tempfile::tempdir().unwrap();
        let config = RunnerConfig::new(folder.path());
        let host = Host::new(&[], TaskTracker::new());
        let key = |server, model: &str, variables: &str| {
            let loader = [("environment".to_owned(), variables.to_owned())].into();
            let settings = serving_core::Settings {
                loader,
                ..serving_core::Settings::default()
            };
            let serving = Serving {
                environment: &environment(server),
                model: Path::new(model),
                words: &Words::of(&settings).unwrap(),
                longest_timeout: config.longest_timeout,
                start_timeout: config.start_timeout,
                access_log: false,
            };
            serving.template_key(&host)
        };
        let uvicorn = |model, variables| key(ScoringServer::Uvicorn, model, variables);
        let plain = uvicorn("/one", "{}");
        assert!(plain.is_some());
        assert_eq!(plain, uvicorn("/other", "{}"));
        assert_ne!(plain, uvicorn("/one", r#"{"A": "1"}"#));
        assert_eq!(key(ScoringServer::Gunicorn, "/one", "{}"), None);
        assert_eq!(uvicorn("/one", r#"{"OMP_NUM_THREADS": "4"}"#), None);
        assert!(uvicorn("/one", r#"{"OMP_NUM_THREADS": "1"}"#).is_some());
    }
}
