//! A storage within a layer. Every capability of the inner storage is passed on, but for
//! [`UploadsInPlace::part_writer`]: a layer sees whole requests, and a part writer has none. Parts are sent by
//! [`MultipartUploads::put_part`] instead.
use crate::layer::{Call, Layer, Operation};
use crate::port::{
    Archive, BeginRequest, Capabilities, CompleteRequest, CopyRequest, CopySource, ListRequest,
    Listing, Multipart, MultipartUploads, ObjectState, Part, PartCopy, PartCopyRequest, PartWriter,
    Precondition, PutRequest, Rename, ServerCopies, ServerCopy, Slot, StateWithContent, Storage,
    StorageClasses, Upload, UploadsInPlace, Version, Versions,
};
use crate::{Body, ByteStream, StorageError};
use async_trait::async_trait;
use futures_util::stream;
use protocol::model::restore_tier::RestoreTier;
use std::ops::Range;
use std::sync::Arc;

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
        Call {
            operation,
            location: self.inner.location(key),
            bytes,
        }
    }

    fn end<T>(
        &self,
        mark: L::Mark,
        call: &Call,
        outcome: Result<T, StorageError>,
    ) -> Result<T, StorageError> {
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

    fn capabilities(&self) -> Capabilities<'_> {
        let inner = self.inner.capabilities();
        Capabilities {
            write: inner.write,
            list: inner.list,
            files: inner.files,
            ranges: inner.ranges,
            create_only: inner.create_only,
            replace_same: inner.replace_same,
            put_bytes_max: inner.put_bytes_max,
            checksum: inner.checksum,
            whole_checksum: inner.whole_checksum,
            multipart: inner.multipart.map(|multipart| Multipart {
                limits: multipart.limits,
                uploads: self,
                in_place: multipart.in_place.map(|_| self as &dyn UploadsInPlace),
            }),
            server_copy: inner.server_copy.map(|copies| ServerCopies {
                bytes_max: copies.bytes_max,
                objects: self,
                parts: copies.parts.map(|_| self as &dyn PartCopy),
            }),
            classes: inner.classes.map(|_| self as &dyn StorageClasses),
            archive: inner.archive.map(|_| self as &dyn Archive),
            versions: inner.versions.map(|_| self as &dyn Versions),
            rename: inner.rename.map(|_| self as &dyn Rename),
        }
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        around!(self, Stat, key, self.inner.stat(key))
    }

    async fn stat_with_content(
        &self,
        key: &str,
        bytes_max: u64,
    ) -> Result<StateWithContent, StorageError> {
        let call = self.call(Operation::Read, key, 0);
        let mark = self.layer.before(&call).await?;
        let read = match self.inner.stat_with_content(key, bytes_max).await {
            Ok((state, Some(pieces))) => {
                let stream = stream::iter(pieces.into_iter().map(Ok));
                let content = ByteStream::new(self.inner.location(key), state.bytes, stream);
                self.layer
                    .content(&mark, content)
                    .collect()
                    .await
                    .map(|pieces| (state, Some(pieces)))
            }
            other => other,
        };
        self.end(mark, &call, read)
    }

    async fn read(
        &self,
        key: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<ByteStream, StorageError> {
        let call = self.call(Operation::Read, key, 0);
        let mark = self.layer.before(&call).await?;
        let outcome = self.inner.read(key, range, version).await;
        let outcome = outcome.map(|content| self.layer.content(&mark, content));
        self.end(mark, &call, outcome)
    }

    async fn list(&self, request: ListRequest<'_>) -> Result<Listing, StorageError> {
        around!(self, List, request.prefix, self.inner.list(request))
    }

    async fn put(&self, request: PutRequest<'_>) -> Result<ObjectState, StorageError> {
        let call = self.call(Operation::Put, request.key, request.body.bytes());
        let mark = self.layer.before(&call).await?;
        let body = self.layer.body(&mark, request.body);
        let outcome = self
            .inner
            .put(PutRequest {
                body: &body,
                ..request
            })
            .await;
        self.end(mark, &call, outcome)
    }

    async fn delete(&self, key: &str, version: Option<&Version>) -> Result<(), StorageError> {
        around!(self, Delete, key, self.inner.delete(key, version))
    }
}

