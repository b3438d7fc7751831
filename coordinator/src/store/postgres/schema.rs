//! Versions of the schema and how to get from one to the next.
use super::link::{Link, schema_version};
use super::{failed, leader};
use crate::store::{StoreError, StoreResult};

/// What each version adds, in order. A step must leave the coordinators of the version before able to go on, since
/// they run while it is taken: add first, remove a version later.
const STEPS: [&str; 1] = [include_str!("schema.sql")];

/// Newest schema this build knows. Kept in `meta`.
pub(super) const SCHEMA: i64 = STEPS.len() as i64;

/// Creates the schema or takes the steps it lacks, each in its own transaction, one process at a time.
pub(super) fn bring_up_to_date(link: &mut Link) -> StoreResult<()> {
    while current(link)? < SCHEMA {
        link.script(leader::BEGIN_ALONE).map_err(failed)?;
        let taken = next_step(link);
        let end = if taken.is_ok() { "COMMIT" } else { "ROLLBACK" };
        link.script(end).map_err(failed)?;
        taken?;
    }
    Ok(())
}

fn current(link: &mut Link) -> StoreResult<i64> {
    let found = schema_version(link)?;
    if found > SCHEMA {
        return Err(StoreError::NewerSchema { found, known: SCHEMA });
    }
    Ok(found)
}

/// Another process may have taken it while this one waited for its turn, so the version is asked again.
fn next_step(link: &mut Link) -> StoreResult<()> {
    let exists = link.script("SELECT to_regclass('meta')").map_err(failed)?.is_some();
    let found = if exists { current(link)? } else { 0 };
    let Some(step) = usize::try_from(found).ok().and_then(|version| STEPS.get(version)) else { return Ok(()) };
    tracing::info!(from = found, to = found + 1, "bringing the database's schema up to date");
    link.script(step).map_err(failed)?;
    let version = found + 1;
    link.script(&format!(
        "INSERT INTO meta (key, value) VALUES ('schema_version', '{version}')
         ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    ))
    .map_err(failed)?;
    Ok(())
}
