//! Whether a worker takes units at this moment. It may close and open again; readers that wait see it close.
use tokio::sync::watch;

/// A gate; open at first.
pub(super) struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Gate {
        Gate(watch::Sender::new(true))
    }
}

impl Gate {
    /// Opens or closes it.
    pub(super) fn set(&self, open: bool) {
        self.0.send_replace(open);
    }

    /// Whether it is open now.
    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when it is closed.
    pub(super) async fn closed(&self) {
        // The sender lives as long as this gate: the wait cannot fail.
        drop(self.0.subscribe().wait_for(|open| !open).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn gate_closed_and_opened_again_lets_readers_wait() {
        let gate = Gate::default();
        assert!(gate.is_open() && gate.closed().now_or_never().is_none());
        gate.set(false);
        gate.closed().await;
        gate.set(true);
        assert!(gate.is_open() && gate.closed().now_or_never().is_none());
    }
}
