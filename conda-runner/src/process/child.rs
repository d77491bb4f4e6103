//! Starts a process as the leader of a group that does not outlive it, nor the gateway.
//!
//! The leader is a shell first. It leaves a watchdog behind, which holds the read end of a pipe whose write end only
//! this process has, and then becomes the program. When this process ends, even by SIGKILL, the pipe closes and the
//! watchdog kills the group. No unsafe code and no system call of one platform is needed for that; `PR_SET_PDEATHSIG`
//! would reach one process instead of the group, and is bound to a thread that may end early.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::process::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::forked::Forked;
use super::group::Group;
use super::logs::Log;
use super::output::{Listener, Tail};

/// The shell gives background jobs an empty standard input, so the pipe becomes descriptor 3 first. The program itself
/// must not hold it. The watchdog outlives a polite stop of the group, and keeps the output's pipe closed so that the
/// end of the output means the end of everybody else.
///
/// What is gentle gives way to everybody else, where the system has the programs for it and lets them: a sandbox may
/// refuse to change how the disk is used, which is no reason not to run.
const LEADER: &str = r#"
manner=$1
shift
exec 3<&0 </dev/null
(
    trap '' HUP INT TERM
    exec >/dev/null 2>&1
    read -r end <&3
    kill -s KILL 0
) &
if [ "$manner" = gentle ]; then
    ionice -c 3 -p $$ >/dev/null 2>&1
    if command -v nice >/dev/null 2>&1; then set -- nice -n 19 "$@"; fi
fi
exec 3<&- "$@"
"#;

/// How long the output of a dead group may stay open: only a process that left the group can hold it.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the end of a killed group may take.
const BURIAL: Duration = Duration::from_secs(10);
/// Bytes read from the output at once.
const PIECE: usize = 16 << 10;
/// Bytes after which more is waited for, and how long: a pipe holds what is printed meanwhile.
const FEW_BYTES: usize = 1 << 10;
const GATHER: Duration = Duration::from_millis(20);

/// What to run. The process sees exactly this environment.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
}

impl Launch {
    /// The command as people would type it, for logs; without the environment, which may hold secrets.
    pub(crate) fn shown(&self) -> String {
        let words = self
            .arguments
            .iter()
            .map(|argument| argument.to_string_lossy());
        std::iter::once(self.program.to_string_lossy())
            .chain(words)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// How much of the machine a process takes from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As much as anybody.
    Usual,
    /// Only what nobody else wants: the lowest priority for the processor and the disk.
    Gentle,
}

/// A running group. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    group: Arc<Group>,
    ended: watch::Receiver<Option<Arc<Ended>>>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Whether it said that all went well.
    pub(crate) success: bool,
    /// What it ended with by itself; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// For people: "exit code 1".
    pub(crate) reason: String,
    /// Whether it told that its model could not be loaded, as only forks do.
    pub(crate) model_raised: bool,
    /// What it printed last, oldest first.
    pub(crate) lines: Vec<String>,
}

/// How the leader of a group ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    code: Option<i32>,
    reason: String,
    model_raised: bool,
}

/// Whom to ask about the end of a leader.
enum Leader {
    /// The system: it is a child of this process.
    Started(Child),
    /// Whoever forked it.
    Forked(Forked),
}

/// Tells how a process ended; does not keep it alive.
#[derive(Clone, Debug)]
pub(crate) struct EndWatch {
    group: Arc<Group>,
    ended: watch::Receiver<Option<Arc<Ended>>>,
}

impl Process {
    /// Starts `launch`; its output goes to `log`, and line by line to the listener. `tasks` owns the task that attends
    /// to it, and `keep` is dropped when the group is gone.
    pub(crate) fn start(
        launch: &Launch,
        manner: Manner,
        log: Log,
        listener: Option<Listener>,
        tasks: &TaskTracker,
        keep: impl Send + 'static,
    ) -> io::Result<Self> {
        let (mut child, output) = spawn(launch, manner)?;
        // An id is missing only after the child was reaped, which nobody did.
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let group = Group::new(leader.ok_or(io::ErrorKind::NotFound)?);
        let keep = (child.stdin.take(), keep);
        let tail = Tail::told_to(listener);
        let leader = Leader::Started(child);
        Ok(Self::attended(
            leader, group, output, log, tail, tasks, keep,
        ))
    }

