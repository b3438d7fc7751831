//! Finds out whether two places are one: a probe that is written beside one object and can be read beside the other
//! proves it. Names prove nothing, because a bucket has aliases and may be mounted as a directory.
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use storage::retry::{RetryBudget, retry};
use storage::{Attributes, Body, Precondition, PutRequest, Storage, StorageError};
use tokio::sync::Mutex;

/// The name of a probe: that of an unfinished file, which listings ignore.
fn probe_name() -> String {
    format!(".probe.{:016x}{}", fastrand::u64(..), ::storage::PARTIAL_SUFFIX)
}

/// One of the two places.
pub(super) struct Side {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) key: String,
}

impl Side {
    fn name(&self) -> &str {
        let key = self.key.trim_end_matches('/');
        key.rsplit('/').next().unwrap_or(key)
    }

    /// The key of a name beside the object.
    fn beside(&self, name: &str) -> String {
        match self.key.trim_end_matches('/').rsplit_once('/') {
            Some((directory, _)) => format!("{directory}/{name}"),
            None => name.to_owned(),
        }
    }
}

/// The results of a unit. Directories with the same relation share a result, so that a tree costs one probe.
#[derive(Default)]
pub(super) struct Probes(Mutex<HashMap<(String, String), bool>>);

impl Probes {
    /// Whether both sides are one object: one place, and one name in it. An error when this cannot be established.
    pub(super) async fn are_one(&self, of: &Side, keep: &Side) -> Result<bool, StorageError> {
        // Two names in one place are two objects. File systems may ignore case.
        if of.name().to_lowercase() != keep.name().to_lowercase() {
            return Ok(false);
        }
        let relation = relation(&of.storage.location(&of.beside("")), &keep.storage.location(&keep.beside("")));
        // Locked during the probe: assets that are purged at the same time share it.
        let mut known = self.0.lock().await;
        if let Some(known) = known.get(&relation) {
            return Ok(*known);
        }
        // Objects can be removed at the purged place; the place of the copy may be write-only.
        let one = match seen_across(of, keep).await {
            Ok(one) => one,
            Err(StorageError::Denied { .. } | StorageError::Unsupported { .. }) => seen_across(keep, of).await?,
            Err(error) => return Err(error),
        };
        known.insert(relation, one);
        Ok(one)
    }
}

/// Two directories without the common end of their paths.
fn relation(of: &str, keep: &str) -> (String, String) {
    let (mut of, mut keep) = (of.trim_end_matches('/'), keep.trim_end_matches('/'));
    while let (Some((above_of, name_of)), Some((above_keep, name_keep))) = (of.rsplit_once('/'), keep.rsplit_once('/'))
        && name_of == name_keep
        && !name_of.is_empty()
    {
        (of, keep) = (above_of, above_keep);
    }
    (of.to_owned(), keep.to_owned())
}

/// Writes a probe beside `here` and looks for it beside `there`.
async fn seen_across(here: &Side, there: &Side) -> Result<bool, StorageError> {
    let name = probe_name();
    let (written, sought) = (here.beside(&name), there.beside(&name));
    let body = Body::new(vec![Bytes::from_static(b"showrunner")], here.storage.capabilities().checksum);
    let attributes = Attributes::default();
    let precondition = Precondition::Unconditional;
    let request = PutRequest { key: &written, body: &body, attributes: &attributes, precondition: &precondition };
    let put = || here.storage.put(request);
    retry(RetryBudget::default(), put).await?;
    let seen = retry(RetryBudget::default(), || there.storage.stat(&sought)).await;
    if let Err(error) = retry(RetryBudget::default(), || here.storage.delete(&written, None)).await {
        tracing::warn!(%error, probe = here.storage.location(&written), "a probe could not be removed: remove it");
    }
    match seen {
        Ok(_) => Ok(true),
        Err(StorageError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_with_a_common_end_share_one_relation() {
        let pair = |of: &str, keep: &str| relation(of, keep);
        let first = pair("s3://cards/day-1/clips/", "s3://alias/lib/day-1/clips/");
        assert_eq!(first, ("s3://cards".into(), "s3://alias/lib".into()));
        assert_eq!(pair("s3://cards/day-2/", "s3://alias/lib/day-2/"), first);
        assert_ne!(pair("s3://cards/day-2/", "s3://alias/lib/"), first);
        assert_eq!(pair("s3://cards/", "s3://cards/"), ("s3:/".into(), "s3:/".into()));
    }
}
