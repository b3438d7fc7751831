//! Parts that are written to their offset while their bytes arrive. Collected in memory first, each byte would be
//! copied once more, and a part would occupy its whole size.
use super::blocking::blocking;
use super::content::{read_through, write_all};
use super::error_map::io_error;
use super::ledger::{KIND, PARTS_MAX, Record};
use crate::{
    ByteStream, Checksum, Durability, Part, PartWriteError, PartWriter, RunningChecksum, Slot,
    StorageError,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// Bytes that are collected for one write. The pieces of a connection lie in buffers several times as large.
const WRITE_BYTES: usize = 256 * 1024;
/// Bytes between two pushes to the disk, so that the disk works from the start and not only at the end.
const PUSH_BYTES: u64 = 64 * 1024 * 1024;

/// Memory of one part while it is received, in bytes. Measured; most of it are the connection's buffers, of which the
/// collected and the written pieces hold one each.
const PART_MEMORY_BYTES: u64 = 4 * 1024 * 1024;

/// An open upload to a directory.
pub(super) struct LocalPartWriter {
    location: String,
    content: Arc<File>,
    ledger: Arc<File>,
    durability: Durability,
    unpushed: AtomicU64,
    pushing: Mutex<Option<JoinHandle<Result<(), Errno>>>>,
}

/// State between two writes of a part.
struct Written {
    sum: RunningChecksum,
    at: u64,
}

impl LocalPartWriter {
    pub(super) fn new(
        location: String,
        content: File,
        ledger: File,
        durability: Durability,
    ) -> LocalPartWriter {
        LocalPartWriter {
            location,
            content: Arc::new(content),
            ledger: Arc::new(ledger),
            durability,
            unpushed: AtomicU64::new(0),
            pushing: Mutex::new(None),
        }
    }

    async fn write(
        &self,
        mut written: Written,
        pieces: Vec<Bytes>,
    ) -> Result<Written, StorageError> {
        let (content, location) = (Arc::clone(&self.content), self.location.clone());
        blocking(self.location.clone(), move || {
            pieces.iter().for_each(|piece| written.sum.update(piece));
            written.at = write_all(&content, written.at, &pieces)
                .map_err(|errno| io_error(&location, "write", errno))?;
            Ok(written)
        })
        .await
    }

    /// Counts written bytes, and starts a push when enough have gathered and none is under way.
    async fn push(&self, bytes: u64) -> Result<(), StorageError> {
        let due = self.unpushed.fetch_add(bytes, Ordering::Relaxed) + bytes >= PUSH_BYTES;
        if !due || self.durability != Durability::PowerLoss {
            return Ok(());
        }
        let last = {
            let mut pushing = self.pushing.lock();
            if pushing
                .as_ref()
                .is_some_and(|pushing| !pushing.is_finished())
            {
                return Ok(());
            }
            self.unpushed.store(0, Ordering::Relaxed);
            let content = Arc::clone(&self.content);
            pushing.replace(tokio::task::spawn_blocking(move || {
                rustix::fs::fdatasync(&content)
            }))
        };
        match last {
            Some(last) => self.pushed(last).await,
            None => Ok(()),
        }
    }

    /// The outcome of a push. The kernel reports a write-back error once; this push has already consumed it.
    async fn pushed(&self, pushing: JoinHandle<Result<(), Errno>>) -> Result<(), StorageError> {
        match pushing.await {
            Ok(pushed) => pushed.map_err(|errno| io_error(&self.location, "sync", errno)),
            Err(error) => Err(StorageError::unavailable(
                &self.location,
                format!("the worker is stopping: {error}"),
            )),
        }
    }
}

#[async_trait]
impl PartWriter for LocalPartWriter {
    fn memory_bytes(&self) -> u64 {
        PART_MEMORY_BYTES
    }

    async fn receive(
        &self,
        slot: Slot,
        mut content: ByteStream,
        moved: &AtomicU64,
    ) -> Result<Part, PartWriteError> {
        if slot.number == 0 || slot.number > PARTS_MAX {
            let said = format!("part {} of at most {PARTS_MAX}", slot.number);
            return Err(PartWriteError::Target(StorageError::invalid(
                &self.location,
                said,
            )));
        }
        let bytes = content.left();
        let mut written = Written {
            sum: RunningChecksum::new(KIND),
            at: slot.offset,
        };
        let mut gathered = gather(&mut content, moved)
            .await
            .map_err(PartWriteError::Source)?;
        while !gathered.is_empty() {
            let writing = self.write(written, gathered);
            let (wrote, next) = tokio::join!(writing, gather(&mut content, moved));
            written = wrote.map_err(PartWriteError::Target)?;
            gathered = next.map_err(PartWriteError::Source)?;
        }
        let Checksum::Crc64nvme(sum) = written.sum.finish() else {
            return Err(PartWriteError::Target(StorageError::invalid(
                &self.location,
                "its ledger knows one checksum only",
            )));
        };
        let record = Record::new(slot, bytes, sum);
        let (ledger, location) = (Arc::clone(&self.ledger), self.location.clone());
        let noted = blocking(self.location.clone(), move || {
            record
                .write(&ledger)
                .map_err(|errno| io_error(&location, "note a part of", errno))
        });
        noted.await.map_err(PartWriteError::Target)?;
        self.push(bytes).await.map_err(PartWriteError::Target)?;
        Ok(record.part())
    }

    fn read_back(
        &self,
        slot: Slot,
        part: &Part,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StorageError> {
        let mut back = RunningChecksum::new(KIND);
        let read = read_through(&self.content, slot.offset, part.bytes, |bytes| {
            back.update(bytes);
            sink(bytes);
        });
        read.map_err(|errno| io_error(&self.location, "read back", errno))?;
        let back = back.finish();
        match part.checksum {
            Some(came) if came == back => Ok(()),
            came => {
                let came = came.map_or_else(String::new, |sum| sum.to_string());
                Err(StorageError::corrupt(
                    &self.location,
                    format!("written {came}, gives back {back}"),
                ))
            }
        }
    }

    async fn settle(&self) -> Result<(), StorageError> {
        let pushing = self.pushing.lock().take();
        match pushing {
            Some(pushing) => self.pushed(pushing).await,
            None => Ok(()),
        }
    }
}

/// The next pieces, enough for a write; none at the end.
async fn gather(reading: &mut ByteStream, moved: &AtomicU64) -> Result<Vec<Bytes>, StorageError> {
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while bytes < WRITE_BYTES
        && let Some(piece) = reading.next().await
    {
        let piece = piece?;
        moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        bytes += piece.len();
        pieces.push(piece);
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::super::FileStorage;
    use super::*;
    use crate::{
        Attributes, BeginRequest, CompleteRequest, MultipartUploads, Precondition, Upload,
        UploadsInPlace,
    };
    use futures_util::stream;
    use std::os::unix::fs::FileExt;

    const MIB: usize = 1 << 20;

    fn content(bytes: usize) -> Bytes {
        (0..bytes as u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect::<Vec<u8>>()
            .into()
    }

    fn reading(content: &Bytes, piece: usize) -> ByteStream {
        let pieces: Vec<_> = content
            .chunks(piece)
            .map(|piece| Ok(content.slice_ref(piece)))
            .collect();
        ByteStream::new(
            "s3://b/k".into(),
            content.len() as u64,
            stream::iter(pieces),
        )
    }

    async fn opened(root: &std::path::Path) -> (FileStorage, Upload, Arc<dyn PartWriter>) {
        let storage = FileStorage::new(root);
        let upload = storage
            .begin(BeginRequest {
                key: "a/b",
                attributes: &Attributes::default(),
                source: None,
            })
            .await
            .expect("begun");
        let writer = storage
            .part_writer(&upload)
            .await
            .expect("opened")
            .expect("a directory has a writer");
        (storage, upload, writer)
    }

    async fn written(
        cuts: &[(u32, std::ops::Range<usize>)],
        content: &Bytes,
        root: &std::path::Path,
    ) {
        let (storage, upload, writer) = opened(root).await;
        let (moved, mut parts) = (AtomicU64::new(0), Vec::new());
        for (number, range) in cuts {
            let slot = Slot {
                number: *number,
                offset: range.start as u64,
            };
            let part = writer
                .receive(slot, reading(&content.slice(range.clone()), 70_001), &moved)
                .await;
            let part = part.expect("received");
            let mut back = Vec::new();
            writer
                .read_back(slot, &part, &mut |bytes| back.extend_from_slice(bytes))
                .expect("sound");
            assert!(back == content[range.clone()]);
            parts.push(part);
        }
        writer.settle().await.expect("on disk");
        assert_eq!(moved.into_inner(), content.len() as u64);
        parts.sort_by_key(|part| part.number);
        let whole = Part::whole(&parts);
        assert_eq!(whole, Some(KIND.of(std::slice::from_ref(content))));
        let known = storage.parts(&upload).await.expect("listed");
        assert_eq!(known, parts);
        let precondition = &Precondition::IfAbsent;
        storage
            .complete(CompleteRequest {
                upload: &upload,
                parts: &parts,
                whole,
                precondition,
            })
            .await
            .expect("completed");
    }

    #[tokio::test]
    async fn parts_received_in_any_order_make_the_whole() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let content = content(5 * MIB + 17);
        let cuts = [
            (3, 4 * MIB..5 * MIB + 17),
            (1, 0..2 * MIB),
            (2, 2 * MIB..4 * MIB),
        ];
        written(&cuts, &content, dir.path()).await;
        assert!(std::fs::read(dir.path().join("a/b")).expect("there") == content);
    }

    #[tokio::test]
    async fn altered_part_fails_read_back_and_is_not_listed() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (storage, upload, writer) = opened(dir.path()).await;
        let slot = Slot {
            number: 1,
            offset: 0,
        };
        let part = writer
            .receive(slot, reading(&content(MIB), 9_000), &AtomicU64::new(0))
            .await
            .expect("received");
        storage
            .content_now(&upload)
            .expect("open")
            .write_all_at(b"?", 77_777)
            .expect("scribbled");
        let back = writer.read_back(slot, &part, &mut |_| ());
        assert!(
            matches!(back, Err(StorageError::Corrupt { .. })),
            "{back:?}"
        );
        assert_eq!(storage.parts(&upload).await.expect("listed"), []);
    }

    #[tokio::test]
    async fn interrupted_part_is_not_listed() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (storage, upload, writer) = opened(dir.path()).await;
        let half = stream::iter([Ok(content(MIB))]);
        let reading = ByteStream::new("s3://b/k".into(), 2 * MIB as u64, half);
        let received = writer
            .receive(
                Slot {
                    number: 1,
                    offset: 0,
                },
                reading,
                &AtomicU64::new(0),
            )
            .await;
        assert!(
            matches!(received, Err(PartWriteError::Source(_))),
            "{received:?}"
        );
        assert_eq!(storage.parts(&upload).await.expect("listed"), []);
    }

    /// `/dev/full` is a disk without space.
    #[tokio::test]
    async fn full_disk_is_reported_and_part_is_not_recorded() {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("the device");
        let ledger = tempfile::tempfile().expect("a temp file");
        let kept = ledger.try_clone().expect("cloned");
        let writer =
            LocalPartWriter::new("file:/full/a".into(), full, ledger, Durability::PowerLoss);
        let (slot, moved) = (
            Slot {
                number: 1,
                offset: 0,
            },
            AtomicU64::new(0),
        );
        let received = writer
            .receive(slot, reading(&content(MIB), 9_000), &moved)
            .await;
        let Err(PartWriteError::Target(StorageError::Full { location, .. })) = &received else {
            panic!("{received:?}")
        };
        assert_eq!(
            (location.as_str(), kept.metadata().expect("there").len()),
            ("file:/full/a", 0)
        );
    }
}
