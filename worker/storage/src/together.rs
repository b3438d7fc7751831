//! Waiting for the disk together: whoever comes while it works waits for the next turn, which is one for all who came.
//! Alone, each of ten thousand small files would wait twice; together, one wait stands for as many as there are at once.
use parking_lot::Mutex;
use rustix::io::Errno;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What is put on disk together.
pub(crate) struct Together<T> {
    put: fn(&[T]) -> Result<(), Errno>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Those of the next turn, and who waits for each.
    next: Vec<(T, oneshot::Sender<Result<(), Errno>>)>,
    working: bool,
}

impl<T: Send + 'static> Together<T> {
    /// Everything of a turn is put there by one call of `put`.
    pub(crate) fn new(put: fn(&[T]) -> Result<(), Errno>) -> Together<T> {
        Together { put, state: Mutex::new(State { next: Vec::new(), working: false }) }
    }

    /// Waits until an item is on disk. What fails for one of a turn fails for all of it: nobody can tell whose it was.
    pub(crate) async fn put(self: &Arc<Self>, item: T) -> Result<(), Errno> {
        let (told, outcome) = oneshot::channel();
        let idle = {
            let mut state = self.state.lock();
            state.next.push((item, told));
            !std::mem::replace(&mut state.working, true)
        };
        if idle {
            let together = Arc::clone(self);
            tokio::task::spawn_blocking(move || together.work());
        }
        outcome.await.unwrap_or(Err(Errno::IO))
    }

    /// Turn by turn, until nobody waits.
    fn work(&self) {
        loop {
            let turn = {
                let mut state = self.state.lock();
                if state.next.is_empty() {
                    state.working = false;
                    return;
                }
                std::mem::take(&mut state.next)
            };
            let (items, waiting): (Vec<T>, Vec<_>) = turn.into_iter().unzip();
            // A turn that panics is one that failed; who came meanwhile has the next.
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.put)(&items))).unwrap_or(Err(Errno::IO));
            for told in waiting {
                // Whoever does not listen any more was revoked.
                let _unheard = told.send(outcome);
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
        if items.contains(&7) { Err(Errno::NOSPC) } else { Ok(()) }
    }

    #[tokio::test]
    async fn who_comes_while_the_disk_works_goes_together() {
        let together = Arc::new(Together::new(slow));
        let puts = (0..40).map(|item| {
            let together = Arc::clone(&together);
            async move { (item, together.put(item).await) }
        });
        let put = futures_util::future::join_all(puts).await;
        assert_eq!(PUT.load(Ordering::Relaxed), 40, "each item once");
        assert!(TURNS.load(Ordering::Relaxed) < 40, "together");
        let failed: Vec<u32> = put.iter().filter(|(_, put)| put.is_err()).map(|(item, _)| *item).collect();
        assert!(failed.contains(&7), "{failed:?}: those of its turn");
        assert_eq!(together.put(1).await, Ok(()), "the next turn is another");
    }

    #[tokio::test]
    async fn a_turn_that_panics_keeps_nobody_waiting() {
        let together = Arc::new(Together::new(|items: &[bool]| if items[0] { panic!("out") } else { Ok(()) }));
        assert_eq!(together.put(true).await, Err(Errno::IO));
        assert_eq!(together.put(false).await, Ok(()));
    }
}