    /// Takes on a group that somebody else has started, with the output of all of it.
    pub(crate) fn adopt(
        forked: Forked,
        output: pipe::Receiver,
        log: Log,
        tasks: &TaskTracker,
        keep: impl Send + 'static,
    ) -> Self {
        let group = Group::new(forked.leader());
        let (leader, tail) = (Leader::Forked(forked), Tail::default());
        Self::attended(leader, group, output, log, tail, tasks, keep)
    }

    fn attended(
        mut leader: Leader,
        group: Group,
        output: pipe::Receiver,
        log: Log,
        tail: Tail,
        tasks: &TaskTracker,
        keep: impl Send + 'static,
    ) -> Self {
        let group = Arc::new(group);
        let (tell, ended) = watch::channel(None);
        let attended = Arc::clone(&group);
        tasks.spawn(async move {
            let end = attend(&mut leader, output, &attended, &log, tail).await;
            // Only now may the leader's number be given to somebody else.
            drop((leader, keep));
            // Told whatever the log does: a disk that stands still must not hide a death.
            tell.send_replace(Some(Arc::new(end)));
            let _ = timeout(LAST_WORDS, log.written()).await;
        });
        Self { group, ended }
    }

    /// Resolves when all of the group is gone.
    pub(crate) fn end_watch(&self) -> EndWatch {
        EndWatch {
            group: Arc::clone(&self.group),
            ended: self.ended.clone(),
        }
    }

    /// Waits for its end, and until all that it printed is in the log.
    pub(crate) async fn wait(self) -> Arc<Ended> {
        let watch = self.end_watch();
        let end = watch.end().await;
        watch.written().await;
        end
    }

    /// Asks the group to end, kills what is left of it after `grace`, and returns when nothing is left and all that
    /// it printed is in the log.
    pub(crate) async fn stop(&self, grace: Duration) {
        let watch = self.end_watch();
        self.group.stop();
        if timeout(grace, watch.end()).await.is_err() {
            self.group.kill();
            if timeout(BURIAL, watch.end()).await.is_err() {
                tracing::warn!("a killed process group is still there");
                return;
            }
        }
        watch.written().await;
    }
}

impl Manner {
    fn word(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Gentle => "gentle",
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.kill();
    }
}

impl EndWatch {
    /// The number of the process and of its group; `None` once all of it is gone.
    pub(crate) fn leader(&self) -> Option<i32> {
        self.group.leader()
    }

    /// Ends all of it at once; that counts as its death.
    pub(crate) fn kill(&self) {
        self.group.kill();
    }

    /// How it ended.
    pub(crate) async fn end(&self) -> Arc<Ended> {
        let mut ended = self.ended.clone();
        let told = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|end| end.clone());
        match told {
            Some(end) => end,
            // The runtime is shutting down: whoever asks is about to be dropped as well.
            None => std::future::pending().await,
        }
    }

    /// Resolves when, after the end, the log was written or given up: the other end closes then.
    async fn written(mut self) {
        while self.ended.changed().await.is_ok() {}
    }

    /// How it ended, if nobody asked it to; silent otherwise.
    pub(crate) async fn death(&self) -> Arc<Ended> {
        let end = self.end().await;
        if self.group.is_stopping() {
            let () = std::future::pending().await;
        }
        end
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the process module")]
fn spawn(launch: &Launch, manner: Manner) -> io::Result<(Child, pipe::Receiver)> {
    let (output, input) = io::pipe()?;
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(LEADER)
        .arg("sh")
        .arg(manner.word())
        .arg(&launch.program)
        .args(&launch.arguments)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.directory)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(input.try_clone()?)
        .stderr(input)
        .kill_on_drop(true);
    let child = command.spawn()?;
    // The command holds our copies of the write end: with it goes the last one outside of the group.
    drop(command);
    Ok((child, pipe::Receiver::from_owned_fd(OwnedFd::from(output))?))
}

