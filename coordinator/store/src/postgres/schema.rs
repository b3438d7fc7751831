//! How the schema of a database gets from one version to the next. The version is kept in `meta`.
use super::error::failed;
use super::leader;
use super::link::{Link, schema_version};
use crate::StoreResult;
use crate::migration::next;

/// Creates the schema or takes the migrations it lacks, each in its own transaction, one process at a time.
pub(super) fn bring_up_to_date(link: &mut Link) -> StoreResult<()> {
    while next(schema_version(link)?)?.is_some() {
        link.script(leader::BEGIN_ALONE).map_err(failed)?;
        let taken = next_step(link);
        let end = if taken.is_ok() { "COMMIT" } else { "ROLLBACK" };
        link.script(end).map_err(failed)?;
        taken?;
    }
    Ok(())
}

/// Another process may have taken it while this one waited for its turn, so the version is asked again.
fn next_step(link: &mut Link) -> StoreResult<()> {
    let exists = link.script("SELECT to_regclass('meta')").map_err(failed)?.is_some();
    let found = if exists { schema_version(link)? } else { 0 };
    let Some((version, migration)) = next(found)? else { return Ok(()) };
    tracing::info!(migration = migration.name, "bringing the database's schema up to date");
    link.script(migration.postgres).map_err(failed)?;
    link.script(&format!(
        "INSERT INTO meta (key, value) VALUES ('schema_version', '{version}')
         ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    ))
    .map_err(failed)?;
    // A leader of the version before goes on working beside it, and remembers rows a migration may have filled.
    if link.script("SELECT to_regclass('other_writes')").map_err(failed)?.is_some() {
        link.script(leader::COUNT_WRITE).map_err(failed)?;
    }
    Ok(())
}
