//! Which files of a library are its assets: glob patterns over the path relative to the library, with `/` between its parts.
//!
//! | pattern | matches |
//! |---|---|
//! | `*` | any characters of one name |
//! | `**` | any characters, `/` too; `**/` also nothing |
//! | `?` | one character of a name |
//! | `[a-z]`, `[!a-z]` | one character that is, or is not, in the class |
//! | `{mov,mxf}` | one of the alternatives |
//! | `\*` | the character itself |
//!
//! A pattern without `/` is compared with the file name, in any folder; one with `/` with the whole path; one that ends in
//! `/` names a folder and matches everything below it. Case counts. Pure.
use regex::RegexSet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Patterns that one list holds at most.
pub const PATTERNS_MAX: usize = 500;
/// Bytes of one pattern at most.
const PATTERN_BYTES_MAX: usize = 1_024;

/// A list of patterns as people write it: a list, or one pattern alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns(pub Vec<String>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Patterns, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Patterns;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pattern or a list of patterns, such as [\"*.mov\", \"sound/**\"]")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Patterns, E> {
                Ok(Patterns(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = seq.next_element::<String>()? {
                    patterns.push(pattern);
                }
                Ok(Patterns(patterns))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Patterns {
    fn schema_name() -> Cow<'static, str> {
        "Patterns".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
            "examples": [["*.mov", "sound/**"]],
        })
    }
}

/// The patterns of a library.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PathFilter {
    /// A file matches one of them, when there are any.
    pub include: Vec<String>,
    /// A file matches none of them; this counts before `include`.
    pub exclude: Vec<String>,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern {
    /// The pattern as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// A [`PathFilter`] that is ready to be asked.
#[derive(Debug, Clone)]
pub struct PathSelection {
    /// `None` selects everything.
    include: Option<RegexSet>,
    exclude: RegexSet,
    /// Folders below which everything is excluded.
    folders: RegexSet,
}

impl PathFilter {
    /// Whether it selects every file.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Reads the patterns. Names the first that cannot be used.
    pub fn compile(&self) -> Result<PathSelection, BadPattern> {
        let folders: Vec<&str> = self
            .exclude
            .iter()
            .filter_map(|pattern| everything_below(pattern))
            .collect();
        Ok(PathSelection {
            include: if self.include.is_empty() {
                None
            } else {
                Some(set(&self.include, false)?)
            },
            exclude: set(&self.exclude, false)?,
            folders: set(&folders, true)?,
        })
    }
}

impl PathSelection {
    /// Whether the file with this path is an asset.
    pub fn selects(&self, path: &str) -> bool {
        !self.exclude.is_match(path)
            && self
                .include
                .as_ref()
                .is_none_or(|include| include.is_match(path))
    }

    /// Whether everything below the folder with this path is excluded, so that it need not be listed.
    pub fn excludes_folder(&self, path: &str) -> bool {
        self.folders.is_match(path)
    }

    /// Whether a name that is neither known to be a file nor to be a folder is excluded.
    pub fn excludes(&self, path: &str) -> bool {
        self.exclude.is_match(path) || self.excludes_folder(path)
    }
}

/// The pattern of the folder below which an exclude pattern matches everything; nothing for other patterns.
fn everything_below(pattern: &str) -> Option<&str> {
    Written::of(pattern).below.then_some(pattern)
}

/// A pattern without the slashes around it.
struct Written<'a> {
    body: &'a str,
    /// It is compared with the whole path and not with its last parts.
    whole: bool,
    /// It means what is below the folder that the body names.
    below: bool,
}

impl Written<'_> {
    fn of(pattern: &str) -> Written<'_> {
        let (body, rooted) = pattern
            .strip_prefix('/')
            .map_or((pattern, false), |rest| (rest, true));
        let (folder, tree) = (body.strip_suffix('/'), body.strip_suffix("/**"));
        let whole = rooted || folder.unwrap_or(body).contains('/');
        Written {
            body: folder.or(tree).unwrap_or(body),
            whole,
            below: folder.or(tree).is_some(),
        }
    }
}

