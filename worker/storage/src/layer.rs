//! Decorators: something that stands before every call of a storage and behind it. What cannot be held up so is not passed
//! on: a directory within a layer takes parts in one piece (no [`Storage::landing`]).
use super::{
    Attributes, Body, Capabilities, Checksum, Condition, CopySource, Listing, ObjectState, Part, Reading, Slot,
    Storage, StorageError, Upload, Version,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use protocol::wire::unit::RestoreTier;
use std::ops::Range;
use std::sync::Arc;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Storage::stat`]
    Stat,
    /// [`Storage::read`]
    Read,
    /// [`Storage::list`]
    List,
    /// [`Storage::put`]
    Put,
    /// [`Storage::begin`]
    Begin,
    /// [`Storage::put_part`]
    PutPart,
    /// [`Storage::copy_part`]
    CopyPart,
    /// [`Storage::parts`]
    Parts,
    /// [`Storage::complete`]
    Complete,
    /// [`Storage::abort`]
    Abort,
    /// [`Storage::uploads`]
    Uploads,
    /// [`Storage::copy`]
    Copy,
    /// [`Storage::rename`]
    Rename,
    /// [`Storage::delete`]
    Delete,
    /// [`Storage::keep_version`]
    KeepVersion,
    /// [`Storage::set_class`]
    SetClass,
    /// [`Storage::restore`]
    Restore,
}

impl Operation {
    /// Whether it makes something visible or takes it away.
    pub fn commits(self) -> bool {
        use Operation::{Complete, Copy, Delete, Put, Rename, SetClass};
        matches!(self, Put | Complete | Copy | Rename | Delete | SetClass)
    }
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is called.
    pub operation: Operation,
    /// What it is called for.
    pub location: String,
    /// Bytes that go out with it.
    pub bytes: u64,
}

/// What stands around calls.
#[async_trait]
pub trait Layer: Send + Sync {
    /// What this layer remembers of a call.
    type Mark: Send + Sync;

    /// Before a call: waits, or answers instead.
    async fn before(&self, call: &Call) -> Result<Self::Mark, StorageError>;

    /// What goes out instead of `body`.
    fn body(&self, _mark: &Self::Mark, body: &Body) -> Body {
        body.clone()
    }

    /// What comes in instead of `reading`.
    fn reading(&self, _mark: &Self::Mark, reading: Reading) -> Reading {
        reading
    }

    /// After a call; an error takes the place of its outcome.
    fn after(&self, mark: Self::Mark, call: &Call, error: Option<&StorageError>) -> Option<StorageError>;
}

/// A storage within a layer.
pub struct Layered<L> {
    inner: Arc<dyn Storage>,
    layer: L,
}

impl<L: Layer> Layered<L> {
    /// Puts `layer` around `inner`.
    pub fn new(inner: Arc<dyn Storage>, layer: L) -> Layered<L> {
        Layered { inner, layer }
    }

    fn call(&self, operation: Operation, key: &str, bytes: u64) -> Call {
        Call { operation, location: self.inner.location(key), bytes }
    }

    fn end<T>(&self, mark: L::Mark, call: &Call, outcome: Result<T, StorageError>) -> Result<T, StorageError> {
        match self.layer.after(mark, call, outcome.as_ref().err()) {
            Some(error) => Err(error),
            None => outcome,
        }
    }
}

/// Calls the inner storage between the two halves of the layer.
macro_rules! around {
    ($self:ident, $operation:ident, $key:expr, $call:expr) => {{
        let call = $self.call(Operation::$operation, $key, 0);
        let mark = $self.layer.before(&call).await?;
        let outcome = $call.await;
        $self.end(mark, &call, outcome)
    }};
}

#[async_trait]
impl<L: Layer> Storage for Layered<L> {
    fn location(&self, key: &str) -> String {
        self.inner.location(key)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        around!(self, Stat, key, self.inner.stat(key))
    }

    async fn look(&self, key: &str, most: u64) -> Result<(ObjectState, Option<Vec<Bytes>>), StorageError> {
        let call = self.call(Operation::Read, key, 0);
        let mark = self.layer.before(&call).await?;
        let looked = match self.inner.look(key, most).await {
            Ok((state, Some(pieces))) => {
                let stream = stream::iter(pieces.into_iter().map(Ok));
                let reading = Reading::new(self.inner.location(key), state.bytes, stream);
                self.layer.reading(&mark, reading).collect().await.map(|pieces| (state, Some(pieces)))
            }
            other => other,
        };
        self.end(mark, &call, looked)
    }

    async fn read(&self, key: &str, range: Range<u64>, same: Option<&Version>) -> Result<Reading, StorageError> {
        let call = self.call(Operation::Read, key, 0);
        let mark = self.layer.before(&call).await?;
        let outcome = self.inner.read(key, range, same).await;
        let outcome = outcome.map(|reading| self.layer.reading(&mark, reading));
        self.end(mark, &call, outcome)
    }

    async fn list(&self, prefix: &str, page: Option<&str>, most: u32) -> Result<Listing, StorageError> {
        around!(self, List, prefix, self.inner.list(prefix, page, most))
    }

    async fn list_after(&self, prefix: &str, after: &str, most: u32) -> Result<Listing, StorageError> {
        around!(self, List, prefix, self.inner.list_after(prefix, after, most))
    }

    async fn put(
        &self,
        key: &str,
        body: &Body,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        let call = self.call(Operation::Put, key, body.bytes());
        let mark = self.layer.before(&call).await?;
        let body = self.layer.body(&mark, body);
        let outcome = self.inner.put(key, &body, attributes, condition).await;
        self.end(mark, &call, outcome)
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<Upload, StorageError> {
        around!(self, Begin, key, self.inner.begin(key, attributes))
    }

    fn upload_of(&self, key: &str, source: &str) -> Option<Upload> {
        self.inner.upload_of(key, source)
    }

    async fn read_part(&self, upload: &Upload, slot: Slot, bytes: u64) -> Result<Reading, StorageError> {
        let call = self.call(Operation::Read, &upload.key, 0);
        let mark = self.layer.before(&call).await?;
        let outcome = self.inner.read_part(upload, slot, bytes).await;
        let outcome = outcome.map(|reading| self.layer.reading(&mark, reading));
        self.end(mark, &call, outcome)
    }

    async fn put_part(&self, upload: &Upload, slot: Slot, body: &Body) -> Result<Part, StorageError> {
        let call = self.call(Operation::PutPart, &upload.key, body.bytes());
        let mark = self.layer.before(&call).await?;
        let body = self.layer.body(&mark, body);
        let outcome = self.inner.put_part(upload, slot, &body).await;
        self.end(mark, &call, outcome)
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        slot: Slot,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StorageError> {
        around!(self, CopyPart, &upload.key, self.inner.copy_part(upload, slot, from, range))
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        around!(self, Parts, &upload.key, self.inner.parts(upload))
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[Part],
        whole: Option<Checksum>,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        around!(self, Complete, &upload.key, self.inner.complete(upload, parts, whole, condition))
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        around!(self, Abort, &upload.key, self.inner.abort(upload))
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        around!(self, Uploads, prefix, self.inner.uploads(prefix))
    }

    fn copy_source(&self, state: &ObjectState) -> Option<CopySource> {
        self.inner.copy_source(state)
    }

    async fn copy(
        &self,
        from: &CopySource,
        key: &str,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        around!(self, Copy, key, self.inner.copy(from, key, attributes, condition))
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        around!(self, Rename, to, self.inner.rename(from, to))
    }

    async fn delete(&self, key: &str, same: Option<&Version>) -> Result<(), StorageError> {
        around!(self, Delete, key, self.inner.delete(key, same))
    }

    async fn keep_version(&self, state: &ObjectState) -> Result<Condition, StorageError> {
        around!(self, KeepVersion, &state.key, self.inner.keep_version(state))
    }

    async fn set_class(&self, key: &str, same: &Version, class: &str) -> Result<ObjectState, StorageError> {
        around!(self, SetClass, key, self.inner.set_class(key, same, class))
    }

    async fn restore(&self, key: &str, days: u32, tier: RestoreTier) -> Result<(), StorageError> {
        around!(self, Restore, key, self.inner.restore(key, days, tier))
    }
}
