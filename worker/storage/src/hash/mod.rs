//! Hashes of file content: one type over every algorithm, and many of them over one read.
//!
//! A digest is text: lower-case hexadecimal, most significant byte first (the canonical form of xxHash, and what
//! manifests, ASC MHL and `md5sum` print), or a C4 id.
mod block;
mod file;
mod multi;

pub use block::{Block, BlockPool};

pub use file::{HashError, hash_file, hash_open_file, read_at_most};
pub use multi::MultiHasher;

use protocol::model::hash::{HashAlgorithm, parse_hash};
use sha2::Digest as _;
use std::fmt;
use xxhash_rust::xxh3::Xxh3;
use xxhash_rust::xxh64::Xxh64;

/// A finished hash. Shows itself as `algorithm:digest`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Digest {
    /// How it was computed.
    pub algorithm: HashAlgorithm,
    /// Hexadecimal, or a C4 id.
    pub text: String,
}

impl Digest {
    /// Reads `algorithm:digest`. Says what is wrong otherwise.
    pub fn parse(text: &str) -> Result<Digest, String> {
        parse_hash(text).map(|(algorithm, text)| Digest { algorithm, text })
    }

    /// The bytes of the digest (64 for C4); `None` when the text is not a digest of the algorithm.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self.algorithm {
            HashAlgorithm::C4 => c4_bytes(&self.text),
            _ => hex_bytes(&self.text),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.text)
    }
}

/// Whether an algorithm (0.6 to 1.9 GB/s) is so much slower than the page cache (7 to 19 GB/s) that it gets a thread.
pub fn is_expensive(algorithm: HashAlgorithm) -> bool {
    matches!(
        algorithm,
        HashAlgorithm::Md5 | HashAlgorithm::Sha1 | HashAlgorithm::Sha256 | HashAlgorithm::C4
    )
}

/// One running hash.
pub struct Hasher {
    algorithm: HashAlgorithm,
    state: State,
}

enum State {
    Xxh3(Box<Xxh3>),
    Xxh64(Box<Xxh64>),
    Md5(Box<md5::Md5>),
    Sha1(Box<sha1::Sha1>),
    Sha256(Box<sha2::Sha256>),
    Sha512(Box<sha2::Sha512>),
    Crc64(Box<crc_fast::Digest>),
}

impl Hasher {
    /// Starts a hash over nothing.
    pub fn new(algorithm: HashAlgorithm) -> Hasher {
        let state = match algorithm {
            HashAlgorithm::Xxh128 | HashAlgorithm::Xxh3 => State::Xxh3(Box::new(Xxh3::new())),
            HashAlgorithm::Xxh64 => State::Xxh64(Box::new(Xxh64::new(0))),
            HashAlgorithm::Md5 => State::Md5(Box::default()),
            HashAlgorithm::Sha1 => State::Sha1(Box::default()),
            HashAlgorithm::Sha256 => State::Sha256(Box::default()),
            HashAlgorithm::C4 => State::Sha512(Box::default()),
            HashAlgorithm::Crc64nvme => State::Crc64(Box::new(crc_fast::Digest::new(
                crc_fast::CrcAlgorithm::Crc64Nvme,
            ))),
        };
        Hasher { algorithm, state }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Xxh3(state) => state.update(bytes),
            State::Xxh64(state) => state.update(bytes),
            State::Md5(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Crc64(state) => state.update(bytes),
        }
    }

    /// Ends the hash.
    pub fn finish(self) -> Digest {
        let text = match self.state {
            State::Xxh3(state) if self.algorithm == HashAlgorithm::Xxh128 => {
                format!("{:032x}", state.digest128())
            }
            State::Xxh3(state) => format!("{:016x}", state.digest()),
            State::Xxh64(state) => format!("{:016x}", state.digest()),
            State::Md5(state) => hex(&state.finalize()),
            State::Sha1(state) => hex(&state.finalize()),
            State::Sha256(state) => hex(&state.finalize()),
            State::Sha512(state) => c4_text(&state.finalize()),
            State::Crc64(state) => format!("{:016x}", state.finalize()),
        };
        Digest {
            algorithm: self.algorithm,
            text,
        }
    }
}