fn set<T: AsRef<str>>(patterns: &[T], folders: bool) -> Result<RegexSet, BadPattern> {
    let bad = |pattern: &str, (message, hint): (String, &str)| BadPattern {
        pattern: pattern.to_owned(),
        message,
        hint: hint.to_owned(),
    };
    if let Some(first) = patterns.get(PATTERNS_MAX) {
        let message = format!(
            "the list has {} patterns; {PATTERNS_MAX} are allowed",
            patterns.len()
        );
        return Err(bad(
            first.as_ref(),
            (message, "name folders (`proxies/`) instead of files"),
        ));
    }
    let mut regexes = Vec::new();
    for pattern in patterns.iter().map(AsRef::as_ref) {
        let written = Written::of(pattern);
        let body = translate(written.body).map_err(|why| bad(pattern, why))?;
        let before = if written.whole { "" } else { "(?:.*/)?" };
        let after = if written.below && !folders { "/.+" } else { "" };
        let regex = format!("^(?s:{before}{body}{after})$");
        // Each alone first, since an error of the set does not say whose it is.
        if regex::Regex::new(&regex).is_err() {
            let message = format!(
                "pattern {pattern:?} has a character class that is empty or runs backwards"
            );
            return Err(bad(
                pattern,
                (message, "write [a-z]; for the bracket itself write \\["),
            ));
        }
        regexes.push(regex);
    }
    RegexSet::new(&regexes).map_err(|_| {
        let pattern = patterns.first().map(AsRef::as_ref).unwrap_or_default();
        bad(
            pattern,
            (
                "the patterns of this list are too complex together".to_owned(),
                "use fewer or shorter patterns",
            ),
        )
    })
}

/// The regular expression of a pattern without its outer slashes; what is wrong with it, and what to write, otherwise.
fn translate(body: &str) -> Result<String, (String, &'static str)> {
    let wrong = |(what, hint): WrongPattern| (format!("pattern {body:?} {what}"), hint);
    if body.len() > PATTERN_BYTES_MAX {
        return Err((
            format!("a pattern is longer than {PATTERN_BYTES_MAX} bytes"),
            "use several patterns",
        ));
    }
    if body.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(wrong((
            "has an empty part, . or .. and matches nothing",
            "write it relative to the library, with one / between names: sound/*.wav",
        )));
    }
    let (mut regex, mut rest, mut open) = (String::new(), body, 0u32);
    while let Some(first) = rest.chars().next() {
        let taken = translate_token(first, rest, &mut regex, &mut open).map_err(wrong)?;
        rest = &rest[taken..];
    }
    match open {
        0 => Ok(regex),
        _ => Err(wrong((
            "opens alternatives with { and does not close them",
            "for the brace itself write \\{",
        ))),
    }
}

/// What is wrong with a pattern, and what to write instead.
type WrongPattern = (&'static str, &'static str);

/// Adds the expression of the token that `rest` starts with, and returns the bytes of the token. `open` counts the
/// alternatives that are not closed.
fn translate_token(
    first: char,
    rest: &str,
    regex: &mut String,
    open: &mut u32,
) -> Result<usize, WrongPattern> {
    let starts = regex.is_empty() || regex.ends_with('/');
    Ok(match first {
        '*' => {
            let stars = rest.len() - rest.trim_start_matches('*').len();
            let folders = stars > 1 && starts && rest[stars..].starts_with('/');
            regex.push_str(match stars {
                1 => "[^/]*",
                _ if folders => "(?:.*/)?",
                _ => ".*",
            });
            stars + usize::from(folders)
        }
        '?' => push(regex, "[^/]"),
        '[' => {
            let (class, taken) = class(rest).ok_or((
                "opens a character class with [ and does not close it",
                "for the bracket itself write \\[",
            ))?;
            regex.push_str(&class);
            taken
        }
        '{' => {
            *open += 1;
            push(regex, "(?:")
        }
        ',' if *open > 0 => push(regex, "|"),
        '}' if *open > 0 => {
            *open -= 1;
            push(regex, ")")
        }
        '\\' => match rest[1..].chars().next() {
            Some(next) if !next.is_alphanumeric() && next != '/' => {
                regex.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                1 + next.len_utf8()
            }
            _ => {
                return Err((
                    "has a \\ that escapes nothing",
                    "write / between folders: sound/*.wav",
                ));
            }
        },
        other => {
            regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4])));
            other.len_utf8()
        }
    })
}

/// Adds a piece for one character of the pattern.
fn push(regex: &mut String, piece: &str) -> usize {
    regex.push_str(piece);
    1
}

