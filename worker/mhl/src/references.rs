//! References of histories to the generations of nested ones: each must still be there, unchanged.
use super::chain::Link;
use super::model::{Reference, Referred};
use super::tree::join;
use super::{FOLDER, history::History};
use std::collections::{HashMap, HashSet};

/// What one history of a tree has and refers to.
pub(super) struct Place {
    /// The directory it describes, relative to the root of the tree.
    prefix: String,
    links: Vec<Link>,
    references: Vec<Referred>,
}

impl Place {
    /// Of a history that describes the directory `prefix`.
    pub(super) fn of(prefix: &str, history: &History) -> Place {
        Place {
            prefix: prefix.to_owned(),
            links: history.links.clone(),
            references: history.references.clone(),
        }
    }
}

/// References that do not hold, in words. That a generation is the one its chain lists has been looked at before; here the
/// chain is held against the histories above. `ignored` says which directories are no part of the tree.
pub(super) fn problems(places: &[Place], ignored: impl Fn(&str) -> bool) -> Vec<String> {
    let chains: HashMap<&str, &Place> = places
        .iter()
        .map(|place| (place.prefix.as_str(), place))
        .collect();
    let anywhere: HashSet<&str> = places
        .iter()
        .flat_map(|place| &place.links)
        .map(|link| link.c4.as_str())
        .collect();
    let (mut reported, mut problems) = (HashSet::new(), Vec::new());
    for (above, referred) in places
        .iter()
        .flat_map(|place| place.references.iter().map(move |one| (place, one)))
    {
        let Reference { path, c4 } = &referred.reference;
        let full = join(&above.prefix, path);
        let Some((directory, file)) = split(&full) else {
            problems.push(format!(
                "{} refers to {full}, which is no generation",
                referred.generation
            ));
            continue;
        };
        let place = chains.get(directory);
        let link = place.and_then(|place| place.links.iter().find(|link| link.file == file));
        if link.is_some_and(|link| link.c4 == *c4) || ignored(directory) {
            continue;
        }
        // The directory may have been renamed since an earlier generation: its history went with it.
        if !referred.last && anywhere.contains(c4.as_str()) {
            continue;
        }
        if !reported.insert((full.clone(), c4.clone())) {
            continue;
        }
        let by = &referred.generation;
        problems.push(match (place, link) {
            (None, _) => format!("the history of {directory} is missing: {by} refers to its generation {file}"),
            (Some(_), Some(_)) => format!("{full} is not the generation that {by} refers to: it was replaced"),
            (Some(_), None) => {
                format!(
                    "{full} is missing, and {by} refers to it: the history of {directory} was rolled back or replaced"
                )
            }
        });
    }
    problems
}

/// The directory that a generation describes, and the name of its file.
fn split(path: &str) -> Option<(&str, &str)> {
    let (folder, file) = path.rsplit_once('/')?;
    Some((folder.strip_suffix(FOLDER)?.strip_suffix('/')?, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(
        prefix: &str,
        generations: &[(&str, &str)],
        references: &[(&str, &str, bool)],
    ) -> Place {
        let link = |(n, (file, c4)): (usize, &(&str, &str))| Link {
            number: n as u64 + 1,
            file: (*file).to_owned(),
            c4: (*c4).to_owned(),
        };
        let referred = |(path, c4, last): &(&str, &str, bool)| Referred {
            reference: Reference {
                path: (*path).to_owned(),
                c4: (*c4).to_owned(),
            },
            generation: "0001_top.mhl".to_owned(),
            last: *last,
        };
        Place {
            prefix: prefix.to_owned(),
            links: generations.iter().enumerate().map(link).collect(),
            references: references.iter().map(referred).collect(),
        }
    }

    fn found(places: &[Place]) -> Vec<String> {
        problems(places, |_| false)
    }

    #[test]
    fn references_hold_while_the_nested_history_only_grows() {
        let top = || {
            place(
                "",
                &[("0001_top.mhl", "t")],
                &[("A/ascmhl/0001_A.mhl", "a1", true)],
            )
        };
        assert!(found(&[top(), place("A", &[("0001_A.mhl", "a1")], &[])]).is_empty());
        assert!(
            found(&[
                top(),
                place("A", &[("0001_A.mhl", "a1"), ("0002_A.mhl", "a2")], &[])
            ])
            .is_empty()
        );
        let gone = found(&[top()]);
        assert!(
            gone.len() == 1 && gone[0].contains("history of A is missing"),
            "{gone:?}"
        );
        let replaced = found(&[top(), place("A", &[("0001_A.mhl", "x")], &[])]);
        assert!(replaced[0].contains("was replaced"), "{replaced:?}");
        let back = found(&[top(), place("A", &[("0001_B.mhl", "x")], &[])]);
        assert!(back[0].contains("rolled back"), "{back:?}");
        assert!(
            problems(&[top()], |directory| directory == "A").is_empty(),
            "ignored"
        );
    }

    #[test]
    fn nested_history_that_was_renamed_holds_for_earlier_generations_only() {
        let moved = || place("B", &[("0001_A.mhl", "a1")], &[]);
        let top = |last| {
            place(
                "",
                &[("0001_top.mhl", "t")],
                &[("A/ascmhl/0001_A.mhl", "a1", last)],
            )
        };
        assert!(found(&[top(false), moved()]).is_empty());
        assert_eq!(found(&[top(true), moved()]).len(), 1);
    }

    #[test]
    fn references_are_relative_to_the_history_that_makes_them() {
        let inner = || {
            place(
                "A",
                &[("0001_A.mhl", "a")],
                &[("B/ascmhl/0001_B.mhl", "b", true)],
            )
        };
        assert!(found(&[inner(), place("A/B", &[("0001_B.mhl", "b")], &[])]).is_empty());
        assert_eq!(
            found(&[inner(), place("B", &[("0001_B.mhl", "b")], &[])]).len(),
            1
        );
        assert_eq!(
            found(&[place("", &[], &[("A/other.mhl", "x", true)])]).len(),
            1
        );
    }
}