#[async_trait]
impl<L: Layer> MultipartUploads for Layered<L> {
    async fn begin(&self, request: BeginRequest<'_>) -> Result<Upload, StorageError> {
        around!(
            self,
            Begin,
            request.key,
            self.inner.multipart(request.key)?.begin(request)
        )
    }

    async fn put_part(
        &self,
        upload: &Upload,
        slot: Slot,
        body: &Body,
    ) -> Result<Part, StorageError> {
        let call = self.call(Operation::PutPart, &upload.key, body.bytes());
        let mark = self.layer.before(&call).await?;
        let body = self.layer.body(&mark, body);
        let outcome = self
            .inner
            .multipart(&upload.key)?
            .put_part(upload, slot, &body)
            .await;
        self.end(mark, &call, outcome)
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        around!(
            self,
            Parts,
            &upload.key,
            self.inner.multipart(&upload.key)?.parts(upload)
        )
    }

    async fn complete(&self, request: CompleteRequest<'_>) -> Result<ObjectState, StorageError> {
        let key = &request.upload.key;
        around!(
            self,
            Complete,
            key,
            self.inner.multipart(key)?.complete(request)
        )
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        around!(
            self,
            Abort,
            &upload.key,
            self.inner.multipart(&upload.key)?.abort(upload)
        )
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        around!(
            self,
            Uploads,
            prefix,
            self.inner.multipart(prefix)?.uploads(prefix)
        )
    }
}

#[async_trait]
impl<L: Layer> UploadsInPlace for Layered<L> {
    fn upload_of(&self, key: &str, source: &str) -> Option<Upload> {
        self.inner
            .uploads_in_place(key)
            .ok()?
            .upload_of(key, source)
    }

    async fn read_part(
        &self,
        upload: &Upload,
        slot: Slot,
        bytes: u64,
    ) -> Result<ByteStream, StorageError> {
        let call = self.call(Operation::Read, &upload.key, 0);
        let mark = self.layer.before(&call).await?;
        let outcome = self
            .inner
            .uploads_in_place(&upload.key)?
            .read_part(upload, slot, bytes)
            .await;
        let outcome = outcome.map(|content| self.layer.content(&mark, content));
        self.end(mark, &call, outcome)
    }

    async fn part_writer(
        &self,
        _upload: &Upload,
    ) -> Result<Option<Arc<dyn PartWriter>>, StorageError> {
        Ok(None)
    }
}

#[async_trait]
impl<L: Layer> ServerCopy for Layered<L> {
    fn source(&self, state: &ObjectState) -> Option<CopySource> {
        self.inner.server_copy(&state.key).ok()?.source(state)
    }

    async fn copy(&self, request: CopyRequest<'_>) -> Result<ObjectState, StorageError> {
        around!(
            self,
            Copy,
            request.key,
            self.inner.server_copy(request.key)?.copy(request)
        )
    }
}

#[async_trait]
impl<L: Layer> PartCopy for Layered<L> {
    async fn copy_part(&self, request: PartCopyRequest<'_>) -> Result<Part, StorageError> {
        let key = &request.upload.key;
        around!(
            self,
            CopyPart,
            key,
            self.inner.part_copy(key)?.copy_part(request)
        )
    }
}

#[async_trait]
impl<L: Layer> StorageClasses for Layered<L> {
    async fn set_class(
        &self,
        key: &str,
        version: &Version,
        class: &str,
    ) -> Result<ObjectState, StorageError> {
        around!(
            self,
            SetClass,
            key,
            self.inner.classes(key)?.set_class(key, version, class)
        )
    }
}

#[async_trait]
impl<L: Layer> Archive for Layered<L> {
    async fn restore(&self, key: &str, days: u32, tier: RestoreTier) -> Result<(), StorageError> {
        around!(
            self,
            Restore,
            key,
            self.inner.archive(key)?.restore(key, days, tier)
        )
    }
}

#[async_trait]
impl<L: Layer> Versions for Layered<L> {
    async fn keep(&self, state: &ObjectState) -> Result<Precondition, StorageError> {
        around!(
            self,
            KeepVersion,
            &state.key,
            self.inner.versions(&state.key)?.keep(state)
        )
    }
}

#[async_trait]
impl<L: Layer> Rename for Layered<L> {
    async fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        around!(self, Rename, to, self.inner.renames(from)?.rename(from, to))
    }
}
