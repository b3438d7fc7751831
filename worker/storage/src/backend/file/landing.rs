//! Parts that are written at their places while they come. Gathered in memory first, each byte would be copied once more
//! and a part would fill as much memory as it has bytes.
use super::content::{read_through, write_all};
use super::ledger::{KIND, PARTS_MAX, Record};
use super::{blocking, fault};
use crate::{Checksum, Durability, Part, Reading, Running, Slot, StorageError};
use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// Bytes that are gathered for one write. What a connection hands over lies in buffers several times as large.
const WRITE_BYTES: usize = 256 * 1024;
/// Bytes written between two pushes to the disk, so that it works from the beginning and not from the end.
const PUSH_BYTES: u64 = 64 * 1024 * 1024;

/// What a part takes of the memory while it is received, in bytes: measured, and mostly the connection's buffers, of which
/// those that are gathered and those that are written hold a piece each.
pub const LANDING_BYTES: u64 = 4 * 1024 * 1024;

/// Why a part was not received.
#[derive(Debug)]
pub enum Unlanded {
    /// It could not be read.
    Source(StorageError),
    /// It could not be written.
    Target(StorageError),
}

/// An upload to a directory, open for parts that come.
pub struct Landing {
    location: String,
    content: Arc<File>,
    ledger: Arc<File>,
    durability: Durability,
    unpushed: AtomicU64,
    pushing: Mutex<Option<JoinHandle<Result<(), Errno>>>>,
}

/// What goes from one write of a part to the next.
struct Written {
    sum: Running,
    at: u64,
}

impl Landing {
    pub(super) fn new(location: String, content: File, ledger: File, durability: Durability) -> Landing {
        Landing {
            location,
            content: Arc::new(content),
            ledger: Arc::new(ledger),
            durability,
            unpushed: AtomicU64::new(0),
            pushing: Mutex::new(None),
        }
    }

    /// Writes a part as it comes. Its checksum is that of what came: [`Landing::read_back`] proves that it was written.
    pub async fn receive(&self, slot: Slot, mut reading: Reading, moved: &AtomicU64) -> Result<Part, Unlanded> {
        if slot.number == 0 || slot.number > PARTS_MAX {
            let said = format!("part {} of at most {PARTS_MAX}", slot.number);
            return Err(Unlanded::Target(StorageError::invalid(&self.location, said)));
        }
        let bytes = reading.left();
        let mut written = Written { sum: Running::new(KIND), at: slot.offset };
        let mut gathered = gather(&mut reading, moved).await.map_err(Unlanded::Source)?;
        while !gathered.is_empty() {
            let writing = self.write(written, gathered);
            let (wrote, next) = tokio::join!(writing, gather(&mut reading, moved));
            written = wrote.map_err(Unlanded::Target)?;
            gathered = next.map_err(Unlanded::Source)?;
        }
        let Checksum::Crc64nvme(sum) = written.sum.finish() else {
            return Err(Unlanded::Target(StorageError::invalid(&self.location, "its ledger knows one checksum only")));
        };
        let record = Record::new(slot, bytes, sum);
        let (ledger, location) = (Arc::clone(&self.ledger), self.location.clone());
        let noted = blocking(self.location.clone(), move || {
            record.write(&ledger).map_err(|errno| fault(&location, "note a part of", errno))
        });
        noted.await.map_err(Unlanded::Target)?;
        self.push(bytes).await.map_err(Unlanded::Target)?;
        Ok(record.part())
    }

    /// Passes a part, as the directory gives it back, to `each`; fails when it is not what came.
    pub async fn read_back<T: Send + 'static>(
        &self,
        slot: Slot,
        part: &Part,
        mut state: T,
        each: fn(&mut T, &[u8]),
    ) -> Result<T, StorageError> {
        let (content, location, part) = (Arc::clone(&self.content), self.location.clone(), part.clone());
        blocking(self.location.clone(), move || {
            let mut back = Running::new(KIND);
            let read = read_through(&content, slot.offset, part.bytes, |bytes| {
                back.update(bytes);
                each(&mut state, bytes);
            });
            read.map_err(|errno| fault(&location, "read back", errno))?;
            let back = back.finish();
            match part.checksum {
                Some(came) if came == back => Ok(state),
                came => {
                    let came = came.map_or_else(String::new, |sum| sum.to_string());
                    Err(StorageError::corrupt(location, format!("written {came}, gives back {back}")))
                }
            }
        })
        .await
    }

    /// Waits for the last push. The kernel tells an error of the disk only once, and it was told to the push.
    pub async fn settle(&self) -> Result<(), StorageError> {
        let pushing = self.pushing.lock().take();
        match pushing {
            Some(pushing) => self.pushed(pushing).await,
            None => Ok(()),
        }
    }

    async fn write(&self, mut written: Written, pieces: Vec<Bytes>) -> Result<Written, StorageError> {
        let (content, location) = (Arc::clone(&self.content), self.location.clone());
        blocking(self.location.clone(), move || {
            pieces.iter().for_each(|piece| written.sum.update(piece));
            written.at = write_all(&content, written.at, &pieces).map_err(|errno| fault(&location, "write", errno))?;
            Ok(written)
        })
        .await
    }

    /// Counts what was written, and begins a push when it is worth one and none is under way.
    async fn push(&self, bytes: u64) -> Result<(), StorageError> {
        let due = self.unpushed.fetch_add(bytes, Ordering::Relaxed) + bytes >= PUSH_BYTES;
        if !due || self.durability != Durability::PowerLoss {
            return Ok(());
        }
        let last = {
            let mut pushing = self.pushing.lock();
            if pushing.as_ref().is_some_and(|pushing| !pushing.is_finished()) {
                return Ok(());
            }
            self.unpushed.store(0, Ordering::Relaxed);
            let content = Arc::clone(&self.content);
            pushing.replace(tokio::task::spawn_blocking(move || rustix::fs::fdatasync(&content)))
        };
        match last {
            Some(last) => self.pushed(last).await,
            None => Ok(()),
        }
    }

    async fn pushed(&self, pushing: JoinHandle<Result<(), Errno>>) -> Result<(), StorageError> {
        match pushing.await {
            Ok(pushed) => pushed.map_err(|errno| fault(&self.location, "sync", errno)),
            Err(error) => Err(StorageError::unavailable(&self.location, format!("the worker is stopping: {error}"))),
        }
    }
}

