//! Whether a file ends where its structure declares its end. ffmpeg decodes what is there without an error; a delivery must
//! be complete.
mod mp4;
mod mxf;

use super::media::Media;
use spec::facts::Structure;
use std::io::{self, Read, Seek, SeekFrom};

/// Reads the structure. A file that cannot be read is `Unknown` here: the next step reports the error.
pub(super) fn inspect(media: &Media) -> Structure {
    of(&mut media.file(), media.bytes()).unwrap_or_default()
}

fn of(file: &mut (impl Read + Seek), bytes: u64) -> io::Result<Structure> {
    let mut head = [0; 16];
    if !read_at(file, 0, &mut head)? {
        return Ok(Structure::Unknown);
    }
    if head[..4] == [0x06, 0x0e, 0x2b, 0x34] {
        mxf::inspect(file, bytes)
    } else if mp4::starts(&head) {
        mp4::inspect(file, bytes)
    } else if (&head[..4] == b"RIFF" || &head[..4] == b"RF64") && &head[8..12] == b"WAVE" {
        Ok(riff(&head, bytes))
    } else {
        Ok(Structure::Unknown)
    }
}

/// A WAV file declares its length in its second word; all ones mean "unknown" in streamed and 64-bit files.
fn riff(head: &[u8; 16], bytes: u64) -> Structure {
    let declared = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    let end = declared + 8;
    if declared == 0 || declared == u64::from(u32::MAX) || end <= bytes {
        return Structure::Whole;
    }
    Structure::Truncated(format!(
        "the RIFF header says {end} bytes and the file has {bytes}"
    ))
}

/// Fills `buffer` from `at`; `false` when the file ends before.
fn read_at(file: &mut (impl Read + Seek), at: u64, buffer: &mut [u8]) -> io::Result<bool> {
    file.seek(SeekFrom::Start(at))?;
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn wav_files_say_how_long_they_are() {
        let mut wav = b"RIFF\x20\0\0\0WAVEfmt ".to_vec();
        wav.resize(40, 0);
        assert_eq!(
            of(&mut Cursor::new(&wav), 40).expect("read"),
            Structure::Whole
        );
        assert!(matches!(
            of(&mut Cursor::new(&wav[..30]), 30).expect("read"),
            Structure::Truncated(_)
        ));
    }

    #[test]
    fn anything_else_is_unknown_and_never_a_panic() {
        for bytes in [
            &b""[..],
            b"short",
            &[0u8; 64],
            b"\x06\x0e\x2b\x34",
            &[0xff; 4096],
        ] {
            let found = of(&mut Cursor::new(bytes), bytes.len() as u64).expect("read");
            assert_eq!(found, Structure::Unknown, "{bytes:?}");
        }
    }
}
