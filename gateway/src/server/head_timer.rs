//! How long the heads of requests may take, measured by one sleep for a whole connection.
//!
//! hyper asks for a sleep for each head and drops it when the head is there, which nearly always is at once. What it gets is a
//! note of the time; the sleep behind it stays.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

use super::alarm::Alarm;

/// One connection's.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadTimer(Arc<Mutex<Alarm>>);

/// What hyper waits for while it waits for a head.
#[derive(Debug)]
struct Until {
    /// Locked by one task only, and never across a wait.
    alarm: Arc<Mutex<Alarm>>,
    time: Instant,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until {
            alarm: Arc::clone(&self.0),
            time: deadline.into(),
        })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        alarm.poll_until(self.time, context)
    }
}

impl Sleep for Until {}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_own_time_however_long_the_connection_has_been_there() {
        let timer = HeadTimer::default();
        let timeout = Duration::from_secs(60);
        for _ in 0..5 {
            let mut head = timer.sleep(timeout);
            assert!(head.as_mut().now_or_never().is_none());
            advance(Duration::from_secs(59)).await;
            assert!(head.as_mut().now_or_never().is_none());
        }
        let begin = Instant::now();
        timer.sleep(timeout).await;
        assert_eq!(begin.elapsed(), timeout);
    }
}
