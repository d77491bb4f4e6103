//! The JSON of `/api/v1`: what the control plane answers and the command line reads.
//!
//! Times are RFC 3339, durations are humane (`"60s"`, `"5m"`; a number counts as seconds), absent values are left out.

mod environment;
mod error;
mod event;
mod grant;
mod model;
mod nearest;
mod schemas;
mod settings;
mod size;
mod status;
mod time;
mod token;

pub use environment::{
    BuildEnvironment, BuildFailure, BuildLine, BuildStep, EnvironmentDetail, EnvironmentPage,
    EnvironmentSummary, KeptEnvironment, PruneEnvironments, PrunedEnvironments, PythonPackage,
    ServedVersion,
};
pub use error::ErrorBody;
pub use event::{Event, EventPage};
pub use grant::{GrantInfo, GrantPage, GrantedRight, InvalidGrant};
pub use model::{
    FailureDetail, LabelDetail, ModelDetail, ModelPage, ModelState, ModelSummary, Permission,
    VersionDetail, VersionState,
};
pub use nearest::nearest;
pub(crate) use settings::LONGEST_TIMEOUT;
pub use settings::{EnvManager, InvalidSetting, ModelSettings, Settings};
pub use size::{ByteSize, InvalidSize};
pub use status::{RegistryState, Status};
pub use time::{HumaneDuration, InvalidDuration, Timestamp};
pub use token::{CreateToken, CreatedToken, TokenInfo, TokenPage};
