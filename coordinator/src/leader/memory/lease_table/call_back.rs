//! Executions that are called back, each once. A message goes to every worker, so it is repeated only for executions that
//! heartbeats still show long after it: [`Leases::heard`] clears the note then.
use super::{Leases, Out};
use protocol::id::{Execution, JobNo};
use protocol::time::Timestamp;
use std::collections::BTreeSet;

impl Leases {
    /// Executions to call back now: those of `jobs`, which are being cancelled, and `obsolete`, whose units have ended.
    pub fn call_back(
        &mut self,
        jobs: &[JobNo],
        obsolete: &[Execution],
        now: Timestamp,
    ) -> Vec<Execution> {
        let mut due = BTreeSet::new();
        for execution @ Execution { unit, epoch } in obsolete {
            let mut lists = [&mut self.out, &mut self.older].into_iter();
            let out =
                lists.find_map(|list| list.get_mut(unit).filter(|out| out.lease.epoch == *epoch));
            if out.is_none_or(|out| note(out, now)) {
                due.insert(*execution);
            }
        }
        if !jobs.is_empty() {
            let all = self.out.iter_mut().chain(&mut self.older);
            for (unit, out) in all.filter(|(unit, out)| jobs.contains(&unit.job) && !out.aborts) {
                if note(out, now) {
                    due.insert(unit.execution(out.lease.epoch));
                }
            }
        }
        due.into_iter().collect()
    }
}

/// Notes that an execution is called back. Returns whether it was not yet.
fn note(out: &mut Out, now: Timestamp) -> bool {
    let first = out.called_back_at.is_none();
    out.called_back_at.get_or_insert(now);
    first
}
