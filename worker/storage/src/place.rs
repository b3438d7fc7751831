//! Locations taken apart: the place a storage is bound to, and the key in it.
use super::StorageError;
use super::location::local_path;
use protocol::media::location::shown;
use std::path::PathBuf;

/// Longest key any backend takes, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// A location of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:/path`: the absolute path.
    File(PathBuf),
    /// `s3://bucket/key`.
    S3(Object),
    /// `gs://bucket/object`.
    Gcs(Object),
    /// `https://…` or `http://…`.
    Http(reqwest::Url),
}

/// A name in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The bucket.
    pub bucket: String,
    /// The key, or a prefix of keys; empty for the whole bucket.
    pub key: String,
}

impl Location {
    /// Reads a location. What follows `s3://bucket/` is the key itself: nothing is decoded.
    pub fn parse(text: &str) -> Result<Location, StorageError> {
        let invalid = |said: &str| StorageError::invalid(shown(text), said);
        let object = |rest: &str| {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            let named = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
            if bucket.len() < 3 || bucket.len() > 255 || !bucket.chars().all(named) {
                return Err(invalid("a bucket has 3 or more letters, digits, dots or hyphens"));
            }
            check_key(text, key)?;
            Ok(Object { bucket: bucket.to_owned(), key: key.to_owned() })
        };
        match text.split_once(':').map(|(scheme, rest)| (scheme, rest.strip_prefix("//"))) {
            Some(("file", _)) => {
                local_path(text).map(Location::File).map_err(|error| StorageError::invalid(text, error.to_string()))
            }
            Some(("s3", Some(rest))) => object(rest).map(Location::S3),
            Some(("gs", Some(rest))) => object(rest).map(Location::Gcs),
            Some(("https" | "http", Some(_))) => {
                let url = reqwest::Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
                if url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
                    return Err(invalid(
                        "a web location has a host and no credentials: those belong into the storage settings",
                    ));
                }
                Ok(Location::Http(url))
            }
            _ => Err(invalid("write file:/path, s3://bucket/key, gs://bucket/object or https://host/path")),
        }
    }
}

/// Checks a key: no empty name, no way up, nothing a header or a path cannot carry.
pub(super) fn check_key(location: &str, key: &str) -> Result<(), StorageError> {
    let said = if key.len() > KEY_BYTES_MAX {
        "its name is longer than 1024 bytes"
    } else if key.contains(['\0', '\r', '\n']) {
        "its name contains a control character"
    } else if key.split('/').any(|part| part == ".." || part == ".") {
        "its name contains '.' or '..'"
    } else {
        return Ok(());
    };
    Err(StorageError::invalid(location, said))
}

/// Percent-encodes a key for paths: everything but letters, digits, `-._~` and, with `slashes`, `/`.
pub(super) fn encode(key: &str, slashes: bool) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes && byte == b'/') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_location_reads() {
        let object = |bucket: &str, key: &str| Object { bucket: bucket.into(), key: key.into() };
        assert_eq!(Location::parse("file:/m/a.mov"), Ok(Location::File("/m/a.mov".into())));
        assert_eq!(Location::parse("s3://buck/a b%20/ü"), Ok(Location::S3(object("buck", "a b%20/ü"))));
        assert_eq!(Location::parse("s3://buck"), Ok(Location::S3(object("buck", ""))));
        assert_eq!(Location::parse("gs://buck/a:b"), Ok(Location::Gcs(object("buck", "a:b"))));
        assert!(matches!(Location::parse("https://h/a?b=c"), Ok(Location::Http(_))));
    }

    #[test]
    fn what_is_no_location_is_refused_and_shows_no_secret() {
        for wrong in ["", "/x", "s3:/b/k", "s3://", "s3://b!/k", "s3://buck/a/../b", "ftp://h/x", "https://", "file:x"]
        {
            assert!(matches!(Location::parse(wrong), Err(StorageError::Invalid { .. })), "{wrong}");
        }
        let shown = Location::parse("https://user:secret@h/x").expect_err("refused").to_string();
        assert!(!shown.contains("secret") && shown.contains("https://…@h/x"), "{shown}");
        assert!(Location::parse(&format!("s3://buck/{}", "k".repeat(1025))).is_err());
        assert!(Location::parse("s3://buck/a\nb").is_err());
    }

    #[test]
    fn keys_are_encoded_byte_by_byte() {
        assert_eq!(encode("a b+ü/c~", true), "a%20b%2B%C3%BC/c~");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }
}
