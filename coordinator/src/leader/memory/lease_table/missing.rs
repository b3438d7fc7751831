//! Executions that the transport does not hold. The entry of an execution is removed with the report of its end, so an entry
//! that is gone says nothing before every report that was there at that moment has been read.
use super::{Lapsed, Leases};
use crate::queue::Lost;
use protocol::rules::unit::lease::LeaseLimits;
use protocol::time::Timestamp;

impl Leases {
    /// Notes executions that the transport did not hold when it was asked before `now`. Those that a silent worker had taken
    /// are returned at once: their entries are still there, without a report.
    pub fn not_found(
        &mut self,
        lost: Vec<Lost>,
        limits: &LeaseLimits,
        now: Timestamp,
    ) -> Vec<Lapsed> {
        let mut lapsed = Vec::new();
        for Lost {
            unit,
            epoch,
            holder,
            vanished,
        } in lost
        {
            let with = holder.and_then(|holder| self.lost_with(&holder, unit, epoch, limits, now));
            if with.is_some() {
                lapsed.push(Lapsed {
                    unit,
                    epoch,
                    with,
                    vanished,
                });
            } else {
                self.missing.entry((unit, epoch)).or_insert((now, vanished));
            }
        }
        lapsed
    }

    /// Executions that were not found before a reading of reports began that left none, and that no worker holds or has
    /// ended by then.
    pub fn missing(&mut self) -> Vec<Lapsed> {
        let Some(read_at) = self.all_read_at else {
            return Vec::new();
        };
        let read = self
            .missing
            .extract_if(.., |_, (asked_at, _)| *asked_at < read_at)
            .collect::<Vec<_>>();
        let unheld = |unit, epoch| {
            let mut out = [&self.out, &self.older]
                .into_iter()
                .filter_map(|list| list.get(&unit));
            out.any(|out| out.lease.epoch == epoch && out.lease.held.is_none())
        };
        let gone = read
            .into_iter()
            .filter(|((unit, epoch), _)| unheld(*unit, *epoch));
        gone.map(|((unit, epoch), (_, vanished))| Lapsed {
            unit,
            epoch,
            with: None,
            vanished,
        })
        .collect()
    }
}
