//! What children may see of the gateway's environment: named variables only, so that no secret of it leaks.

use std::collections::BTreeMap;

/// Every child sees these: where programs are, how to write, where to put what is temporary, whom to trust, how to get out.
const WORKER: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
];

/// Builds see these too: where packages come from and where they are cached. They may hold the password of an index.
const BUILD_PREFIXES: &[&str] = &["PIP_", "UV_"];
const BUILD: &[&str] = &["XDG_CACHE_HOME", "NETRC"];

/// The variables of `environment` that workers may see: the list above, `LC_*`, and those that `more` names.
pub(super) fn for_workers(
    environment: &BTreeMap<String, String>,
    more: &[String],
) -> Vec<(String, String)> {
    pick(environment, |name| {
        WORKER.contains(&name)
            || name.starts_with("LC_")
            || more.iter().any(|wanted| wanted == name)
    })
}

/// Those that only builds need.
pub(super) fn for_builds(environment: &BTreeMap<String, String>) -> Vec<(String, String)> {
    pick(environment, |name| {
        BUILD.contains(&name) || BUILD_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

fn pick(
    environment: &BTreeMap<String, String>,
    wanted: impl Fn(&str) -> bool,
) -> Vec<(String, String)> {
    environment
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
