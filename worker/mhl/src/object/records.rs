//! Journals in trees of objects: what a job landed, and the copies that seals refused.
use super::super::journal::{self, Copied, Record};
use super::super::model::MhlError;
use super::super::tree::join;
use super::ObjectTree;
use super::mirror::{journal_of, put};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use std::collections::HashMap;
use storage::retry::{RetryBudget, read_all, retry};
use storage::{Body, ObjectState, Precondition, StorageError};
use tokio_util::sync::CancellationToken;

/// Objects read at a time.
const AT_ONCE: usize = 8;

/// The copies in a tree whose sources may have a history: those of the job, and those that an earlier seal refused.
pub async fn copies(
    tree: &ObjectTree,
    job: &str,
    cancel: &CancellationToken,
) -> Result<Vec<Copied>, MhlError> {
    let journal = journal_of(tree, job, cancel).await?;
    let mut copies = Vec::new();
    each_record(tree, &journal, cancel, |record| {
        copies.extend(journal::copied(record))
    })
    .await?;
    copies.extend(
        refused(tree, cancel)
            .await?
            .map(|(refused, _)| refused)
            .unwrap_or_default(),
    );
    Ok(copies)
}

/// Copies that an earlier seal refused, and the object that lists them.
pub(super) async fn refused(
    tree: &ObjectTree,
    cancel: &CancellationToken,
) -> Result<Option<(Vec<Copied>, ObjectState)>, MhlError> {
    let key = tree.key(&join(journal::DIRECTORY, journal::REFUSED));
    let state = match retry(RetryBudget::default(), || tree.storage.stat(&key)).await {
        Ok(state) => state,
        Err(StorageError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let content = content(tree, state.clone(), cancel).await?;
    Ok(Some((journal::parse_refused(&content), state)))
}

/// Keeps the list of refused copies for the next seal of the tree.
pub(super) async fn keep_refused(
    tree: &ObjectTree,
    refused: &[Copied],
    before: Option<ObjectState>,
) -> Result<(), MhlError> {
    if refused.is_empty() {
        let Some(before) = before else { return Ok(()) };
        return Ok(retry(RetryBudget::default(), || {
            tree.storage.delete(&before.key, None)
        })
        .await?);
    }
    let body = Body::new(
        vec![Bytes::from(journal::refused_text(refused))],
        tree.storage.capabilities().checksum,
    );
    let path = join(journal::DIRECTORY, journal::REFUSED);
    Ok(put(tree, &path, &body, &Precondition::Unconditional)
        .await
        .map(drop)?)
}

async fn content(
    tree: &ObjectTree,
    state: ObjectState,
    cancel: &CancellationToken,
) -> Result<Vec<u8>, MhlError> {
    let read = read_all(tree.storage.clone(), &state, RetryBudget::default()).collect();
    let pieces = cancel
        .run_until_cancelled(read)
        .await
        .ok_or(MhlError::Cancelled)?;
    Ok(pieces?.concat())
}

/// What the job's journal says, by path.
pub(super) async fn records(
    tree: &ObjectTree,
    journal: &[ObjectState],
    cancel: &CancellationToken,
) -> Result<HashMap<String, Record>, MhlError> {
    let mut records = HashMap::new();
    each_record(tree, journal, cancel, |mut record| {
        record.hashes.shrink_to_fit();
        record.source = None;
        records.insert(std::mem::take(&mut record.path), record);
    })
    .await?;
    Ok(records)
}

async fn each_record(
    tree: &ObjectTree,
    journal: &[ObjectState],
    cancel: &CancellationToken,
    mut each: impl FnMut(Record),
) -> Result<(), MhlError> {
    for some in journal.chunks(AT_ONCE) {
        let read = |state: ObjectState| content(tree, state, cancel).boxed();
        for content in some_at_once(some.iter().cloned().map(read).collect()).await? {
            journal::parse(&content, &mut each);
        }
    }
    Ok(())
}

/// Does several things at a time; their results in order.
pub(super) async fn some_at_once<T: Send>(
    work: Vec<BoxFuture<'_, Result<T, MhlError>>>,
) -> Result<Vec<T>, MhlError> {
    let (mut work, mut done) = (stream::iter(work).buffered(AT_ONCE), Vec::new());
    while let Some(one) = work.next().await {
        done.push(one?);
    }
    Ok(done)
}
