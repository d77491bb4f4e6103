//! The kinds of trouble that an environment meets on its way: a word for programs, and whether another try could help.

use serving_core::LoadError;

/// Why there is no environment. Each kind is a code of the API, so none is ever renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(feature = "conda"),
    expect(dead_code, reason = "some only conda has")
)]
pub(crate) enum Trouble {
    /// `conda.yaml`, `python_env.yaml` or a requirements file cannot be understood.
    InvalidDeclaration,
    /// No channel or index has a package of this name.
    PackageNotFound,
    /// All names are known, but no set of versions fits.
    Unsatisfiable,
    /// The wanted version of Python is nowhere to be had.
    PythonNotAvailable,
    /// What was downloaded is not what was announced, or reaches out of its folder.
    HashMismatch,
    /// A channel or an index cannot be reached, or fails for now.
    Network,
    /// A channel or an index wants a credential, or another one.
    AccessDenied,
    /// Not everything is cached that has to be, and the runner is offline by its configuration.
    Offline,
    /// There is, or would be, no room.
    DiskFull,
    /// uv or pip failed for another reason; its own last lines say which.
    PipFailed,
    /// All was installed, but what serves the model cannot be imported.
    ImportFailed,
    /// There is no MLflow in the environment, or one that has no scoring server.
    MlflowMissing,
    /// A program that is needed is not there and cannot be had.
    ToolMissing,
    /// Packages can be linked no further: one overwrites the other's files, or is broken.
    InstallFailed,
}

impl Trouble {
    /// The word for programs.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::InvalidDeclaration => "INVALID_DECLARATION",
            Self::PackageNotFound => "PACKAGE_NOT_FOUND",
            Self::Unsatisfiable => "UNSATISFIABLE",
            Self::PythonNotAvailable => "PYTHON_NOT_AVAILABLE",
            Self::HashMismatch => "HASH_MISMATCH",
            Self::Network => "NETWORK",
            Self::AccessDenied => "ACCESS_DENIED",
            Self::Offline => "OFFLINE",
            Self::DiskFull => "DISK_FULL",
            Self::PipFailed => "PIP_FAILED",
            Self::ImportFailed => "IMPORT_FAILED",
            Self::MlflowMissing => "MLFLOW_MISSING",
            Self::ToolMissing => "TOOL_MISSING",
            Self::InstallFailed => "INSTALL_FAILED",
        }
    }

    /// The error of this kind. Its retry is the kind's usual one: the network and the disk may be better later.
    pub(crate) fn error(self, message: impl Into<String>) -> LoadError {
        let message: String = message.into();
        let error = match self {
            Self::Network | Self::DiskFull => LoadError::transient(message),
            _ => LoadError::permanent(message),
        };
        error.with_code(self.code())
    }

    /// The error of this kind that is worth another try, against the kind's habit.
    pub(crate) fn passing(self, message: impl Into<String>) -> LoadError {
        let message: String = message.into();
        LoadError::transient(message).with_code(self.code())
    }
}
