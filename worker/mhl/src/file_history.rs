//! The hashes that a history records of one file, and what they say of the file that is found.
use super::model::{Action, Entry, EntryKind};
use protocol::model::hash::HashAlgorithm;
use storage::hash::Digest;

/// What a history knows about one file. There are as many of these in memory as a tree has files, so nothing is in it
/// twice.
#[derive(Debug, Clone, Default)]
pub(super) struct FileHistory {
    /// Every hash that counts, each once.
    hashes: Vec<Held>,
    /// Which of them later ones are held against: the first one called original.
    original: Option<u8>,
    bytes: Option<u64>,
    modified: Option<jiff::Timestamp>,
    /// In a bucket: what the other side called the state that was hashed last.
    state: Option<Box<str>>,
    /// Whether it was met in the tree.
    pub(super) seen: bool,
}

/// One hash of a file.
#[derive(Debug, Clone)]
struct Held {
    digest: Digest,
    /// Whether it is the first of its algorithm.
    first: bool,
    /// What the last generation that has the file says of it, and when it was computed.
    latest: Option<(Option<Action>, Option<jiff::Timestamp>)>,
}

impl FileHistory {
    /// With the first hashes of a history; the first one is the original.
    pub(super) fn of(hashes: impl Iterator<Item = Digest>) -> FileHistory {
        let hashes: Vec<Held> = hashes
            .map(|digest| Held {
                digest,
                first: true,
                latest: None,
            })
            .collect();
        FileHistory {
            original: (!hashes.is_empty()).then_some(0),
            hashes,
            ..FileHistory::default()
        }
    }

    /// The hash that later ones are held against.
    pub(super) fn original(&self) -> Option<&Digest> {
        self.hashes
            .get(usize::from(self.original?))
            .map(|held| &held.digest)
    }

    /// The first hash of an algorithm.
    pub(super) fn first(&self, algorithm: HashAlgorithm) -> Option<&Digest> {
        self.firsts().find(|digest| digest.algorithm == algorithm)
    }

    /// The first hashes, one of each algorithm.
    pub(super) fn firsts(&self) -> impl Iterator<Item = &Digest> {
        self.hashes
            .iter()
            .filter(|held| held.first)
            .map(|held| &held.digest)
    }

    /// The algorithm a file must be hashed with to be held against its history, when `wanted` alone does not do.
    pub(super) fn needed(&self, wanted: &[Digest]) -> Option<HashAlgorithm> {
        let held = wanted
            .iter()
            .any(|digest| self.first(digest.algorithm).is_some());
        if held {
            None
        } else {
            self.firsts().next().map(|digest| digest.algorithm)
        }
    }

    /// The last recorded hash of an algorithm.
    pub(super) fn latest(&self, algorithm: HashAlgorithm) -> Option<&Digest> {
        let latest = self
            .hashes
            .iter()
            .filter(|held| held.latest.is_some())
            .map(|held| &held.digest);
        latest
            .into_iter()
            .find(|digest| digest.algorithm == algorithm)
    }

    /// Whether exactly this hash, computed at exactly this moment, is recorded already.
    pub(super) fn has_stamp(&self, digest: &Digest, date: jiff::Timestamp) -> bool {
        let stamped = |held: &Held| held.latest.is_some_and(|(_, at)| at == Some(date));
        self.hashes
            .iter()
            .any(|held| held.digest == *digest && stamped(held))
    }

    /// Whether the last generation that has the file found it altered.
    pub(super) fn has_failed(&self) -> bool {
        self.hashes.iter().any(|held| {
            held.latest
                .is_some_and(|(action, _)| action == Some(Action::Failed))
        })
    }

    /// Whether size and time are those recorded. Others write whole seconds; ours are exact. In a bucket times are too
    /// coarse to tell anything: there the state counts.
    pub(super) fn is_unchanged(
        &self,
        bytes: u64,
        modified: jiff::Timestamp,
        state: Option<&str>,
    ) -> bool {
        if state.is_some() {
            return self.state.as_deref() == state && self.bytes.unwrap_or(0) == bytes;
        }
        let same_time = self
            .modified
            .is_some_and(|recorded| match recorded.subsec_nanosecond() {
                0 => recorded.as_second() == modified.as_second(),
                _ => recorded == modified,
            });
        // The reference tool leaves the size of empty files out.
        self.bytes.unwrap_or(0) == bytes && same_time
    }

