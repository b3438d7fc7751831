//! Source of a job's assets.
use super::compiler::Compiler;
use super::file::{LibraryFile, OnLink};
use crate::media::path_filter::{PathFilter, Patterns};
use crate::media::template;
use crate::model::location::Scheme;
use crate::wire::step::TaskSpec;
use crate::wire::step::scan::{ScanSource, ScanTask};

/// Assets a scan page carries.
const PAGE_ASSETS: u32 = 2_000;

impl Compiler<'_> {
    pub(super) fn library(&mut self, library: &LibraryFile) -> TaskSpec {
        let later = [("mimir", &library.mimir), ("catalogue", &library.catalogue)];
        let later = later.into_iter().filter(|(_, value)| value.is_some());
        let later: Vec<&str> = later.map(|(name, _)| name).collect();
        for name in &later {
            self.blame(
                name,
                format!("a {name} library is not available in this version"),
                "use manifest:, folder:, s3: or gcs:",
            );
        }
        let source = self.source(library, later.is_empty());
        let root = self.root(library, &source);
        self.tree = match &source {
            ScanSource::Folder { path, .. } => Some(format!("file:{path}")),
            ScanSource::Bucket { location, .. } => Some(location.clone()),
            ScanSource::Manifest { .. } => None,
        };
        let filter = self.filter(library, &source);
        let scan = ScanTask {
            source,
            root,
            resume: None,
            page_assets: PAGE_ASSETS,
        };
        if library.on_link.is_some() && !matches!(scan.source, ScanSource::Folder { .. }) {
            self.blame(
                "on_link:",
                "on_link is about folders: manifests and buckets have no links".into(),
                "leave it out",
            );
        }
        if library.on_link == Some(OnLink::Skip) {
            return TaskSpec::ScanWithoutLinks { scan, filter };
        }
        // Without patterns the task is one that every worker knows.
        if filter.is_empty() {
            TaskSpec::Scan(scan)
        } else {
            TaskSpec::ScanSelected { scan, filter }
        }
    }

    /// The manifest or folder that is listed. A library that names none is reported when `is_needed`.
    fn source(&mut self, library: &LibraryFile, is_needed: bool) -> ScanSource {
        let none = ScanSource::Manifest {
            path: String::new(),
        };
        let folder = self.folder(library);
        match (&library.manifest, &folder) {
            (Some(manifest), None) => ScanSource::Manifest {
                path: self.absolute(manifest),
            },
            (None, Some(folder)) => self.folder_source(library, folder),
            (Some(_), Some(_)) => {
                self.blame(
                    "library",
                    "library names both a manifest and a folder".into(),
                    "keep one of them",
                );
                none
            }
            (None, None) => {
                if is_needed {
                    self.blame(
                        "library",
                        "library names no source".into(),
                        "write `manifest: library.csv` or `folder: media`",
                    );
                }
                none
            }
        }
    }

    /// A folder or a bucket as the source, with the pattern of its paths.
    fn folder_source(&mut self, library: &LibraryFile, folder: &str) -> ScanSource {
        if let Some(Err(error)) = library.pattern.as_deref().map(regex::Regex::new) {
            self.blame(
                "pattern",
                format!("pattern is not a regular expression: {error}"),
                "named captures look like (?<title>[^/]+)",
            );
        }
        let pattern = library.pattern.clone();
        match bucket(folder) {
            true => ScanSource::Bucket {
                location: self.bucket(folder),
                pattern,
                after: None,
            },
            false => ScanSource::Folder {
                path: self.absolute(folder),
                pattern,
            },
        }
    }

    /// The folder that relative locations start at.
    fn root(&mut self, library: &LibraryFile, source: &ScanSource) -> String {
        match (&library.root, source) {
            (Some(root), _) => self.absolute(root),
            (None, ScanSource::Manifest { path }) => path
                .rsplit_once('/')
                .map_or(String::new(), |(dir, _)| dir.to_owned()),
            (
                None,
                ScanSource::Folder { path: place, .. }
                | ScanSource::Bucket {
                    location: place, ..
                },
            ) => place.clone(),
        }
    }

    /// Which files of a library are assets.
    fn filter(&mut self, library: &LibraryFile, source: &ScanSource) -> PathFilter {
        let lists = [("include", &library.include), ("exclude", &library.exclude)];
        for (key, list) in lists {
            let Some(Patterns(list)) = list else { continue };
            if matches!(source, ScanSource::Manifest { .. }) && library.manifest.is_some() {
                let message = format!(
                    "{key} selects files of a folder or bucket; a manifest lists its assets itself"
                );
                self.blame(&format!("{key}:"), message, "remove rows from the manifest");
            }
            if list.is_empty() {
                let hint = "leave the key out, or write a pattern such as \"*.mov\"";
                self.blame(&format!("{key}:"), format!("{key} has no pattern"), hint);
            }
            let alone = PathFilter {
                include: list.clone(),
                exclude: Vec::new(),
            };
            if let Err(bad) = alone.compile() {
                self.blame(&format!("{key}: {}", bad.pattern), bad.message, bad.hint);
            }
        }
        let [include, exclude] = lists.map(|(_, list)| list.clone().unwrap_or_default().0);
        PathFilter { include, exclude }
    }

    /// Copies below the library that is listed would be copied by the next run.
    pub(super) fn outside_library(&mut self, written: &str, to: &str) {
        let plain = |place: &str| {
            place
                .replacen("file://", "file:", 1)
                .trim_end_matches('/')
                .to_owned()
        };
        let Some(library) = self.tree.as_deref().map(plain) else {
            return;
        };
        let root = plain(template::root(to));
        let inside = root
            .strip_prefix(&library)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if inside {
            self.blame(
                written,
                format!(
                    "target {written:?} lies inside the library {library:?}, whose next listing would copy the copies"
                ),
                "write to a folder or prefix outside of the library",
            );
        }
    }

    /// The folder or bucket prefix of a library, in whatever form it was written.
    fn folder(&mut self, library: &LibraryFile) -> Option<String> {
        let forms = [
            ("folder", None, &library.folder),
            ("s3", Some(Scheme::S3), &library.s3),
            ("gcs", Some(Scheme::Gcs), &library.gcs),
        ];
        let mut named = forms
            .into_iter()
            .filter_map(|(word, scheme, text)| Some((word, scheme, text.as_ref()?)));
        let (word, scheme, text) = named.next()?;
        if let Some((other, ..)) = named.next() {
            self.blame(
                "library",
                format!("library names both {word} and {other}"),
                "keep one of them",
            );
        }
        let Some(scheme) = scheme else {
            return Some(text.clone());
        };
        let prefix = scheme.prefix();
        let text = if text.contains("://") {
            text.clone()
        } else {
            format!("{prefix}{text}")
        };
        if !text.starts_with(prefix) {
            self.blame(
                &text,
                format!("{text:?} is no {word} library"),
                format!("write {prefix}bucket/prefix"),
            );
        }
        Some(text)
    }

    /// A bucket prefix without a slash at its end.
    fn bucket(&mut self, text: &str) -> String {
        let trimmed = text.trim_end_matches('/');
        let rest = trimmed.split_once("://").map_or("", |(_, rest)| rest);
        let bucket = rest.split('/').next().unwrap_or_default();
        let climbs = rest
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..");
        if bucket.len() < 3 || climbs {
            self.blame(
                text,
                format!("{text:?} names no bucket and prefix"),
                "write s3://bucket/prefix",
            );
        }
        trimmed.to_owned()
    }
}

/// Whether a folder is a prefix in a bucket.
fn bucket(folder: &str) -> bool {
    Scheme::of(folder).is_some_and(Scheme::is_bucket)
}
