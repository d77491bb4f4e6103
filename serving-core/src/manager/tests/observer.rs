//! Looks at the routing table at the very moment at which a snapshot is published.
//!
//! A reader in a task of its own would come too late, when the manager's pass is over. This one is
//! woken inside of it, by the publication itself.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::watch;

use crate::{Handle, Router, RoutingTable, Snapshot};

type Snapshots = watch::Receiver<Arc<Snapshot>>;

struct Observer<T, L> {
    router: Router<T>,
    look: L,
    next: Mutex<Option<Pin<Box<dyn Future<Output = Snapshots> + Send>>>>,
}

/// Calls `look` with each snapshot that is published, and the table of that moment.
pub(super) fn observe<T, L>(handle: &Handle<T>, look: L)
where
    T: Send + Sync + 'static,
    L: Fn(&Snapshot, &RoutingTable<T>) + Send + Sync + 'static,
{
    let observer = Observer {
        router: handle.router(),
        look,
        next: Mutex::new(None),
    };
    Arc::new(observer).wait(handle.snapshot());
}

impl<T, L> Observer<T, L>
where
    T: Send + Sync + 'static,
    L: Fn(&Snapshot, &RoutingTable<T>) + Send + Sync + 'static,
{
    fn wait(self: Arc<Self>, mut snapshots: Snapshots) {
        snapshots.borrow_and_update();
        let changed = Box::pin(async move {
            // Without a manager there is nothing more to see.
            if snapshots.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            snapshots
        });
        *self.next.lock().unwrap() = Some(changed);
        self.wake();
    }
}

impl<T, L> Wake for Observer<T, L>
where
    T: Send + Sync + 'static,
    L: Fn(&Snapshot, &RoutingTable<T>) + Send + Sync + 'static,
{
    fn wake(self: Arc<Self>) {
        let next = self.next.lock().unwrap().take();
        let Some(mut changed) = next else { return };
        let waker = Waker::from(Arc::clone(&self));
        match changed.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(snapshots) => {
                (self.look)(&snapshots.borrow(), &self.router.table());
                self.wait(snapshots);
            }
            // One publication can wake twice.
            Poll::Pending => *self.next.lock().unwrap() = Some(changed),
        }
    }
}
