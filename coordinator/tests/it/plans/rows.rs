//! The rows of a long job, written without the store, so that a million of them take seconds.
use super::{BARRIER, FIRST};
use coordinator::store::testing::job;
use coordinator::store::{StoreResult, Tx};
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind};
use protocol::model::barrier::Scope;
use protocol::rules::barrier::{BarrierPolicy, BarrierRequire};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::qc::QcTask;
use protocol::workflow::{Action, Step};
use std::sync::Arc;

/// Causes of the failures.
const CAUSES: i64 = 7;

/// The message of the failures of a cause.
fn message(cause: i64) -> String {
    format!(
        "broken {}",
        [
            "frame", "header", "index", "sound", "chunk", "track", "tail"
        ][(cause % CAUSES) as usize]
    )
}

/// The fingerprint of a cause.
pub(super) fn cause(cause: i64) -> String {
    fingerprint(&Failure::permanent("r", message(cause)))
}

/// A text for each row, by the rest of its number.
fn by_rest(text: fn(i64) -> String) -> String {
    let cases: Vec<String> = (0..CAUSES)
        .map(|rest| format!("WHEN {rest} THEN '{}'", text(rest)))
        .collect();
    format!("CASE i % {CAUSES} {} END", cases.join(" "))
}

/// A statement over the numbers up to `to`, as the column `i` of `series`.
pub(super) fn series(to: i64, rows: &str) -> String {
    format!(
        "WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < {to}) {rows}"
    )
}

/// A job that judges its library, with a barrier of titles before a second step and an approval.
fn insert(tx: &mut dyn Tx, id: &str) -> StoreResult<JobNo> {
    let mut new = job(id);
    let [work, after] = [0, 1].map(|n| new.workflow.steps[n].clone());
    let policy = BarrierPolicy {
        require: BarrierRequire::All,
        budget: None,
        until: None,
    };
    let barrier = Step {
        id: "together".into(),
        needs: vec![FIRST],
        action: Action::Barrier {
            scope: Scope::Title,
            policy,
            batch_units: 1,
            deadline_us: None,
        },
        ..after.clone()
    };
    let judge = TaskSpec::Qc(QcTask {
        policy: r#"{"spec":"hd"}"#.into(),
        digest: "d".into(),
    });
    let work = Step {
        action: Action::Units {
            kind: Kind::Qc,
            task: Arc::new(judge),
            reads: None,
        },
        ..work
    };
    let approve = Action::Approval {
        role: "editor".into(),
        when: None,
    };
    let sign = Step {
        id: "sign".into(),
        needs: vec![BARRIER],
        action: approve,
        ..after.clone()
    };
    new.workflow.steps = vec![
        work,
        barrier,
        Step {
            needs: vec![BARRIER],
            ..after
        },
        sign,
    ];
    tx.insert_job(&new)
}

