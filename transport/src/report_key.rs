//! Authenticators of reports. Every program with a worker's login may add entries to the stream of reports. A coordinator
//! with a key of the deployment therefore accepts only messages that carry an authenticator: HMAC-SHA-256 over the purpose,
//! the sender and the bytes. The key is in a file of each process; it is never in Redis.
use aws_lc_rs::hmac;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// First part of what is authenticated. It makes an authenticator of reports invalid for any other purpose.
const PURPOSE: &[u8] = b"showrunner reports 1\n";
/// Length of a key in bytes: that of a SHA-256 hash (RFC 2104 §3).
const KEY_BYTES: usize = 32;
/// Keys in one file: the current one, and those that a change of keys needs for a while.
const KEYS_MAX: usize = 8;

/// Why a text holds no keys. The text itself is not shown: it may be a secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// There is no key.
    #[error("it has no key: write one with openssl rand -hex 32")]
    Empty,
    /// A line is not a key.
    #[error("line {0} is not a key of 64 hexadecimal digits: write one with openssl rand -hex 32")]
    Malformed(usize),
    /// There are too many keys.
    #[error("it has more than {KEYS_MAX} keys: remove those that no worker uses any more")]
    TooMany,
}

/// The keys of a deployment. Messages are authenticated with the first; each of them is accepted.
#[derive(Clone)]
pub struct ReportKeys(Arc<[hmac::Key]>);

impl fmt::Debug for ReportKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReportKeys({})", self.0.len())
    }
}

impl ReportKeys {
    /// Reads keys, one a line. Empty lines and those that begin with `#` are ignored.
    pub fn parse(text: &str) -> Result<ReportKeys, KeyError> {
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = key(line).ok_or(KeyError::Malformed(number))?;
            if keys.len() == KEYS_MAX {
                return Err(KeyError::TooMany);
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, &key));
        }
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(ReportKeys(keys.into()))
    }

    /// The authenticator of a message of this sender, with the first key.
    pub fn authenticate(&self, sender: &str, body: &[u8]) -> Vec<u8> {
        let tag = self
            .0
            .first()
            .map(|key| context(key, sender.as_bytes(), body).sign());
        tag.map_or_else(Vec::new, |tag| tag.as_ref().to_vec())
    }

    /// Whether one of the keys has made this authenticator, for these bytes of this sender. The comparison takes the same
    /// time for every wrong authenticator.
    pub fn verifies(&self, sender: &[u8], body: &[u8], authenticator: &[u8]) -> bool {
        self.0.iter().any(|key| {
            let tag = context(key, sender, body).sign();
            aws_lc_rs::constant_time::verify_slices_are_equal(tag.as_ref(), authenticator).is_ok()
        })
    }
}

/// What is authenticated. The length of the sender is part of it, so that no byte can move between sender and body.
fn context(key: &hmac::Key, sender: &[u8], body: &[u8]) -> hmac::Context {
    let mut context = hmac::Context::with_key(key);
    context.update(PURPOSE);
    context.update(&(sender.len() as u64).to_be_bytes());
    context.update(sender);
    context.update(body);
    context
}

fn key(line: &str) -> Option<[u8; KEY_BYTES]> {
    let digits = line.as_bytes();
    if digits.len() != 2 * KEY_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const SECOND: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn keys(text: &str) -> ReportKeys {
        ReportKeys::parse(text).expect("keys")
    }

    #[test]
    fn authenticator_is_valid_for_its_sender_bytes_and_key_only() {
        let ours = keys(FIRST);
        let tag = ours.authenticate("w-1", b"a report");
        assert_eq!(tag.len(), 32);
        assert!(ours.verifies(b"w-1", b"a report", &tag));
        assert!(!ours.verifies(b"w-2", b"a report", &tag), "another sender");
        assert!(!ours.verifies(b"w-1", b"b report", &tag), "other bytes");
        assert!(
            !ours.verifies(b"w-1a", b" report", &tag),
            "a byte that moved from the body to the sender"
        );
        assert!(
            !keys(SECOND).verifies(b"w-1", b"a report", &tag),
            "another key"
        );
        for cut in 0..tag.len() {
            assert!(!ours.verifies(b"w-1", b"a report", &tag[..cut]), "{cut}");
        }
        let seed = keys(FIRST);
        assert_eq!(seed.authenticate("w-1", b"a report"), tag);
    }

    /// The value is computed independently (Python's `hmac`): a changed layout locks out workers of other versions.
    #[test]
    fn authenticator_has_a_fixed_layout() {
        let tag = keys(FIRST).authenticate("w-1", b"a report");
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "bdc79dbd6cdcd8c69586dcc4026e87e9ed896673ca56167aa2d1ed2456d4c3a8"
        );
    }

    #[test]
    fn every_key_of_a_file_is_accepted_and_the_first_is_used() {
        let changing = keys(&format!("# new first\n{SECOND}\n\n  {FIRST}  \n"));
        assert!(changing.verifies(b"w", b"r", &keys(FIRST).authenticate("w", b"r")));
        assert_eq!(
            changing.authenticate("w", b"r"),
            keys(SECOND).authenticate("w", b"r")
        );
    }

    #[test]
    fn text_without_keys_is_refused_and_not_repeated() {
        let error = |text: &str| ReportKeys::parse(text).expect_err("no keys");
        assert_eq!(error(""), KeyError::Empty);
        assert_eq!(error("\n# a comment\n"), KeyError::Empty);
        for wrong in ["secret", &FIRST[1..], &format!("{FIRST}0"), &"é".repeat(32)] {
            let said = error(&format!("{FIRST}\n{wrong}"));
            assert_eq!(said, KeyError::Malformed(2));
            assert!(!said.to_string().contains(wrong), "{said}");
        }
        assert_eq!(error(&format!("{FIRST}\n").repeat(9)), KeyError::TooMany);
        assert_eq!(format!("{:?}", keys(FIRST)), "ReportKeys(1)");
    }
}