async fn attend(
    leader: &mut Leader,
    output: pipe::Receiver,
    group: &Group,
    log: &Log,
    mut tail: Tail,
) -> Ended {
    let fate = {
        let mut reading = pin!(read(output, log, &mut tail));
        let (fate, mut is_open) = leader_end(leader, reading.as_mut()).await;
        if is_open && group.is_stopping() {
            // The leader goes at once; what it started may still be answering. Whoever asked kills in the end.
            tokio::select! {
                () = reading.as_mut() => is_open = false,
                () = group.killed() => {}
            }
        }
        group.close().await;
        if is_open {
            let _ = timeout(LAST_WORDS, reading).await;
        }
        fate
    };
    Ended {
        success: fate.code == Some(0),
        code: fate.code,
        reason: fate.reason,
        model_raised: fate.model_raised,
        lines: tail.into_lines(),
    }
}

/// Waits for the leader while its output is read; also says whether the output is still open.
async fn leader_end(
    leader: &mut Leader,
    mut reading: Pin<&mut impl Future<Output = ()>>,
) -> (Fate, bool) {
    let mut is_open = true;
    loop {
        tokio::select! {
            fate = leader.wait() => return (fate, is_open),
            () = reading.as_mut(), if is_open => is_open = false,
        }
    }
}

async fn read(mut output: pipe::Receiver, log: &Log, tail: &mut Tail) {
    let mut piece = BytesMut::with_capacity(PIECE);
    while let Ok(1..) = output.read_buf(&mut piece).await {
        tail.push(&piece);
        let are_few = piece.len() < FEW_BYTES;
        log.write(Bytes::from(std::mem::replace(
            &mut piece,
            BytesMut::with_capacity(PIECE),
        )))
        .await;
        // A worker prints a line for each request: they go to the log together, or each would wake its writer, too.
        if are_few {
            sleep(GATHER).await;
        }
    }
}

impl Leader {
    /// Nothing is lost when the future is dropped.
    async fn wait(&mut self) -> Fate {
        match self {
            Self::Started(child) => Fate::of_status(child.wait().await),
            Self::Forked(forked) => forked.wait().await,
        }
    }
}

impl Fate {
    /// It ended by itself with this code.
    pub(crate) fn of_code(code: i32) -> Self {
        Self {
            code: Some(code),
            reason: format!("exit code {code}"),
            model_raised: false,
        }
    }

    /// It did not end by itself.
    pub(crate) fn of(reason: String) -> Self {
        Self {
            code: None,
            reason,
            model_raised: false,
        }
    }

    /// The same end of one who has told whether its model could not be loaded.
    pub(crate) fn having_told(self, model_raised: bool) -> Self {
        Self {
            model_raised,
            ..self
        }
    }

    fn of_status(status: io::Result<ExitStatus>) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Self::of_code(code),
                (None, Some(signal)) => Self::of(killed_by(signal)),
                (None, None) => Self::of("ended for an unknown reason".to_owned()),
            },
            Err(error) => Self::of(format!("lost: {error}")),
        }
    }
}

/// For people: `killed by signal 9 (SIGKILL)`.
pub(crate) fn killed_by(signal: i32) -> String {
    format!("killed by signal {signal}{}", name_of(signal))
}

/// The signals that end workers in practice.
fn name_of(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::super::logs::LogWriter;
    use super::*;

    #[tokio::test]
    async fn an_end_is_told_while_the_log_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        // Opening it waits for somebody who reads: a disk that does not answer.
        let path = folder.path().join("worker.log");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let launch = Launch {
            program: "/bin/echo".into(),
            arguments: vec!["done".into()],
            environment: Vec::new(),
            directory: "/".into(),
        };
        let tasks = TaskTracker::new();
        let log = LogWriter::start(1 << 20).unwrap().log(path.clone());
        let process = Process::start(&launch, Manner::Usual, log, None, &tasks, ()).unwrap();
        let watch = process.end_watch();
        let ended = timeout(Duration::from_secs(20), watch.end()).await;
        // Lets the writer go on, so that it can be ended.
        let reader = std::fs::File::options().read(true).write(true).open(path);
        assert_eq!(ended.expect("it was told").lines, ["done"]);
        tasks.close();
        tasks.wait().await;
        drop(reader);
    }
}