/// Rows as a long job leaves them, written without the store: a quarter of the library is one title, the rest titles of four
/// partitions of two assets.
pub(super) fn statements(n: i64, pad: &str) -> Vec<String> {
    let padded = |what: &str| pad.replace("{}", what);
    let title = format!(
        "CASE WHEN i <= {} THEN 'huge' ELSE 't' || {} END",
        n / 4,
        padded("i / 4")
    );
    let title_of_asset = title
        .replace("i /", "(i + 1) / 2 /")
        .replace("WHEN i", "WHEN (i + 1) / 2");
    let (first, last) = (
        format!("'a' || {}", padded("2 * i - 1")),
        format!("'a' || {}", padded("2 * i")),
    );
    // As many in each rare state, however many rows there are.
    let every = n / 400;
    let state = format!(
        "CASE i % {every} WHEN 1 THEN 'dead' WHEN 2 THEN 'cancelled' WHEN 3 THEN 'leased' WHEN 4 THEN 'ready'
         WHEN 5 THEN 'retrying' ELSE 'succeeded' END"
    );
    let barrier_state = format!(
        "CASE WHEN i % 10 = 0 THEN 'released' WHEN i % {every} = 1 THEN 'held' ELSE 'waiting' END"
    );
    let spread = format!(
        "CASE WHEN i % {} = 0 THEN 4 * i - 1 ELSE 4 * i + 3 END",
        n / 20
    );
    let (message, cause) = (by_rest(message), by_rest(cause));
    let mut all = Vec::new();
    for (job, cut) in [(1, true), (2, false), (3, true)] {
        let n = if job == 3 { n / 4 } else { n };
        all.push(series(
            2 * n,
            &format!(
                "INSERT INTO listing (job, asset, title, role, location, path, bytes, line, by_title)
                 SELECT {job}, 'a' || {}, {title_of_asset}, 'master', 'file:/m/' || i, 'm', 10, i, 1 FROM series",
                padded("i")
            ),
        ));
        if !cut {
            continue;
        }
        all.push(series(
            n,
            &format!(
                "INSERT INTO partition (job, part, title, first, last, assets, bytes, parent, split)
                 SELECT {job}, i, {title}, {first}, {last}, 2, 20, 0, 0 FROM series"
            ),
        ));
        all.push(series(
            n / 128,
            &format!(
                "INSERT INTO streak (job, step, first, last, busy_us)
                      SELECT {job}, 0, 64 * i - 63, 64 * i, 64 FROM series"
            ),
        ));
        all.push(series(
            n / 2,
            &format!(
                "INSERT INTO unit (job, step, part, state, epoch, attempt, due_at, duration_us)
                 SELECT {job}, 0, {} + i, {state}, 1, 0, CASE WHEN i % {every} = 5 THEN i END, 5 FROM series",
                n / 2
            ),
        ));
        all.push(series(
            n / 4,
            &format!(
                "INSERT INTO unit (job, step, part, state, epoch, attempt, due_at, duration_us)
                 SELECT {job}, 2, i, 'succeeded', 1, 0, NULL, 5 FROM series"
            ),
        ));
        all.push(series(
            n / 10,
            &format!(
                "INSERT INTO failure (job, step, part, asset, class, reason, message, checks, cause)
                 SELECT {job}, 0, 10 * i, 'a' || {}, 'permanent', 'r', {message}, '', {cause} FROM series",
                padded("20 * i"),
            ),
        ));
        all.push(series(
            n / 4,
            &format!(
                "INSERT INTO barrier (job, step, key, first_part, last_part, total, succeeded, failed, state, spread)
                 SELECT {job}, 1, 't' || {}, 4 * i, 4 * i + 3, 4, 1, 0, {barrier_state}, {spread}
                 FROM series",
                padded("i")
            ),
        ));
        all.push(series(
            n / 10,
            &format!(
                "INSERT INTO loss (job, step, part, epoch, worker, alone, at)
                 SELECT {job}, 0, 10 * i, 1, 'w', 0, 5 FROM series"
            ),
        ));
    }
    let dead = "INSERT INTO failure (job, step, part, asset, class, reason, message, checks, cause)
         SELECT job, step, part, '', 'permanent', 'r', '{m}', '', '{c}' FROM unit WHERE state = 'dead'
         ON CONFLICT DO NOTHING";
    all.push(
        dead.replace("{m}", &self::message(3))
            .replace("{c}", &self::cause(3)),
    );
    all.push(format!(
        "INSERT INTO barrier (job, step, key, first_part, last_part, total, succeeded, failed, state, spread)
         VALUES (1, 1, 'huge', 1, {}, {n}, 1, 0, 'released', 0)",
        n / 4
    ));
    // What splits took out of the partitions of the last quarter.
    all.push(series(
        n / 100,
        &format!(
            "INSERT INTO partition (job, part, title, first, last, assets, bytes, parent, split)
             SELECT 1, {n} + i, 't', 'a' || {0}, '', 1, 0, {1} + i, 0 FROM series",
            padded(&format!("2 * ({} + i)", n - n / 50)),
            n - n / 50
        ),
    ));
    all.push(format!(
        "UPDATE partition SET assets = 1, split = 1 WHERE job = 1 AND part > {0} AND part <= {0} + {1}",
        n - n / 50,
        n / 100
    ));
    all.push(series(
        n / 100,
        &format!(
            "INSERT INTO moved (job, asset, part) SELECT 1, 'a' || {}, {n} + i FROM series",
            padded(&format!("2 * ({} + i)", n - n / 50))
        ),
    ));
    all.push(series(
        n / 100,
        &format!(
            "INSERT INTO unit (job, step, part, state, epoch, attempt, duration_us)
             SELECT 1, 0, {n} + i, 'dead', 0, 0, 0 FROM series"
        ),
    ));
    all.push(series(
        n,
        &format!(
            "INSERT INTO asset (id, title, role, location, path, bytes, hash, updated_at)
             SELECT 'a' || {}, {title}, 'master', 'file:/m', 'm', 10, 'md5:1', 5 FROM series",
            padded("i")
        ),
    ));
    all.push(format!(
        "UPDATE job SET parts = {0}, parts_planned = {n}, phase = 'sealed', assets = {1} WHERE no = 1",
        n + n / 100,
        2 * n
    ));
    all.push(format!(
        "UPDATE job SET phase = 'planning', assets = {} WHERE no = 2",
        2 * n
    ));
    all.push(
        "UPDATE job SET ended_at = 5, state = 'finished_with_failures' WHERE no = 3".to_owned(),
    );
    all.push(format!(
        "UPDATE step SET total = {n}, succeeded = {}, live = {n}, retrying = {n}, cursor = {n} - 3 WHERE job = 1 AND step = 0",
        n - 1_000
    ));
    all.push(format!("UPDATE step SET live = {n}, retrying = {n}"));
    all
}

/// The jobs, in the order of their numbers.
pub(super) fn begin(tx: &mut dyn Tx) -> StoreResult<()> {
    for id in ["long", "planned", "ended", "newest"] {
        insert(tx, id)?;
    }
    Ok(())
}
