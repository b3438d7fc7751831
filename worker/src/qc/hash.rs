//! The hash a verdict is bound to (QC-1).
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::Xxh3;

/// Bytes read at a time: large enough that system calls vanish beside the hash.
const READ_BYTES: usize = 1 << 20;

/// Streams a file through XXH3-128; the text is `xxh128:hex`. Gives up with `Interrupted` once `stop` is set.
pub(super) fn content_hash(path: &Path, stop: &AtomicBool) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(format!("xxh128:{:032x}", hash.digest128())),
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_hash_of_all_bytes_in_its_published_form() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        std::fs::write(&path, b"").expect("written");
        let go = AtomicBool::new(false);
        // The published XXH3-128 of nothing.
        assert_eq!(content_hash(&path, &go).expect("read"), "xxh128:99aa06d3014798d86001c324468d497f");
        std::fs::write(&path, vec![7u8; READ_BYTES + 1]).expect("written");
        let whole = xxhash_rust::xxh3::xxh3_128(&vec![7u8; READ_BYTES + 1]);
        assert_eq!(content_hash(&path, &go).expect("read"), format!("xxh128:{whole:032x}"));
        assert!(content_hash(&path, &AtomicBool::new(true)).is_err());
    }
}
