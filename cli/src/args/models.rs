//! What may be typed after `models`.

use clap::{Args, Subcommand, ValueEnum};
use gateway::api::HumaneDuration;

use super::connection::ConnectionArgs;

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

    /// Go on with new events as they happen.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// `models logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Name of the registered model.
    pub(crate) name: String,

    /// Number of the version.
    pub(crate) version: u64,

    /// Which log.
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    pub(crate) kind: LogKind,

    /// Only the last lines, so many.
    #[arg(long, value_name = "LINES")]
    pub(crate) tail: Option<u32>,

    /// Go on with new lines as they are written.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// What a log tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogKind {
    /// Fetching the model and building its environment.
    Build,
    /// What the workers print.
    #[default]
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

impl LogKind {
    /// The word of the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Worker => "worker",
        }
    }
}
