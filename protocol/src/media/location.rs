//! Locations as text: what may be shown of them, and the name of the file in them.
use std::borrow::Cow;

/// What takes the place of what is not shown.
const HIDDEN: &str = "…";

/// A location as messages, tables and answers show it. The query of an address carries signatures and tokens, and a
/// login may precede its host: neither is shown. Other locations are shown as they are.
pub fn shown(location: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address(location) else { return Cow::Borrowed(location) };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (address, query) = rest.split_at(end);
    let host_end = address.find('/').unwrap_or(address.len());
    let host_start = address[..host_end].rfind('@').map(|at| at + 1);
    if query.is_empty() && host_start.is_none() {
        return Cow::Borrowed(location);
    }
    let login = if host_start.is_some() { format!("{HIDDEN}@") } else { String::new() };
    let address = &address[host_start.unwrap_or(0)..];
    let query = if query.is_empty() { String::new() } else { format!("?{HIDDEN}") };
    Cow::Owned(format!("{scheme}://{login}{address}{query}"))
}

/// The name of the file that a location names: its last part. In a web address that is the part of the path, without the
/// query, and decoded, where it decodes to a name.
pub fn file_name(location: &str) -> Cow<'_, str> {
    let Some((_, rest)) = web(location) else { return Cow::Borrowed(last(location)) };
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let name = last(path);
    match decoded(name) {
        Some(decoded) if !decoded.contains('/') => Cow::Owned(decoded),
        _ => Cow::Borrowed(name),
    }
}

fn last(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// The scheme and the rest of an address of a host, usable or not. A bucket's key and a path may hold any character.
fn address(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once("://")?;
    (!["s3", "gs", "file"].contains(&scheme)).then_some((scheme, rest))
}

/// The scheme and the rest of a web address.
fn web(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once("://")?;
    ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some((scheme, rest))
}

/// `None` where there is nothing to decode, or what it says is no text.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|hex| *first == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn web_address_shows_neither_query_nor_login() {
        for (location, expected) in [
            ("https://h/a.mov?X-Amz-Signature=f00/x@y", "https://h/a.mov?…"),
            ("https://h/a.mov#token=1", "https://h/a.mov?…"),
            ("https://ana:secret@h:1/a.mov", "https://…@h:1/a.mov"),
            ("HTTPS://ana:sec@ret@h", "HTTPS://…@h"),
            ("https://[bad/f?sig=x", "https://[bad/f?…"),
            ("https://h/a@b.mov", "https://h/a@b.mov"),
            ("ftp://ana:x@h/a.mov?sig=x", "ftp://…@h/a.mov?…"),
            ("s3://bucket/a?b#c", "s3://bucket/a?b#c"),
            ("file:/a?b.mov", "file:/a?b.mov"),
            ("a.mov", "a.mov"),
        ] {
            assert_eq!(shown(location), expected, "{location}");
        }
    }

    #[test]
    fn web_address_names_its_decoded_last_segment() {
        for (location, expected) in [
            ("https://h/x/a.mov?X-Amz-Signature=1/2", "a.mov"),
            ("https://h/a.mov#t=10", "a.mov"),
            ("https://h/My%20Movie%20%C3%A9.mov", "My Movie é.mov"),
            ("https://h/a%2Fb.mov", "a%2Fb.mov"),
            ("https://h/100%.mov", "100%.mov"),
            ("https://h/%ff.mov", "%ff.mov"),
            ("https://h/a%00b", "a\0b"),
            ("s3://bucket/x/a%20b?.mov", "a%20b?.mov"),
            ("file:/x/a%20b.mov", "a%20b.mov"),
            ("file:/x/", "x"),
        ] {
            assert_eq!(file_name(location), expected, "{location}");
        }
    }

    proptest! {
        #[test]
        fn nothing_behind_a_question_mark_is_shown(path in "[ -~]{0,30}", secret in "SECRET[a-z/@#?]{0,10}") {
            let location = format!("https://h/{path}?{secret}");
            prop_assert!(!shown(&location).contains("SECRET"));
            prop_assert!(!file_name(&location).contains("SECRET"));
        }
    }
}
