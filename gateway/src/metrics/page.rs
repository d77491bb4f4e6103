//! The page of all figures: written on a thread that may take its time, one at a time, however many ask.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Exposition;

/// How long a scraper waits for those before it: longer than that, and it has gone itself.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// All figures, to be written for whoever scrapes.
#[derive(Debug)]
pub struct Page {
    registry: Arc<Registry>,
    turn: Arc<Semaphore>,
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Others have waited for 10 seconds already.
    #[error("others are being told the metrics")]
    Busy,
    /// The page cannot be written at all.
    #[error("the metrics cannot be written")]
    Broken,
}

impl Page {
    /// Of what `registry` has.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry: Arc::new(registry),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// The page as it is now.
    pub async fn write(&self, format: Exposition) -> Result<String, PageError> {
        let turn = timeout(LONGEST_WAIT, Arc::clone(&self.turn).acquire_owned());
        let turn = turn.await.map_err(|_| PageError::Busy)?;
        let registry = Arc::clone(&self.registry);
        // Who asked may be gone before it is written: the turn ends with the writing.
        let written = spawn_blocking(move || {
            let page = format.write(&registry);
            drop(turn);
            page
        });
        match written.await {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(fmt::Error)) | Err(_) => Err(PageError::Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::DescriptorEncoder;

    use super::*;

    /// Sees whether it is asked by two at the same time.
    #[derive(Debug, Default)]
    struct Alone(AtomicBool);

    impl Collector for Alone {
        fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
            if self.0.swap(true, Ordering::SeqCst) {
                return Err(fmt::Error);
            }
            std::thread::sleep(Duration::from_millis(20));
            self.0.store(false, Ordering::SeqCst);
            Ok(())
        }
    }

    #[tokio::test]
    async fn many_scrapers_are_answered_one_after_the_other_and_nobody_else_waits() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Alone::default()));
        let page = Page::new(registry);
        let write = || page.write(Exposition::Plain);
        let mut others = 0;
        let scrapes = async { tokio::join!(write(), write(), write()) };
        // On the only thread there is.
        let (first, second, third) = tokio::select! {
            pages = scrapes => pages,
            () = async {
                loop {
                    others += 1;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            } => unreachable!(),
        };
        assert!(first.is_ok() && second.is_ok() && third.is_ok());
        assert!(others > 3, "{others}");
    }
}
