//! Jobs and counters of steps.
use super::{SqliteTx, corrupt};
use crate::{Carried, JobRow, JobState, JobTx, NewJob, Phase, StepDelta, StepRow, StepTx, StoreResult, readable};
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::model::priority::Priority;
use protocol::time::Timestamp;
use protocol::wire::unit::ScanCursor;
use protocol::workflow::Workflow;
use rusqlite::{Row, params};

pub(super) const COLUMNS: &str = "no, id, name, digest, state, phase, submitted_at, ended_at, scan_page, scan_byte, scan_line, \
     scan_epoch, scan_attempt, plan_title, plan_asset, assets, bytes_declared, bytes, row_errors, parts, parts_planned, message, priority, tenant, \
     deadline, scan_after, judged, decoded, copied, copied_bytes, landed, landed_bytes";

pub(super) fn read_job(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let state: String = row.get(4)?;
    let phase: String = row.get(5)?;
    let priority: String = row.get(22)?;
    let unknown = |value: &str| rusqlite::Error::InvalidColumnName(format!("unknown state {value}"));
    let after: (Option<String>, Option<String>) = (row.get(13)?, row.get(14)?);
    Ok(JobRow {
        no: JobNo(row.get(0)?),
        id: row.get(1)?,
        name: row.get(2)?,
        digest: row.get(3)?,
        state: JobState::parse(&state).ok_or_else(|| unknown(&state))?,
        phase: Phase::parse(&phase).ok_or_else(|| unknown(&phase))?,
        priority: Priority::parse(&priority).ok_or_else(|| unknown(&priority))?,
        tenant: row.get(23)?,
        deadline: row.get::<_, Option<i64>>(24)?.map(Timestamp),
        submitted_at: Timestamp(row.get(6)?),
        ended_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        scan: ScanCursor { page: unsigned(row, 8)?, byte: unsigned(row, 9)?, line: unsigned(row, 10)? },
        scan_after: row.get(25)?,
        scan_epoch: row.get(11)?,
        scan_attempt: row.get(12)?,
        plan_after: after.0.zip(after.1),
        assets: unsigned(row, 15)?,
        bytes_declared: unsigned(row, 16)?,
        bytes: unsigned(row, 17)?,
        judged: unsigned(row, 26)?,
        decoded: unsigned(row, 27)?,
        carried: Carried {
            copied: unsigned(row, 28)?,
            copied_bytes: unsigned(row, 29)?,
            landed: unsigned(row, 30)?,
            landed_bytes: unsigned(row, 31)?,
        },
        row_errors: unsigned(row, 18)?,
        parts: row.get(19)?,
        parts_planned: row.get(20)?,
        message: row.get(21)?,
    })
}

