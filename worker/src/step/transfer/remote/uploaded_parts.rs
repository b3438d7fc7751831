//! Parts that an upload already holds, and how they compare with content.
use bytes::Bytes;
use protocol::model::hash::HashAlgorithm;
use std::collections::BTreeMap;
use storage::hash::Hasher;
use storage::{Checksum, ChecksumKind, Part};

/// Parts of an upload by number.
pub(super) type UploadedParts = BTreeMap<u32, Part>;

/// Whether an uploaded part has this content: by its checksum, or by its tag, which is an MD5 on servers that list
/// parts without checksums. In doubt the part is sent again.
pub(super) fn has_content(part: &Part, pieces: &[Bytes]) -> bool {
    if part.bytes != pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() {
        return false;
    }
    match part.checksum {
        Some(sum) => sum.kind().of(pieces) == sum,
        None => {
            let mut md5 = Hasher::new(HashAlgorithm::Md5);
            pieces.iter().for_each(|piece| md5.update(piece));
            md5.finish().text == part.tag.trim_matches('"')
        }
    }
}

/// The tag that S3 gives an object whose parts were verified by MD5.
pub(super) fn multipart_tag(parts: &[Part]) -> Option<String> {
    let mut sums = Vec::with_capacity(parts.len());
    for part in parts {
        match part.checksum? {
            Checksum::Md5(sum) => sums.push(Bytes::copy_from_slice(&sum)),
            _ => return None,
        }
    }
    let Checksum::Md5(whole) = ChecksumKind::Md5.of(&sums) else {
        return None;
    };
    let text: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{text}-{}", parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: u64, tag: &str, checksum: Option<Checksum>) -> Part {
        Part {
            number: 1,
            bytes,
            tag: tag.into(),
            checksum,
        }
    }

    /// A part with other content than assumed would result in a wrong object.
    #[test]
    fn uploaded_part_matches_only_by_checksum_or_md5_tag() {
        let pieces = [Bytes::from_static(b"12345"), Bytes::from_static(b"6789")];
        let sum = ChecksumKind::Crc32c.of(&pieces);
        assert!(has_content(&part(9, "x", Some(sum)), &pieces));
        assert!(!has_content(
            &part(9, "x", Some(Checksum::Crc32c(1))),
            &pieces
        ));
        assert!(!has_content(&part(8, "x", Some(sum)), &pieces));
        assert!(has_content(
            &part(9, "\"25f9e794323b453885f5181f1b624d0b\"", None),
            &pieces
        ));
        assert!(!has_content(
            &part(9, "\"25f9e794323b453885f5181f1b624d0c\"", None),
            &pieces
        ));
    }

    #[test]
    fn multipart_tag_is_md5_of_part_md5s() {
        let md5 = |content: &'static [u8]| {
            part(
                1,
                "x",
                Some(ChecksumKind::Md5.of(&[Bytes::from_static(content)])),
            )
        };
        // md5(md5("a") + md5("b")).
        assert_eq!(
            multipart_tag(&[md5(b"a"), md5(b"b")]).as_deref(),
            Some("96e024ba2074fe77e8e965ba43a704be-2")
        );
        assert_eq!(
            multipart_tag(&[part(1, "x", Some(Checksum::Crc32c(1)))]),
            None
        );
    }
}
