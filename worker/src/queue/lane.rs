//! The units of one kind that were read and not handed out.
use super::held_entries::HeldEntries;
use super::reply::Streams;
use super::trust::{Trust, UNSIGNED};
use super::unreadable::{self, Unreadable, field};
use protocol::wire::batch::UnitBatch;
use protocol::wire::unit::Unit;
use protocol::wire::{envelope, keys};
use redis::Value;
use std::collections::VecDeque;
use transport::Connection;
use transport::server_run_id::ServerRunId;

/// The reader of a kind, with what it has read beyond the free slots.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) reader: Option<Connection>,
    /// Run id of its server.
    pub(super) run: Option<ServerRunId>,
    /// Units of entries that were added to an earlier run, until they are given back.
    pub(super) stale: Vec<Unit>,
    /// Units read beyond the free slots, for the next call.
    pub(super) stash: VecDeque<Unit>,
    /// Entries this build cannot read, until they are given back.
    pub(super) unreadable: Vec<Unreadable>,
}

impl Lane {
    /// Takes in the entries of a reply: units of this run of the server, units of an earlier one, and what cannot be read.
    pub(super) fn take_in(&mut self, reply: Value, trust: &Trust, entries: &HeldEntries) {
        let parsed: Result<Streams, _> = redis::from_redis_value(reply);
        for (stream, found) in parsed.unwrap_or_default() {
            for (entry, fields) in found {
                let fields = fields.unwrap_or_default();
                let tries = unreadable::tries(&fields);
                let run = field(&fields, keys::RUN).cloned();
                let signature = field(&fields, keys::SIGNATURE).cloned();
                let stale = run
                    .as_deref()
                    .zip(self.run.as_deref())
                    .is_some_and(|(of, now)| of != now.as_bytes());
                let body = fields.into_iter().nth(1).unwrap_or_default();
                let read = if trust.believes(&body, signature.as_ref()) {
                    envelope::decode::<UnitBatch>(&body).map_err(|e| e.to_string())
                } else {
                    Err(UNSIGNED.into())
                };
                let units = match read {
                    Ok(batch) => batch.unpack().collect::<Vec<_>>(),
                    Err(why) => {
                        self.unreadable.push(Unreadable {
                            stream: stream.clone(),
                            entry,
                            body,
                            run,
                            signature,
                            tries,
                            why,
                        });
                        continue;
                    }
                };
                entries.add(stream.clone(), entry, &units);
                if stale {
                    self.stale.extend(units);
                } else {
                    self.stash.extend(units);
                }
            }
        }
    }
}
