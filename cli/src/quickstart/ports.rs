//! Ports of this host: one that is free, the one that people know, and one that was asked for.

use std::net::{Ipv4Addr, TcpListener};

use url::Url;

use crate::error::CommandError;

/// The gateway's, because people know it.
const USUAL: u16 = 8080;

/// A port that was free a moment ago.
pub(super) fn free() -> Result<u16, CommandError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| CommandError::failed(format!("there is no free port: {error}")))
}

/// The usual port, or 0, which takes a free one.
pub(super) fn usual_or_any() -> u16 {
    if is_free(USUAL) { USUAL } else { 0 }
}

/// Says at once, and not after minutes, that `port` is taken; `flag` asked for it.
pub(super) fn require_free(port: u16, flag: &str) -> Result<(), CommandError> {
    if port == 0 || is_free(port) {
        return Ok(());
    }
    Err(
        CommandError::failed(format!("port {port} of this host is taken"))
            .next(format!("name another with {flag}, or 0 for a free one")),
    )
}

/// `http://127.0.0.1:PORT/`.
pub(super) fn local_url(port: u16) -> Result<Url, CommandError> {
    Url::parse(&format!("http://127.0.0.1:{port}"))
        .map_err(|error| CommandError::failed(format!("port {port} makes no address: {error}")))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_refused_with_the_flag_that_names_another() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = require_free(port, "--port").unwrap_err().to_string();
        assert!(
            error.contains("is taken") && error.contains("--port"),
            "{error}"
        );
        assert!(require_free(0, "--port").is_ok());
    }
}
