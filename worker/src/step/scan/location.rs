//! Where an asset's bytes are: relative paths made absolute and kept inside their root, remote addresses checked.
use protocol::model::location::{LocationForm, Scheme, file_name, shown};

/// Longest location: room for a signed address, far above any path.
const LOCATION_MAX: usize = 8192;

/// The directory that relative locations start from and may not leave.
pub(super) struct Root {
    /// Absolute, without `.`, `..` and trailing `/`; empty for `/`.
    path: String,
}

/// A location as the rest of the cluster sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// `file:` and an absolute path, or the remote address as written.
    pub(super) location: String,
    /// Path relative to the root when inside it, else the file's name.
    pub(super) path: String,
}

impl Root {
    /// Reads the root of a listing; `file:` in front of it is allowed.
    pub(super) fn new(root: &str) -> Root {
        Root {
            path: absolute(root.strip_prefix(Scheme::File.prefix()).unwrap_or(root)),
        }
    }

    /// Turns a written location into the one to use. Paths are taken as they stand: `%20` is three characters.
    pub(super) fn resolve(&self, written: &str) -> Result<Located, String> {
        if written.len() > LOCATION_MAX {
            return Err(format!(
                "the location is {} bytes long; {LOCATION_MAX} are allowed",
                written.len()
            ));
        }
        match scheme(written).map(|name| (name, Scheme::parse(name))) {
            None => self.resolve_path(written, written),
            Some((_, Some(Scheme::File))) => self.resolve_path(written, file_path(written)?),
            Some((_, Some(known)))
                if known != Scheme::Http && written.starts_with(known.prefix()) =>
            {
                remote(known, written)
            }
            Some((other, _)) => Err(format!(
                "location {:?} starts with {other:?}, which is not supported: use file:, s3://, gs:// or https:// \
                 (a file name with a colon is written file:./NAME)",
                shown(written)
            )),
        }
    }

    fn resolve_path(&self, written: &str, path: &str) -> Result<Located, String> {
        let last = path.rsplit('/').next().unwrap_or(path);
        if matches!(last, "" | "." | "..") {
            return Err(format!(
                "location {written:?} names a directory: name a file"
            ));
        }
        if let Some(rest) = path.strip_prefix('/') {
            let path = absolute(rest);
            let inside = path
                .strip_prefix(&self.path)
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(last);
            return Ok(Located {
                path: inside.to_owned(),
                location: format!("file:{path}"),
            });
        }
        if path.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            return Ok(self.inside(path.to_owned()));
        }
        let mut parts = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.pop().is_none() => {
                    return Err(format!(
                        "location {written:?} climbs out of {}: keep it inside, or write the absolute path",
                        if self.path.is_empty() {
                            "/"
                        } else {
                            &self.path
                        }
                    ));
                }
                ".." => {}
                part => parts.push(part),
            }
        }
        Ok(self.inside(parts.join("/")))
    }

    /// Takes a clean relative path literally, without looking for a scheme in it.
    pub(super) fn inside(&self, path: String) -> Located {
        let mut location = String::with_capacity(self.path.len() + path.len() + 6);
        location.push_str("file:");
        location.push_str(&self.path);
        location.push('/');
        location.push_str(&path);
        Located { location, path }
    }
}

/// Cleans an absolute path without looking at the disk. There is nothing above `/` to climb to.
fn absolute(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 1);
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            part => {
                out.push('/');
                out.push_str(part);
            }
        }
    }
    out
}

/// The part before the first colon, when it precedes every slash and has the form of a scheme.
fn scheme(written: &str) -> Option<&str> {
    let end = written.find([':', '/'])?;
    let name = &written[..end];
    let letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let rest = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (written.as_bytes()[end] == b':' && letter && rest).then_some(name)
}

/// The path in `file:x`, `file:/x`, `file:///x` or `file://localhost/x`.
fn file_path(written: &str) -> Result<&str, String> {
    let rest = written
        .strip_prefix(Scheme::File.prefix())
        .unwrap_or(written);
    let Some(after) = rest.strip_prefix("//") else {
        return Ok(rest);
    };
    match after.strip_prefix("localhost").unwrap_or(after) {
        path if path.starts_with('/') => Ok(path),
        _ => Err(format!(
            "location {written:?} names another host: mount it and write file:/path"
        )),
    }
}

