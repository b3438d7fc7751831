//! What a tree of objects has of histories and journals, and the way there and back.
use super::super::journal;
use super::super::legacy::is_list;
use super::super::model::MhlError;
use super::super::{CHAIN_FILE, FOLDER};
use super::ObjectTree;
use super::walk::{Pages, is_walkable};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use storage::retry::{RetryBudget, read_all, retry};
use storage::{
    Attributes, BeginRequest, Body, CompleteRequest, ObjectState, Precondition, PutRequest, Slot,
    StorageError,
};
use tokio_util::sync::CancellationToken;

/// Bytes of a generation in memory at a time; larger ones go up in parts.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// What belongs to histories and to the journal of a job.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Files of each history by the directory it describes.
    pub(super) histories: BTreeMap<String, Vec<(String, ObjectState)>>,
    /// MHL 1.1 lists.
    pub(super) lists: Vec<(String, ObjectState)>,
    /// Objects of the job's journal.
    pub(super) journal: Vec<ObjectState>,
}

/// Looks through a tree for histories, and for the journal of `job`.
pub(super) async fn survey(
    tree: &ObjectTree,
    job: Option<&str>,
    cancel: &CancellationToken,
) -> Result<Survey, MhlError> {
    let (mut survey, mut pages) = (Survey::default(), Pages::new(tree, cancel));
    let own = job.map(journal::prefix);
    while let Some(page) = pages.next().await? {
        for (path, state) in page {
            if own
                .as_ref()
                .is_some_and(|own| path.starts_with(own.as_str()))
            {
                survey.journal.push(state);
                continue;
            }
            // A copy of it is made below a directory, which no key may leave.
            if !is_walkable(&path) {
                continue;
            }
            if is_list(&path) {
                survey.lists.push((path, state));
                continue;
            }
            let Some((folder, file)) = path.rsplit_once('/') else {
                continue;
            };
            let directory = folder
                .strip_suffix(FOLDER)
                .filter(|above| above.is_empty() || above.ends_with('/'));
            let wanted = file == CHAIN_FILE || file.ends_with(".mhl");
            if let Some(directory) = directory.filter(|_| wanted) {
                let files = survey
                    .histories
                    .entry(directory.trim_end_matches('/').to_owned())
                    .or_default();
                files.push((file.to_owned(), state));
            }
        }
    }
    Ok(survey)
}

/// Objects of the journal of `job`.
pub(super) async fn journal_of(
    tree: &ObjectTree,
    job: &str,
    cancel: &CancellationToken,
) -> Result<Vec<ObjectState>, MhlError> {
    files(&tree.below(&journal::prefix(job)), cancel).await
}

/// Objects directly below a tree.
pub(super) async fn files(
    tree: &ObjectTree,
    cancel: &CancellationToken,
) -> Result<Vec<ObjectState>, MhlError> {
    let (mut found, mut pages) = (Vec::new(), Pages::new(tree, cancel));
    while let Some(page) = pages.next().await? {
        found.extend(
            page.into_iter()
                .filter(|(path, _)| !path.contains('/'))
                .map(|(_, state)| state),
        );
    }
    Ok(found)
}

/// Copies the files of the history of `directory` to its place below `scratch`; returns the directory there.
pub(super) async fn mirror(
    tree: &ObjectTree,
    directory: &str,
    files: &[(String, ObjectState)],
    scratch: &Path,
    cancel: &CancellationToken,
) -> Result<PathBuf, MhlError> {
    let root = scratch.join(directory);
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(if files.is_empty() { &root } else { &folder })
        .map_err(MhlError::io(&folder))?;
    for (name, state) in files {
        download(tree, state, &folder.join(name), cancel).await?;
    }
    Ok(root)
}

/// Copies an object, in the state it was listed in, to a new file.
pub(super) async fn download(
    tree: &ObjectTree,
    state: &ObjectState,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<(), MhlError> {
    let mut reading = read_all(tree.storage.clone(), state, RetryBudget::default());
    let mut file = File::create(path).map_err(MhlError::io(path))?;
    while let Some(piece) = cancel
        .run_until_cancelled(reading.next())
        .await
        .ok_or(MhlError::Cancelled)?
    {
        file.write_all(&piece?).map_err(MhlError::io(path))?;
    }
    Ok(())
}

/// Makes an object of an open file, which has a path in messages.
pub(super) async fn upload(
    tree: &ObjectTree,
    relative: &str,
    (mut file, path): (File, PathBuf),
    precondition: &Precondition,
) -> Result<ObjectState, MhlError> {
    let (key, kind) = (tree.key(relative), tree.storage.capabilities().checksum);
    let mut read = || -> std::io::Result<Body> {
        let mut piece = Vec::new();
        Read::by_ref(&mut file)
            .take(PART_BYTES as u64)
            .read_to_end(&mut piece)?;
        Ok(Body::new(vec![Bytes::from(piece)], kind))
    };
    let first = read().map_err(MhlError::io(&path))?;
    if first.bytes() < PART_BYTES as u64 {
        return Ok(put(tree, relative, &first, precondition).await?);
    }
    let storage = &tree.storage;
    let uploads = storage.multipart(&key)?;
    let attributes = xml();
    let begin = || {
        uploads.begin(BeginRequest {
            key: &key,
            attributes: &attributes,
            source: None,
        })
    };
    let upload = retry(RetryBudget::default(), begin).await?;
    let sent = async {
        let (mut parts, mut body, mut offset) = (Vec::new(), first, 0);
        while body.bytes() > 0 {
            let number = u32::try_from(parts.len() + 1).unwrap_or(u32::MAX);
            let slot = Slot { number, offset };
            parts.push(
                retry(RetryBudget::default(), || {
                    uploads.put_part(&upload, slot, &body)
                })
                .await?,
            );
            offset += body.bytes();
            body = read().map_err(MhlError::io(&path))?;
        }
        let whole = ::storage::Part::whole(&parts);
        let complete = CompleteRequest {
            upload: &upload,
            parts: &parts,
            whole,
            precondition,
        };
        Ok::<_, MhlError>(uploads.complete(complete).await?)
    };
    let sent = sent.await;
    if sent.is_err()
        && let Err(error) = uploads.abort(&upload).await
    {
        tracing::warn!(%error, "an upload could not be aborted");
    }
    sent
}

/// Writes a small object of a history. An answer that was lost is looked for: what is there is ours when it is as long
/// and has our checksum.
pub(super) async fn put(
    tree: &ObjectTree,
    relative: &str,
    body: &Body,
    precondition: &Precondition,
) -> Result<ObjectState, StorageError> {
    let (key, storage) = (tree.key(relative), &tree.storage);
    let attributes = xml();
    let request = PutRequest {
        key: &key,
        body,
        attributes: &attributes,
        precondition,
    };
    match retry(RetryBudget::default(), || storage.put(request)).await {
        Err(error @ StorageError::Unknown { .. }) => {
            let found = retry(RetryBudget::default(), || storage.stat(&key)).await?;
            let ours = found.bytes == body.bytes() && found.checksum == Some(body.checksum());
            if ours { Ok(found) } else { Err(error) }
        }
        put => put,
    }
}

fn xml() -> Attributes {
    Attributes {
        content_type: Some("application/xml".to_owned()),
        ..Attributes::default()
    }
}
