//! Locations of content. A location is text in job files, manifests, messages and tables; its [`Scheme`] decides which
//! storage opens it.
use std::borrow::Cow;

/// What takes the place of hidden text.
const HIDDEN: &str = "…";

/// The spellings of locations, for messages.
pub const SPELLINGS: &str = "file:/path, s3://bucket/key, gs://bucket/object or https://host/path";

/// How a location begins. A new kind of storage is one variant here and one backend in `worker/storage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `file:/path` and `file:///path`: a file of the machine or of a share that it mounts.
    File,
    /// `s3://bucket/key`: Amazon S3 and compatible servers.
    S3,
    /// `gs://bucket/object`: Google Cloud Storage.
    Gcs,
    /// `https://host/path`: a web server.
    Https,
    /// `http://host/path`: a web server without encryption.
    Http,
}

/// What follows the scheme of a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationForm {
    /// The path of a file.
    Path,
    /// A bucket and a key, separated by the first `/`.
    Bucket,
    /// Host and path of a URL.
    Url,
}

impl Scheme {
    /// All schemes, in the order of the enum.
    pub const ALL: [Scheme; 5] = [
        Scheme::File,
        Scheme::S3,
        Scheme::Gcs,
        Scheme::Https,
        Scheme::Http,
    ];

    /// The name before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::File => "file",
            Scheme::S3 => "s3",
            Scheme::Gcs => "gs",
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }

    /// The text that every location of this scheme begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Scheme::File => "file:",
            Scheme::S3 => "s3://",
            Scheme::Gcs => "gs://",
            Scheme::Https => "https://",
            Scheme::Http => "http://",
        }
    }

    /// What follows the scheme.
    pub const fn form(self) -> LocationForm {
        match self {
            Scheme::File => LocationForm::Path,
            Scheme::S3 | Scheme::Gcs => LocationForm::Bucket,
            Scheme::Https | Scheme::Http => LocationForm::Url,
        }
    }

    /// The scheme with this name, in lower case.
    pub fn parse(name: &str) -> Option<Scheme> {
        Scheme::ALL
            .into_iter()
            .find(|scheme| scheme.as_str() == name)
    }

    /// The scheme of a location and the text after its prefix; `None` for paths and for unknown schemes.
    pub fn split(location: &str) -> Option<(Scheme, &str)> {
        Scheme::ALL
            .into_iter()
            .find_map(|scheme| Some((scheme, location.strip_prefix(scheme.prefix())?)))
    }

    /// The scheme of a location; `None` for paths and for unknown schemes.
    pub fn of(location: &str) -> Option<Scheme> {
        Scheme::split(location).map(|(scheme, _)| scheme)
    }

    /// Whether a location names a file of this machine.
    pub fn is_local(location: &str) -> bool {
        Scheme::of(location) == Some(Scheme::File)
    }

    /// Whether a location of this scheme names a bucket and a key.
    pub fn is_bucket(self) -> bool {
        self.form() == LocationForm::Bucket
    }

    /// Whether content can be written to locations of this scheme.
    pub fn is_writable(self) -> bool {
        self.form() != LocationForm::Url
    }
}

/// A location as messages, tables and answers show it. The query of an address carries signatures and tokens, and a
/// login may precede its host: neither is shown. Other locations are shown as they are.
pub fn shown(location: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address(location) else {
        return Cow::Borrowed(location);
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (address, query) = rest.split_at(end);
    let host_end = address.find('/').unwrap_or(address.len());
    let host_start = address[..host_end].rfind('@').map(|at| at + 1);
    if query.is_empty() && host_start.is_none() {
        return Cow::Borrowed(location);
    }
    let login = if host_start.is_some() {
        format!("{HIDDEN}@")
    } else {
        String::new()
    };
    let address = &address[host_start.unwrap_or(0)..];
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{HIDDEN}")
    };
    Cow::Owned(format!("{scheme}://{login}{address}{query}"))
}

