//! Content in one write: proven, made durable and visible.
use super::blocking::{blocking, errno};
use super::content::{check_back, write_pieces};
use super::error_map::io_error;
use super::{FileStorage, state, version};
use crate::{
    Body, Directory, Durability, ObjectState, Partial, Precondition, PutRequest, StorageError,
};
use rustix::fs::fstat;
use rustix::io::Errno;
use std::sync::Arc;

impl FileStorage {
    /// Content under no name, proven but not on disk yet.
    fn write_now(
        &self,
        key: &str,
        body: &Body,
    ) -> Result<(Partial, Arc<Directory>, String), StorageError> {
        let (directory, name) = self.find(key, true)?;
        let location = self.at(key);
        let failed = |doing: &str, errno| io_error(&location, doing, errno);
        let partial =
            Partial::unnamed(&directory, &name).map_err(|errno| failed("create", errno))?;
        write_pieces(partial.file(), 0, body).map_err(|errno| failed("write", errno))?;
        check_back(&location, partial.file(), 0, body.bytes(), body.checksum())?;
        Ok((partial, directory, name))
    }

    /// Writes content whose syncs are grouped with those of other content.
    pub(super) async fn put_grouped(
        &self,
        request: PutRequest<'_>,
    ) -> Result<ObjectState, StorageError> {
        let PutRequest {
            key,
            body,
            precondition,
            ..
        } = request;
        let location = self.at(key);
        let (storage, own, content) = (self.clone(), key.to_owned(), body.clone());
        let written = blocking(location.clone(), move || storage.write_now(&own, &content)).await;
        let (partial, directory, name) = written?;
        let durable = self.durability == Durability::PowerLoss;
        if durable {
            let file = partial
                .file()
                .try_clone()
                .map_err(|error| io_error(&location, "sync", errno(&error)))?;
            let put = self.files.sync((file, directory.device())).await;
            put.map_err(|errno| io_error(&location, "sync", errno))?;
        }
        let (at, own, precondition, parent) = (
            location.clone(),
            key.to_owned(),
            precondition.clone(),
            Arc::clone(&directory),
        );
        let published = blocking(location.clone(), move || {
            let stat = fstat(partial.file()).map_err(|errno| io_error(&at, "look at", errno))?;
            publish(&at, partial, &name, &precondition)?;
            Ok(state(&own, &stat))
        });
        let state = published.await?;
        if durable {
            let put = self.directories.sync(parent).await;
            put.map_err(|errno| io_error(&location, "sync the directory of", errno))?;
        }
        Ok(state)
    }
}

/// Makes content visible. Its name is not yet durable.
pub(super) fn publish(
    location: &str,
    partial: Partial,
    name: &str,
    precondition: &Precondition,
) -> Result<(), StorageError> {
    let published = match precondition {
        Precondition::IfAbsent => partial.publish(name),
        Precondition::Unconditional => partial.publish_over(name),
        Precondition::IfMatch(same) => {
            match partial.publish_in_place(name, |there| version(there) == *same) {
                Ok(false) => return Err(StorageError::precondition(location, "it has changed")),
                done => done.map(drop),
            }
        }
    };
    match published {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(StorageError::precondition(
            location,
            "something is there already",
        )),
        Err(errno) => Err(io_error(location, "publish", errno)),
    }
}