fn remote(scheme: Scheme, written: &str) -> Result<Located, String> {
    let address = written.strip_prefix(scheme.prefix()).unwrap_or(written);
    let is_url = scheme.form() == LocationForm::Url;
    let address = if is_url {
        address.split(['?', '#']).next().unwrap_or(address)
    } else {
        address
    };
    let named = !address.ends_with('/');
    match address.split_once('/') {
        Some((host, _)) if !host.is_empty() && named => Ok(Located {
            location: written.to_owned(),
            path: file_name(written).into_owned(),
        }),
        _ => Err(format!(
            "location {:?} names no file: write {}host-or-bucket/path/file",
            shown(written),
            scheme.prefix()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(written: &str) -> Result<(String, String), String> {
        Root::new("/lib/rary")
            .resolve(written)
            .map(|located| (located.location, located.path))
    }

    fn ok(location: &str, path: &str) -> Result<(String, String), String> {
        Ok((location.to_owned(), path.to_owned()))
    }

    #[test]
    fn every_spelling_of_a_path_becomes_one() {
        for written in [
            "a/b.mov",
            "./a/b.mov",
            "file:a/b.mov",
            "file:./a//b.mov",
            "x/../a/./b.mov",
        ] {
            assert_eq!(
                resolve(written),
                ok("file:/lib/rary/a/b.mov", "a/b.mov"),
                "{written}"
            );
        }
        for written in [
            "/lib/rary/a/b.mov",
            "file:/lib/rary/a/b.mov",
            "file:///lib/rary/../rary/a/b.mov",
        ] {
            assert_eq!(
                resolve(written),
                ok("file:/lib/rary/a/b.mov", "a/b.mov"),
                "{written}"
            );
        }
        assert_eq!(
            resolve("file://localhost/x/b.mov"),
            ok("file:/x/b.mov", "b.mov")
        );
        assert_eq!(
            resolve("/lib/rary2/b.mov"),
            ok("file:/lib/rary2/b.mov", "b.mov")
        );
        assert_eq!(
            resolve("file:./Part: 1.mov"),
            ok("file:/lib/rary/Part: 1.mov", "Part: 1.mov")
        );
        assert_eq!(
            resolve("12:30.mov"),
            ok("file:/lib/rary/12:30.mov", "12:30.mov")
        );
        assert_eq!(
            Root::new("/").resolve("a.mov").map(|l| l.location),
            Ok("file:/a.mov".into())
        );
        assert_eq!(
            Root::new("/lib/./rary/").resolve("a").map(|l| l.location),
            Ok("file:/lib/rary/a".into())
        );
    }

    #[test]
    fn nothing_climbs_out_of_the_root() {
        for written in [
            "../x.mov",
            "a/../../x.mov",
            "file:../x.mov",
            "./../x.mov",
            "a/b/../../../rary/x.mov",
        ] {
            assert!(
                resolve(written)
                    .expect_err(written)
                    .contains("climbs out of /lib/rary"),
                "{written}"
            );
        }
    }

    #[test]
    fn remote_addresses_pass_unchanged() {
        assert_eq!(
            resolve("s3://bucket/k/../a.mov"),
            ok("s3://bucket/k/../a.mov", "a.mov")
        );
        assert_eq!(
            resolve("gs://bucket/a b.mov"),
            ok("gs://bucket/a b.mov", "a b.mov")
        );
        assert_eq!(
            resolve("https://h/x/a.mov?sig=1/2"),
            ok("https://h/x/a.mov?sig=1/2", "a.mov")
        );
    }

    #[test]
    fn other_schemes_hosts_and_directories_are_refused() {
        for written in [
            "http://h/a",
            "C:\\a.mov",
            "smb://h/a",
            "mailto:x",
            "S3://b/k",
            "s3:b/k",
            "a.b:c",
        ] {
            assert!(
                resolve(written)
                    .expect_err(written)
                    .contains("not supported"),
                "{written}"
            );
        }
        assert!(
            resolve("file://nas/a.mov")
                .expect_err("host")
                .contains("another host")
        );
        for written in ["", ".", "..", "a/", "a/..", "/", "file:", "file:///"] {
            assert!(
                resolve(written).expect_err(written).contains("directory"),
                "{written}"
            );
        }
        for written in ["s3://bucket", "s3://bucket/", "https:///a", "gs://"] {
            assert!(
                resolve(written)
                    .expect_err(written)
                    .contains("names no file"),
                "{written}"
            );
        }
        assert!(
            resolve(&"x".repeat(9000))
                .expect_err("long")
                .contains("9000 bytes")
        );
    }
}
