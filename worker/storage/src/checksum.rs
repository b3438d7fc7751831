//! Checksums that servers verify: of a part, and of a whole put together from its parts.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::Digest as _;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// How a server proves what it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumKind {
    /// CRC-64/NVME: S3's own for whole objects.
    Crc64nvme,
    /// CRC-32C (Castagnoli): Google's own, and S3's.
    Crc32c,
    /// MD5, for servers that know nothing else. Parts only: wholes cannot be put together from it.
    Md5,
}

/// A checksum of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// CRC-64/NVME as an integer; headers carry it in big-endian order.
    Crc64nvme(u64),
    /// CRC-32C as an integer; headers carry it in big-endian order.
    Crc32c(u32),
    /// MD5 as its 16 bytes.
    Md5([u8; 16]),
}

impl ChecksumKind {
    /// Over pieces that lie one after the other.
    pub fn of(self, pieces: &[Bytes]) -> Checksum {
        let mut running = RunningChecksum::new(self);
        pieces.iter().for_each(|piece| running.update(piece));
        running.finish()
    }

    /// The spelling in settings and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            ChecksumKind::Crc64nvme => "crc64nvme",
            ChecksumKind::Crc32c => "crc32c",
            ChecksumKind::Md5 => "md5",
        }
    }
}

impl Checksum {
    /// How it was computed.
    pub fn kind(&self) -> ChecksumKind {
        match self {
            Checksum::Crc64nvme(_) => ChecksumKind::Crc64nvme,
            Checksum::Crc32c(_) => ChecksumKind::Crc32c,
            Checksum::Md5(_) => ChecksumKind::Md5,
        }
    }

    /// As HTTP headers carry it.
    pub fn base64(&self) -> String {
        match self {
            Checksum::Crc64nvme(sum) => STANDARD.encode(sum.to_be_bytes()),
            Checksum::Crc32c(sum) => STANDARD.encode(sum.to_be_bytes()),
            Checksum::Md5(sum) => STANDARD.encode(sum),
        }
    }

    /// Reads what [`Checksum::base64`] writes; `None` when it is something else, such as S3's checksum of checksums.
    pub fn from_base64(kind: ChecksumKind, text: &str) -> Option<Checksum> {
        let bytes = STANDARD.decode(text).ok()?;
        match kind {
            ChecksumKind::Crc64nvme => Some(Checksum::Crc64nvme(u64::from_be_bytes(
                bytes.try_into().ok()?,
            ))),
            ChecksumKind::Crc32c => {
                Some(Checksum::Crc32c(u32::from_be_bytes(bytes.try_into().ok()?)))
            }
            ChecksumKind::Md5 => Some(Checksum::Md5(bytes.try_into().ok()?)),
        }
    }

    /// The checksum of two stretches one after the other, from theirs; `None` where that cannot be known.
    pub fn then(self, next: Checksum, next_bytes: u64) -> Option<Checksum> {
        let combine = |algorithm, a, b| crc_fast::checksum_combine(algorithm, a, b, next_bytes);
        match (self, next) {
            (Checksum::Crc64nvme(a), Checksum::Crc64nvme(b)) => {
                Some(Checksum::Crc64nvme(combine(CrcAlgorithm::Crc64Nvme, a, b)))
            }
            (Checksum::Crc32c(a), Checksum::Crc32c(b)) => {
                let both = combine(CrcAlgorithm::Crc32Iscsi, a.into(), b.into());
                u32::try_from(both).ok().map(Checksum::Crc32c)
            }
            _ => None,
        }
    }

    /// The checksum of a whole from those of its stretches in order, with their lengths.
    pub fn whole(parts: impl IntoIterator<Item = (Checksum, u64)>) -> Option<Checksum> {
        let mut parts = parts.into_iter();
        let (first, _) = parts.next()?;
        parts.try_fold(first, |sum, (next, bytes)| sum.then(next, bytes))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind().as_str())?;
        match self {
            Checksum::Crc64nvme(sum) => write!(f, "{sum:016x}"),
            Checksum::Crc32c(sum) => write!(f, "{sum:08x}"),
            Checksum::Md5(sum) => sum.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// A checksum being computed.
pub struct RunningChecksum(State);

enum State {
    Crc(ChecksumKind, Box<crc_fast::Digest>),
    Md5(Box<md5::Md5>),
}

impl RunningChecksum {
    /// Over nothing yet.
    pub fn new(kind: ChecksumKind) -> RunningChecksum {
        let crc = |algorithm| State::Crc(kind, Box::new(crc_fast::Digest::new(algorithm)));
        RunningChecksum(match kind {
            ChecksumKind::Crc64nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumKind::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumKind::Md5 => State::Md5(Box::default()),
        })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(_, digest) => digest.update(bytes),
            State::Md5(digest) => digest.update(bytes),
        }
    }

    /// Finishes the computation.
    pub fn finish(self) -> Checksum {
        match self.0 {
            // A CRC-32 comes in the lower half of the 64 bits.
            State::Crc(ChecksumKind::Crc32c, digest) => Checksum::Crc32c(digest.finalize() as u32),
            State::Crc(_, digest) => Checksum::Crc64nvme(digest.finalize()),
            State::Md5(digest) => Checksum::Md5(digest.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The check values of the CRC catalogue and of RFC 1321.
    #[test]
    fn agrees_with_published_vectors() {
        let digits = [Bytes::from_static(b"1234"), Bytes::from_static(b"56789")];
        assert_eq!(
            ChecksumKind::Crc32c.of(&digits),
            Checksum::Crc32c(0xe306_9283)
        );
        assert_eq!(
            ChecksumKind::Crc64nvme.of(&digits),
            Checksum::Crc64nvme(0xae8b_1486_0a79_9888)
        );
        assert_eq!(
            ChecksumKind::Md5.of(&[]).to_string(),
            "md5:d41d8cd98f00b204e9800998ecf8427e"
        );
        assert_eq!(
            ChecksumKind::Md5.of(&[]).base64(),
            "1B2M2Y8AsgTpgAmY7PhCfg=="
        );
    }

    #[test]
    fn a_checksum_of_checksums_is_not_taken_for_one_of_the_content() {
        assert_eq!(
            Checksum::from_base64(ChecksumKind::Crc32c, "4waSgw==-3"),
            None
        );
        assert_eq!(
            Checksum::from_base64(ChecksumKind::Crc32c, "4waSgw=="),
            Some(Checksum::Crc32c(0xe306_9283))
        );
    }

    proptest! {
        /// However content is cut, the whole's checksum comes from its parts'.
        #[test]
        fn wholes_come_from_parts(content in proptest::collection::vec(any::<u8>(), 0..3000), cuts in proptest::collection::vec(0usize..3000, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(content.len())).collect();
            cuts.extend([0, content.len()]);
            cuts.sort_unstable();
            for kind in [ChecksumKind::Crc64nvme, ChecksumKind::Crc32c] {
                let piece = |pair: &[usize]| Bytes::copy_from_slice(&content[pair[0]..pair[1]]);
                let parts = cuts.windows(2).map(|pair| (kind.of(&[piece(pair)]), (pair[1] - pair[0]) as u64));
                let whole = kind.of(&[Bytes::copy_from_slice(&content)]);
                prop_assert_eq!(Checksum::whole(parts), Some(whole));
                prop_assert_eq!(Checksum::from_base64(kind, &whole.base64()), Some(whole));
            }
        }
    }
}