/// The expression of the class that `text` starts with, and the bytes of it that were read. Never matches a `/`.
fn class(text: &str) -> Option<(String, usize)> {
    let inner = text.strip_prefix('[')?;
    let (negated, members) = match inner.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, inner),
    };
    // A bracket right after the opening is a member.
    let first = members.chars().next()?.len_utf8();
    let end = first + members[first..].find(']')?;
    let escaped: String = members[..end]
        .chars()
        .flat_map(|c| {
            ["\\[]^&~".contains(c).then_some('\\'), Some(c)]
                .into_iter()
                .flatten()
        })
        .collect();
    let regex = match negated {
        true => format!("[^/{escaped}]"),
        false => format!("[{escaped}&&[^/]]"),
    };
    Some((regex, text.len() - members.len() + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(include: &[&str], exclude: &[&str]) -> PathFilter {
        let owned =
            |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        PathFilter {
            include: owned(include),
            exclude: owned(exclude),
        }
    }

    fn matches(pattern: &str, path: &str) -> bool {
        filter(&[pattern], &[])
            .compile()
            .expect(pattern)
            .selects(path)
    }

    #[test]
    fn each_pattern_matches_what_the_guide_says() {
        for (pattern, matching, other) in [
            (
                "*.mov",
                &["a.mov", "x/y/a.mov", ".mov", "a\nb.mov"][..],
                &["a.MOV", "a.mov.md5", "a.mov/b", "amov"][..],
            ),
            (
                "Thumbs.db",
                &["Thumbs.db", "x/Thumbs.db"],
                &["thumbs.db", "xThumbs.db", "Thumbs.db/x", "Thumbsxdb"],
            ),
            ("/a.mov", &["a.mov"], &["x/a.mov"]),
            (
                "x/*.mov",
                &["x/a.mov"],
                &["a.mov", "x/y/a.mov", "w/x/a.mov"],
            ),
            ("x/**", &["x/a", "x/y/a"], &["x", "xy/a", "w/x/a"]),
            ("x/**/a", &["x/a", "x/y/a", "x/y/z/a"], &["x/ya", "a"]),
            ("**/x/*", &["x/a", "w/x/a"], &["x/y/a", "wx/a"]),
            ("x/", &["x/a", "w/x/a", "x/y/a"], &["x", "wx/a"]),
            ("/x/", &["x/a"], &["w/x/a"]),
            ("w/x/", &["w/x/a"], &["x/a", "v/w/x/a"]),
            ("*", &["a", "x/a"], &[]),
            ("**", &["a", "x/a"], &[]),
            (
                "a?.mov",
                &["ab.mov", "aü.mov"],
                &["a.mov", "a/.mov", "abc.mov"],
            ),
            ("x?a", &["xya"], &["x/a"]),
            ("x**a", &["x/a", "xya", "xa"], &["xb"]),
            (
                "*.{mov,mx[fg]}",
                &["a.mov", "a.mxf", "a.mxg"],
                &["a.mxh", "a.mov,mxf"],
            ),
            ("[a-c]*", &["b1", "x/c"], &["d", "B"]),
            ("[!a-c]*", &["d1", "]"], &["b1"]),
            ("x[!y]a", &["x-a"], &["x/a", "xya"]),
            ("x[+-9]a", &["x.a", "x0a"], &["x/a"]),
            ("[]^]", &["]", "^"], &["a"]),
            (r"\[a\]\*", &["[a]*"], &["a*", "[a]b"]),
            ("a.b+(c)|d$^", &["a.b+(c)|d$^"], &["a.bb(c)", "d$^"]),
            ("a,b}", &["a,b}"], &["a"]),
        ] {
            for path in matching {
                assert!(matches(pattern, path), "{pattern:?} matches {path:?}");
            }
            for path in other {
                assert!(
                    !matches(pattern, path),
                    "{pattern:?} does not match {path:?}"
                );
            }
        }
    }

    #[test]
    fn exclude_counts_before_include_and_nothing_selects_everything() {
        let both = filter(&["*.mov", "sound/"], &["*_proxy.mov", "old/**"])
            .compile()
            .expect("patterns");
        for (path, selected) in [
            ("a.mov", true),
            ("sound/a.wav", true),
            ("a.wav", false),
            ("a_proxy.mov", false),
            ("sound/a_proxy.mov", false),
            ("old/a.mov", false),
            ("x/old/a.mov", true),
        ] {
            assert_eq!(both.selects(path), selected, "{path}");
        }
        assert!(
            PathFilter::default().is_empty()
                && PathFilter::default()
                    .compile()
                    .expect("none")
                    .selects("x/a")
        );
        assert!(
            !filter(&[], &["**"])
                .compile()
                .expect("a pattern")
                .selects("x/a")
        );
    }

    #[test]
    fn folders_are_excluded_only_as_a_whole() {
        let some = filter(&[], &["old/**", "cache/", "x/*", "**/tmp/**"])
            .compile()
            .expect("patterns");
        for folder in ["old", "cache", "a/cache", "tmp", "a/tmp"] {
            assert!(
                some.excludes_folder(folder) && some.excludes(folder),
                "{folder}"
            );
        }
        for folder in ["x", "a/old", "older", "cache/x", "a"] {
            assert!(!some.excludes_folder(folder), "{folder}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named_with_a_hint() {
        let long = "x".repeat(PATTERN_BYTES_MAX + 1);
        for (pattern, says) in [
            ("", "empty part"),
            ("/", "empty part"),
            ("a//b", "empty part"),
            ("../a", "empty part"),
            ("./*.mov", "empty part"),
            ("s3://b/*.mov", "empty part"),
            ("[a", "does not close it"),
            ("[", "does not close it"),
            ("[!", "does not close it"),
            ("[z-a]", "runs backwards"),
            ("{a,b", "does not close them"),
            ("media\\a", "escapes nothing"),
            ("a\\", "escapes nothing"),
            (&long, "longer"),
        ] {
            for tried in [filter(&[pattern], &[]), filter(&[], &["*.tmp", pattern])] {
                let bad = tried.compile().expect_err(pattern);
                assert!(
                    bad.pattern == pattern && bad.message.contains(says) && !bad.hint.is_empty(),
                    "{bad:?}"
                );
            }
        }
        let many = vec!["a"; PATTERNS_MAX + 1];
        assert!(filter(&many, &[]).compile().is_err());
        assert!(filter(&many[1..], &[]).compile().is_ok());
        let complex = "?".repeat(PATTERN_BYTES_MAX);
        assert!(filter(&[&complex], &[]).compile().is_ok());
    }

    /// What `*`, `**` and `?` mean, said in the plainest way.
    fn oracle(pattern: &[u8], path: &[u8]) -> bool {
        let any = |rest: &[u8], ends: &dyn Fn(u8) -> bool| {
            (0..=path.len())
                .take_while(|&at| at == 0 || !ends(path[at - 1]))
                .any(|at| oracle(rest, &path[at..]))
        };
        match pattern {
            [] => path.is_empty(),
            [b'*', b'*', rest @ ..] => any(rest, &|_| false),
            [b'*', rest @ ..] => any(rest, &|c| c == b'/'),
            [b'?', rest @ ..] => {
                path.first().is_some_and(|c| *c != b'/') && oracle(rest, &path[1..])
            }
            [c, rest @ ..] => path.first() == Some(c) && oracle(rest, &path[1..]),
        }
    }

    proptest! {
        /// Patterns over whole paths match what a plain matcher matches; those over names match it in any folder.
        #[test]
        fn patterns_match_like_a_plain_matcher(
            name in "[ab](\\*{0,2}|\\?|[ab])[ab]",
            folder in "[ab]{1,2}",
            path in "[ab]{1,3}(/[ab]{1,3}){0,2}",
        ) {
            let whole = format!("{folder}/{name}");
            prop_assert_eq!(matches(&whole, &path), oracle(whole.as_bytes(), path.as_bytes()), "{} {}", whole, path);
            let tails = path.match_indices('/').map(|(at, _)| &path[at + 1..]).chain([path.as_str()]);
            let expected = tails.clone().any(|tail| oracle(name.as_bytes(), tail.as_bytes()));
            prop_assert_eq!(matches(&name, &path), expected, "{} {}", name, path);
        }

        /// What is passed over as a folder would have been excluded file by file.
        #[test]
        fn a_folder_passed_over_holds_nothing_selected(
            pattern in "/?([ab*]{1,3}/){0,2}[ab*?]{1,2}(/|/\\*\\*)?",
            folder in "[ab]{1,2}(/[ab]{1,2}){0,2}",
            below in "[ab]{1,2}(/[ab]{1,2}){0,1}",
        ) {
            let excluded = filter(&[], &[&pattern]).compile().expect("a pattern");
            if excluded.excludes_folder(&folder) {
                let path = format!("{folder}/{below}");
                prop_assert!(!excluded.selects(&path), "{} {}", pattern, path);
            }
        }

        /// Any text is a pattern or an error, and a name with every special character escaped matches itself.
        #[test]
        fn any_text_is_read(text in "\\PC{0,20}", name in "[a-z.*?{}\\[\\],!\\\\ -]{1,10}") {
            drop(filter(&[&text], &[&text]).compile());
            prop_assume!(name != "." && name != "..");
            let special = |c: char| !c.is_alphanumeric();
            let escaped: String =
                name.chars().flat_map(|c| [special(c).then_some('\\'), Some(c)].into_iter().flatten()).collect();
            prop_assert!(matches(&escaped, &name), "{} {}", escaped, name);
        }
    }
}
