//! Lists every object below a prefix, page by page, in the order its storage has. The name of an object describes it,
//! as in a folder.
//!
//! An object waits for as long as sidecars of it may still come, which is while names follow that begin with its own.
//! An interrupted listing continues after the last sent object.
use super::entry::{Entry, Names, OWN_DIRECTORIES};
use super::location::Located;
use super::page::{Pager, Stop};
use super::sidecar::{self, Declared};
use protocol::wire::report::RowError;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use storage::is_unfinished_path;
use storage::retry::{RetryBudget, retry};
use storage::{ListRequest, ListStart, Listing, ObjectState, Storage, StorageError};
use tokio::runtime::Handle;

/// Objects per page.
const PAGE_OBJECTS: u32 = 1_000;
/// Largest number of objects that wait for their sidecars.
const WAITING_MAX: usize = 10_000;

/// The listed prefix, and where the listing begins.
pub(super) struct Bucket {
    pub(super) storage: Arc<dyn Storage>,
    /// Prefix of the keys: empty, or ending in `/`.
    pub(super) prefix: String,
    /// The key after which an interrupted listing continues.
    pub(super) after: Option<String>,
    /// The runtime that the storage works on.
    pub(super) runtime: Handle,
}

/// Reads a listing to its end or until it is stopped. Blocks.
pub(super) fn scan(bucket: Bucket, meaning: Names, pager: Pager) -> Result<(), Stop> {
    let after = bucket.after.clone();
    let mut listing = BucketListing {
        bucket,
        meaning,
        pager,
        waiting: VecDeque::new(),
        count: 0,
    };
    let (mut token, mut first) = (None::<String>, true);
    while first || token.is_some() {
        let (storage, prefix) = (
            Arc::clone(&listing.bucket.storage),
            listing.bucket.prefix.clone(),
        );
        let page = listing.wait(async {
            let start = match (&token, after.as_deref().filter(|_| first)) {
                (None, Some(after)) => ListStart::After(after),
                (token, _) => ListStart::page(token.as_deref()),
            };
            let request = ListRequest {
                prefix: &prefix,
                start,
                objects_max: PAGE_OBJECTS,
            };
            retry(RetryBudget::default(), || storage.list(request)).await
        })?;
        let Listing { objects, next } = page;
        (token, first) = (next, false);
        for object in objects {
            listing.object(object)?;
        }
    }
    listing.finish()
}

/// An object that waits for its sidecars.
struct Waiting {
    relative: String,
    state: ObjectState,
    declared: Option<Declared>,
}

struct BucketListing {
    bucket: Bucket,
    meaning: Names,
    pager: Pager,
    waiting: VecDeque<Waiting>,
    count: u64,
}

impl BucketListing {
    fn object(&mut self, state: ObjectState) -> Result<(), Stop> {
        let Some(relative) = state
            .key
            .strip_prefix(&self.bucket.prefix)
            .map(str::to_owned)
        else {
            return Ok(());
        };
        let mut parts = relative.split('/').rev();
        let name = parts.next().unwrap_or_default();
        let own = parts.any(|directory| OWN_DIRECTORIES.contains(&directory));
        // An empty name without content marks a directory that was made by hand.
        let marker = name.is_empty() && state.bytes == 0;
        if own || marker || name == ".DS_Store" || is_unfinished_path(&relative) {
            return Ok(());
        }
        let selected = self
            .meaning
            .selects(relative.strip_suffix('/').unwrap_or(&relative));
        if relative.is_empty() && selected {
            let name = state.key.clone();
            return self.complain(
                &name,
                "it is called like the folder that is listed: give the object another key",
            );
        }
        while self
            .waiting
            .front()
            .is_some_and(|first| !state.key.starts_with(&first.state.key))
        {
            self.release()?;
        }
        if self.waiting.len() >= WAITING_MAX {
            self.release()?;
        }
        if let Some((owner, extension)) = sidecar::owner(&relative) {
            let (owner, extension) = (owner.to_owned(), extension);
            self.sidecar(&owner, extension, &state)?;
        }
        // A sidecar that is excluded has been read all the same.
        if selected {
            self.waiting.push_back(Waiting {
                relative,
                state,
                declared: None,
            });
        }
        Ok(())
    }

