//! Whether a file leads to other files. MediaInfo and MediaConch open what a file refers to, and neither has a switch for it.
use super::media::Media;
use std::os::unix::fs::FileExt;

/// Bytes in which a text shows what it is.
const TEXT_BYTES: usize = 256;
/// Bytes of an MXF file in which its header metadata lies.
const HEADER_BYTES: usize = 8 << 20;
/// Boxes read of one file.
const BOXES_MAX: usize = 100_000;
/// First bytes of lists: HLS, ffconcat, XML (DASH, Smooth Streaming, SMIL, IMF), players' lists, session descriptions.
const LISTS: [&str; 6] = ["#EXT", "ffconcat", "<", "[", "v=0", "rtsp"];
/// Key of an MXF set that locates media elsewhere, up to the byte that gives the kind (`32` by address, `33` by a text).
const LOCATOR: [u8; 14] = [
    0x06, 0x0e, 0x2b, 0x34, 0x02, 0x53, 0x01, 0x01, 0x0d, 0x01, 0x01, 0x01, 0x01, 0x01,
];
/// Key of an MXF partition up to its version.
const PARTITION: [u8; 4] = [0x06, 0x0e, 0x2b, 0x34];

/// Boxes of QuickTime and MP4 on the way to data references.
const PARENTS: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"dinf"];

/// Why a program could open another file than this one; `None` when nothing in it names one.
pub(super) fn outside(media: &Media) -> Option<String> {
    let start = read(media, 0, TEXT_BYTES);
    let text = String::from_utf8_lossy(&start);
    let text = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_ascii_lowercase();
    if LISTS
        .iter()
        .any(|list| text.starts_with(&list.to_ascii_lowercase()))
    {
        return Some("the file is a text that may name other files".to_owned());
    }
    if start.starts_with(&PARTITION) {
        let header = read(media, 0, HEADER_BYTES);
        let found = header
            .windows(LOCATOR.len() + 1)
            .any(|key| key.starts_with(&LOCATOR) && matches!(key[14], 0x32 | 0x33));
        return found.then(|| "its header names media in other files (MXF locators)".to_owned());
    }
    let mut left = BOXES_MAX;
    boxes(media, 0, media.bytes(), &mut left)
        .then(|| "it names media in other files (data references)".to_owned())
}

/// Looks through the boxes of a stretch; true when one of them refers to another file, or there are too many to say.
fn boxes(media: &Media, mut at: u64, end: u64, left: &mut usize) -> bool {
    while at + 8 <= end {
        if *left == 0 {
            return true;
        }
        *left -= 1;
        let head = read(media, at, 16);
        let (Some(size), Some(kind)) = (head.first_chunk::<4>(), head.get(4..8)) else {
            return false;
        };
        let (header, size) = match (u32::from_be_bytes(*size), head.get(8..16)) {
            (0, _) => (8, end - at),
            (1, Some(long)) => (
                16,
                long.iter()
                    .fold(0, |number, byte| number << 8 | u64::from(*byte)),
            ),
            (size, _) => (8, u64::from(size)),
        };
        if size < header {
            return false;
        }
        let inside = (at + header, at.saturating_add(size).min(end));
        match kind {
            // A movie that only points at others.
            b"rmra" => return true,
            b"dref" if external(media, inside) => return true,
            _ if PARENTS.iter().any(|parent| kind == *parent)
                && boxes(media, inside.0, inside.1, left) =>
            {
                return true;
            }
            _ => {}
        }
        at = at.saturating_add(size);
    }
    false
}

/// Whether one of the entries of a `dref` box lacks the flag "in this file".
fn external(media: &Media, (start, end): (u64, u64)) -> bool {
    // Version, flags and the number of entries come first.
    let mut at = start + 8;
    while at + 12 <= end {
        let entry = read(media, at, 12);
        let (Some(size), Some(flags)) = (entry.first_chunk::<4>(), entry.last()) else {
            return false;
        };
        if flags & 1 == 0 {
            return true;
        }
        at += u64::from(u32::from_be_bytes(*size)).max(12);
    }
    false
}

/// The bytes of a stretch; fewer where the file ends or cannot be read.
fn read(media: &Media, at: u64, most: usize) -> Vec<u8> {
    let mut bytes =
        vec![0; most.min(usize::try_from(media.bytes().saturating_sub(at)).unwrap_or(most))];
    let mut read = 0;
    while read < bytes.len() {
        match media.file().read_at(&mut bytes[read..], at + read as u64) {
            Ok(0) | Err(_) => break,
            Ok(count) => read += count,
        }
    }
    bytes.truncate(read);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside_of(bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("a");
        std::fs::write(&path, bytes).expect("written");
        outside(&Media::open(&path, "a").expect("opens"))
    }

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).expect("small");
        [&size.to_be_bytes()[..], kind, content].concat()
    }

    fn movie(entry: &[u8]) -> Vec<u8> {
        let dref = boxed(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], entry].concat());
        let track = [b"dinf", b"minf", b"mdia", b"trak", b"moov"]
            .iter()
            .fold(dref, |inside, kind| boxed(kind, &inside));
        [boxed(b"ftyp", b"qt  "), boxed(b"mdat", &[7; 100]), track].concat()
    }

    #[test]
    fn lists_of_files_lead_outside() {
        for text in [
            "#EXTM3U\n",
            "\u{feff} <?xml version='1.0'?><MPD/>",
            "ffconcat version 1.0",
            "[playlist]\n",
            "v=0\r\n",
        ] {
            assert!(outside_of(text.as_bytes()).is_some(), "{text}");
        }
        for bytes in [
            &b"YUV4MPEG2 W320 H180"[..],
            b"",
            b"RIFF\0\0\0\0WAVE",
            &[0; 4000],
        ] {
            assert_eq!(outside_of(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn data_references_lead_outside_unless_they_are_to_the_file_itself() {
        let own = boxed(b"url ", &[0, 0, 0, 1]);
        assert_eq!(outside_of(&movie(&own)), None);
        let other = boxed(b"url ", b"\0\0\0\0file:///elsewhere/a.mov\0");
        assert!(outside_of(&movie(&other)).is_some());
        assert!(outside_of(&movie(&[own, other].concat())).is_some());
        assert!(outside_of(&boxed(b"moov", &boxed(b"rmra", b""))).is_some());
        // Sizes that lie end the look, and nothing else.
        assert_eq!(outside_of(&[0xff; 64]), None);
        assert_eq!(
            outside_of(&boxed(b"moov", &[0, 0, 0, 3, b't', b'r', b'a', b'k'])),
            None
        );
    }

    #[test]
    fn locators_of_mxf_lead_outside() {
        let mut file = PARTITION.to_vec();
        file.resize(2000, 0);
        assert_eq!(outside_of(&file), None);
        file.extend(LOCATOR);
        file.extend([0x32, 0]);
        assert!(outside_of(&file).is_some());
    }
}
