//! A sleep that is used again and again, and seldom moved in the runtime's timer.
//!
//! To put a sleep into that timer takes a lock, and to take it out takes one more. Who asks for a time nearly always asks for
//! a later one than before, and nearly never has to wait for it: so the sleep stays where it is, and when it wakes too early
//! it is moved to the time that is asked for then.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes one task.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready when `time` has passed. The task may be woken earlier, for a time that was asked for before.
    pub(super) fn poll_until(&mut self, time: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(time)));
        if sleep.deadline() > time {
            sleep.as_mut().reset(time);
        }
        ready!(sleep.as_mut().poll(context));
        if sleep.deadline() == time {
            return Poll::Ready(());
        }
        sleep.as_mut().reset(time);
        sleep.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    async fn until(alarm: &mut Alarm, time: Instant) -> Instant {
        poll_fn(|context| alarm.poll_until(time, context)).await;
        Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn it_wakes_at_the_time_asked_for_last_be_it_later_or_earlier() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(until(&mut alarm, after(10)).now_or_never().is_none());
        assert_eq!(until(&mut alarm, after(20)).await, after(20));
        assert!(until(&mut alarm, after(60)).now_or_never().is_none());
        assert_eq!(until(&mut alarm, after(30)).await, after(30));
        // One that has rung meanwhile says nothing of a later time.
        assert!(until(&mut alarm, after(40)).now_or_never().is_none());
        advance(Duration::from_secs(15)).await;
        assert_eq!(until(&mut alarm, after(50)).await, after(50));
        // What has passed has passed.
        assert!(until(&mut alarm, after(45)).now_or_never().is_some());
    }
}
