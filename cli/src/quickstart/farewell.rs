//! What is up, and how to go on with it.

use url::Url;

use super::folder::Folder;
use super::gateway::{Gateway, this_program};
use crate::args::environment::Environment;
use crate::error::CommandError;

/// Everything that a person needs to go on.
pub(super) fn text(
    gateway: &Gateway,
    registry: &Url,
    folder: &Folder,
    environment: &Environment,
) -> Result<String, CommandError> {
    let program = command(environment)?;
    let url = plain(&gateway.url);
    let registry = plain(registry);
    let token = &gateway.token;
    let logs = folder.logs();
    let logs = logs.display();
    Ok(format!(
        "Page      {url}/   in a browser; sign in with the token {token}\n\
         Gateway   {url}\n\
         Registry  {registry}\n\
         Logs      {logs}\n\
         \n\
         Go on with:\n\
         \x20 export SLUICEGATE_URL={url} SLUICEGATE_TOKEN={token}\n\
         \x20 {program} models show iris\n\
         \x20 {program} models uris iris\n\
         \x20 {program} models score iris Production --example\n\
         \x20 {program} models events iris --follow\n\
         \x20 {program} models logs iris 2\n\
         \n\
         Ctrl-C stops everything."
    ))
}

/// How this program is called here: by its name if the shell finds it by that.
fn command(environment: &Environment) -> Result<String, CommandError> {
    let program = this_program()?;
    let found = environment
        .find_program("sluicegate")
        .and_then(|path| path.canonicalize().ok());
    if found.is_some() && found == program.canonicalize().ok() {
        return Ok("sluicegate".to_owned());
    }
    Ok(program.display().to_string())
}

/// The address without the slash at its end, ready to be continued.
pub(super) fn plain(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}
