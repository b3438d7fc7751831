//! What the histories of a source say of the files of its copy.
use super::chain::Link;
use super::file_history::FileHistory;
use super::folder::Folder;
use super::history::History;
use super::journal::Copied;
use super::model::MhlError;
use std::collections::HashMap;
use storage::hash::Digest;
use tokio_util::sync::CancellationToken;

/// What the histories of a source say of its files that those of the copy do not say.
#[derive(Default)]
pub struct Source {
    /// The outermost first.
    histories: Vec<(String, History)>,
    /// By the path of the copy, what the histories around the library's own files say.
    origins: HashMap<String, Origin>,
    /// Location of the tree that was copied as a whole.
    pub(super) tree: Option<String>,
}

/// What the innermost history around the library's own file knows of it.
struct Origin {
    /// Location of that file.
    source: String,
    known: FileHistory,
}

impl Source {
    /// Adds what the history of a directory outside of the copied tree knows of the library's own files. `copies` are
    /// sorted by source: source and path of the copy.
    pub(super) fn take_origins(
        &mut self,
        history: &History,
        directory: &str,
        copies: &[(String, String)],
    ) {
        let first = copies.partition_point(|(source, _)| source.as_str() < directory);
        for (source, path) in &copies[first..] {
            let Some(relative) = source.strip_prefix(directory) else {
                break;
            };
            let known = history
                .files
                .get(relative)
                .filter(|known| known.original().is_some());
            if let Some(known) = known.filter(|_| !self.origins.contains_key(path)) {
                self.origins.insert(
                    path.clone(),
                    Origin {
                        source: source.clone(),
                        known: known.clone(),
                    },
                );
            }
        }
    }

    /// What is known of a file: by the innermost history of the copied tree that has it, and by the one around the
    /// library's own file.
    pub(super) fn known(&self, path: &str) -> Vec<&FileHistory> {
        let by_path = self.histories.iter().rev().find_map(|(prefix, history)| {
            let relative = if prefix.is_empty() {
                path
            } else {
                path.strip_prefix(prefix.as_str())?.strip_prefix('/')?
            };
            history
                .files
                .get(relative)
                .filter(|known| known.original().is_some())
        });
        by_path
            .into_iter()
            .chain(self.origins.get(path).map(|origin| &origin.known))
            .collect()
    }

    /// A copy that contradicts the history of its source, as the next seal has to find it.
    pub(super) fn refused(&self, path: &str) -> Option<Copied> {
        let by_path = || self.tree.as_ref().map(|tree| format!("{tree}/{path}"));
        let source = self
            .origins
            .get(path)
            .map(|origin| origin.source.clone())
            .or_else(by_path)?;
        let hashes = self
            .known(path)
            .into_iter()
            .flat_map(FileHistory::firsts)
            .map(Digest::to_string)
            .collect();
        Some(Copied {
            path: path.to_owned(),
            source,
            hashes,
        })
    }

    /// Takes over what earlier seals knew of copies that they refused, where no history around the source is found now.
    pub(super) fn take_refused(&mut self, refused: Vec<Copied>) {
        for Copied {
            path,
            source,
            hashes,
        } in refused
        {
            let known = FileHistory::of(hashes.iter().filter_map(|text| Digest::parse(text).ok()));
            if known.original().is_some() {
                self.origins.entry(path).or_insert(Origin { source, known });
            }
        }
    }

    /// Adds the history of the directory `prefix` of the source `from`, unless the copy's has all of its generations.
    pub(super) fn add(
        &mut self,
        from: &Folder,
        prefix: &str,
        theirs: &[Link],
        ours: &[Link],
        cancel: &CancellationToken,
    ) -> Result<(), MhlError> {
        if !theirs
            .iter()
            .all(|link| ours.iter().any(|own| own.c4 == link.c4))
        {
            self.histories.push((
                prefix.to_owned(),
                History::load(&from.below(prefix)?, cancel)?,
            ));
        }
        Ok(())
    }
}
