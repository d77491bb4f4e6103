//! nginx and HAProxy as bare proxies, as fast as we know how to make them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{Endpoint, Request, call};
use crate::program::{Program, command};

const PATIENCE: Duration = Duration::from_secs(30);
const CALL: Duration = Duration::from_secs(5);

/// A proxy that runs.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) program: Program,
    pub(super) address: SocketAddr,
}

/// The version of a program, if it is installed: what stands behind its name and `word` in what it prints.
pub(super) fn version(program: &str, argument: &str, word: &str) -> Option<String> {
    let printed = command(program).arg(argument).output().ok()?;
    let text = [printed.stdout, printed.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (_, rest) = text.split_once(word)?;
    Some(rest.split_ascii_whitespace().next()?.to_owned())
}

/// nginx before the upstream at `socket`. Bodies are passed on as they come, because that costs it less than to keep
/// them in a file first; connections are kept on both sides; nothing is logged. `about` is how many threads it gets, and its
/// version.
pub(super) fn nginx(folder: &Path, socket: &Path, about: (usize, &str)) -> Result<Peer> {
    let (threads, version) = about;
    let address = free()?;
    let (folder_name, socket) = (folder.display(), socket.display());
    // Its workers have to reach the socket, which belongs to whoever runs this.
    let user = if rustix::process::getuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let configuration = format!(
        "{user}
worker_processes {threads};
daemon off;
pid {folder_name}/nginx.pid;
error_log {folder_name}/nginx-error.log crit;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_max_body_size 17m;
    client_body_buffer_size 256k;
    client_body_temp_path {folder_name}/body;
    proxy_temp_path {folder_name}/proxy;
    fastcgi_temp_path {folder_name}/fastcgi;
    uwsgi_temp_path {folder_name}/uwsgi;
    scgi_temp_path {folder_name}/scgi;
    upstream scoring {{
        server unix:{socket};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://scoring;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_request_buffering off;
        }}
    }}
}}
"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut nginx = command("nginx");
    nginx.arg("-p").arg(folder).arg("-c").arg(&file);
    if knows_error_log(version) {
        nginx.arg("-e").arg(folder.join("nginx.log"));
    }
    start(
        "nginx",
        Program::start("nginx", nginx, &folder.join("nginx.out"))?,
        address,
    )
}

/// Whether an nginx of this version can be told where its log is before it has read its configuration (1.19.5 and later);
/// others complain that they may not write the usual one, and go on.
fn knows_error_log(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    [next(), next(), next()] >= [1, 19, 5]
}

/// HAProxy before the upstream at `socket`.
pub(super) fn haproxy(folder: &Path, socket: &Path, threads: usize) -> Result<Peer> {
    let address = free()?;
    let socket = socket.display();
    let configuration = format!(
        "global
    nbthread {threads}
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
    no log
frontend scoring
    bind {address}
    default_backend workers
backend workers
    server worker unix@{socket} pool-max-conn -1
"
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configuration)?;
    let mut haproxy = command("haproxy");
    haproxy.arg("-db").arg("-f").arg(&file);
    start(
        "HAProxy",
        Program::start("haproxy", haproxy, &folder.join("haproxy.out"))?,
        address,
    )
}

fn start(name: &'static str, mut program: Program, address: SocketAddr) -> Result<Peer> {
    let ping = Request::get("/ping", &[]);
    program.until(PATIENCE, "a proxy answers", || {
        let answer = call(&Endpoint::Tcp(address), &ping, CALL);
        matches!(answer, Ok((200, _))).then_some(())
    })?;
    Ok(Peer {
        name,
        program,
        address,
    })
}

/// A port that is free now: neither of them takes one that the system chooses.
fn free() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_nginx_is_not_told_what_it_does_not_know() {
        for known in ["1.19.5", "1.22.1", "1.100.0", "2.0"] {
            assert!(knows_error_log(known), "{known}");
        }
        for unknown in ["1.18.0", "1.19.4", "0.8.54", "?"] {
            assert!(!knows_error_log(unknown), "{unknown}");
        }
    }
}
