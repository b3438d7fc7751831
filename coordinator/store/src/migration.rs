//! Versions of the schema: the numbered files of `coordinator/store/migrations`, the same numbers on every database.
//!
//! A new migration is a file `NNNN_purpose.sql` and one line in [`MIGRATIONS`]. Where the dialects differ in words, the file has
//! markers ([`MARKERS`]); where they differ in more, it is a pair `.sqlite.sql` and `.postgres.sql`. Each runs in a transaction of its own, in one process at a time, while coordinators
//! of the previous version work: add first, remove one version later, and change no row of a table that grows with jobs.
use crate::error::{StoreError, StoreResult};

/// One step from a version of the schema to the next.
pub(super) struct Migration {
    /// The file's name without dialect and ending.
    pub(super) name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Words that differ: the marker, the words of SQLite and those of PostgreSQL. Text sorts by bytes in both.
const MARKERS: [(&str, &str, &str); 2] = [
    ("{text}", "TEXT", "TEXT COLLATE \"C\""),
    ("{without_rowid}", "WITHOUT ROWID", ""),
];

impl Migration {
    /// The statements for SQLite.
    pub(super) fn for_sqlite(&self) -> String {
        MARKERS
            .iter()
            .fold(self.sqlite.to_owned(), |text, (marker, word, _)| {
                text.replace(marker, word)
            })
    }

    /// The statements for PostgreSQL.
    pub(super) fn for_postgres(&self) -> String {
        MARKERS
            .iter()
            .fold(self.postgres.to_owned(), |text, (marker, _, word)| {
                text.replace(marker, word)
            })
    }
}

/// A migration with one text for each dialect.
macro_rules! pair {
    ($name:literal) => {
        Migration {
            name: $name,
            sqlite: include_str!(concat!("../migrations/", $name, ".sqlite.sql")),
            postgres: include_str!(concat!("../migrations/", $name, ".postgres.sql")),
        }
    };
}

/// A migration with one text for both dialects.
macro_rules! same {
    ($name:literal) => {
        Migration {
            name: $name,
            sqlite: include_str!(concat!("../migrations/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/", $name, ".sql")),
        }
    };
}

/// Every migration, in order: the first makes version 1.
pub(super) const MIGRATIONS: &[Migration] = &[
    pair!("0001_first_schema"),
    pair!("0002_operator_control"),
    pair!("0003_streaks"),
    pair!("0004_scheduling"),
    pair!("0005_other_writes"),
    pair!("0006_archives"),
    pair!("0007_rework"),
    pair!("0008_cuts"),
    same!("0009_task_pictures"),
    pair!("0010_counted_barriers"),
    pair!("0011_deployment"),
    pair!("0012_rejected_rows"),
    same!("0013_operation_plans"),
    same!("0014_job_marks"),
    same!("0015_cluster_key"),
    same!("0016_carried"),
    pair!("0017_units_by_key"),
    pair!("0018_counted_tasks"),
    same!("0019_closed_blocks"),
    same!("0020_attempts"),
    pair!("0021_lists_by_key"),
    same!("0022_activity"),
];

/// Newest schema this build knows.
pub(super) const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// The next migration of a database of version `found`, with the version it makes; `None` when it is up to date. An unknown
/// version is an error.
pub(super) fn next(found: i64) -> StoreResult<Option<(i64, &'static Migration)>> {
    if found > SCHEMA {
        return Err(StoreError::NewerSchema {
            found,
            known: SCHEMA,
        });
    }
    let at = usize::try_from(found)
        .map_err(|_| StoreError::Corrupt(format!("schema version {found}")))?;
    Ok(MIGRATIONS.get(at).map(|migration| (found + 1, migration)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_follow_each_other_and_no_file_is_forgotten() {
        let numbers: Vec<String> = MIGRATIONS.iter().map(|m| m.name[..4].to_owned()).collect();
        let expected: Vec<String> = (1..=MIGRATIONS.len()).map(|n| format!("{n:04}")).collect();
        assert_eq!(numbers, expected);
        let dir = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
            .expect("it is there");
        let names = dir.map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        });
        let files: BTreeSet<String> = names
            .filter_map(|name| Some(name.strip_suffix(".sql")?.split('.').next()?.to_owned()))
            .collect();
        assert_eq!(
            files,
            MIGRATIONS.iter().map(|m| m.name.to_owned()).collect()
        );
    }

    #[test]
    fn markers_become_words_of_the_dialect() {
        let migration = MIGRATIONS
            .iter()
            .find(|m| m.name == "0015_cluster_key")
            .expect("it is there");
        assert!(migration.for_sqlite().contains("  seed TEXT NOT NULL\n"));
        assert!(
            migration
                .for_postgres()
                .contains("  seed TEXT COLLATE \"C\" NOT NULL\n")
        );
        let left = MIGRATIONS
            .iter()
            .filter(|m| (m.for_sqlite() + &m.for_postgres()).contains('{'));
        assert_eq!(left.map(|m| m.name).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn newer_version_is_rejected_and_older_one_is_migrated() {
        assert!(matches!(
            next(SCHEMA + 1),
            Err(StoreError::NewerSchema { .. })
        ));
        assert!(matches!(next(-1), Err(StoreError::Corrupt(_))));
        assert!(next(SCHEMA).expect("known").is_none());
        assert_eq!(next(0).expect("known").map(|(version, _)| version), Some(1));
    }
}
