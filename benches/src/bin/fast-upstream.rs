//! The fast upstream as a program: `fast-upstream listen SOCKET` serves at a socket and at a port, which it prints.
//!
//! Called as anything else it does what the gateway expects of an interpreter that has MLflow: it says so, and serves
//! where it is told to.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use benches::upstream::{Listener, VERSION, serve};
use tokio::runtime::Builder;

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match arguments.as_slice() {
        [word, socket] if word == "listen" => runtime.block_on(async {
            let (tcp, address) = Listener::tcp().await?;
            let unix = Listener::unix(Path::new(socket))?;
            println!("{address}");
            tokio::try_join!(serve(tcp), serve(unix)).map(drop)
        }),
        [word, _question] if word == "-c" => {
            println!(
                r#"{{"mlflow": "{VERSION}", "server": "uvicorn", "module": "mlflow", "python": "3.11.0"}}"#
            );
            Ok(())
        }
        [word, ..] if word == "-m" => {
            let socket = socket().context("UVICORN_UDS does not say where to listen")?;
            runtime.block_on(async { serve(Listener::unix(Path::new(&socket))?).await })
        }
        _ => bail!("usage: fast-upstream listen SOCKET"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "uvicorn is told of its socket like this"
)]
fn socket() -> Option<OsString> {
    std::env::var_os("UVICORN_UDS")
}
