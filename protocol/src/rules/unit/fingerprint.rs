//! Fingerprint of the cause of a failure. Digits, paths, quoted names and ids are removed from the message, so that a
//! thousand equal failures are one line and one decision.
use crate::failure::{ErrorClass, Failure};
use sha2::{Digest, Sha256};

/// Length limit of a normalised message in characters.
const MESSAGE_MAX: usize = 240;
/// Longer words are ids.
const WORD_MAX: usize = 24;
/// Placeholder for a variable part.
const BLANK: &str = "*";

/// Sixteen hexadecimal digits over reason, class and normalised message.
pub fn fingerprint(failure: &Failure) -> String {
    of(&failure.reason, failure.class, &failure.message)
}

fn of(reason: &str, class: ErrorClass, message: &str) -> String {
    let mut hash = Sha256::new();
    for part in [reason, class.as_str(), &normalised(message)] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether a text can be a fingerprint.
pub fn is_fingerprint(text: &str) -> bool {
    text.len() == 16
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The message in lower case, with one placeholder for each run of numbers, paths, quoted names and ids.
pub fn normalised(message: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut length = 0;
    for word in unquoted(&message.to_lowercase()).split_whitespace() {
        let word = blanked(word);
        if word.is_empty() || (word == BLANK && words.last().is_some_and(|last| last == BLANK)) {
            continue;
        }
        length += word.len() + 1;
        if length > MESSAGE_MAX {
            break;
        }
        words.push(word);
    }
    words.join(" ")
}

/// Replaces quoted text. An apostrophe inside a word begins no quote, and an unclosed quote is none.
fn unquoted(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let (mut rest, mut before) = (message, ' ');
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let opens = matches!(c, '"' | '\'' | '`') && !before.is_alphanumeric();
        if let Some(end) = opens.then(|| closing(after, c)).flatten() {
            out.push(' ');
            out.push_str(BLANK);
            out.push(' ');
            rest = &after[end..];
            before = ' ';
            continue;
        }
        out.push(c);
        (rest, before) = (after, c);
    }
    out
}

/// Where the text behind a closing quote begins.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return Some(at + c.len_utf8());
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn blanked(word: &str) -> String {
    if word == BLANK {
        return word.to_owned();
    }
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != '\\');
    let inner = bare.trim_matches(['/', '\\']);
    let differs = bare
        .chars()
        .any(|c| c.is_numeric() || matches!(c, '/' | '\\' | '@' | '_' | '='))
        || inner.contains('.')
        || inner.chars().count() > WORD_MAX;
    if differs {
        BLANK.to_owned()
    } else {
        inner.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(a: &str, b: &str) -> bool {
        of("r", ErrorClass::Transient, a) == of("r", ErrorClass::Transient, b)
    }

    #[test]
    fn messages_about_different_assets_share_a_fingerprint() {
        for (a, b) in [
            (
                "in/b.bin does not exist: deliver it",
                "in/deep/er/c.bin does not exist: deliver it",
            ),
            (
                "unit 1/0/7 failed on attempt 2, as asked",
                "unit 1/0/13 failed on attempt 0, as asked",
            ),
            (
                "asset \"trailer one\" is short",
                "asset \"feature\" is short",
            ),
            (
                "cannot open 'a b.mov': permission denied",
                "cannot open 'c.mov': permission denied",
            ),
            (
                "etag 9b2cf535f27731c974343645a3985328 differs",
                "etag d41d8cd98f00b204e9800998ecf8427e differs",
            ),
            (
                "measured -14.2 LUFS, limit -23",
                "measured -9 LUFS, limit -24",
            ),
            ("s3://bucket/key: slow down", "s3://other/k/e/y: slow down"),
        ] {
            assert!(same(a, b), "{:?} and {:?}", normalised(a), normalised(b));
        }
    }

    #[test]
    fn different_causes_have_different_fingerprints() {
        assert!(!same("in/b.bin does not exist", "in/b.bin cannot be read"));
        assert!(!same("it's full", "it's away"));
        assert_ne!(
            of("a", ErrorClass::Transient, "m"),
            of("b", ErrorClass::Transient, "m")
        );
        assert_ne!(
            of("a", ErrorClass::Transient, "m"),
            of("a", ErrorClass::Permanent, "m")
        );
        assert_ne!(
            of("ab", ErrorClass::Transient, ""),
            of("a", ErrorClass::Transient, "b")
        );
        assert_eq!(
            normalised("No space on 10.0.0.7, free 3 GiB"),
            "no space on * free * gib"
        );
    }

    proptest! {
        /// Any text has a fingerprint; what is left of it is short, holds no digit, and is left alone by another pass.
        #[test]
        fn normalising_is_total_bounded_and_ends(message in "\\PC{0,400}") {
            let once = normalised(&message);
            prop_assert!(once.len() <= MESSAGE_MAX);
            prop_assert!(!once.chars().any(char::is_numeric), "{once:?}");
            prop_assert_eq!(normalised(&once), once);
            prop_assert!(is_fingerprint(&of("r", ErrorClass::Transient, &message)));
        }

        /// Other numbers, another path or another name in quotes: the same cause.
        #[test]
        fn numbers_paths_and_names_do_not_matter(
            words in prop::collection::vec("[a-z]{1,9}", 1..6),
            (a, b) in (0u64.., 0u64..),
            (p, q) in ("(/[a-zA-Z0-9._-]{1,8}){1,5}", "(/[a-zA-Z0-9._-]{1,8}){1,5}"),
            (n, m) in ("[a-zA-Z0-9 /.]{0,20}", "[a-zA-Z0-9 /.]{0,20}"),
        ) {
            let text = |n: u64, path: &str, name: &str| format!("{} {n} of {path}: {name:?} {}", words.join(" "), words[0]);
            prop_assert_eq!(normalised(&text(a, &p, &n)), normalised(&text(b, &q, &m)));
        }
    }
}
