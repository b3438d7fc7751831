//! Leases of an earlier leader, whose workers may still be running.
use super::Reactor;
use crate::dispatch::outstanding::{Cursor, outstanding_page};
use crate::store::{StoreResult, Tx};
use protocol::id::JobNo;
use protocol::time::Timestamp;
use protocol::wire::unit::Unit;

impl Reactor {
    /// In a transaction: a page of the executions of a job that are out, and where the next page begins. Nothing for a job
    /// that this version cannot read.
    pub fn adopt_page(
        &self,
        tx: &mut dyn Tx,
        job: JobNo,
        from: Cursor,
    ) -> StoreResult<(Vec<Unit>, Option<Cursor>)> {
        let workflows = self.engine.lock().workflows.clone();
        let page = workflows.for_job(tx, job, |tx| outstanding_page(tx, &workflows, job, from))?;
        Ok(page.unwrap_or_default())
    }

    /// Watches the executions of a page from now on.
    pub fn on_adopted(&self, page: &[Unit], now: Timestamp) {
        self.state.lock().leases.adopt(page, now);
    }
}
