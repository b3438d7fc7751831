//! Entries that this build cannot read: written by a newer one, or by somebody else. Another worker may read them, so they
//! go back to the end of their stream a few times; then they are parked with the reason, for a person to look at. Whatever
//! units were in them are found missing by the coordinator and handed out again.
use super::redis::RedisQueue;
use super::unreadable::Unreadable;
use protocol::wire::keys;
use redis::{RedisError, pipe};

/// How many workers may try.
const TRIES_MAX: u32 = 5;
/// Parked entries kept, about.
const PARKED_MAX: u32 = 1_000;

impl RedisQueue {
    /// Puts an entry back for others to try, or parks it; in either case it is no longer ours.
    pub(super) async fn give_back(&self, unreadable: Unreadable) -> Result<(), RedisError> {
        let Unreadable {
            stream,
            entry,
            body,
            run,
            signature,
            tries,
            why,
        } = unreadable;
        let (short, worker) = self.short();
        // It is rare, and an entry that is added twice may be run twice.
        let mut once = short.at_most_once().await?;
        let mut pipeline = pipe();
        if tries + 1 < TRIES_MAX {
            let add = pipeline
                .cmd("XADD")
                .arg(&stream)
                .arg("*")
                .arg(keys::BODY)
                .arg(&body);
            add.arg(keys::TRIES).arg(tries + 1).ignore();
            for (name, value) in [(keys::RUN, run), (keys::SIGNATURE, signature)] {
                if let Some(value) = value {
                    add.arg(name).arg(value);
                }
            }
        } else {
            tracing::error!(%entry, %stream, error = %why, "an entry that nobody could read was parked");
            let add = pipeline
                .cmd("XADD")
                .arg(keys::PARKED)
                .arg("MAXLEN")
                .arg("~")
                .arg(PARKED_MAX)
                .arg("*");
            add.arg(keys::BODY)
                .arg(&body)
                .arg("stream")
                .arg(&stream)
                .arg("why")
                .arg(&why);
            add.arg("worker").arg(&worker.0).ignore();
        }
        pipeline
            .cmd("XACK")
            .arg(&stream)
            .arg(keys::GROUP)
            .arg(&entry)
            .ignore();
        pipeline.cmd("XDEL").arg(&stream).arg(&entry).ignore();
        pipeline.query_async(&mut once).await
    }
}
