//! Checksums in sidecar files: `a.mov.md5` in the directory of `a.mov`. The transfer verifies the declared hash, like
//! that of a manifest row.
//!
//! Read as `md5sum`, `sha1sum`, `xxhsum` and the offload tools write them: the digest alone, the digest and a name, or
//! `MD5 (name) = digest`.
use protocol::model::hash::{HashAlgorithm, parse_hash};
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use storage::RootError;

/// Bytes of a sidecar that are read: one line for each file of a card.
pub(super) const BYTES_MAX: u64 = 1 << 20;

/// Extensions by precedence: the cheapest to compute first.
pub(super) const EXTENSIONS: [&str; 9] = [
    ".xxh128", ".xxh3", ".xxh64", ".xxh", ".md5", ".sha1", ".sha256", ".c4", ".xxhash",
];

/// A hash that a sidecar declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// Declared hash as `algorithm:digest`.
    pub(super) hash: String,
    /// Name of the sidecar.
    pub(super) sidecar: String,
}

/// The path of a sidecar's owner, and its extension; `None` for other files.
pub(super) fn owner(path: &str) -> Option<(&str, &'static str)> {
    let found = EXTENSIONS.into_iter().find_map(|extension| {
        let at = path.len().checked_sub(extension.len())?;
        let (owner, written) = path.split_at_checked(at)?;
        written
            .eq_ignore_ascii_case(extension)
            .then_some((owner, extension))
    })?;
    let named = !found.0.is_empty() && !found.0.ends_with('/');
    named.then_some(found)
}

/// Every way to write an extension in upper and lower case, lower case first and upper case second.
fn spellings(extension: &'static str) -> impl Iterator<Item = String> {
    let letters = extension.bytes().filter(u8::is_ascii_alphabetic).count();
    let all = (1u32 << letters) - 1;
    let mixed = [0, all].into_iter().chain(1..all);
    mixed.map(move |upper| {
        let mut letter = 0;
        let spelled = extension.chars().map(|c| {
            let is_upper = c.is_ascii_alphabetic() && upper >> letter & 1 == 1;
            letter += u32::from(c.is_ascii_alphabetic());
            if is_upper { c.to_ascii_uppercase() } else { c }
        });
        spelled.collect()
    })
}

/// The hash that the sidecars of a file declare. `is_there` says whether there is one with an extension.
/// It is a regular file of the library, or is not read: a link may lead to any file, a pipe has no end.
pub(super) fn declared_for(
    path: &Path,
    open: impl Fn(&Path) -> Result<File, RootError>,
    is_there: impl Fn(&str) -> bool,
) -> Result<Option<Declared>, String> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    let spellings = EXTENSIONS
        .into_iter()
        .flat_map(|extension| spellings(extension).map(move |spelled| (extension, spelled)));
    let found = spellings.into_iter().find(|(_, spelled)| is_there(spelled));
    let Some((extension, spelled)) = found else {
        return Ok(None);
    };
    let sidecar = format!("{name}{spelled}");
    let mut text = Vec::new();
    let unread = |why: &dyn Display| {
        format!("its sidecar {sidecar} is not read: {why}; its hash is not checked")
    };
    let file = open(&path.with_file_name(&sidecar)).map_err(|error| match error {
        RootError::Outside(_) | RootError::Escapes { .. } => {
            unread(&"it is a link that leaves the library")
        }
        RootError::Kind { kind, .. } => unread(&format!("it is {kind}")),
        error => unread(&std::io::Error::from(error.errno())),
    })?;
    file.take(BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| unread(&error))?;
    declared(&text, extension, name).map(|hash| Some(Declared { hash, sidecar }))
}

/// The hash that a sidecar declares of the file called `name`.
pub(super) fn declared(text: &[u8], extension: &str, name: &str) -> Result<String, String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .collect();
    let unusable = |why: &str| format!("its sidecar {name}{extension} {why}: correct or remove it");
    let mut others = None;
    for line in lines {
        let (digest, of) = taken_apart(line);
        match of {
            Some(of) if of.rsplit(['/', '\\']).next() != Some(name) => others = Some(()),
            _ => {
                return spelled(digest, extension)
                    .ok_or_else(|| unusable("holds no digest of its kind"));
            }
        }
    }
    match others {
        Some(()) => Err(unusable("names other files alone")),
        None => Err(unusable("is empty")),
    }
}

