//! The JSON of `/api/v1`: what the control plane answers and the command line reads.
//!
//! Times are RFC 3339, durations are humane (`"60s"`, `"5m"`; a number counts as seconds), absent values are left out.

mod environment;
mod error;
mod event;
mod event_type;
mod figures;
mod grant;
mod label_history;
mod log;
mod model;
mod nearest;
mod schemas;
mod session;
mod settings;
mod size;
mod status;
mod time;
mod token;
mod versions;
mod webhook;

pub use environment::{
    BuildEnvironment, BuildFailure, BuildLine, BuildStep, EnvironmentDetail, EnvironmentPage,
    EnvironmentSummary, KeptEnvironment, PruneEnvironments, PrunedEnvironments, PythonPackage,
    ServedVersion,
};
pub use error::ErrorBody;
pub use event::{Event, EventPage};
pub use event_type::{EventType, UnknownEventType};
pub use figures::{Figures, FiguresByModel, Series, SeriesNames, UnknownSeries};
pub use grant::{GrantInfo, GrantPage, GrantedRight, InvalidGrant};
pub use label_history::{LabelEnd, LabelHistory, LabelInterval};
pub use log::{AttemptOutcome, LogAttempt, LogAttempts, LogKind};
pub use model::{
    BatchingDetail, FailureDetail, LabelDetail, LabelSummary, ModelDetail, ModelPage, ModelState,
    ModelSummary, Permission, ReplicaDetail, VersionDetail, VersionState,
};
pub use nearest::nearest;
pub use session::{SessionInfo, SignIn};
pub(crate) use settings::LONGEST_TIMEOUT;
pub use settings::{
    Batching, EnvManager, InvalidSetting, MemoryLimit, ModelSettings, Origin, Settings, TagProblem,
    TagSettings, Takeover,
};
pub use size::{ByteSize, InvalidSize};
pub use status::{RegistryState, RightsState, Status};
pub use time::{HumaneDuration, InvalidDuration, InvalidTime, Timestamp};
pub use token::{CreateToken, CreatedToken, TokenInfo, TokenPage};
pub use versions::Versions;
pub use webhook::{
    DeliveryOutcome, InstallWebhook, InstalledWebhook, Received, RemovedWebhooks, WebhookInfo,
    WebhookName, WebhookPage, WebhookTrial, WebhooksState,
};
