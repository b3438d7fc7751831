//! Migrations of the schema. The table `meta` holds its version.
use super::error::failed;
use super::link::{Link, schema_version};
use super::turn::{BEGIN_ALONE, COUNT_WRITE};
use crate::error::StoreResult;
use crate::migration::next;

/// Creates the schema or runs the missing migrations, each in a transaction of its own, in one process at a time.
pub(super) fn bring_up_to_date(link: &mut Link) -> StoreResult<()> {
    while next(schema_version(link)?)?.is_some() {
        link.script(BEGIN_ALONE).map_err(failed)?;
        let taken = next_step(link);
        let end = if taken.is_ok() { "COMMIT" } else { "ROLLBACK" };
        link.script(end).map_err(failed)?;
        taken?;
    }
    Ok(())
}

/// Runs the next migration. The version is read again, because another process may have run it meanwhile.
fn next_step(link: &mut Link) -> StoreResult<()> {
    let exists = link
        .script("SELECT to_regclass('meta')")
        .map_err(failed)?
        .is_some();
    let found = if exists { schema_version(link)? } else { 0 };
    let Some((version, migration)) = next(found)? else {
        return Ok(());
    };
    tracing::info!(
        migration = migration.name,
        "bringing the database's schema up to date"
    );
    link.script(&migration.for_postgres()).map_err(failed)?;
    link.script(&format!(
        "INSERT INTO meta (key, value) VALUES ('schema_version', '{version}')
         ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    ))
    .map_err(failed)?;
    // A leader of the previous version caches rows that the migration may have changed.
    if link
        .script("SELECT to_regclass('other_writes')")
        .map_err(failed)?
        .is_some()
    {
        link.script(COUNT_WRITE).map_err(failed)?;
    }
    Ok(())
}
