//! Hash algorithms of file content, and their text.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hash algorithms of file content. The spelling is the one ASC MHL and manifests use.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// XXH3, 128 bits: the default, as in ASC MHL.
    Xxh128,
    /// XXH3, 64 bits.
    Xxh3,
    /// XXH64, 64 bits.
    Xxh64,
    /// MD5, 128 bits.
    Md5,
    /// SHA-1, 160 bits.
    Sha1,
    /// SHA-256, 256 bits.
    Sha256,
    /// C4 id (SHA-512 in base 58, SMPTE ST 2114).
    C4,
    /// CRC-64/NVME, as S3 verifies it.
    Crc64nvme,
}

impl HashAlgorithm {
    /// Every hash algorithm.
    pub const ALL: [HashAlgorithm; 8] = [
        HashAlgorithm::Xxh128,
        HashAlgorithm::Xxh3,
        HashAlgorithm::Xxh64,
        HashAlgorithm::Md5,
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::C4,
        HashAlgorithm::Crc64nvme,
    ];

    /// The spelling in manifests, MHL elements and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            HashAlgorithm::Xxh128 => "xxh128",
            HashAlgorithm::Xxh3 => "xxh3",
            HashAlgorithm::Xxh64 => "xxh64",
            HashAlgorithm::Md5 => "md5",
            HashAlgorithm::Sha1 => "sha1",
            HashAlgorithm::Sha256 => "sha256",
            HashAlgorithm::C4 => "c4",
            HashAlgorithm::Crc64nvme => "crc64nvme",
        }
    }

    /// Reads the spelling of [`HashAlgorithm::as_str`], in any case.
    pub fn parse(text: &str) -> Option<HashAlgorithm> {
        HashAlgorithm::ALL
            .into_iter()
            .find(|a| a.as_str().eq_ignore_ascii_case(text.trim()))
    }

    /// Length of a digest in hexadecimal digits; C4 ids are 90 characters of base 58 with their prefix.
    pub fn text_len(self) -> usize {
        match self {
            HashAlgorithm::Xxh3 | HashAlgorithm::Xxh64 | HashAlgorithm::Crc64nvme => 16,
            HashAlgorithm::Xxh128 | HashAlgorithm::Md5 => 32,
            HashAlgorithm::Sha1 => 40,
            HashAlgorithm::Sha256 => 64,
            HashAlgorithm::C4 => 90,
        }
    }
}

/// Splits `algorithm:digest` as manifests write it. Says what is wrong otherwise.
pub fn parse_hash(text: &str) -> Result<(HashAlgorithm, String), String> {
    let text = text.trim();
    let (name, digest) = match text.split_once(':') {
        Some(pair) => pair,
        None if text.starts_with("c4") && text.len() == 90 => ("c4", text),
        None => {
            return Err(format!(
                "hash {text:?} does not say its algorithm: write it as xxh128:{text} or md5:{text}"
            ));
        }
    };
    let Some(algorithm) = HashAlgorithm::parse(name) else {
        let known = HashAlgorithm::ALL.map(HashAlgorithm::as_str).join(", ");
        return Err(format!("unknown hash algorithm {name:?}; known: {known}"));
    };
    let hex = algorithm != HashAlgorithm::C4;
    if digest.len() != algorithm.text_len()
        || (hex && !digest.chars().all(|c| c.is_ascii_hexdigit()))
    {
        return Err(format!(
            "{name} digest {digest:?} is not {} characters long or not hexadecimal",
            algorithm.text_len()
        ));
    }
    let digest = if hex {
        digest.to_ascii_lowercase()
    } else {
        digest.to_owned()
    };
    Ok((algorithm, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_name_their_algorithm() {
        assert_eq!(
            parse_hash("MD5:D41D8CD98F00B204E9800998ECF8427E"),
            Ok((
                HashAlgorithm::Md5,
                "d41d8cd98f00b204e9800998ecf8427e".into()
            ))
        );
        assert!(
            parse_hash("d41d8cd98f00b204e9800998ecf8427e")
                .expect_err("ambiguous")
                .contains("md5:")
        );
        assert!(parse_hash("md5:xyz").is_err());
        assert!(
            parse_hash("crc1:00")
                .expect_err("unknown")
                .contains("crc64nvme")
        );
    }
}
