//! The closed loop: the next request follows the answer to the last.

use std::time::Instant;

use tokio::task::JoinSet;

use super::{AFTER_ERROR, Connection, Counts, Load};
use crate::clock::now;

/// Begins so many connections.
pub(super) fn begin(
    tasks: &mut JoinSet<()>,
    counts: &Counts,
    load: &Load,
    connections: usize,
    began: Instant,
) {
    let end = began + load.duration;
    for number in 0..connections {
        let load = load.clone();
        let counts = counts.clone();
        tasks.spawn(async move {
            let mut connection = Connection::new(load.endpoint.clone());
            let mut requests = load
                .requests
                .iter()
                .enumerate()
                .cycle()
                .skip(number % load.requests.len());
            let mut started = now();
            while started < end
                && let Some((number, request)) = requests.next()
            {
                let checked = match connection.send(request).await {
                    Ok(answer) => (load.check)(number, &answer),
                    Err(reason) => Err(reason),
                };
                let ended = now();
                match checked {
                    Ok(()) => counts.lock().answered(ended - started, ended <= end),
                    Err(reason) => {
                        counts.lock().fail(reason);
                        tokio::time::sleep(AFTER_ERROR).await;
                    }
                }
                started = now();
            }
        });
    }
}
