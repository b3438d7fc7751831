//! The loop that removes ended jobs with [`crate::reconcile::retention`]. Its pause grows with the rows it removes, so that
//! other work comes first.
use crate::clock::Clock;
use crate::reconcile::retention::sweep;
use crate::store::handle::Store;
use protocol::rules::cluster::retention::{RetentionLimits, lived, pause};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Sweeps until `stop`.
pub(crate) async fn run(store: Store, limits: RetentionLimits, clock: Clock, stop: CancellationToken) {
    let (began, at, mut after) = (clock(), Instant::now(), limits.look_every);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(after) => {}
        }
        let now = lived(began, at.elapsed(), clock());
        after = match store.write(move |tx| sweep(tx, &limits, now)).await {
            Ok(removed) => {
                if removed.gone {
                    tracing::info!("an ended job is past its retention and was forgotten");
                }
                pause(&limits, removed.rows)
            }
            // It is tried again; a deposed leader is stopped soon.
            Err(error) => {
                tracing::debug!(%error, "ended jobs could not be forgotten");
                limits.look_every
            }
        };
    }
}