/// The next pieces, enough for a write; none at the end.
async fn gather(reading: &mut Reading, moved: &AtomicU64) -> Result<Vec<Bytes>, StorageError> {
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
    use crate::{Attributes, Condition, Storage, Upload};
    use futures_util::stream;
    use std::os::unix::fs::FileExt;

    const MIB: usize = 1 << 20;

    fn content(bytes: usize) -> Bytes {
        (0..bytes as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>().into()
    }

    fn reading(content: &Bytes, piece: usize) -> Reading {
        let pieces: Vec<_> = content.chunks(piece).map(|piece| Ok(content.slice_ref(piece))).collect();
        Reading::new("s3://b/k".into(), content.len() as u64, stream::iter(pieces))
    }

    async fn opened(root: &std::path::Path) -> (FileStorage, Upload, Arc<Landing>) {
        let storage = FileStorage::new(root);
        let upload = storage.begin("a/b", &Attributes::default()).await.expect("begun");
        let landing = storage.landing(&upload).await.expect("opened").expect("a directory lands");
        (storage, upload, landing)
    }

    async fn landed(cuts: &[(u32, std::ops::Range<usize>)], content: &Bytes, root: &std::path::Path) {
        let (storage, upload, landing) = opened(root).await;
        let (moved, mut parts) = (AtomicU64::new(0), Vec::new());
        for (number, range) in cuts {
            let slot = Slot { number: *number, offset: range.start as u64 };
            let part = landing.receive(slot, reading(&content.slice(range.clone()), 70_001), &moved).await;
            let part = part.expect("received");
            let back = landing.read_back(slot, &part, Vec::new(), |all, bytes| all.extend_from_slice(bytes)).await;
            assert!(back.expect("sound") == content[range.clone()]);
            parts.push(part);
        }
        landing.settle().await.expect("on disk");
        assert_eq!(moved.into_inner(), content.len() as u64);
        parts.sort_by_key(|part| part.number);
        let whole = Part::whole(&parts);
        assert_eq!(whole, Some(KIND.of(std::slice::from_ref(content))));
        let known = storage.parts(&upload).await.expect("listed");
        assert_eq!(known, parts);
        storage.complete(&upload, &parts, whole, &Condition::Free).await.expect("completed");
    }

    #[tokio::test]
    async fn parts_lie_where_they_belong_in_whatever_order_they_come() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let content = content(5 * MIB + 17);
        let cuts = [(3, 4 * MIB..5 * MIB + 17), (1, 0..2 * MIB), (2, 2 * MIB..4 * MIB)];
        landed(&cuts, &content, dir.path()).await;
        assert!(std::fs::read(dir.path().join("a/b")).expect("there") == content);
    }

    #[tokio::test]
    async fn what_the_directory_gives_back_differently_is_no_part() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (storage, upload, landing) = opened(dir.path()).await;
        let slot = Slot { number: 1, offset: 0 };
        let part = landing.receive(slot, reading(&content(MIB), 9_000), &AtomicU64::new(0)).await.expect("received");
        landing.content.write_all_at(b"?", 77_777).expect("scribbled");
        let back = landing.read_back(slot, &part, (), |(), _| ()).await;
        assert!(matches!(back, Err(StorageError::Corrupt { .. })), "{back:?}");
        assert_eq!(storage.parts(&upload).await.expect("listed"), []);
    }

    #[tokio::test]
    async fn half_a_part_is_none() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (storage, upload, landing) = opened(dir.path()).await;
        let half = stream::iter([Ok(content(MIB))]);
        let reading = Reading::new("s3://b/k".into(), 2 * MIB as u64, half);
        let received = landing.receive(Slot { number: 1, offset: 0 }, reading, &AtomicU64::new(0)).await;
        assert!(matches!(received, Err(Unlanded::Source(_))), "{received:?}");
        assert_eq!(storage.parts(&upload).await.expect("listed"), []);
    }

    /// `/dev/full` is a disk without space.
    #[tokio::test]
    async fn a_full_disk_is_named_and_nothing_counts_as_arrived() {
        let full = File::options().write(true).open("/dev/full").expect("the device");
        let ledger = tempfile::tempfile().expect("a temp file");
        let kept = ledger.try_clone().expect("cloned");
        let landing = Landing::new("file:/full/a".into(), full, ledger, Durability::PowerLoss);
        let (slot, moved) = (Slot { number: 1, offset: 0 }, AtomicU64::new(0));
        let received = landing.receive(slot, reading(&content(MIB), 9_000), &moved).await;
        let Err(Unlanded::Target(StorageError::Full { location, .. })) = &received else { panic!("{received:?}") };
        assert_eq!((location.as_str(), kept.metadata().expect("there").len()), ("file:/full/a", 0));
    }
}
