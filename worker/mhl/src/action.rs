//! Which action of ASC MHL a hash has: original, verified or failed.
use super::file_history::FileHistory;
use super::model::{Action, Recorded};
use storage::hash::Digest;

/// Decides the action of each hash, as the reference tool does: a hash agrees or disagrees with the first one of its
/// algorithm; a new algorithm is verified when another one vouches for the file, and left out when that one failed.
pub(super) fn recorded(known: &FileHistory, digests: &[Digest], date: &str) -> Vec<Recorded> {
    let held = |digest: &Digest| known.first(digest.algorithm).map(|first| first == digest);
    let failed = digests.iter().any(|digest| held(digest) == Some(false));
    let action = |digest: &Digest| match (held(digest), known.original().is_some()) {
        (_, false) => Some(Action::Original),
        (Some(true), true) => Some(Action::Verified),
        (Some(false), true) => Some(Action::Failed),
        (None, true) if failed => None,
        (None, true) => Some(Action::Verified),
    };
    let entry = |digest: &Digest| {
        let action = Some(action(digest)?);
        Some(Recorded {
            digest: digest.clone(),
            action,
            date: Some(date.to_owned()),
        })
    };
    digests.iter().filter_map(entry).collect()
}
