//! Jobs.
use super::error::corrupt;
use super::statistics::ASSETS_MIN;
use super::tx::{PostgresTx, column, count, own, printable, signed, word};
use crate::{Carried, JobRow, JobState, JobTx, NewJob, Phase, StoreError, StoreResult, readable};
use protocol::id::JobNo;
use protocol::model::priority::Priority;
use protocol::time::Timestamp;
use protocol::wire::unit::ScanCursor;
use protocol::workflow::Workflow;
use tokio_postgres::Row;

pub(super) const COLUMNS: &str = "no, id, name, digest, state, phase, submitted_at, ended_at, scan_page, scan_byte, scan_line, \
     scan_epoch, scan_attempt, plan_title, plan_asset, assets, bytes_declared, bytes, row_errors, parts, parts_planned, message, priority, tenant, \
     deadline, scan_after, judged, decoded, copied, copied_bytes, landed, landed_bytes";

pub(super) fn read_job(row: &Row) -> StoreResult<JobRow> {
    let after: (Option<String>, Option<String>) = (column(row, 13)?, column(row, 14)?);
    Ok(JobRow {
        no: JobNo(column(row, 0)?),
        id: column(row, 1)?,
        name: column(row, 2)?,
        digest: column(row, 3)?,
        state: word(row, 4, JobState::parse)?,
        phase: word(row, 5, Phase::parse)?,
        priority: word(row, 22, Priority::parse)?,
        tenant: column(row, 23)?,
        deadline: column::<Option<i64>>(row, 24)?.map(Timestamp),
        submitted_at: Timestamp(column(row, 6)?),
        ended_at: column::<Option<i64>>(row, 7)?.map(Timestamp),
        scan: ScanCursor { page: count(row, 8)?, byte: count(row, 9)?, line: count(row, 10)? },
        scan_after: column(row, 25)?,
        scan_epoch: count(row, 11)?,
        scan_attempt: count(row, 12)?,
        plan_after: after.0.zip(after.1),
        assets: count(row, 15)?,
        bytes_declared: count(row, 16)?,
        bytes: count(row, 17)?,
        judged: count(row, 26)?,
        decoded: count(row, 27)?,
        carried: Carried {
            copied: count(row, 28)?,
            copied_bytes: count(row, 29)?,
            landed: count(row, 30)?,
            landed_bytes: count(row, 31)?,
        },
        row_errors: count(row, 18)?,
        parts: column(row, 19)?,
        parts_planned: column(row, 20)?,
        message: column(row, 21)?,
    })
}

impl PostgresTx<'_> {
    /// Writes the jobs that wait.
    pub(super) fn flush_jobs(&mut self) -> StoreResult<()> {
        for job in std::mem::take(&mut self.waiting.jobs).values() {
            self.write_job(job)?;
        }
        Ok(())
    }

    fn write_job(&mut self, job: &JobRow) -> StoreResult<()> {
        let after = job.plan_after.as_ref();
        self.later(
            "UPDATE job SET state = $2, phase = $3, ended_at = $4, scan_page = $5, scan_byte = $6, scan_line = $7,
               scan_epoch = $8, scan_attempt = $9, plan_title = $10, plan_asset = $11, assets = $12,
               bytes_declared = $13, bytes = $14, row_errors = $15, parts = $16, parts_planned = $17, message = $18,
               priority = $19, tenant = $20, deadline = $21, scan_after = $22, judged = $23, decoded = $24,
               copied = $25, copied_bytes = $26, landed = $27, landed_bytes = $28
             WHERE no = $1",
            own![
                job.no.0,
                job.state.as_str(),
                job.phase.as_str(),
                job.ended_at.map(|t| t.0),
                signed(job.scan.page),
                signed(job.scan.byte),
                signed(job.scan.line),
                i64::from(job.scan_epoch),
                i64::from(job.scan_attempt),
                after.map(|a| a.0.clone()),
                after.map(|a| a.1.clone()),
                signed(job.assets),
                signed(job.bytes_declared),
                signed(job.bytes),
                signed(job.row_errors),
                job.parts,
                job.parts_planned,
                job.message.as_deref().map(printable),
                job.priority.as_str(),
                job.tenant.clone(),
                job.deadline.map(|t| t.0),
                job.scan_after.clone(),
                signed(job.judged),
                signed(job.decoded),
                signed(job.carried.copied),
                signed(job.carried.copied_bytes),
                signed(job.carried.landed),
                signed(job.carried.landed_bytes),
            ],
        )
    }
}