    /// Honours a sidecar, when its owner is in the listing. The first extension in their order counts.
    fn sidecar(
        &mut self,
        owner: &str,
        extension: &'static str,
        state: &ObjectState,
    ) -> Result<(), Stop> {
        let Some(at) = self
            .waiting
            .iter()
            .rposition(|waiting| waiting.relative == owner)
        else {
            return Ok(());
        };
        let rank = |sidecar: &str| {
            sidecar::EXTENSIONS
                .into_iter()
                .position(|extension| sidecar.to_ascii_lowercase().ends_with(extension))
        };
        let before = self.waiting[at]
            .declared
            .as_ref()
            .and_then(|declared| rank(&declared.sidecar));
        if before.is_some_and(|before| rank(extension).is_some_and(|rank| before < rank)) {
            return Ok(());
        }
        let name = owner.rsplit('/').next().unwrap_or(owner).to_owned();
        let (storage, key, bytes) = (
            Arc::clone(&self.bucket.storage),
            state.key.clone(),
            state.bytes,
        );
        let read = self.wait(async {
            let range = 0..bytes.min(sidecar::BYTES_MAX);
            let read = || async {
                storage
                    .read(&key, range.clone(), Some(&state.version))
                    .await?
                    .collect()
                    .await
            };
            // An unreadable sidecar is an unusable row, not the end of the listing.
            Ok(retry(RetryBudget::default(), read).await)
        })?;
        let declared = match read {
            Ok(pieces) => sidecar::declared(&pieces.concat(), extension, &name),
            Err(error) => Err(format!(
                "its sidecar cannot be read: {error}; its hash is not checked"
            )),
        };
        match declared {
            Ok(hash) => {
                self.waiting[at].declared = Some(Declared {
                    hash,
                    sidecar: state.key.rsplit('/').next().unwrap_or_default().to_owned(),
                });
                Ok(())
            }
            Err(message) => self.complain(owner, &message),
        }
    }

    /// Sends the object that has waited longest.
    fn release(&mut self) -> Result<(), Stop> {
        let Some(Waiting {
            relative,
            state,
            declared,
        }) = self.waiting.pop_front()
        else {
            return Ok(());
        };
        self.count += 1;
        // A slash at the end makes no part.
        let key = state.key.strip_suffix('/').unwrap_or(&state.key);
        let sound = key
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
        if !sound {
            self.complain(
                &relative,
                "a key with an empty part, . or .. has no path: give the object another key",
            )?;
        } else {
            let entry = Entry {
                relative: &relative,
                bytes: state.bytes,
                hash: declared,
                pattern: self.meaning.pattern.as_ref(),
            };
            let location = self.bucket.storage.location(&state.key);
            let path = relative.strip_suffix('/').unwrap_or(&relative).to_owned();
            let row = entry.describe(|| Located { location, path });
            self.pager.row(None, self.count, row)?;
        }
        self.pager.passed(state.key);
        Ok(())
    }

    fn finish(mut self) -> Result<(), Stop> {
        while !self.waiting.is_empty() {
            self.release()?;
        }
        self.pager.finish(None)
    }

    fn complain(&mut self, relative: &str, message: &str) -> Result<(), Stop> {
        let message = format!("{relative:?}: {message}");
        let error = RowError {
            line: 0,
            column: None,
            asset: Some(relative.to_owned()),
            message,
            title: None,
        };
        self.pager.row(None, 0, Err(error))
    }

    /// Waits for the storage, or until the scan is cancelled.
    fn wait<T>(&self, work: impl Future<Output = Result<T, StorageError>>) -> Result<T, Stop> {
        match self
            .bucket
            .runtime
            .block_on(self.pager.stop().run_until_cancelled(work))
        {
            None => Err(Stop::Revoked),
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => Err(Stop::Failed(error.failure())),
        }
    }
}
