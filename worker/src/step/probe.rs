//! Finds out whether two places are one: a probe that is written next to one object and can be read next to the other
//! proves it. Names prove nothing, because a bucket has aliases and may be mounted as a directory.
//!
//! A mount may keep its own copy of a directory for minutes, and send what is written later. So the absence of a probe
//! proves nothing there. In that case a probe is overwritten through the mount; the places are two when the other side
//! keeps what it had.
use super::mount::Mount;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::retry::{RetryBudget, retry};
use storage::{Attributes, Body, Precondition, PutRequest, Storage, StorageError, local_path};
use tokio::sync::Mutex;

/// Longest time until a write through a mount reaches the place that it shows.
const WRITE_BACK_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks at an overwritten probe.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long a result is used: without it each unit of a purge would wait.
const KEPT: Duration = Duration::from_secs(600);

const CONTENT: &[u8] = b"showrunner";
const OVERWRITTEN: &[u8] = b"showrunner, overwritten";

/// The name of a probe: that of an unfinished file, which listings ignore.
fn probe_name() -> String {
    format!(
        ".probe.{:016x}{}",
        fastrand::u64(..),
        ::storage::PARTIAL_SUFFIX
    )
}

/// One of the two places.
pub(super) struct Side {
    storage: Arc<dyn Storage>,
    key: String,
    /// Where its directory is mounted; `None` for what is no directory.
    mount: Option<Mount>,
    /// Whether what is in it may appear with a delay.
    is_view: bool,
}

impl Side {
    /// The place of an object.
    pub(super) fn of(storage: Arc<dyn Storage>, key: &str) -> Side {
        let path = local_path(&storage.location(key)).ok();
        let mount = path.as_ref().and_then(|path| Mount::of(path.parent()?));
        // A directory that cannot be examined may be anything.
        let is_view = path.is_some() && mount.as_ref().is_none_or(|mount| mount.is_view);
        Side {
            storage,
            key: key.to_owned(),
            mount,
            is_view,
        }
    }

    fn name(&self) -> &str {
        let key = self.key.trim_end_matches('/');
        key.rsplit('/').next().unwrap_or(key)
    }

    /// The key of a name next to the object.
    fn next_to(&self, name: &str) -> String {
        match self.key.trim_end_matches('/').rsplit_once('/') {
            Some((directory, _)) => format!("{directory}/{name}"),
            None => name.to_owned(),
        }
    }

    /// The directory of the object; of a file, the one that links lead to.
    fn directory(&self) -> String {
        match &self.mount {
            Some(mount) => mount.directory.display().to_string(),
            None => self.storage.location(&self.next_to("")),
        }
    }

    async fn put(&self, name: &str, content: &'static [u8]) -> Result<(), StorageError> {
        let key = self.next_to(name);
        let body = Body::new(
            vec![Bytes::from_static(content)],
            self.storage.capabilities().checksum,
        );
        let attributes = Attributes::default();
        let precondition = Precondition::Unconditional;
        let request = PutRequest {
            key: &key,
            body: &body,
            attributes: &attributes,
            precondition: &precondition,
        };
        retry(RetryBudget::default(), || self.storage.put(request))
            .await
            .map(drop)
    }

