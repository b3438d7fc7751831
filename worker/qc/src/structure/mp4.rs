//! ISO base media files (MP4, MOV): a chain of boxes, each of which declares its size.
use super::{Structure, read_at};
use std::io::{self, Read, Seek};

/// Boxes read of one file. A fragmented file of hours has tens of thousands.
const BOXES_MAX: usize = 1_000_000;
/// Types a file may start with.
const FIRST: [&[u8; 4]; 8] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp",
];

/// Whether the first bytes are those of a box a file may start with.
pub(super) fn starts(head: &[u8; 16]) -> bool {
    FIRST.iter().any(|name| head[4..8] == name[..])
}

/// Follows the top-level boxes to the end of the file.
pub(super) fn inspect(file: &mut (impl Read + Seek), bytes: u64) -> io::Result<Structure> {
    let (mut at, mut index) = (0u64, false);
    for _ in 0..BOXES_MAX {
        let mut head = [0; 16];
        if at == bytes || (!read_at(file, at, &mut head[..8])? && at < bytes) {
            break;
        }
        let name = [head[4], head[5], head[6], head[7]];
        if !name
            .iter()
            .all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | 0xa9))
        {
            // Padding after the last box is common and harmless.
            break;
        }
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            // The last box may leave its size open: it reaches to the end of the file.
            0 => return Ok(whole(index || &name == b"moov")),
            1 if read_at(file, at, &mut head)? => u64::from_be_bytes([
                head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15],
            ]),
            1 => {
                return Ok(Structure::Truncated(format!(
                    "it ends inside a box header at byte {at}"
                )));
            }
            size => u64::from(size),
        };
        if size < 8 {
            break;
        }
        index |= matches!(&name, b"moov" | b"moof");
        let end = at.saturating_add(size);
        if end > bytes {
            let name = String::from_utf8_lossy(&name).into_owned();
            return Ok(Structure::Truncated(format!(
                "the {name} box at byte {at} ends at byte {end} and the file has {bytes}"
            )));
        }
        at = end;
    }
    Ok(whole(index))
}

fn whole(index: bool) -> Structure {
    if index {
        Structure::Whole
    } else {
        Structure::Truncated("the index (moov) is missing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn a_box(name: &[u8; 4], body: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(body + 8)
            .expect("small")
            .to_be_bytes()
            .to_vec();
        bytes.extend_from_slice(name);
        bytes.resize(body + 8, 0);
        bytes
    }

    fn structure_of(bytes: &[u8]) -> Structure {
        inspect(&mut Cursor::new(bytes), bytes.len() as u64).expect("read")
    }

    #[test]
    fn a_box_past_the_end_is_a_cut() {
        let file = [a_box(b"ftyp", 16), a_box(b"moov", 40), a_box(b"mdat", 1000)].concat();
        assert_eq!(structure_of(&file), Structure::Whole);
        let Structure::Truncated(why) = structure_of(&file[..600]) else {
            panic!("not seen")
        };
        assert!(
            why.contains("mdat") && why.contains("1080") && why.contains("600"),
            "{why}"
        );
    }

    #[test]
    fn an_index_is_needed() {
        let file = [a_box(b"ftyp", 16), a_box(b"mdat", 100)].concat();
        assert!(matches!(structure_of(&file), Structure::Truncated(why) if why.contains("moov")));
    }

    #[test]
    fn large_open_and_padded_boxes() {
        let mut large = a_box(b"moov", 8);
        large.extend([0, 0, 0, 1]);
        large.extend(b"mdat");
        large.extend(24u64.to_be_bytes());
        large.extend([0; 8]);
        assert_eq!(structure_of(&large), Structure::Whole);
        assert!(matches!(
            structure_of(&large[..large.len() - 1]),
            Structure::Truncated(_)
        ));
        let mut open = a_box(b"moov", 8);
        open.extend([0, 0, 0, 0]);
        open.extend(b"mdat123");
        assert_eq!(structure_of(&open), Structure::Whole);
        let mut padded = a_box(b"moov", 8);
        padded.extend([0; 11]);
        assert_eq!(structure_of(&padded), Structure::Whole);
        let mut huge = a_box(b"moov", 8);
        huge.extend([0, 0, 0, 1]);
        huge.extend(b"mdat");
        huge.extend(u64::MAX.to_be_bytes());
        assert!(matches!(structure_of(&huge), Structure::Truncated(_)));
    }
}
