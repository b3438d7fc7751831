//! The counts of a batch of reports.
use protocol::id::{JobNo, Kind};
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// Ends of units of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// Counted as in [`Settled::rejected`], for one kind.
    pub rejected: u64,
    /// Counted as in [`Settled::succeeded`], for one kind.
    pub succeeded: u64,
    /// Counted as in [`Settled::retried`], for one kind.
    pub retried: u64,
    /// Counted as in [`Settled::dead`], for one kind.
    pub dead: u64,
}

/// The result of a batch of reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Reports that changed their unit.
    pub accepted: u64,
    /// Late, foreign or repeated reports, which changed nothing (FEN-1).
    pub rejected: u64,
    /// Reports of one of two executions of a unit that ended without a result, while the other still runs.
    pub withdrawn: u64,
    /// Units that ended well.
    pub succeeded: u64,
    /// Units that will be tried again.
    pub retried: u64,
    /// Units that died.
    pub dead: u64,
    /// Units that wait for something outside, and are looked at again.
    pub waiting: u64,
    /// Units that were divided into slices.
    pub multipart: u64,
    /// Assets that QC judged.
    pub judged: u64,
    /// Of those, such whose media was decoded.
    pub decoded: u64,
    /// When scans of jobs may be tried again.
    pub scan_retries: Vec<(JobNo, Timestamp)>,
    /// The same by kind; what came for jobs that are gone has none.
    pub by_kind: BTreeMap<Kind, Ends>,
}

impl Settled {
    pub(super) fn ends(&self) -> Ends {
        Ends {
            rejected: self.rejected,
            succeeded: self.succeeded,
            retried: self.retried,
            dead: self.dead,
        }
    }

    /// Counts what came since `before` for a kind.
    pub(super) fn count(&mut self, kind: Kind, before: Ends) {
        let now = self.ends();
        let ends = self.by_kind.entry(kind).or_default();
        ends.rejected += now.rejected - before.rejected;
        ends.succeeded += now.succeeded - before.succeeded;
        ends.retried += now.retried - before.retried;
        ends.dead += now.dead - before.dead;
    }
}
