//! What may be typed after `models`.

use clap::{Args, Subcommand, ValueEnum};
use gateway::api::HumaneDuration;

use super::connection::ConnectionArgs;
use super::moment::Moment;

/// `models`.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(subcommand)]
    pub(crate) verb: ModelsVerb,
}

/// The verbs of `models`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsVerb {
    /// List registered models and how serving stands.
    List(ListArgs),
    /// Show one model: versions, stages, aliases, settings.
    Show(NameArgs),
    /// Serve every version of a model that is not archived.
    Enable(EnableArgs),
    /// Stop serving a model: requests in flight end, then the workers stop.
    Disable(NameArgs),
    /// Show how a model is served, or change it.
    Settings(SettingsArgs),
    /// Replace the workers of a version, without a failed request.
    Restart(RestartArgs),
    /// Show what happened to a model.
    Events(EventsArgs),
    /// Show what a version printed while it was built or while it worked, also in its last failed attempt.
    Logs(LogsArgs),
    /// Score rows with a model and print the answer alone on stdout.
    Score(ScoreArgs),
    /// Print the URLs that a model answers on now.
    Uris(NameArgs),
}

/// `models list`.
#[derive(Debug, Default, Args)]
pub(crate) struct ListArgs {
    /// Only models whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) query: Option<String>,

    /// Only models whose serving is enabled.
    #[arg(long)]
    pub(crate) served: bool,
}

/// A model.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Name of the registered model.
    pub(crate) name: String,
}

/// `models restart`.
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Name of the registered model.
    pub(crate) name: String,

    /// Number of the version.
    pub(crate) version: u64,

    #[command(flatten)]
    pub(crate) waiting: WaitArgs,
}

/// Whether to wait for what was asked for.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Return only when it is done (exit code 0) or has failed (exit code 1).
    #[arg(long)]
    pub(crate) wait: bool,

    /// How long to wait, with --wait.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10m",
        requires = "wait"
    )]
    pub(crate) timeout: HumaneDuration,
}

/// `models enable`.
#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    /// Name of the registered model.
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) waiting: WaitArgs,
}

/// `models settings`.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Name of the registered model.
    pub(crate) name: String,

    /// What to change, for example replicas=2 timeout=30s; an empty value goes back to the default. Without any, the
    /// settings are shown.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) changes: Vec<String>,

    #[command(flatten)]
    pub(crate) waiting: WaitArgs,
}

/// `models events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Name of the registered model.
    pub(crate) name: String,

    /// Only events of this version.
    #[arg(long, value_name = "V")]
    pub(crate) version: Option<u64>,

    /// Only events of these types, for example ready,failed.
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub(crate) types: Vec<String>,

    /// Only events from this time on: 2026-03-01T12:00Z, or so long ago: 2h.
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<Moment>,

    /// Only events before this time, or so long ago.
    #[arg(long, value_name = "WHEN", conflicts_with = "follow")]
    pub(crate) until: Option<Moment>,

    /// Go on with new events as they happen, also after the gateway was started again.
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Instead of events, show which version this stage or alias pointed at, and when.
    #[arg(long, value_name = "LABEL", conflicts_with_all = ["version", "types", "since", "until", "follow"])]
    pub(crate) label: Option<String>,

    /// With --label: only the version that it pointed at then, or so long ago.
    #[arg(long, value_name = "WHEN", requires = "label")]
    pub(crate) at: Option<Moment>,
}

/// `models logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Name of the registered model.
    pub(crate) name: String,

    /// Number of the version.
    pub(crate) version: u64,

    /// Which log [default: of a failed version the one that tells why, else worker].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<LogKind>,

    /// Only this attempt: a number, last or last-failed.
    #[arg(long, value_name = "ATTEMPT", value_parser = attempt)]
    pub(crate) attempt: Option<String>,

    /// List the attempts that are kept instead.
    #[arg(long, conflicts_with_all = ["attempt", "tail", "contains", "follow"])]
    pub(crate) attempts: bool,

    /// Only the last lines, so many.
    #[arg(long, value_name = "LINES")]
    pub(crate) tail: Option<u32>,

    /// Only lines that contain this text, in whichever case.
    #[arg(long, value_name = "TEXT")]
    pub(crate) contains: Option<String>,

    /// Go on with new lines as they are written.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// What a log tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogKind {
    /// Fetching the model and building its environment.
    Build,
    /// What the workers print.
    Worker,
}

/// `models score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// Name of the registered model.
    pub(crate) name: String,

    /// A version number, a stage (Production, Staging), an alias (@champion) or latest.
    pub(crate) reference: String,

    /// File with the rows, or - for stdin.
    #[arg(value_name = "FILE", required_unless_present = "example")]
    pub(crate) file: Option<String>,

    /// Score the input example that was logged with the model.
    #[arg(long, conflicts_with = "file")]
    pub(crate) example: bool,

    /// What the rows are, for example "application/json; format=pandas-split" [default: text/csv for a file whose
    /// name ends in .csv, else application/json].
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
}

impl From<LogKind> for gateway::api::LogKind {
    fn from(kind: LogKind) -> Self {
        match kind {
            LogKind::Build => Self::Build,
            LogKind::Worker => Self::Worker,
        }
    }
}

fn attempt(text: &str) -> Result<String, String> {
    if matches!(text, "last" | "last-failed") || text.parse::<u64>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("a number, last or last-failed".to_owned())
    }
}
