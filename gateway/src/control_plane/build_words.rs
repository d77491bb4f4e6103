//! What callers who are no admins are told of a failed build. Environments are shared: the whole sentence may name
//! models that a caller must not know of, and folders of the host.

use crate::api::BuildFailure;

/// The kind of the failure, without a name, a path or a printed line.
pub(super) fn without_particulars(failure: BuildFailure) -> BuildFailure {
    let what = match failure.error_code.as_str() {
        "INVALID_DECLARATION" => {
            "what the version declares in conda.yaml, python_env.yaml or requirements.txt cannot be understood"
        }
        "PACKAGE_NOT_FOUND" => {
            "a package that the version declares is in none of its channels and package indexes"
        }
        "UNSATISFIABLE" => "no set of packages fits everything that the version declares",
        "PYTHON_NOT_AVAILABLE" => "the Python that the version declares is not to be had",
        "HASH_MISMATCH" => "a download is not what its channel or package index announced",
        "NETWORK" => "a channel or package index cannot be reached at the moment",
        "ACCESS_DENIED" => "a channel or package index wants a credential, or another one",
        "OFFLINE" => "the gateway is offline, and not all that the version declares is cached",
        "DISK_FULL" => "there is no room for it on the gateway's disk",
        "PIP_FAILED" => "its Python packages could not be installed",
        "IMPORT_FAILED" => "all was installed, but what serves the model cannot be imported",
        "MLFLOW_MISSING" => "there is no MLflow in it that could serve the model",
        "TOOL_MISSING" => "a program that builds need is missing on the gateway's host",
        "INSTALL_FAILED" => "its conda packages do not go together, or are broken",
        _ => "the environment could not be built",
    };
    BuildFailure {
        message: format!("{what}; the version's build log tells more"),
        last_lines: Vec::new(),
        ..failure
    }
}
