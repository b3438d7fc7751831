//! Locations taken apart: the scheme, and the address that a storage is opened by.
use super::StorageError;
use super::local_path::local_path;
use protocol::model::location::{LocationForm, SPELLINGS, Scheme, shown};
use std::path::PathBuf;

/// Longest key that any backend takes, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// A checked location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Decides which backend opens it.
    pub scheme: Scheme,
    /// What follows the scheme.
    pub address: Address,
}

/// The part of a location after its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The absolute path of a file.
    Path(PathBuf),
    /// A bucket and a key.
    Object(Object),
    /// The whole URL.
    Url(reqwest::Url),
}

/// A name in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Name of the bucket.
    pub bucket: String,
    /// The key, or a prefix of keys; empty for the whole bucket.
    pub key: String,
}

impl Location {
    /// Reads a location. What follows `s3://bucket/` is the key itself: nothing is decoded.
    pub fn parse(text: &str) -> Result<Location, StorageError> {
        let invalid = |said: &str| StorageError::invalid(shown(text), said);
        let (scheme, rest) =
            Scheme::split(text).ok_or_else(|| invalid(&format!("write {SPELLINGS}")))?;
        let address = match scheme.form() {
            LocationForm::Path => local_path(text)
                .map(Address::Path)
                .map_err(|error| StorageError::invalid(text, error.to_string()))?,
            LocationForm::Bucket => Address::Object(object(text, rest)?),
            LocationForm::Url => Address::Url(url(text)?),
        };
        Ok(Location { scheme, address })
    }
}

fn object(text: &str, rest: &str) -> Result<Object, StorageError> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let named = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if bucket.len() < 3 || bucket.len() > 255 || !bucket.chars().all(named) {
        return Err(StorageError::invalid(
            shown(text),
            "a bucket has 3 or more letters, digits, dots or hyphens",
        ));
    }
    check_key(text, key)?;
    Ok(Object {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    })
}

fn url(text: &str) -> Result<reqwest::Url, StorageError> {
    let invalid = |said: &str| StorageError::invalid(shown(text), said);
    let url = reqwest::Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
    if url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "a web location has a host and no credentials: those belong into the storage settings",
        ));
    }
    Ok(url)
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
    fn locations_of_all_schemes_parse() {
        let object = |scheme, bucket: &str, key: &str| {
            let address = Address::Object(Object {
                bucket: bucket.into(),
                key: key.into(),
            });
            Ok(Location { scheme, address })
        };
        let file = Location {
            scheme: Scheme::File,
            address: Address::Path("/m/a.mov".into()),
        };
        assert_eq!(Location::parse("file:/m/a.mov"), Ok(file));
        assert_eq!(
            Location::parse("s3://buck/a b%20/ü"),
            object(Scheme::S3, "buck", "a b%20/ü")
        );
        assert_eq!(Location::parse("s3://buck"), object(Scheme::S3, "buck", ""));
        assert_eq!(
            Location::parse("gs://buck/a:b"),
            object(Scheme::Gcs, "buck", "a:b")
        );
        let web = Location::parse("https://h/a?b=c");
        assert!(
            matches!(
                web,
                Ok(Location {
                    scheme: Scheme::Https,
                    address: Address::Url(_)
                })
            ),
            "{web:?}"
        );
    }

    #[test]
    fn invalid_location_is_refused_without_showing_secrets() {
        for wrong in [
            "",
            "/x",
            "s3:/b/k",
            "s3://",
            "s3://b!/k",
            "s3://buck/a/../b",
            "ftp://h/x",
            "https://",
            "file:x",
        ] {
            assert!(
                matches!(Location::parse(wrong), Err(StorageError::Invalid { .. })),
                "{wrong}"
            );
        }
        let shown = Location::parse("https://user:secret@h/x")
            .expect_err("refused")
            .to_string();
        assert!(
            !shown.contains("secret") && shown.contains("https://…@h/x"),
            "{shown}"
        );
        assert!(Location::parse(&format!("s3://buck/{}", "k".repeat(1025))).is_err());
        assert!(Location::parse("s3://buck/a\nb").is_err());
    }

    #[test]
    fn keys_are_encoded_byte_by_byte() {
        assert_eq!(encode("a b+ü/c~", true), "a%20b%2B%C3%BC/c~");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }
}
