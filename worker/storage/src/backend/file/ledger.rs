//! The ledger of an upload: one record of fixed size per part that has arrived, at an offset of its own, so that
//! several workers on a shared mount write it without conflicts.
use crate::{Checksum, ChecksumKind, Part, Slot};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use xxhash_rust::xxh3::xxh3_64;

/// Most parts a file may have: as many as S3 allows, so that the same plan fits both.
pub(super) const PARTS_MAX: u32 = 10_000;
const RECORD_BYTES: usize = 40;

/// A part as the ledger knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) sum: u64,
}

impl Record {
    pub(super) fn new(slot: Slot, bytes: u64, sum: u64) -> Record {
        Record {
            number: slot.number,
            offset: slot.offset,
            bytes,
            sum,
        }
    }

    pub(super) fn checksum(&self) -> Checksum {
        Checksum::Crc64nvme(self.sum)
    }

    pub(super) fn part(&self) -> Part {
        let checksum = Some(self.checksum());
        Part {
            number: self.number,
            bytes: self.bytes,
            tag: format!("{:x}-{:016x}", self.offset, self.sum),
            checksum,
        }
    }

    pub(super) fn write(&self, ledger: &File) -> Result<(), Errno> {
        let mut record = Vec::with_capacity(RECORD_BYTES);
        for field in [u64::from(self.number), self.offset, self.bytes, self.sum] {
            record.extend(field.to_le_bytes());
        }
        record.extend(xxh3_64(&record).to_le_bytes());
        let place = u64::from(self.number - 1) * RECORD_BYTES as u64;
        ledger
            .write_all_at(&record, place)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    fn read(bytes: &[u8]) -> Option<Record> {
        let field = |at: usize| {
            bytes
                .get(at..at + 8)?
                .try_into()
                .ok()
                .map(u64::from_le_bytes)
        };
        let written = field(32)? == xxh3_64(bytes.get(..32)?);
        let number = u32::try_from(field(0)?)
            .ok()
            .filter(|number| written && *number > 0)?;
        Some(Record {
            number,
            offset: field(8)?,
            bytes: field(16)?,
            sum: field(24)?,
        })
    }
}

/// Every record that is whole, by number. Holes and torn records are parts that have not arrived.
pub(super) fn records(ledger: &File) -> std::io::Result<Vec<Record>> {
    let mut content = vec![0; RECORD_BYTES * PARTS_MAX as usize];
    let read = crate::hash::read_at_most(ledger, &mut content, 0)?;
    let found = content[..read].chunks_exact(RECORD_BYTES).enumerate();
    Ok(found
        .filter_map(|(at, bytes)| {
            Record::read(bytes).filter(|record| record.number as usize == at + 1)
        })
        .collect())
}

/// The checksum parts are recorded with.
pub(super) const KIND: ChecksumKind = ChecksumKind::Crc64nvme;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_and_missing_records_are_skipped() {
        let ledger = tempfile::tempfile().expect("a temp file");
        let record = |number| Record {
            number,
            offset: 7,
            bytes: 9,
            sum: u64::MAX - u64::from(number),
        };
        for number in [1, 2, 5] {
            record(number).write(&ledger).expect("written");
        }
        ledger
            .write_all_at(b"x", RECORD_BYTES as u64 + 20)
            .expect("torn");
        assert_eq!(records(&ledger).expect("read"), [record(1), record(5)]);
        ledger.set_len(4 * RECORD_BYTES as u64 + 39).expect("cut");
        assert_eq!(records(&ledger).expect("read"), [record(1)]);
    }
}