/// Hashes bytes that are already in memory.
pub fn hash_bytes(algorithm: HashAlgorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The ASC MHL hash over a list of hashes: the digests, sorted as text, hashed as bytes one after the other.
///
/// An empty list gives the hash over nothing. A text that is no digest of the algorithm is an error naming it.
pub fn hash_of_list(algorithm: HashAlgorithm, mut digests: Vec<Digest>) -> Result<Digest, String> {
    digests.sort_by(|a, b| a.text.cmp(&b.text));
    let mut hasher = Hasher::new(algorithm);
    for digest in &digests {
        let bytes = digest
            .bytes()
            .ok_or_else(|| format!("{digest} is not a valid digest"))?;
        hasher.update(&bytes);
    }
    Ok(hasher.finish())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let nibbles: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let nibbles = nibbles.filter(|n| n.len() % 2 == 0)?;
    Some(
        nibbles
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// SMPTE ST 2114: `c4` and the SHA-512 as a base-58 number, padded with `1` (the zero of that alphabet) to 88 digits.
fn c4_text(sha512: &[u8]) -> String {
    let digits = bs58::encode(sha512).into_string();
    // The encoder writes one `1` for each leading zero byte, which is fewer digits than the number needs.
    format!("c4{:1>88}", digits)
}

fn c4_bytes(text: &str) -> Option<Vec<u8>> {
    let number = text
        .strip_prefix("c4")
        .filter(|digits| digits.len() == 88)?
        .trim_start_matches('1');
    let significant = bs58::decode(number)
        .into_vec()
        .ok()
        .filter(|bytes| bytes.len() <= 64)?;
    let mut bytes = vec![0; 64 - significant.len()];
    bytes.extend(significant);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Published vectors: RFC 1321, FIPS 180-4, the xxHash specification's empty input, SMPTE ST 2114, the CRC
    /// catalogue.
    const VECTORS: [(&str, &str); 13] = [
        ("", "xxh128:99aa06d3014798d86001c324468d497f"),
        ("abc", "xxh128:06b05ab6733a618578af5f94892f3950"),
        ("", "xxh3:2d06800538d394c2"),
        ("abc", "xxh3:78af5f94892f3950"),
        ("", "xxh64:ef46db3751d8e999"),
        ("abc", "xxh64:44bc2cf5ad770999"),
        ("", "md5:d41d8cd98f00b204e9800998ecf8427e"),
        ("abc", "md5:900150983cd24fb0d6963f7d28e17f72"),
        ("abc", "sha1:a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abc",
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "",
            "c4:c459dsjfscH38cYeXXYogktxf4Cd9ibshE3BHUo6a58hBXmRQdZrAkZzsWcbWtDg5oQstpDuni4Hirj75GEmTc1sFT",
        ),
        ("123456789", "crc64nvme:ae8b14860a799888"),
        ("", "crc64nvme:0000000000000000"),
    ];

    #[test]
    fn agrees_with_published_vectors() {
        for (input, expected) in VECTORS {
            let expected = Digest::parse(expected).expect("well formed");
            assert_eq!(hash_bytes(expected.algorithm, input.as_bytes()), expected);
        }
    }

    #[test]
    fn every_digest_reads_back_and_has_the_declared_length() {
        for algorithm in HashAlgorithm::ALL {
            let digest = hash_bytes(algorithm, b"showrunner");
            assert_eq!(digest.text.len(), algorithm.text_len(), "{digest}");
            assert_eq!(Digest::parse(&digest.to_string()), Ok(digest.clone()));
            assert!(digest.bytes().is_some(), "{digest}");
        }
    }

    #[test]
    fn a_c4_id_keeps_its_length_when_the_hash_starts_with_zeros() {
        let mut sha512 = [0u8; 64];
        sha512[63] = 57;
        let text = c4_text(&sha512);
        assert_eq!((text.len(), text.ends_with("1z")), (90, true), "{text}");
        assert_eq!(c4_bytes(&text).as_deref(), Some(&sha512[..]));
    }

    #[test]
    fn a_list_is_hashed_in_sorted_order() {
        let digests = |inputs: [&[u8]; 2]| {
            inputs
                .map(|i| hash_bytes(HashAlgorithm::Xxh128, i))
                .to_vec()
        };
        let one = hash_of_list(HashAlgorithm::Xxh128, digests([b"a\n", b"b\n"]));
        let other = hash_of_list(HashAlgorithm::Xxh128, digests([b"b\n", b"a\n"]));
        assert_eq!(one, other);
        assert_eq!(
            hash_of_list(HashAlgorithm::Xxh128, Vec::new()),
            Ok(hash_bytes(HashAlgorithm::Xxh128, b"")),
        );
        let bad = Digest {
            algorithm: HashAlgorithm::Md5,
            text: "xyz".into(),
        };
        assert!(
            hash_of_list(HashAlgorithm::Md5, vec![bad])
                .expect_err("not hexadecimal")
                .contains("md5:xyz")
        );
    }

    proptest! {
        /// Cutting the input anywhere changes nothing.
        #[test]
        fn chunks_do_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..2000), cut in 0usize..2000) {
            let cut = cut.min(bytes.len());
            for algorithm in HashAlgorithm::ALL {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(&bytes[..cut]);
                hasher.update(&bytes[cut..]);
                prop_assert_eq!(hasher.finish(), hash_bytes(algorithm, &bytes));
            }
        }
    }
}
