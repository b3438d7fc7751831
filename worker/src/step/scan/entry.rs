//! A file or object of a library without a manifest row: its asset from its name and its sidecars.
use super::infer_role;
use super::location::Located;
use super::row::{self, Cells, Column};
use super::sidecar::Declared;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::media::path_filter::{PathFilter, PathSelection};
use protocol::wire::report::RowError;
use protocol::wire::step::scan::ScanSource;
use protocol::workflow::file::OnLink;
use regex::Regex;

/// Directories of this product and of ASC MHL, which are no part of the library.
pub(super) const OWN_DIRECTORIES: [&str; 2] = ["ascmhl", ".showrunner"];

/// The metadata that says which sidecar a hash was declared in.
const DECLARED_IN: &str = "hash_declared_in";

/// Rules for the names of a library's files: which are assets, and the columns of each.
pub(super) struct Names {
    /// The pattern that divides paths into columns.
    pub(super) pattern: Option<Regex>,
    /// Which files are assets; all when not given.
    filter: Option<PathSelection>,
    /// What becomes of links that do not lead to a file of the library.
    pub(super) on_link: OnLink,
}

impl Names {
    /// Reads the patterns of a library.
    pub(super) fn new(
        source: &ScanSource,
        filter: Option<&PathFilter>,
        on_link: OnLink,
    ) -> Result<Names, Failure> {
        let pattern = match source {
            ScanSource::Manifest { .. } => None,
            ScanSource::Folder { pattern, .. } | ScanSource::Bucket { pattern, .. } => {
                pattern.as_deref()
            }
        };
        let filter = filter.map(PathFilter::compile).transpose();
        Ok(Names {
            on_link,
            pattern: pattern.map(compile).transpose()?,
            filter: filter.map_err(|bad| {
                Failure::permanent("library_filter", format!("{}: {}", bad.message, bad.hint))
            })?,
        })
    }

    /// Whether the file with this path relative to the library is an asset.
    pub(super) fn selects(&self, relative: &str) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.selects(relative))
    }

    /// Whether nothing below this folder is an asset.
    pub(super) fn excludes_folder(&self, relative: &str) -> bool {
        self.filter
            .as_ref()
            .is_some_and(|filter| filter.excludes_folder(relative))
    }

    /// Whether a name is excluded of which it is not known what it is.
    pub(super) fn excludes(&self, relative: &str) -> bool {
        self.filter
            .as_ref()
            .is_some_and(|filter| filter.excludes(relative))
    }
}

fn compile(pattern: &str) -> Result<Regex, Failure> {
    Regex::new(pattern).map_err(|error| {
        let reason = error.to_string();
        let reason = reason
            .lines()
            .last()
            .unwrap_or("not a regular expression")
            .trim();
        Failure::permanent(
            "folder_pattern",
            format!("folder pattern {pattern:?}: {reason}"),
        )
    })
}

/// A file or object.
pub(super) struct Entry<'a> {
    /// Its path relative to the library.
    pub(super) relative: &'a str,
    pub(super) bytes: u64,
    /// The hash that a sidecar declares.
    pub(super) hash: Option<Declared>,
    /// The pattern that divides its path into columns.
    pub(super) pattern: Option<&'a Regex>,
}

impl Entry<'_> {
    /// The asset it is. `locate` says where.
    pub(super) fn describe(&self, locate: impl FnOnce() -> Located) -> Result<Asset, RowError> {
        let (relative, bytes) = (self.relative, self.bytes.to_string());
        let mut cells = Cells::default();
        cells.set(Column::Asset, relative);
        cells.set(Column::Title, infer_role::title(relative));
        cells.set(Column::Role, infer_role::role(relative).as_str());
        cells.set(Column::Bytes, &bytes);
        cells.set(Column::Location, relative);
        if let Some(declared) = &self.hash {
            cells.set(Column::Hash, &declared.hash);
            cells.meta.push((DECLARED_IN, &declared.sidecar));
        }
        if let Some(pattern) = self.pattern {
            let Some(captures) = pattern.captures(relative) else {
                let message = format!(
                    "{relative:?} does not match the folder's pattern: rename it or widen the pattern"
                );
                return Err(RowError {
                    line: 0,
                    column: None,
                    asset: Some(relative.to_owned()),
                    message,
                    title: None,
                });
            };
            for name in pattern.capture_names().flatten() {
                let Some(value) = captures
                    .name(name)
                    .map(|found| found.as_str())
                    .filter(|v| !v.is_empty())
                else {
                    continue;
                };
                match Column::parse(name) {
                    // Where the file is was seen, not guessed.
                    Some(Column::Location | Column::Bytes) => {}
                    Some(column) => cells.set(column, value),
                    None => cells.meta.push((name, value)),
                }
            }
        }
        // A name is taken literally: unlike in a manifest, a colon in it starts no scheme.
        // A name that is not valid as an id still identifies the file in messages.
        row::asset(&cells, 0, |_| Ok(locate())).map_err(|error| RowError {
            asset: error
                .asset
                .or_else(|| Some(relative.escape_debug().to_string())),
            ..error
        })
    }
}