/// The digest of a line, and the file name in it.
fn taken_apart(line: &str) -> (&str, Option<&str>) {
    if let Some((before, digest)) = line.rsplit_once(") = ")
        && let Some((_, name)) = before.split_once(" (")
    {
        return (digest.trim(), Some(name));
    }
    match line.split_once([' ', '\t']) {
        Some((digest, name)) => (
            digest,
            Some(name.trim_start().trim_start_matches('*')).filter(|name| !name.is_empty()),
        ),
        None => (line, None),
    }
}

/// A digest with its algorithm, which the extension names, or its length where that is enough.
fn spelled(digest: &str, extension: &str) -> Option<String> {
    let (xxh3, digest) = match digest.strip_prefix("XXH3_") {
        Some(digest) => (true, digest),
        None => (false, digest),
    };
    let algorithm = match (extension, digest.len()) {
        (".xxh" | ".xxhash" | ".xxh64", 16) if xxh3 => HashAlgorithm::Xxh3,
        (".xxh" | ".xxhash", 16) => HashAlgorithm::Xxh64,
        (".xxh" | ".xxhash", 32) => HashAlgorithm::Xxh128,
        _ => HashAlgorithm::parse(extension.strip_prefix('.')?)?,
    };
    let (algorithm, digest) = parse_hash(&format!("{}:{digest}", algorithm.as_str())).ok()?;
    Some(format!("{}:{digest}", algorithm.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn every_usual_form_is_read() {
        let upper = MD5.to_uppercase();
        for text in [
            MD5.to_owned(),
            format!("{upper}\r\n"),
            format!("\u{feff}# made by a tool\n{MD5}  a b.mov\n"),
            format!("{MD5} *clips/a b.mov"),
            format!("{MD5}\tC:\\card\\a b.mov"),
            format!("MD5 (a b.mov) = {MD5}"),
            format!("{}  other.mov\n{MD5}  a b.mov\n", "0".repeat(32)),
        ] {
            let declared = declared(text.as_bytes(), ".md5", "a b.mov");
            assert_eq!(declared, Ok(format!("md5:{MD5}")), "{text:?}");
        }
        for (digest, extension, expected) in [
            ("44bc2cf5ad770999", ".xxh", "xxh64:44bc2cf5ad770999"),
            ("XXH3_78af5f94892f3950", ".xxh", "xxh3:78af5f94892f3950"),
            (
                "06b05ab6733a618578af5f94892f3950",
                ".xxh",
                "xxh128:06b05ab6733a618578af5f94892f3950",
            ),
            ("78af5f94892f3950", ".xxh3", "xxh3:78af5f94892f3950"),
            (
                "a9993e364706816aba3e25717850c26c9cd0d89d",
                ".sha1",
                "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
            ),
        ] {
            assert_eq!(
                declared(digest.as_bytes(), extension, "a"),
                Ok(expected.to_owned())
            );
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_said() {
        for (text, says) in [
            ("", "is empty"),
            ("# nothing", "is empty"),
            ("hello", "no digest"),
            ("0123456789abcdef", "no digest"),
            (&format!("{MD5}  b.mov"), "names other files alone"),
        ] {
            let said = declared(text.as_bytes(), ".md5", "a.mov").expect_err(text);
            assert!(said.contains(says) && said.contains("a.mov.md5"), "{said}");
        }
    }

    #[test]
    fn extensions_are_known_in_any_case() {
        let all: Vec<String> = spellings(".md5").collect();
        assert_eq!(all, [".md5", ".MD5", ".Md5", ".mD5"]);
        let distinct = |extension| {
            spellings(extension)
                .collect::<std::collections::BTreeSet<_>>()
                .len()
        };
        assert_eq!((distinct(".c4"), distinct(".xxhash")), (2, 64));
    }

    #[test]
    fn a_sidecar_names_its_owner() {
        assert_eq!(owner("x/a.mov.md5"), Some(("x/a.mov", ".md5")));
        assert_eq!(owner("a.xxh128"), Some(("a", ".xxh128")));
        assert_eq!(owner("a.mov.MD5"), Some(("a.mov", ".md5")));
        assert_eq!(owner("é"), None);
        for none in ["a.mov", ".md5", "x/.md5", "a.md5.txt"] {
            assert_eq!(owner(none), None, "{none}");
        }
    }
}
