//! Rows about jobs and assets beyond the units: tasks, executions, causes, operations, verdicts.
use super::rows::{cause, series};

/// Workers, executions of one unit and removals of one asset: as many however large the library is.
const FEW: i64 = 200;

/// Records of a long job and of many short ones. Half of the tasks have ended, half wait for a new delivery, and few wait
/// for an approval. They are due within an hour: pending tasks are counted by the minute.
pub(super) fn statements(n: i64, pad: &str) -> Vec<String> {
    let padded = |what: &str| pad.replace("{}", what);
    let (tenth, every) = (n / 10, n / 400);
    let asset = format!("'a' || {}", padded("i"));
    let title = format!(
        "CASE WHEN i <= {} THEN 'huge' ELSE 't' || {} END",
        n / 40,
        padded("i / 4")
    );
    let rare = format!("i % {every} = 3");
    let insert = |rows: i64, into: &str, values: &str| {
        series(
            rows,
            &format!("INSERT INTO {into} SELECT {values} FROM series"),
        )
    };
    let mut all = vec![
        insert(
            tenth,
            "task (no, kind, state, subject, job, step, part, asset, title, policy, digest, hash, checks, message,
               round, opened_at, due_at, ended_at)",
            &format!(
                "i, CASE WHEN {rare} THEN 'approval' ELSE 'rework' END,
                 CASE WHEN {rare} OR i % 2 = 0 THEN 'open' WHEN i % {every} = 5 THEN 'waived' ELSE 'closed' END,
                 's' || i, 1, 0, i, {asset}, {title}, 'hd', 'd', 'h', 'black', 'm', 1, 5, (i % 3600) * CAST(1000000 AS BIGINT),
                 CASE WHEN {rare} OR i % 2 = 0 THEN NULL ELSE 9 END"
            ),
        ),
        insert(tenth, "task_unit (task, job, step, part)", "i, 1, 0, i"),
        series(
            tenth,
            &format!(
                "INSERT INTO task_unit (task, job, step, part)
                 SELECT i, 2, 0, i FROM series WHERE {rare} OR i % 2 = 1"
            ),
        ),
        series(
            tenth,
            &format!(
                "INSERT INTO task_unit (task, job, step, part)
                 SELECT i, 3, 0, i FROM series WHERE NOT {rare} AND i % 2 = 1"
            ),
        ),
        insert(tenth, "task_event (task, no, at, actor, event, reason, hash)", "i, 1, 5, 'c', 'opened', 'm', 'h'"),
        insert(tenth, "task_picture (task, pictures)", "i, '[]'"),
        insert(
            tenth,
            "operation (no, at, actor, action, job, filter, reason, matched, eligible, done, state, paced_at,
               ended_at)",
            "i, 5, 'ada', 'priority bulk', 1 + i % 4, '', 'r', 1, 1, 1, 'done', 5, 5",
        ),
        insert(tenth, "operation_input (operation, input)", "i, '[]'"),
        insert(
            n / 20,
            "cause (cause, job, step, reason, class, example, units, assets, first_at, last_at)",
            "'x' || i, 1, 0, 'r', 'permanent', 'm', 1, 1, 5, i",
        ),
        insert(
            tenth,
            "waiver (cause, at, actor, reason)",
            &format!("'check=black\nasset=' || {asset} || '\npolicy=hd', 5, 'ada', 'r'"),
        ),
        insert(
            tenth,
            "attempt (job, step, part, epoch, worker, ended_at, duration_us, assets_failed, class, reason, message)",
            "1, 0, 10 * i, 1, 'w', 5, 5, 1, 'permanent', 'r', 'm'",
        ),
        insert(
            FEW,
            "attempt (job, step, part, epoch, worker, ended_at, duration_us, assets_failed)",
            "1, 0, 5, i, 'w', 5, 5, 0",
        ),
        insert(tenth, "sheet (hash, sheet, measured_at)", "'xxh128:' || i, '{}', 5"),
        insert(
            n / 4,
            "verdict (hash, digest, asset, policy, verdict, report, job, judged_at)",
            &format!("'xxh128:' || i, 'd', {asset}, 'hd', 'fail', '{{}}', 1, i"),
        ),
        insert(
            n / 100,
            "job (id, name, digest, workflow, state, phase, submitted_at, ended_at, scan_page, scan_byte, scan_line,
               scan_epoch, scan_attempt, assets, bytes_declared, bytes, row_errors, parts, parts_planned, submission)",
            &format!(
                "'short' || i, 'name', 'digest', (SELECT workflow FROM job WHERE no = 1),
                 CASE i % {every} WHEN 1 THEN 'failed' ELSE 'succeeded' END, 'sealed', 5, 5000 + i, 0, 0, 0, 0, 0, 0, 0,
                 0, 0, 0, 0, 'key' || i"
            ),
        ),
        insert(
            tenth,
            "row_error (job, line, message, column_name, asset, title, part)",
            &format!("1, i, 'bad', 'title', {asset}, 'bad' || i / 4, 10 * i"),
        ),
        insert(
            tenth,
            "row_error (job, line, message, column_name, asset, title)",
            &format!("2, i, 'bad', 'title', {asset}, 'bad' || i / 4"),
        ),
        insert(
            FEW / 5,
            "loss (job, step, part, epoch, worker, alone, at)",
            "1, 0, 10 * (i / 2 + 1), 1 + i, 'x' || i, 0, 5",
        ),
        insert(
            FEW,
            "worker (name, slots, held, heard_at, state)",
            "'w' || i, 'qc=1/2', 1, 5, 'working'",
        ),
        insert(FEW, "speculation (job, step, part, older, newer, state)", "1, 0, i, 1, 2, 'older'"),
        insert(
            FEW,
            "slice (job, step, part, number, first, bytes, state, epoch, attempt)",
            "1, 2, 7, i, 0, 1, 'ready', 1, 0",
        ),
        "INSERT INTO cut (job, step, part, state, drafts) VALUES (1, 2, 7, 'closed', '[]')".to_owned(),
        "INSERT INTO withheld (job, step, reason, since) VALUES (1, 0, 'endpoint_limit', 5)".to_owned(),
    ];
    for place in [asset.as_str(), "'removed'"] {
        let rows = if place == "'removed'" { FEW } else { tenth };
        all.push(insert(
            rows,
            "tombstone (asset, location, job, step, version, bytes, hash, copy, proof, ordered_by, reason, found_gone,
               dry_run, at)",
            &format!("{place}, 'file:/' || i, 'long', 'purge', '1', 1, 'h', 'c', 'content', 'ada', 'r', 0, 0, 5"),
        ));
    }
    for rest in 0..7 {
        all.push(format!(
            "INSERT INTO cause (cause, job, step, reason, class, example, units, assets, first_at, last_at)
             VALUES ('{}', 1, 0, 'r', 'permanent', 'm', 100, 100, 5, 5)",
            cause(rest)
        ));
    }
    all
}
