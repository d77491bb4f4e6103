//! Leaders of groups that another process has forked: how one is ordered, and how its end is told.
//!
//! One connection to that process for each leader. It takes the order with two descriptors: where the output goes, and
//! the leash, whose other end only this process has. While the connection is open, the leader's number is given to
//! nobody else. The leader keeps a copy of it, so that its end is noticed even if the one who forked it is gone.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::child::{Fate, killed_by};

/// What a fork is to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Order {
    /// Its working folder.
    pub(crate) directory: PathBuf,
    /// The whole of its environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Of the program that it is to be.
    pub(crate) arguments: &'static [&'static str],
    /// Modules that the model brings along: whoever has imported others of these names must not fork it.
    pub(crate) modules: Vec<String>,
}

/// A process that somebody else has forked for us.
#[derive(Debug)]
pub(crate) struct Forked {
    leader: Pid,
    told: Lines<BufReader<UnixStream>>,
    /// Whether it has told that its model could not be loaded.
    model_raised: bool,
    /// Its end is the group's.
    _leash: PipeWriter,
}

/// What is told on a connection.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    pid: Option<i32>,
    code: Option<i32>,
    signal: Option<i32>,
    error: Option<String>,
    /// What kind of error it is.
    refusal: Option<Refusal>,
    /// The leader itself says so, before its end.
    model_raised: bool,
}

/// Why one who could fork does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Refusal {
    Stale,
    Unsuited,
}

/// Why nothing was forked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotForked {
    /// What it has imported is no more what is installed.
    #[error("{0}")]
    Stale(String),
    /// It has imported what this worker must not have.
    #[error("{0}")]
    Unsuited(String),
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl Forked {
    /// Orders one from the process that listens on `socket`; its output comes with it. Dropping the future ends what
    /// was forked by then.
    pub(crate) async fn ask(
        socket: &Path,
        order: &Order,
    ) -> Result<(Self, pipe::Receiver), NotForked> {
        let mut line = serde_json::to_vec(order).map_err(io::Error::from)?;
        line.push(b'\n');
        let mut connection = UnixStream::connect(socket).await?;
        let (output, input) = io::pipe()?;
        let (held, leash) = io::pipe()?;
        let sent = send(&connection, &line, [input.as_fd(), held.as_fd()]).await?;
        connection.write_all(&line[sent..]).await?;
        // With these go the last copies outside of the group.
        drop((input, held));
        let mut told = BufReader::new(connection).lines();
        let answer = next(&mut told).await?;
        let Some(leader) = answer.pid.and_then(Pid::from_raw) else {
            let error = answer.error.unwrap_or_else(|| "no process".to_owned());
            return Err(match answer.refusal {
                Some(Refusal::Stale) => NotForked::Stale(error),
                Some(Refusal::Unsuited) => NotForked::Unsuited(error),
                None => io::Error::other(error).into(),
            });
        };
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
        let forked = Self {
            leader,
            told,
            model_raised: false,
            _leash: leash,
        };
        Ok((forked, output))
    }

    /// Its number, which is its group's as well.
    pub(crate) fn leader(&self) -> Pid {
        self.leader
    }

    /// How it ended. Nothing is lost when the future is dropped.
    pub(crate) async fn wait(&mut self) -> Fate {
        loop {
            match next(&mut self.told).await {
                Ok(Told {
                    model_raised: true, ..
                }) => self.model_raised = true,
                end => return fate(end).having_told(self.model_raised),
            }
        }
    }
}

fn fate(end: io::Result<Told>) -> Fate {
    match end {
        Ok(Told {
            code: Some(code), ..
        }) => Fate::of_code(code),
        Ok(Told {
            signal: Some(signal),
            ..
        }) => Fate::of(killed_by(signal)),
        // Both ends that told are closed: that of who forked it, and its own.
        Ok(_) | Err(_) => Fate::of("ended, and nobody was left who could tell how".to_owned()),
    }
}

/// Returns how many bytes went with the descriptors.
async fn send(
    connection: &UnixStream,
    line: &[u8],
    descriptors: [BorrowedFd<'_>; 2],
) -> io::Result<usize> {
    connection
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            let sent = sendmsg(
                connection,
                &[IoSlice::new(line)],
                &mut control,
                SendFlags::empty(),
            );
            sent.map_err(io::Error::from)
        })
        .await
}

async fn next(told: &mut Lines<BufReader<UnixStream>>) -> io::Result<Told> {
    let line = told.next_line().await?;
    let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}
