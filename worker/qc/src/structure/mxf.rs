//! MXF (SMPTE ST 377-1): key, length, value; the header partition declares where the footer is.
use super::{Structure, read_at};
use std::io::{self, Read, Seek};

/// The first 13 bytes of every partition pack's key; the 14th is the kind (2 header, 3 body, 4 footer), the 15th the status.
const PARTITION: [u8; 13] = [
    0x06, 0x0e, 0x2b, 0x34, 0x02, 0x05, 0x01, 0x01, 0x0d, 0x01, 0x02, 0x01, 0x01,
];
/// The random index pack, last of a finished file.
const RANDOM_INDEX: [u8; 14] = [
    0x06, 0x0e, 0x2b, 0x34, 0x02, 0x05, 0x01, 0x01, 0x0d, 0x01, 0x02, 0x01, 0x01, 0x11,
];
/// Offset of "this partition", "previous partition" and "footer partition" inside the pack's value.
const FOOTER_AT: u64 = 24;
/// Items a footer partition may hold before it is taken for nonsense.
const ITEMS_MAX: usize = 1_000_000;

/// Finds the footer and follows it to the end of the file.
pub(super) fn inspect(file: &mut (impl Read + Seek), bytes: u64) -> io::Result<Structure> {
    let Some((value_at, _)) = partition(file, 0)? else {
        return Ok(Structure::Unknown);
    };
    let mut offset = [0; 8];
    if !read_at(file, value_at + FOOTER_AT, &mut offset)? {
        return Ok(Structure::Truncated(
            "it ends inside its header partition".to_owned(),
        ));
    }
    let footer = u64::from_be_bytes(offset);
    if footer == 0 {
        // An open file knows its footer only at the end, through the random index.
        return Ok(if ends_with_random_index(file, bytes)? {
            Structure::Whole
        } else {
            Structure::Truncated(
                "it was never closed: no footer partition is known and no random index ends it"
                    .to_owned(),
            )
        });
    }
    if footer >= bytes {
        return Ok(Structure::Truncated(format!(
            "the footer partition should be at byte {footer} and the file has {bytes}"
        )));
    }
    if partition(file, footer)?.is_none() {
        return Ok(Structure::Truncated(format!(
            "there is no footer partition at byte {footer}, where the header says it is"
        )));
    }
    items_to_end(file, footer, bytes)
}

/// Follows keys and lengths from `at`; the last must end with the file.
fn items_to_end(file: &mut (impl Read + Seek), at: u64, bytes: u64) -> io::Result<Structure> {
    let mut at = at;
    for _ in 0..ITEMS_MAX {
        if at == bytes {
            return Ok(Structure::Whole);
        }
        let Some((value_at, length)) = item(file, at)? else {
            return Ok(Structure::Truncated(format!(
                "it ends inside an item header at byte {at}"
            )));
        };
        let end = value_at.saturating_add(length);
        if end > bytes {
            return Ok(Structure::Truncated(format!(
                "the item at byte {at} ends at byte {end} and the file has {bytes}"
            )));
        }
        at = end;
    }
    Ok(Structure::Whole)
}

/// Start and length of the value of the item at `at`; `None` when the file ends inside its key or length.
fn item(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<(u64, u64)>> {
    let mut head = [0; 17];
    if !read_at(file, at, &mut head)? {
        return Ok(None);
    }
    let first = head[16];
    if first < 0x80 {
        return Ok(Some((at + 17, u64::from(first))));
    }
    // BER long form: the low bits say how many bytes of length follow, eight at most here.
    let count = usize::from(first & 0x7f).min(8);
    let mut length = [0; 8];
    if !read_at(file, at + 17, &mut length[8 - count..])? {
        return Ok(None);
    }
    Ok(Some((at + 17 + count as u64, u64::from_be_bytes(length))))
}

/// The item at `at` when it is a partition pack.
fn partition(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<(u64, u64)>> {
    let mut key = [0; 16];
    let known =
        read_at(file, at, &mut key)? && key[..13] == PARTITION && (2..=4).contains(&key[13]);
    if known { item(file, at) } else { Ok(None) }
}

/// The last four bytes of a random index are its whole length.
fn ends_with_random_index(file: &mut (impl Read + Seek), bytes: u64) -> io::Result<bool> {
    let mut length = [0; 4];
    let mut key = [0; 14];
    if bytes < 21 || !read_at(file, bytes - 4, &mut length)? {
        return Ok(false);
    }
    let Some(start) = bytes.checked_sub(u64::from(u32::from_be_bytes(length))) else {
        return Ok(false);
    };
    Ok(read_at(file, start, &mut key)? && key == RANDOM_INDEX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn pack(kind: u8, footer: u64) -> Vec<u8> {
        let mut bytes = PARTITION.to_vec();
        bytes.extend([kind, 4, 0, 0x58]);
        let mut value = vec![0; 0x58];
        value[24..32].copy_from_slice(&footer.to_be_bytes());
        bytes.extend(value);
        bytes
    }

    fn essence(length: u32) -> Vec<u8> {
        let mut bytes = vec![
            0x06, 0x0e, 0x2b, 0x34, 1, 2, 1, 1, 0x0d, 1, 3, 1, 0x15, 1, 5, 0, 0x84,
        ];
        bytes.extend(length.to_be_bytes());
        bytes.resize(bytes.len() + length as usize, 7);
        bytes
    }

    fn structure_of(bytes: &[u8]) -> Structure {
        inspect(&mut Cursor::new(bytes), bytes.len() as u64).expect("read")
    }

    #[test]
    fn a_footer_beyond_the_end_is_a_cut() {
        let header = pack(2, 0).len() as u64 + 21 + 500;
        let file = [pack(2, header), essence(500), pack(4, header), essence(30)].concat();
        assert_eq!(structure_of(&file), Structure::Whole);
        assert!(
            matches!(structure_of(&file[..300]), Structure::Truncated(why) if why.contains("footer"))
        );
        assert!(matches!(
            structure_of(&file[..file.len() - 5]),
            Structure::Truncated(_)
        ));
        assert!(matches!(structure_of(&file[..20]), Structure::Truncated(_)));
    }

    #[test]
    fn an_open_file_needs_its_random_index() {
        let mut file = [pack(2, 0), essence(100)].concat();
        assert!(
            matches!(structure_of(&file), Structure::Truncated(why) if why.contains("never closed"))
        );
        let mut index = RANDOM_INDEX.to_vec();
        index.extend([1, 0, 16]);
        index.extend([0; 12]);
        index.extend((index.len() as u32 + 4).to_be_bytes());
        file.extend(index);
        assert_eq!(structure_of(&file), Structure::Whole);
    }
}
