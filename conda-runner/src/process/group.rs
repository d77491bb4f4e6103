//! A process group that a signal reaches as long as it exists, and never after.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio_util::sync::CancellationToken;

/// Between two looks for dead members, and how often it is looked.
const PAUSE: Duration = Duration::from_millis(5);
const LOOKS: u32 = 200;

/// A group, named by its leader. While the group has a member, the system gives its number to nobody else.
#[derive(Debug)]
pub(crate) struct Group {
    state: Mutex<State>,
    killed: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// `None` when the group is gone: its number may belong to a stranger by then.
    leader: Option<Pid>,
    /// Whether its end is wanted.
    stopping: bool,
}

impl Group {
    /// The group that `leader` leads.
    pub(crate) fn new(leader: Pid) -> Self {
        Self {
            state: Mutex::new(State {
                leader: Some(leader),
                stopping: false,
            }),
            killed: CancellationToken::new(),
        }
    }

    /// Asks all members to end, and remembers that it was asked.
    pub(crate) fn stop(&self) {
        self.with(|state| {
            state.stopping = true;
            signal(state, Signal::TERM);
        });
    }

    /// Whether [`Group::stop`] was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.with(|state| state.stopping)
    }

    /// The number of the group; `None` once it is gone.
    pub(crate) fn leader(&self) -> Option<i32> {
        self.with(|state| state.leader.map(|leader| leader.as_raw_nonzero().get()))
    }

    /// Ends all members at once.
    pub(crate) fn kill(&self) {
        self.with(|state| signal(state, Signal::KILL));
        self.killed.cancel();
    }

    /// Resolves when [`Group::kill`] was called.
    pub(crate) async fn killed(&self) {
        self.killed.cancelled().await;
    }

    /// Ends all members and forgets the group. Called when its leader has been reaped.
    pub(crate) async fn close(&self) {
        let leader = self.with(|state| {
            signal(state, Signal::KILL);
            state.leader.take()
        });
        if let Some(leader) = leader {
            reap(leader).await;
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes the exit statuses of dead members away. Members whose parent is gone become children of process 1, and in a
/// container that may be this process; otherwise there is nothing to do.
async fn reap(leader: Pid) {
    for _ in 0..LOOKS {
        match waitpgid(leader, WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => tokio::time::sleep(PAUSE).await,
            Err(_) => return,
        }
    }
}

fn signal(state: &State, signal: Signal) {
    if let Some(leader) = state.leader {
        // It fails only when nobody is left, which is what was wanted.
        let _ = kill_process_group(leader, signal);
    }
}
