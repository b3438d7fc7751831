//! `file:` locations. What follows the scheme is the path itself, byte for byte: `%20` is three characters and not a
//! space, since manifests are written by people and exports, who paste paths.
use protocol::model::location::{SPELLINGS, Scheme, shown};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a location is no local path.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LocationError {
    /// The scheme is not `file:`.
    #[error("location {:?} is not a local file: write {SPELLINGS}", shown(.0))]
    Scheme(String),
    /// The path is relative, or the URL names a host.
    #[error("location {:?} is not absolute: write file:/path or file:///path", shown(.0))]
    NotAbsolute(String),
    /// The path contains a NUL or a `..`.
    #[error("location {:?} contains '..' or a NUL character: write the path it means", shown(.0))]
    Unclean(String),
}

/// The path behind `file:/abs` or `file:///abs`.
pub fn local_path(location: &str) -> Result<PathBuf, LocationError> {
    let Some(rest) = location.strip_prefix(Scheme::File.prefix()) else {
        return Err(LocationError::Scheme(location.to_owned()));
    };
    let path = match rest.strip_prefix("//") {
        Some(after) if after.starts_with('/') => after,
        // `file://host/path` would need a network; `file://` alone names nothing.
        Some(_) => return Err(LocationError::NotAbsolute(location.to_owned())),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err(LocationError::NotAbsolute(location.to_owned()));
    }
    if path.contains('\0') || path.split('/').any(|part| part == "..") {
        return Err(LocationError::Unclean(location.to_owned()));
    }
    Ok(PathBuf::from(path))
}

/// The location of an absolute path; bytes that are not UTF-8 are replaced, since locations are text.
pub fn file_location(path: &Path) -> String {
    format!("file://{}", path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_path() {
        for location in ["file:/media/a b%20c.mov", "file:///media/a b%20c.mov"] {
            assert_eq!(
                local_path(location),
                Ok(PathBuf::from("/media/a b%20c.mov"))
            );
        }
        assert_eq!(file_location(Path::new("/media/x")), "file:///media/x");
    }

    #[test]
    fn non_local_location_is_refused_with_a_remedy() {
        assert!(matches!(
            local_path("s3://bucket/key"),
            Err(LocationError::Scheme(_))
        ));
        assert!(matches!(
            local_path("file:media/x"),
            Err(LocationError::NotAbsolute(_))
        ));
        assert!(matches!(
            local_path("file://host/x"),
            Err(LocationError::NotAbsolute(_))
        ));
        assert!(matches!(
            local_path("file:/a/../b"),
            Err(LocationError::Unclean(_))
        ));
        assert!(matches!(
            local_path("file:/a\0b"),
            Err(LocationError::Unclean(_))
        ));
    }
}
