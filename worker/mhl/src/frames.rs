//! Histories around a place in a tree that is walked, and what only the whole tree can show.
use super::file_history::FileHistory;
use super::history::History;
use super::ignore::Ignore;
use super::references::{self, Place};
use super::report::VerifyReport;
use super::tally::Tally;
use super::tree::join;
use protocol::model::hash::HashAlgorithm;
use std::collections::HashSet;
use storage::hash::Digest;
use storage::is_unfinished;

/// A history and the directory it describes, relative to the root of the tree.
pub(super) struct Frame {
    prefix: String,
    history: History,
    ignore: Ignore,
}

impl Frame {
    fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        below(&self.prefix, path)
    }
}

/// The histories of a tree: those around the current directory, and those that have been left.
#[derive(Default)]
pub(super) struct Frames {
    /// The outermost first.
    around: Vec<Frame>,
    left: Vec<Frame>,
    /// Unfinished files that a generation recorded before they were left out of histories. They went into the hashes of their
    /// directories, which cannot be judged then.
    unfinished: Vec<String>,
}

impl Frames {
    /// The history of a directory begins.
    pub(super) fn enter(&mut self, prefix: &str, history: History) {
        let ignore = Ignore::new(&history.ignore);
        self.around.push(Frame {
            prefix: prefix.to_owned(),
            history,
            ignore,
        });
    }

    /// The innermost history ends; returns what it records and was not met. What is left out of the tree is not missing,
    /// nor is an empty directory where there are only objects: it is taken to be there.
    pub(super) fn leave(&mut self, of_objects: bool, tally: &mut Tally) -> Vec<String> {
        let Some(mut frame) = self.around.pop() else {
            return Vec::new();
        };
        if of_objects {
            for directory in frame.history.empty_directories() {
                tally.directory(&join_below(&frame.prefix, &directory));
                frame.history.see(&directory);
            }
        }
        let unfinished = frame
            .history
            .unseen()
            .filter(|path| is_unfinished(path.rsplit('/').next().unwrap_or(path)));
        self.unfinished
            .extend(unfinished.map(|path| join_below(&frame.prefix, path)));
        let covered = |path: &str| {
            let covers = |frame: &Frame| {
                frame
                    .relative(path)
                    .is_some_and(|relative| frame.ignore.covers(relative))
            };
            covers(&frame) || self.around.iter().any(covers)
        };
        let missing = frame
            .history
            .unseen()
            .map(|path| join_below(&frame.prefix, path))
            .filter(|path| !covered(path));
        let missing = missing.collect();
        self.left.push(frame);
        missing
    }

    /// A file or directory is in the tree. An outer history may have recorded it before an inner one began.
    pub(super) fn see(&mut self, path: &str) {
        for frame in &mut self.around {
            if let Some(relative) = below(&frame.prefix, path) {
                frame.history.see(relative);
            }
        }
    }

    /// What lies below a directory that cannot be looked into is unknown, not missing.
    pub(super) fn see_below(&mut self, path: &str) {
        for frame in &mut self.around {
            if let Some(relative) = below(&frame.prefix, path) {
                frame.history.see_below(relative);
            }
        }
    }

    /// The recorded hash of a file, by the innermost history that has one.
    pub(super) fn recorded(&self, path: &str) -> Option<Digest> {
        let known = |frame: &Frame| {
            let known: &FileHistory = frame.history.files.get(frame.relative(path)?)?;
            known.original().cloned()
        };
        self.around.iter().rev().find_map(known)
    }

    /// With what a file is hashed: as it is recorded, and as the directories around it are.
    pub(super) fn algorithms(&self, recorded: &Digest) -> Vec<HashAlgorithm> {
        let mut algorithms = vec![recorded.algorithm];
        for algorithm in self
            .around
            .iter()
            .filter_map(|frame| frame.history.sealed.algorithm)
        {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// Whether what is there is no part of the tree.
    pub(super) fn ignores(&self, path: &str, directory: bool) -> bool {
        let ignores = |frame: &Frame| {
            frame
                .relative(path)
                .is_some_and(|relative| frame.ignore.matches(relative, directory))
        };
        self.around.iter().any(ignores)
    }

    /// Judges references and directory hashes, after every file has been hashed.
    pub(super) fn judge(&self, tally: &Tally, report: &mut VerifyReport) {
        let places: Vec<Place> = self
            .left
            .iter()
            .map(|frame| Place::of(&frame.prefix, &frame.history))
            .collect();
        let covered = |directory: &str| {
            let covers = |frame: &Frame| {
                frame
                    .relative(directory)
                    .is_some_and(|path| frame.ignore.covers(path))
            };
            self.left.iter().any(covers)
        };
        report.broken.extend(references::problems(&places, covered));
        let recorded = |directory: &str| {
            let has = |frame: &Frame| {
                frame
                    .relative(directory)
                    .is_some_and(|path| frame.history.has_directory(path))
            };
            self.left.iter().any(has)
        };
        let advanced = self.advanced();
        let mut found = Vec::new();
        // A history that is broken vouches for no directory.
        for frame in self
            .left
            .iter()
            .filter(|frame| frame.history.problems.is_empty())
        {
            let within = advanced
                .iter()
                .filter(|prefix| **prefix != frame.prefix)
                .map(|prefix| (*prefix).to_owned());
            let further: Vec<String> = self.unfinished.iter().cloned().chain(within).collect();
            let damaged = report.damaged(&further);
            found.extend(tally.check(&frame.prefix, &frame.history.sealed, &damaged, &recorded));
        }
        report.mismatched.extend(found);
    }

    /// Directories whose history has a generation that no last generation above refers to: it began or went on by itself, and
    /// the hashes of the directories above are those of before.
    fn advanced(&self) -> Vec<&str> {
        let references = self
            .left
            .iter()
            .flat_map(|frame| &frame.history.references)
            .filter(|one| one.last);
        let known: HashSet<&str> = references.map(|one| one.reference.c4.as_str()).collect();
        let is_known = |frame: &&Frame| {
            frame
                .history
                .links
                .last()
                .is_some_and(|link| known.contains(link.c4.as_str()))
        };
        self.left
            .iter()
            .filter(|frame| !is_known(frame))
            .map(|frame| frame.prefix.as_str())
            .collect()
    }
}

/// `path` relative to `prefix`, when it is below it.
pub(super) fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    if prefix.is_empty() {
        Some(path)
    } else {
        path.strip_prefix(prefix)?.strip_prefix('/')
    }
}

/// The other way round; `path` may be empty.
pub(super) fn join_below(prefix: &str, path: &str) -> String {
    if path.is_empty() {
        prefix.to_owned()
    } else {
        join(prefix, path)
    }
}
