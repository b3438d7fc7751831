//! Ends of executions as workers report them: whose they are, and what is learned from them.
use super::{Leases, Out};
use crate::dispatch::endpoints::Sign;
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{Execution, Kind, WorkerId};
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, UnitResult};
use std::time::Duration;

impl Leases {
    /// Notes that an execution has reported its end: learns from it, and gives up any other execution of a unit it ended.
    /// Returns its kind and how long it waited for its start, when it was out.
    pub fn reported(&mut self, outcome: &Outcome, now: Timestamp) -> Option<(Kind, Duration)> {
        let out = self.take(outcome.unit, outcome.epoch)?;
        let waited = now
            .since(out.lease.published_at)
            .saturating_sub(Duration::from_micros(outcome.duration_us));
        let known = (out.kind, waited);
        self.learn(out, outcome, now);
        Some(known)
    }

    fn learn(&mut self, out: Out, outcome: &Outcome, now: Timestamp) {
        let failures = match &outcome.result {
            UnitResult::Finished { failures, .. } => failures.as_slice(),
            UnitResult::UploadsBegun(_) | UnitResult::Sliced(_) => &[],
            UnitResult::Failed(failure) => {
                self.experience.sign(&out.endpoints, sign([failure]));
                return;
            }
            _ => return,
        };
        self.experience.sign(
            &out.endpoints,
            sign(failures.iter().map(|(_, failure)| failure)),
        );
        // The duration of a transfer that several workers shared says nothing of one worker.
        if failures.is_empty() && matches!(outcome.result, UnitResult::Finished { .. }) {
            // A worker's clock may be wrong; a unit cannot have run before it was published.
            let most =
                u64::try_from(now.since(out.lease.published_at).as_micros()).unwrap_or(u64::MAX);
            self.experience
                .took(out.kind, out.size, outcome.duration_us.min(most));
        }
        while let Some(other) = self.out.get(&outcome.unit).map(|other| other.lease.epoch) {
            self.take(outcome.unit, other);
            self.obsolete.push(outcome.unit.execution(other));
        }
    }

    /// An execution has reported its end, which is not stored yet: its worker had it, and the transport need not hold it.
    /// False when another worker than the one that reports it is known to hold it: the end is not believed, and nothing is
    /// noted.
    pub fn ends(&mut self, outcome: &Outcome, now: Timestamp) -> bool {
        for list in [&mut self.out, &mut self.older] {
            let Some(out) = list
                .get_mut(&outcome.unit)
                .filter(|out| out.lease.epoch == outcome.epoch)
            else {
                continue;
            };
            return match &mut out.lease.held {
                Some((worker, heard_at)) if *worker == outcome.worker => {
                    *heard_at = now;
                    true
                }
                Some(_) => false,
                held @ None => {
                    *held = Some((outcome.worker.clone(), now));
                    true
                }
            };
        }
        true
    }

    /// Whether a worker may report of an execution: no other worker is known to hold it.
    pub fn may_report(&self, execution: Execution, worker: &WorkerId) -> bool {
        let Execution { unit, epoch } = execution;
        [&self.out, &self.older].into_iter().all(|list| {
            list.get(&unit)
                .filter(|out| out.lease.epoch == epoch)
                .and_then(|out| out.lease.held.as_ref())
                .is_none_or(|(holder, _)| holder == worker)
        })
    }
}

/// The sign that failures give of their endpoints.
fn sign<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> Sign {
    let pauses = failures
        .into_iter()
        .filter_map(|failure| match failure.class {
            ErrorClass::Throttled { retry_after_ms } => {
                Some(retry_after_ms.map(Duration::from_millis))
            }
            _ => None,
        });
    pauses.max().map_or(Sign::Served, Sign::Throttled)
}