/// A message with every address in it as [`shown`] shows it: errors quote locations in the middle of sentences.
pub fn masked(message: &str) -> Cow<'_, str> {
    let (mut text, mut rest) = (String::new(), message);
    while let Some(at) = rest.find("://") {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let start = rest[..at].trim_end_matches(word).len();
        let over =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '`');
        let end = rest[at..].find(over).map_or(rest.len(), |end| at + end);
        // In JSON the quote behind an address is escaped, and both characters belong to the text.
        let escaped = rest[end..].starts_with('"') && rest[..end].ends_with('\\');
        let end = if escaped { end - 1 } else { end };
        text.push_str(&rest[..start]);
        text.push_str(&shown(&rest[start..end]));
        rest = &rest[end..];
    }
    if text.is_empty() && rest.len() == message.len() {
        return Cow::Borrowed(message);
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The name of the file that a location names: its last part. In a web address that is the part of the path, without the
/// query, and decoded, where it decodes to a name.
pub fn file_name(location: &str) -> Cow<'_, str> {
    let Some((_, rest)) = web(location) else {
        return Cow::Borrowed(last(location));
    };
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

/// The scheme and the rest of an address of a host, of an unknown scheme too. A bucket's key and a path may hold any
/// character.
fn address(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once("://")?;
    let is_url = Scheme::parse(scheme).is_none_or(|scheme| scheme.form() == LocationForm::Url);
    is_url.then_some((scheme, rest))
}

/// The scheme and the rest of a web address.
fn web(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once("://")?;
    let known = Scheme::parse(&scheme.to_ascii_lowercase())?;
    (known.form() == LocationForm::Url).then_some((scheme, rest))
}

/// Percent-decoded text; `None` without an escape, or when the result is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail
            .get(..2)
            .filter(|hex| *first == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
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
    fn scheme_splits_its_own_locations_only() {
        for (location, expected) in [
            ("file:/a", Some((Scheme::File, "/a"))),
            ("file:///a", Some((Scheme::File, "///a"))),
            ("s3://bucket/k", Some((Scheme::S3, "bucket/k"))),
            ("gs://bucket", Some((Scheme::Gcs, "bucket"))),
            ("https://h/a?b=c", Some((Scheme::Https, "h/a?b=c"))),
            ("http://h", Some((Scheme::Http, "h"))),
            ("s3:/bucket/k", None),
            ("S3://bucket/k", None),
            ("ftp://h/x", None),
            ("/a", None),
            ("", None),
        ] {
            assert_eq!(Scheme::split(location), expected, "{location}");
        }
        for scheme in Scheme::ALL {
            assert_eq!(Scheme::parse(scheme.as_str()), Some(scheme));
            assert!(
                scheme.prefix().starts_with(scheme.as_str())
                    && Scheme::of(scheme.prefix()) == Some(scheme)
            );
        }
    }

    #[test]
    fn web_address_shows_neither_query_nor_login() {
        for (location, expected) in [
            (
                "https://h/a.mov?X-Amz-Signature=f00/x@y",
                "https://h/a.mov?…",
            ),
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

    #[test]
    fn addresses_in_a_message_are_masked_and_the_rest_is_kept() {
        for (message, expected) in [
            ("nothing here", "nothing here"),
            (
                "source https://h/a?sig=x has 3 bytes",
                "source https://h/a?… has 3 bytes",
            ),
            (
                "\"https://ana:x@h/a\" and \"ftp://h/b#t\"!",
                "\"https://…@h/a\" and \"ftp://h/b?…\"!",
            ),
            (
                "s3://b/k?x to https://h/k (gone)",
                "s3://b/k?x to https://h/k (gone)",
            ),
            (
                r#"{"m":"\"https://h/a?x\" is gone"}"#,
                r#"{"m":"\"https://h/a?…\" is gone"}"#,
            ),
            ("ü://x", "ü://x"),
            ("é https://h?a", "é https://h?…"),
        ] {
            assert_eq!(masked(message), expected);
        }
    }

    proptest! {
        #[test]
        fn no_message_shows_a_query(before in "\\PC{0,12}", path in "[a-z/]{0,9}", secret in "SECRET[a-z/@#?]{0,10}", after in "( \\PC{0,12})?") {
            let message = format!("{before}https://h/{path}?{secret}{after}");
            prop_assert!(!masked(&message).contains("SECRET"), "{}", masked(&message));
        }

        #[test]
        fn nothing_behind_a_question_mark_is_shown(path in "[ -~]{0,30}", secret in "SECRET[a-z/@#?]{0,10}") {
            let location = format!("https://h/{path}?{secret}");
            prop_assert!(!shown(&location).contains("SECRET"));
            prop_assert!(!file_name(&location).contains("SECRET"));
        }
    }
}