    /// Size of a probe; `None` when there is none.
    async fn size(&self, name: &str) -> Result<Option<u64>, StorageError> {
        let key = self.next_to(name);
        match retry(RetryBudget::default(), || self.storage.stat(&key)).await {
            Ok(found) => Ok(Some(found.bytes)),
            Err(StorageError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, name: &str) {
        let key = self.next_to(name);
        if let Err(error) = retry(RetryBudget::default(), || self.storage.delete(&key, None)).await
        {
            tracing::warn!(%error, probe = self.storage.location(&key), "a probe could not be removed: remove it");
        }
    }
}

/// Two directories without the common end of their paths, and the mounts that they are on.
type Relation = (String, String, Option<u64>, Option<u64>);

/// Results. Directories with the same relation share a result, so that a tree costs one probe.
pub(super) struct Probes {
    known: Mutex<HashMap<Relation, (Instant, bool)>>,
    write_back_max: Duration,
}

impl Default for Probes {
    fn default() -> Probes {
        Probes {
            known: Mutex::default(),
            write_back_max: WRITE_BACK_MAX,
        }
    }
}

impl Probes {
    /// Whether both sides are one object: one place, and one name in it. An error when this cannot be established.
    pub(super) async fn are_one(&self, of: &Side, keep: &Side) -> Result<bool, StorageError> {
        // Two names in one place are two objects. File systems may ignore case.
        if of.name().to_lowercase() != keep.name().to_lowercase() {
            return Ok(false);
        }
        let relation = relation(of, keep);
        // Locked during the probe: assets that are purged at the same time share it.
        let mut known = self.known.lock().await;
        if let Some((at, one)) = known.get(&relation)
            && at.elapsed() < KEPT
        {
            return Ok(*one);
        }
        let one = self.probe(of, keep).await?;
        known.insert(relation, (Instant::now(), one));
        Ok(one)
    }

    async fn probe(&self, of: &Side, keep: &Side) -> Result<bool, StorageError> {
        // Objects can be removed at the purged place; the place of the copy may be write-only.
        let (there, back) = (seen_across(of, keep).await, seen_across(keep, of).await);
        if matches!(there, Ok(true)) || matches!(back, Ok(true)) {
            return Ok(true);
        }
        let mount = |side: &Side| side.mount.as_ref().map(Mount::id);
        let same_mount = mount(of).is_some() && mount(of) == mount(keep);
        // Two directories of one mount are two, however it delays what they show.
        let has_view = (of.is_view || keep.is_view) && !same_mount;
        match (there, back) {
            (Ok(_), Ok(_)) if has_view => self.overwritten_across(of, keep).await,
            (Ok(_), Ok(_)) => Ok(false),
            (Ok(_), Err(error)) | (Err(error), Ok(_)) if is_refused(&error) && !has_view => {
                Ok(false)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Overwrites a probe through a mount and watches it at the other side.
    async fn overwritten_across(&self, of: &Side, keep: &Side) -> Result<bool, StorageError> {
        let (view, other) = if of.is_view { (of, keep) } else { (keep, of) };
        let name = probe_name();
        let watched = async {
            other.put(&name, CONTENT).await?;
            view.put(&name, OVERWRITTEN).await?;
            let until = Instant::now() + self.write_back_max;
            loop {
                if other.size(&name).await? != Some(CONTENT.len() as u64) {
                    return Ok(true);
                }
                if Instant::now() >= until {
                    return Ok(false);
                }
                tokio::time::sleep(LOOK_PAUSE.min(self.write_back_max)).await;
            }
        };
        let watched = watched.await;
        view.remove(&name).await;
        other.remove(&name).await;
        watched
    }
}

/// Whether a place may not be written to, or read.
fn is_refused(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::Denied { .. } | StorageError::Unsupported { .. }
    )
}

fn relation(of: &Side, keep: &Side) -> Relation {
    let (of_apart, keep_apart) = apart(&of.directory(), &keep.directory());
    let mount = |side: &Side| side.mount.as_ref().map(Mount::id);
    (of_apart, keep_apart, mount(of), mount(keep))
}

/// Two directories without the common end of their paths.
fn apart(of: &str, keep: &str) -> (String, String) {
    let (mut of, mut keep) = (of.trim_end_matches('/'), keep.trim_end_matches('/'));
    while let (Some((above_of, name_of)), Some((above_keep, name_keep))) =
        (of.rsplit_once('/'), keep.rsplit_once('/'))
        && name_of == name_keep
        && !name_of.is_empty()
    {
        (of, keep) = (above_of, above_keep);
    }
    (of.to_owned(), keep.to_owned())
}

/// Writes a probe next to `here` and looks for it next to `there`.
async fn seen_across(here: &Side, there: &Side) -> Result<bool, StorageError> {
    let name = probe_name();
    here.put(&name, CONTENT).await?;
    let seen = there.size(&name).await;
    here.remove(&name).await;
    seen.map(|size| size.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::collections::HashSet;
    use std::path::Path;
    use storage::layer::{Call, Layer, Operation};
    use storage::{Layered, Registry};

    #[test]
    fn directories_with_a_common_end_share_one_relation() {
        let pair = |of: &str, keep: &str| apart(of, keep);
        let first = pair("s3://cards/day-1/clips/", "s3://alias/lib/day-1/clips/");
        assert_eq!(first, ("s3://cards".into(), "s3://alias/lib".into()));
        assert_eq!(pair("s3://cards/day-2/", "s3://alias/lib/day-2/"), first);
        assert_ne!(pair("s3://cards/day-2/", "s3://alias/lib/"), first);
        assert_eq!(
            pair("s3://cards/", "s3://cards/"),
            ("s3:/".into(), "s3:/".into())
        );
    }

    /// A mount with a directory that is cached: it shows what was written through it, and nothing else.
    #[derive(Default)]
    struct Cached(parking_lot::Mutex<HashSet<String>>);

    #[async_trait]
    impl Layer for Cached {
        type Mark = ();

        async fn before(&self, call: &Call) -> Result<(), StorageError> {
            let mut written = self.0.lock();
            match call.operation {
                Operation::Put => drop(written.insert(call.location.clone())),
                Operation::Stat if !written.contains(&call.location) => {
                    return Err(StorageError::NotFound(call.location.clone()));
                }
                _ => {}
            }
            Ok(())
        }

        fn after(
            &self,
            (): (),
            _call: &Call,
            _error: Option<&StorageError>,
        ) -> Option<StorageError> {
            None
        }
    }

    /// A place that is hidden from others, as a bucket is until a mount writes to it.
    struct Hidden(Cached);

    #[async_trait]
    impl Layer for Hidden {
        type Mark = ();

        async fn before(&self, call: &Call) -> Result<(), StorageError> {
            self.0.before(call).await
        }

        fn after(
            &self,
            (): (),
            _call: &Call,
            _error: Option<&StorageError>,
        ) -> Option<StorageError> {
            None
        }
    }

    /// Refuses to write.
    struct ReadOnly;

    #[async_trait]
    impl Layer for ReadOnly {
        type Mark = ();

        async fn before(&self, call: &Call) -> Result<(), StorageError> {
            match call.operation {
                Operation::Put => Err(StorageError::unsupported(&call.location, "read-only")),
                _ => Ok(()),
            }
        }

        fn after(
            &self,
            (): (),
            _call: &Call,
            _error: Option<&StorageError>,
        ) -> Option<StorageError> {
            None
        }
    }

    async fn place(directory: &Path, layer: Option<impl Layer + 'static>, is_view: bool) -> Side {
        let opened = Registry::default()
            .open(
                &format!("file:{}/a.mov", directory.display()),
                Some(directory),
            )
            .await;
        let opened = opened.expect("opened");
        let storage = match layer {
            Some(layer) => Arc::new(Layered::new(opened.storage, layer)) as Arc<dyn Storage>,
            None => opened.storage,
        };
        Side {
            is_view,
            mount: None,
            ..Side::of(storage, &opened.key)
        }
    }

    fn probes() -> Probes {
        Probes {
            write_back_max: Duration::from_millis(20),
            ..Probes::default()
        }
    }

    /// Neither side shows what the other writes under a new name: only the overwritten probe tells.
    #[tokio::test]
    async fn place_behind_a_mount_with_a_cache_is_recognised() {
        let (one, other) = (
            tempfile::tempdir().expect("a temp dir"),
            tempfile::tempdir().expect("a temp dir"),
        );
        let hidden = || Some(Hidden(Cached::default()));
        for (directory, is_one) in [(one.path(), true), (other.path(), false)] {
            for views in [(true, false), (false, true), (true, true)] {
                let of = place(one.path(), Some(Cached::default()), views.0).await;
                let keep = place(directory, hidden(), views.1).await;
                assert_eq!(probes().are_one(&of, &keep).await, Ok(is_one), "{views:?}");
            }
            let names = std::fs::read_dir(directory).expect("listed").count();
            assert_eq!(names, 0, "no probe is left");
        }
    }

    #[tokio::test]
    async fn probe_is_made_in_both_directions() {
        let one = tempfile::tempdir().expect("a temp dir");
        let of = place(one.path(), None::<Cached>, false).await;
        let keep = place(one.path(), Some(Cached::default()), false).await;
        assert_eq!(probes().are_one(&of, &keep).await, Ok(true));
        assert_eq!(probes().are_one(&keep, &of).await, Ok(true));
    }

    #[tokio::test]
    async fn mount_that_may_not_be_written_to_proves_nothing() {
        let (one, other) = (
            tempfile::tempdir().expect("a temp dir"),
            tempfile::tempdir().expect("a temp dir"),
        );
        let of = place(one.path(), None::<Cached>, false).await;
        for (is_view, expected) in [(false, true), (true, false)] {
            let keep = place(other.path(), Some(ReadOnly), is_view).await;
            assert_eq!(
                probes().are_one(&of, &keep).await.is_ok(),
                expected,
                "view: {is_view}"
            );
        }
    }
}
