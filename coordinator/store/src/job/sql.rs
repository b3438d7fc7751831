//! Jobs in SQL.
use super::{Carried, JobRow, JobState, NewJob, Phase};
use crate::error::{StoreError, StoreResult, corrupt};
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Row, Sql, Value, values};
use protocol::id::JobNo;
use protocol::model::priority::Priority;
use protocol::model::scan_cursor::ScanCursor;
use protocol::workflow::Workflow;

/// Columns of a job, in the order of [`read_job`].
pub(crate) const COLUMNS: &str = "no, id, name, digest, state, phase, submitted_at, ended_at, scan_page, scan_byte, \
     scan_line, scan_epoch, scan_attempt, plan_title, plan_asset, assets, bytes_declared, bytes, row_errors, parts, \
     parts_planned, message, priority, tenant, deadline, scan_after, judged, decoded, copied, copied_bytes, landed, \
     landed_bytes";

/// Writes everything of a job that changes; takes [`values_of`].
pub(super) const UPDATE: &str =
    "UPDATE job SET state = ?2, phase = ?3, ended_at = ?4, scan_page = ?5, scan_byte = ?6, scan_line = ?7,
       scan_epoch = ?8, scan_attempt = ?9, plan_title = ?10, plan_asset = ?11, assets = ?12,
       bytes_declared = ?13, bytes = ?14, row_errors = ?15, parts = ?16, parts_planned = ?17, message = ?18,
       priority = ?19, tenant = ?20, deadline = ?21, scan_after = ?22, judged = ?23, decoded = ?24,
       copied = ?25, copied_bytes = ?26, landed = ?27, landed_bytes = ?28
     WHERE no = ?1";

static INSERT_STEPS: Insert<14> = Insert::new(
    "step",
    [
        Int("job"),
        Int("step"),
        Text("id"),
        Text("kind"),
        Int("computed"),
        Int("total"),
        Int("succeeded"),
        Int("dead"),
        Int("cancelled"),
        Int("live"),
        Int("retrying"),
        Int("cursor"),
        Int("busy_us"),
        Int("executions"),
    ],
    "",
);

/// Reads a job from [`COLUMNS`].
pub(crate) fn read_job(row: Row<'_>) -> StoreResult<JobRow> {
    let after = (
        row.get::<Option<String>>(13)?,
        row.get::<Option<String>>(14)?,
    );
    Ok(JobRow {
        no: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        digest: row.get(3)?,
        state: row.word(4, JobState::parse)?,
        phase: row.word(5, Phase::parse)?,
        priority: row.word(22, Priority::parse)?,
        tenant: row.get(23)?,
        deadline: row.get(24)?,
        submitted_at: row.get(6)?,
        ended_at: row.get(7)?,
        scan: ScanCursor {
            page: row.get(8)?,
            byte: row.get(9)?,
            line: row.get(10)?,
        },
        scan_after: row.get(25)?,
        scan_epoch: row.get(11)?,
        scan_attempt: row.get(12)?,
        plan_after: after.0.zip(after.1),
        assets: row.get(15)?,
        bytes_declared: row.get(16)?,
        bytes: row.get(17)?,
        judged: row.get(26)?,
        decoded: row.get(27)?,
        carried: Carried {
            copied: row.get(28)?,
            copied_bytes: row.get(29)?,
            landed: row.get(30)?,
            landed_bytes: row.get(31)?,
        },
        row_errors: row.get(18)?,
        parts: row.get(19)?,
        parts_planned: row.get(20)?,
        message: row.get(21)?,
    })
}

/// Reads the number of a job, and the job, which may be unreadable.
pub(crate) fn read_numbered(row: Row<'_>) -> StoreResult<(i64, StoreResult<JobRow>)> {
    Ok((row.get(0)?, read_job(row)))
}

/// Values of [`UPDATE`].
pub(super) fn values_of(job: &JobRow) -> [Value<'_>; 28] {
    let after = job.plan_after.as_ref();
    values![
        job.no,
        job.state.as_str(),
        job.phase.as_str(),
        job.ended_at,
        job.scan.page,
        job.scan.byte,
        job.scan.line,
        job.scan_epoch,
        job.scan_attempt,
        after.map(|(title, _)| title),
        after.map(|(_, asset)| asset),
        job.assets,
        job.bytes_declared,
        job.bytes,
        job.row_errors,
        job.parts,
        job.parts_planned,
        job.message.as_ref(),
        job.priority.as_str(),
        &job.tenant,
        job.deadline,
        job.scan_after.as_ref(),
        job.judged,
        job.decoded,
        job.carried.copied,
        job.carried.copied_bytes,
        job.carried.landed,
        job.carried.landed_bytes,
    ]
}

/// Inserts a job and its steps. An id that exists is an error of the caller and leaves the transaction usable: a repeated
/// submission is answered in it.
pub(super) fn insert(tx: &mut impl Sql, job: &NewJob) -> StoreResult<JobNo> {
    let workflow = serde_json::to_string(&job.workflow).map_err(|e| corrupt("workflow", e))?;
    let no: Option<JobNo> = tx.query_one(
        "INSERT INTO job (id, name, digest, workflow, state, phase, submitted_at, scan_page, scan_byte, scan_line,
           scan_epoch, scan_attempt, assets, bytes_declared, bytes, row_errors, parts, parts_planned, priority,
           tenant, deadline, submission)
         VALUES (?1, ?2, ?3, ?4, 'running', 'scanning', ?5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO NOTHING RETURNING no",
        &values![
            &job.id,
            &job.workflow.name,
            &job.digest,
            workflow,
            job.submitted_at,
            job.workflow.priority.as_str(),
            &job.workflow.tenant,
            job.workflow.deadline,
            job.submission.as_ref(),
        ],
        |row| row.get(0),
    )?;
    let no = no.ok_or_else(|| StoreError::Database(format!("job id {} exists", job.id)))?;
    let rows = job.workflow.numbered().map(|(number, step)| {
        let computed = step.needs.is_empty() && step.has_units();
        let (id, kind, zero) = (&step.id, step.kind_word(), 0_i64);
        values![
            no, number, id, kind, computed, zero, zero, zero, zero, zero, zero, zero, zero, zero
        ]
    });
    tx.insert(&INSERT_STEPS, &rows.collect::<Vec<_>>())?;
    Ok(no)
}

/// The job that `which` names by one value.
pub(super) fn find<'v>(
    tx: &mut impl Sql,
    which: &str,
    value: impl Into<Value<'v>>,
) -> StoreResult<Option<JobRow>> {
    tx.query_one(
        &format!("SELECT {COLUMNS} FROM job WHERE {which}"),
        &[value.into()],
        read_job,
    )
}

/// Jobs, newest first, with their numbers; only open ones when `open`.
pub(super) fn list(
    tx: &mut impl Sql,
    open: bool,
    limit: u32,
) -> StoreResult<Vec<(i64, StoreResult<JobRow>)>> {
    let filter = if open {
        "ended_at IS NULL"
    } else {
        "removing = 0"
    };
    let sql = format!("SELECT {COLUMNS} FROM job WHERE {filter} ORDER BY no DESC LIMIT ?1");
    tx.query(&sql, &values![limit], read_numbered)
}

/// The workflow of a job.
pub(super) fn workflow(tx: &mut impl Sql, no: JobNo) -> StoreResult<Workflow> {
    let found = tx.query_one(
        "SELECT workflow FROM job WHERE no = ?1",
        &values![no],
        |row| row.json(0, "workflow"),
    )?;
    found.ok_or_else(|| corrupt("job", no.0))
}