    /// Takes over what the next generation says of the file.
    pub(super) fn add(&mut self, entry: Entry) {
        if let EntryKind::File { bytes } = entry.kind {
            self.bytes = bytes;
        }
        let moment = |text: &String| text.parse::<jiff::Timestamp>().ok();
        self.modified = entry.modified.as_ref().and_then(moment);
        self.state = entry.state.map(String::into_boxed_str);
        self.hashes.iter_mut().for_each(|held| held.latest = None);
        self.forget_others();
        for recorded in entry.hashes {
            self.add_hash(
                recorded.digest,
                recorded.action,
                recorded.date.as_ref().and_then(moment),
            );
        }
    }

    /// What is neither first nor original nor latest says nothing any more.
    fn forget_others(&mut self) {
        if self.hashes.iter().all(|held| held.first) {
            return;
        }
        let original = self.original.take().map(usize::from);
        for (at, held) in std::mem::take(&mut self.hashes).into_iter().enumerate() {
            if original == Some(at) {
                self.original = u8::try_from(self.hashes.len()).ok();
            }
            if held.first || original == Some(at) {
                self.hashes.push(held);
            }
        }
    }

    fn add_hash(&mut self, digest: Digest, action: Option<Action>, date: Option<jiff::Timestamp>) {
        let at = match self.hashes.iter().position(|held| held.digest == digest) {
            Some(at) => at,
            None => {
                let first = self.first(digest.algorithm).is_none();
                // One hash is the rule: room for more would be most of what this takes.
                self.hashes.reserve_exact(1);
                self.hashes.push(Held {
                    digest,
                    first,
                    latest: None,
                });
                self.hashes.len() - 1
            }
        };
        self.hashes[at].latest = Some((action, date));
        if self.original.is_none() && action == Some(Action::Original) {
            self.original = u8::try_from(at).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recorded;
    use storage::hash::hash_bytes;

    fn entry(hashes: &[(HashAlgorithm, &[u8], Option<Action>)]) -> Entry {
        let date = Some("2026-03-05T10:00:00.5Z".to_owned());
        let recorded =
            |(algorithm, content, action): &(HashAlgorithm, &[u8], Option<Action>)| Recorded {
                digest: hash_bytes(*algorithm, content),
                action: *action,
                date: date.clone(),
            };
        Entry {
            kind: EntryKind::File { bytes: Some(3) },
            path: "a".into(),
            modified: Some("2026-03-05T10:00:00Z".into()),
            hashes: hashes.iter().map(recorded).collect(),
            structure: Vec::new(),
            previous_path: None,
            state: None,
        }
    }

    #[test]
    fn new_generation_extends_the_history_and_clears_repaired_failures() {
        use HashAlgorithm::{Md5, Xxh128};
        let digest = |algorithm, content: &[u8]| hash_bytes(algorithm, content);
        let mut known = FileHistory::default();
        // A hash without an action comes first, the original after it.
        known.add(entry(&[
            (Md5, b"x", None),
            (Md5, b"a", Some(Action::Original)),
        ]));
        assert_eq!(
            (known.original(), known.first(Md5)),
            (Some(&digest(Md5, b"a")), Some(&digest(Md5, b"x")))
        );
        known.add(entry(&[
            (Md5, b"b", Some(Action::Failed)),
            (Xxh128, b"a", Some(Action::Verified)),
        ]));
        assert!(known.has_failed() && known.latest(Md5) == Some(&digest(Md5, b"b")));
        assert_eq!(known.original(), Some(&digest(Md5, b"a")));
        known.add(entry(&[(Md5, b"a", Some(Action::Verified))]));
        assert!(!known.has_failed() && known.latest(Xxh128).is_none());
        assert_eq!(
            known.firsts().collect::<Vec<_>>(),
            [&digest(Md5, b"x"), &digest(Xxh128, b"a")]
        );
        assert_eq!(
            (known.hashes.len(), known.original()),
            (3, Some(&digest(Md5, b"a")))
        );
        let date: jiff::Timestamp = "2026-03-05T10:00:00.5Z".parse().expect("a moment");
        assert!(
            known.has_stamp(&digest(Md5, b"a"), date)
                && !known.has_stamp(&digest(Xxh128, b"a"), date)
        );
        let moment = |text: &str| text.parse::<jiff::Timestamp>().expect("a moment");
        assert!(
            known.is_unchanged(3, moment("2026-03-05T10:00:00.7Z"), None),
            "whole seconds"
        );
        assert!(
            !known.is_unchanged(3, moment("2026-03-05T10:00:01Z"), None)
                && !known.is_unchanged(4, date, None)
        );
    }
}