impl JobTx for PostgresTx<'_> {
    fn insert_job(&mut self, job: &NewJob) -> StoreResult<JobNo> {
        let workflow = serde_json::to_string(&job.workflow).map_err(|e| corrupt("workflow", e))?;
        // A clash must not end the transaction: who submits the same job twice is answered in it.
        let no: Option<i64> = self.one(
            "INSERT INTO job (id, name, digest, workflow, state, phase, submitted_at, scan_page, scan_byte, scan_line,
               scan_epoch, scan_attempt, assets, bytes_declared, bytes, row_errors, parts, parts_planned, priority,
               tenant, deadline, submission)
             VALUES ($1, $2, $3, $4, 'running', 'scanning', $5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, $6, $7, $8, $9)
             ON CONFLICT (id) DO NOTHING RETURNING no",
            &[
                &job.id,
                &job.workflow.name,
                &job.digest,
                &workflow,
                &job.submitted_at.0,
                &job.workflow.priority.as_str(),
                &job.workflow.tenant,
                &job.workflow.deadline.map(|t| t.0),
                &job.submission,
            ],
            |row| column(row, 0),
        )?;
        let no = no.ok_or_else(|| StoreError::Database(format!("job id {} exists", job.id)))?;
        self.seen.open = None;
        let mut numbers: Vec<i64> = Vec::new();
        let (mut ids, mut kinds, mut computed): (Vec<&str>, Vec<&str>, Vec<i64>) = Default::default();
        for (step_no, step) in job.workflow.numbered() {
            numbers.push(step_no.0.into());
            ids.push(&step.id);
            kinds.push(step.kind_word());
            computed.push((step.needs.is_empty() && step.has_units()).into());
        }
        self.run(
            "INSERT INTO step (job, step, id, kind, computed, total, succeeded, dead, cancelled, live, retrying,
               cursor, busy_us, executions)
             SELECT $1, s.step, s.id, s.kind, s.computed, 0, 0, 0, 0, 0, 0, 0, 0, 0
             FROM unnest($2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[]) AS s (step, id, kind, computed)",
            &[&no, &numbers, &ids, &kinds, &computed],
        )?;
        Ok(JobNo(no))
    }

    fn job(&mut self, no: JobNo) -> StoreResult<Option<JobRow>> {
        if let Some(seen) = self.seen.jobs.get(&no) {
            return Ok(Some(seen.clone()));
        }
        let found =
            self.one(&format!("SELECT {COLUMNS} FROM job WHERE no = $1 AND removing = 0"), &[&no.0], read_job)?;
        self.seen.jobs.extend(found.clone().map(|job| (no, job)));
        Ok(found)
    }

    fn job_by_id(&mut self, id: &str) -> StoreResult<Option<JobRow>> {
        self.flush_jobs()?;
        let found = self.one(&format!("SELECT {COLUMNS} FROM job WHERE id = $1"), &[&id], read_job)?;
        self.seen.jobs.extend(found.clone().map(|job| (job.no, job)));
        Ok(found)
    }

    fn job_of_submission(&mut self, submission: &str) -> StoreResult<Option<JobRow>> {
        self.flush_jobs()?;
        self.one(&format!("SELECT {COLUMNS} FROM job WHERE submission = $1"), &[&submission], read_job)
    }

    fn jobs(&mut self, open: bool, limit: u32) -> StoreResult<Vec<JobRow>> {
        if let Some(seen) = self.seen.open.as_ref().filter(|_| open) {
            let rows = seen.iter().filter_map(|no| self.seen.jobs.get(no)).filter(|row| row.ended_at.is_none());
            return Ok(rows.take(limit as usize).cloned().collect());
        }
        self.flush_jobs()?;
        let filter = if open { "ended_at IS NULL" } else { "removing = 0" };
        let sql = format!("SELECT {COLUMNS} FROM job WHERE {filter} ORDER BY no DESC LIMIT $1");
        let read = |row: &Row| Ok((column(row, 0)?, read_job(row)));
        let found = self.all(&sql, &[&i64::from(limit)], read)?;
        let whole = found.len() < limit as usize;
        let found = readable(found);
        if open {
            self.seen.jobs.extend(found.iter().map(|job| (job.no, job.clone())));
            self.seen.open = whole.then(|| found.iter().map(|job| job.no).collect());
        }
        Ok(found)
    }

    fn update_job(&mut self, job: &JobRow) -> StoreResult<()> {
        if self.seen.open.as_ref().is_some_and(|open| job.ended_at.is_none() && !open.contains(&job.no)) {
            // It had ended, and goes on.
            self.seen.open = None;
        }
        let before = self.seen.jobs.insert(job.no, job.clone());
        let now_sealed = job.phase == Phase::Sealed && before.is_some_and(|before| before.phase != Phase::Sealed);
        self.seen.sealed |= now_sealed && job.assets >= ASSETS_MIN;
        self.waiting.jobs.insert(job.no, job.clone());
        Ok(())
    }

    fn workflow(&mut self, no: JobNo) -> StoreResult<Workflow> {
        let text: Option<String> =
            self.one("SELECT workflow FROM job WHERE no = $1", &[&no.0], |row| column(row, 0))?;
        let text = text.ok_or_else(|| corrupt("job", no.0))?;
        serde_json::from_str(&text).map_err(|e| corrupt("workflow", e))
    }
}
