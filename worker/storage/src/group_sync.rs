//! Group commit for fsync: requests that arrive during a sync share the next one. Without it, each of ten thousand
//! small files would wait for two syncs of its own.
use parking_lot::Mutex;
use rustix::io::Errno;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Groups the syncs of items.
pub(crate) struct GroupSync<T> {
    sync_all: fn(&[T]) -> Result<(), Errno>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Items of the next sync, with the requests that wait for them.
    next: Vec<(T, oneshot::Sender<Result<(), Errno>>)>,
    running: bool,
}

impl<T: Send + 'static> GroupSync<T> {
    /// `sync_all` puts all items of one sync on disk.
    pub(crate) fn new(sync_all: fn(&[T]) -> Result<(), Errno>) -> GroupSync<T> {
        GroupSync {
            sync_all,
            state: Mutex::new(State {
                next: Vec::new(),
                running: false,
            }),
        }
    }

    /// Waits until an item is on disk. An error fails all items of the sync, because it does not name one of them.
    pub(crate) async fn sync(self: &Arc<Self>, item: T) -> Result<(), Errno> {
        let (reply, outcome) = oneshot::channel();
        let idle = {
            let mut state = self.state.lock();
            state.next.push((item, reply));
            !std::mem::replace(&mut state.running, true)
        };
        if idle {
            let group = Arc::clone(self);
            tokio::task::spawn_blocking(move || group.run());
        }
        outcome.await.unwrap_or(Err(Errno::IO))
    }

    /// Syncs until no request waits.
    fn run(&self) {
        loop {
            let batch = {
                let mut state = self.state.lock();
                if state.next.is_empty() {
                    state.running = false;
                    return;
                }
                std::mem::take(&mut state.next)
            };
            let (items, waiting): (Vec<T>, Vec<_>) = batch.into_iter().unzip();
            // A panic fails this batch; requests that arrived meanwhile get the next one.
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.sync_all)(&items)))
                .unwrap_or(Err(Errno::IO));
            for reply in waiting {
                // A request without a receiver belongs to a revoked unit.
                let _unreceived = reply.send(outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    static TURNS: AtomicUsize = AtomicUsize::new(0);
    static PUT: AtomicUsize = AtomicUsize::new(0);

    fn slow(items: &[u32]) -> Result<(), Errno> {
        std::thread::sleep(Duration::from_millis(20));
        TURNS.fetch_add(1, Ordering::Relaxed);
        PUT.fetch_add(items.len(), Ordering::Relaxed);
        if items.contains(&7) {
            Err(Errno::NOSPC)
        } else {
            Ok(())
        }
    }

    #[tokio::test]
    async fn requests_during_a_sync_share_the_next_one() {
        let group = Arc::new(GroupSync::new(slow));
        let puts = (0..40).map(|item| {
            let group = Arc::clone(&group);
            async move { (item, group.sync(item).await) }
        });
        let put = futures_util::future::join_all(puts).await;
        assert_eq!(PUT.load(Ordering::Relaxed), 40, "each item once");
        assert!(TURNS.load(Ordering::Relaxed) < 40, "together");
        let failed: Vec<u32> = put
            .iter()
            .filter(|(_, put)| put.is_err())
            .map(|(item, _)| *item)
            .collect();
        assert!(failed.contains(&7), "{failed:?}: those of its turn");
        assert_eq!(group.sync(1).await, Ok(()), "the next turn is another");
    }

    #[tokio::test]
    async fn panicking_sync_fails_its_batch_only() {
        let group = Arc::new(GroupSync::new(|items: &[bool]| {
            if items[0] { panic!("out") } else { Ok(()) }
        }));
        assert_eq!(group.sync(true).await, Err(Errno::IO));
        assert_eq!(group.sync(false).await, Ok(()));
    }
}
