//! Counts of dead units by the cause of their failure.
use crate::store::{CauseRow, StoreResult, Tx};
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// Bytes kept of the example of a cause.
const EXAMPLE_MAX: usize = 500;

/// Counts a unit that died.
pub(crate) fn count_dead(
    tx: &mut dyn Tx,
    unit: UnitId,
    failures: &[(String, Failure)],
    now: Timestamp,
) -> StoreResult<()> {
    tx.add_to_causes(&changes(unit, failures, 1, now))
}

/// Counts a unit that is dead no longer.
pub(crate) fn uncount_dead(
    tx: &mut dyn Tx,
    unit: UnitId,
    failures: &[(String, Failure)],
    now: Timestamp,
) -> StoreResult<()> {
    tx.add_to_causes(&changes(unit, failures, -1, now))
}

/// What a unit adds to its causes: one unit in each, however many of its assets failed of it.
pub(crate) fn changes(
    unit: UnitId,
    failures: &[(String, Failure)],
    sign: i64,
    now: Timestamp,
) -> Vec<CauseRow> {
    let mut by_cause: BTreeMap<String, CauseRow> = BTreeMap::new();
    for (_, failure) in failures {
        let cause = fingerprint(failure);
        let row = by_cause.entry(cause.clone()).or_insert_with(|| CauseRow {
            cause,
            job: unit.job,
            step: unit.step,
            reason: failure.reason.clone(),
            class: failure.class.as_str().to_owned(),
            example: shortened(&failure.message),
            units: sign,
            assets: 0,
            first_at: now,
            last_at: now,
        });
        row.assets += sign;
    }
    by_cause.into_values().collect()
}

fn shortened(message: &str) -> String {
    let end = message
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= EXAMPLE_MAX)
        .last();
    message[..end.unwrap_or(0)].to_owned()
}
