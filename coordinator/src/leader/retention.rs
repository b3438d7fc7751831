//! The loop that removes ended jobs with [`crate::reconcile::retention`]. Its pause grows with the rows it removes, so that
//! other work comes first.
use crate::clock::Clock;
use crate::reconcile::retention::{TermStart, sweep_in_term};
use crate::store::handle::Store;
use protocol::rules::cluster::retention::{RetentionLimits, pause};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Sweeps until `stop`.
pub(crate) async fn run(
    store: Store,
    limits: RetentionLimits,
    clock: Clock,
    stop: CancellationToken,
) {
    let (began, at, mut after) = (clock(), Instant::now(), limits.look_every);
    let mut start = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(after) => {}
        }
        let (now, lasted, known) = (clock(), at.elapsed(), start);
        let swept = store.write(move |tx| {
            // What this term stores must not make its own clock credible.
            let start = match known {
                Some(start) => start,
                None => TermStart {
                    began,
                    known: tx.aging_time()?,
                },
            };
            Ok((start, sweep_in_term(tx, &limits, start, lasted, now)?))
        });
        after = match swept.await {
            Ok((term, removed)) => {
                start = Some(term);
                if removed.gone {
                    tracing::info!("an ended job was deleted after its retention");
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
