//! What the package index does: refuses, cannot be reached, gives another file than was announced.

use super::told::{Told, last_after, shortened};
use super::{Case, REASON, Verdict};
use crate::env::trouble::Trouble;

/// pip knew enough to say that the requirements are at fault, whatever else an index refused.
const CONTRADICTION: [&str; 1] = ["have conflicting dependencies"];

impl Case<'_> {
    pub(super) fn hash(&self) -> Option<Verdict> {
        let package = self.told.between("Hash mismatch for `", "`");
        let package = package.or_else(|| {
            let (_, rest) = self.told.text.split_once("DO NOT MATCH THE HASHES")?;
            rest.split_once(" from http")?.0.rsplit(' ').next()
        })?;
        Some(Verdict::new(
            Trouble::HashMismatch,
            format!(
                "the file of {package} is not the one whose hash the model's requirements name: the index has another \
                 file, or it was changed on its way. Correct the hash, or find out who changed the file"
            ),
        ))
    }

    pub(super) fn access(&self) -> Option<Verdict> {
        let refusal = [
            "401 Unauthorized",
            "403 Forbidden",
            "401 Client Error",
            "403 Client Error",
        ];
        let status = refusal
            .iter()
            .find(|status| self.told.text.contains(*status));
        if self.told.has(&CONTRADICTION) {
            return None;
        }
        let needs_login = [
            "Authentication failed for",
            "could not read Username",
            "Permission denied (publickey",
        ];
        if status.is_none() && !self.told.has(&needs_login) {
            return None;
        }
        let address = self
            .told
            .between_last("An index URL (", ") could not be queried")
            .or_else(|| self.told.between_last("An index URL (", ") returned a 403"))
            .or_else(|| self.told.between_last("An index (", ") returned a 403"))
            .or_else(|| self.told.word_after("for url: "))
            .or_else(|| self.told.word_after("for url ("))
            .unwrap_or(self.asked());
        let status = status.map_or(String::new(), |status| format!(" ({})", &status[..3]));
        Some(Verdict::new(
            Trouble::AccessDenied,
            format!(
                "{address} does not let this gateway in{status}: name a user and a password in the index's address \
                 (https://user:password@host/simple), or correct them"
            ),
        ))
    }

    pub(super) fn not_cached(&self) -> Option<Verdict> {
        let of_uv = self.told.has(&[
            "network was disabled",
            "Network connectivity is disabled",
            "was not found in the cache",
        ]);
        let of_pip = self.attempt.offline && self.told.has(&["No matching distribution found"]);
        (of_uv || of_pip).then_some(())?;
        let name = self
            .told
            .between_last("Because ", " was not found in the cache")
            .or_else(|| self.told.word_after("No matching distribution found for "))
            .unwrap_or("a package");
        Some(Verdict::new(
            Trouble::Offline,
            format!(
                "{name} is not cached on this machine, and the gateway is set to be offline: build the environment \
                 once while the index can be reached, or import it (sluicegate environments import)"
            ),
        ))
    }

    pub(super) fn network(&self) -> Option<Verdict> {
        if self.told.has(&["404 Not Found) for url", "HTTP error 404"])
            || self.told.has(&CONTRADICTION)
        {
            return None;
        }
        let signs = [
            "Request failed after",
            "error sending request",
            "HTTP status server error",
            "(429 Too Many Requests)",
            "Max retries exceeded",
            "WARNING: Retrying (",
            "connection error:",
            "ReadTimeoutError",
            "Read timed out",
            "fatal: unable to access",
            "Could not resolve host",
            "Failed to fetch",
        ];
        self.told.has(&signs).then_some(())?;
        let address = [
            "for url (",
            "Failed to fetch: ",
            "Could not fetch URL ",
            "unable to access '",
        ]
        .iter()
        .find_map(|start| self.told.word_after(start));
        let who = match address.and_then(host_of) {
            Some(host) => host.to_owned(),
            None => format!("the package index ({})", self.asked()),
        };
        let why = network_reason(&self.told).map(|why| format!(" ({why})"));
        Some(Verdict::new(
            Trouble::Network,
            format!(
                "{who} cannot be reached for the Python packages{}: it is tried again later. If it stays so, check the \
                 network and the proxy, or name another index (pip.index_url)",
                why.unwrap_or_default()
            ),
        ))
    }
}

/// The host of an address, with its port.
fn host_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    rest.split(['/', '?', '#'])
        .next()
        .filter(|host| !host.is_empty())
}

/// The innermost cause.
fn network_reason(told: &Told) -> Option<String> {
    let causes = ["cause: ", "Caused by: "];
    let of_uv = causes
        .iter()
        .find_map(|start| last_after(&told.lines, start));
    let of_pip = || {
        told.text
            .rsplit_once("[Errno ")?
            .1
            .split_once("] ")?
            .1
            .split("')")
            .next()
    };
    let of_status = || told.between("too many ", " error responses");
    let of_git = || told.line_after("fatal: ");
    let why = of_git().or(of_uv).or_else(of_pip).or_else(of_status)?;
    let why = why.split(" (os error").next().unwrap_or(why);
    let why = why.split(" for url (").next().unwrap_or(why);
    let why = why.rsplit("': ").next().unwrap_or(why);
    Some(shortened(why, REASON))
}