/// Counts are never negative; a negative one in the database is reported, not wrapped.
pub(super) fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// SQL integers are signed.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl JobTx for SqliteTx<'_> {
    fn insert_job(&mut self, job: &NewJob) -> StoreResult<JobNo> {
        let workflow = serde_json::to_string(&job.workflow).map_err(|e| corrupt("workflow", e))?;
        self.run(
            "INSERT INTO job (id, name, digest, workflow, state, phase, submitted_at, scan_page, scan_byte, scan_line,
               scan_epoch, scan_attempt, assets, bytes_declared, bytes, row_errors, parts, parts_planned, priority,
               tenant, deadline, submission)
             VALUES (?1, ?2, ?3, ?4, 'running', 'scanning', ?5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?6, ?7, ?8, ?9)",
            params![
                job.id,
                job.workflow.name,
                job.digest,
                workflow,
                job.submitted_at.0,
                job.workflow.priority.as_str(),
                job.workflow.tenant,
                job.workflow.deadline.map(|t| t.0),
                job.submission
            ],
        )?;
        let no = JobNo(self.db.last_insert_rowid());
        for (step_no, step) in job.workflow.numbered() {
            let computed = step.needs.is_empty() && step.has_units();
            self.run(
                "INSERT INTO step (job, step, id, kind, computed, total, succeeded, dead, cancelled, live, retrying,
                   cursor, busy_us, executions) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
                params![no.0, step_no.0, step.id, step.kind_word(), i64::from(computed)],
            )?;
        }
        Ok(no)
    }

    fn job(&mut self, no: JobNo) -> StoreResult<Option<JobRow>> {
        self.one(&format!("SELECT {COLUMNS} FROM job WHERE no = ?1 AND removing = 0"), params![no.0], read_job)
    }

    fn job_by_id(&mut self, id: &str) -> StoreResult<Option<JobRow>> {
        self.one(&format!("SELECT {COLUMNS} FROM job WHERE id = ?1"), params![id], read_job)
    }

    fn job_of_submission(&mut self, submission: &str) -> StoreResult<Option<JobRow>> {
        self.one(&format!("SELECT {COLUMNS} FROM job WHERE submission = ?1"), params![submission], read_job)
    }

    fn jobs(&mut self, open: bool, limit: u32) -> StoreResult<Vec<JobRow>> {
        let filter = if open { "ended_at IS NULL" } else { "removing = 0" };
        let sql = format!("SELECT {COLUMNS} FROM job WHERE {filter} ORDER BY no DESC LIMIT ?1");
        let found = self.all(&sql, params![limit], |row| Ok((row.get(0)?, read_job(row))))?;
        Ok(readable(found))
    }

    fn update_job(&mut self, job: &JobRow) -> StoreResult<()> {
        let after = job.plan_after.as_ref();
        self.run(
            "UPDATE job SET state = ?2, phase = ?3, ended_at = ?4, scan_page = ?5, scan_byte = ?6, scan_line = ?7,
               scan_epoch = ?8, scan_attempt = ?9, plan_title = ?10, plan_asset = ?11, assets = ?12,
               bytes_declared = ?13, bytes = ?14, row_errors = ?15, parts = ?16, parts_planned = ?17, message = ?18,
               priority = ?19, tenant = ?20, deadline = ?21, scan_after = ?22, judged = ?23, decoded = ?24,
               copied = ?25, copied_bytes = ?26, landed = ?27, landed_bytes = ?28
             WHERE no = ?1",
            params![
                job.no.0,
                job.state.as_str(),
                job.phase.as_str(),
                job.ended_at.map(|t| t.0),
                signed(job.scan.page),
                signed(job.scan.byte),
                signed(job.scan.line),
                job.scan_epoch,
                job.scan_attempt,
                after.map(|a| &a.0),
                after.map(|a| &a.1),
                signed(job.assets),
                signed(job.bytes_declared),
                signed(job.bytes),
                signed(job.row_errors),
                job.parts,
                job.parts_planned,
                job.message,
                job.priority.as_str(),
                job.tenant,
                job.deadline.map(|t| t.0),
                job.scan_after,
                signed(job.judged),
                signed(job.decoded),
                signed(job.carried.copied),
                signed(job.carried.copied_bytes),
                signed(job.carried.landed),
                signed(job.carried.landed_bytes),
            ],
        )?;
        Ok(())
    }

    fn workflow(&mut self, no: JobNo) -> StoreResult<Workflow> {
        let text: Option<String> =
            self.one("SELECT workflow FROM job WHERE no = ?1", params![no.0], |row| row.get(0))?;
        let text = text.ok_or_else(|| corrupt("job", no.0))?;
        serde_json::from_str(&text).map_err(|e| corrupt("workflow", e))
    }
}

impl StepTx for SqliteTx<'_> {
    fn steps(&mut self, job: JobNo) -> StoreResult<Vec<StepRow>> {
        self.all(
            "SELECT step, total, succeeded, dead, cancelled, live, retrying, cursor, busy_us, executions
             FROM step WHERE job = ?1 ORDER BY step",
            params![job.0],
            |row| {
                Ok(StepRow {
                    step: StepNo(row.get(0)?),
                    total: unsigned(row, 1)?,
                    succeeded: unsigned(row, 2)?,
                    dead: unsigned(row, 3)?,
                    cancelled: unsigned(row, 4)?,
                    live: unsigned(row, 5)?,
                    retrying: unsigned(row, 6)?,
                    cursor: row.get(7)?,
                    busy_us: unsigned(row, 8)?,
                    executions: unsigned(row, 9)?,
                })
            },
        )
    }

    fn add_to_step(&mut self, job: JobNo, step: StepNo, delta: StepDelta) -> StoreResult<()> {
        if delta.is_less() {
            let rows = self.steps(job)?;
            if let Some(mut row) = rows.into_iter().find(|row| row.step == step) {
                // What goes below zero is noticed there.
                row.add(delta);
            }
        }
        self.run(
            "UPDATE step SET total = MAX(total + ?3, 0), succeeded = MAX(succeeded + ?4, 0), dead = MAX(dead + ?5, 0),
               cancelled = MAX(cancelled + ?6, 0), live = MAX(live + ?7, 0), retrying = MAX(retrying + ?8, 0),
               busy_us = MAX(busy_us + ?9, 0), executions = MAX(executions + ?10, 0)
             WHERE job = ?1 AND step = ?2",
            params![
                job.0,
                step.0,
                delta.total,
                delta.succeeded,
                delta.dead,
                delta.cancelled,
                delta.live,
                delta.retrying,
                delta.busy_us,
                delta.executions
            ],
        )?;
        Ok(())
    }

    fn set_cursor(&mut self, job: JobNo, step: StepNo, part: PartNo) -> StoreResult<()> {
        self.run("UPDATE step SET cursor = ?3 WHERE job = ?1 AND step = ?2", params![job.0, step.0, part])?;
        Ok(())
    }
}
