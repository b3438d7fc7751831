//! Selection of failed units, with one grammar for the command line and the API.
//!
//! A selection is a list of `key=value` terms. Terms of the same key are alternatives, terms of different keys must all
//! match. An empty selection is not "all": selecting everything is explicit.
use super::fingerprint::is_fingerprint;
use super::transition::UnitState;
use crate::failure::ErrorClass;
use crate::media::asset::Role;

/// The keys a term may have.
pub const KEYS: [&str; 8] = [
    "step", "reason", "class", "title", "role", "asset", "cause", "state",
];

/// A parsed selection. Empty lists match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names of steps.
    pub steps: Vec<String>,
    /// Reason codes of failures.
    pub reasons: Vec<String>,
    /// Error classes of failures.
    pub classes: Vec<String>,
    /// Ids of titles.
    pub titles: Vec<String>,
    /// Roles of assets.
    pub roles: Vec<String>,
    /// Ids of assets.
    pub assets: Vec<String>,
    /// Fingerprints of causes.
    pub causes: Vec<String>,
    /// `dead` or `cancelled`; dead by default.
    pub states: Vec<UnitState>,
}

/// Why a term cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTerm {
    /// Why the term is refused.
    pub message: String,
    /// The nearest valid term.
    pub hint: String,
}

/// A unit that a selection is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Name of the step.
    pub step: &'a str,
    /// State of the unit.
    pub state: UnitState,
    /// Reason code of the failure; `None` for a cancelled unit.
    pub reason: Option<&'a str>,
    /// Class of the failure.
    pub class: Option<&'a str>,
    /// Fingerprint of the failure.
    pub cause: Option<&'a str>,
    /// Id of the title.
    pub title: &'a str,
    /// Its assets with their roles.
    pub assets: &'a [(String, String)],
}

impl Selection {
    /// Parses terms. An error names the wrong term and the nearest valid one.
    pub fn parse<S: AsRef<str>>(terms: &[S]) -> Result<Selection, BadTerm> {
        let mut selection = Selection::default();
        for term in terms {
            let term = term.as_ref();
            if term.chars().any(char::is_control) {
                return Err(bad(
                    format!("filter {term:?} holds a control character"),
                    "leave it out: no id or name has one",
                ));
            }
            let Some((key, value)) = term.split_once('=') else {
                return Err(bad(
                    format!("filter {term:?} is not key=value"),
                    "step=check",
                ));
            };
            if value.is_empty() {
                return Err(bad(
                    format!("filter {term:?} names nothing"),
                    &format!("{key}=…"),
                ));
            }
            selection.add(key.trim(), value)?;
        }
        Ok(selection)
    }

    fn add(&mut self, key: &str, value: &str) -> Result<(), BadTerm> {
        let known = |list: &[&str]| -> Result<(), BadTerm> {
            if list.contains(&value) {
                return Ok(());
            }
            Err(bad(
                format!("unknown {key} {value:?}"),
                &crate::yaml::suggest(value, list),
            ))
        };
        match key {
            "step" => self.steps.push(value.to_owned()),
            "reason" => self.reasons.push(value.to_owned()),
            "class" => {
                known(&ErrorClass::ALL.map(ErrorClass::as_str))?;
                self.classes.push(value.to_owned());
            }
            "title" => self.titles.push(value.to_owned()),
            "role" => {
                known(&Role::ALL.map(Role::as_str))?;
                self.roles.push(value.to_owned());
            }
            "asset" => self.assets.push(value.to_owned()),
            "cause" if is_fingerprint(value) => self.causes.push(value.to_owned()),
            "cause" => {
                return Err(bad(
                    format!("{value:?} is no fingerprint of a cause"),
                    "showrunner failure list shows them",
                ));
            }
            "state" => {
                known(&[UnitState::Dead.as_str(), UnitState::Cancelled.as_str()])?;
                self.states.extend(UnitState::parse(value));
            }
            _ => {
                return Err(bad(
                    format!("unknown filter {key:?}"),
                    &crate::yaml::suggest(key, &KEYS),
                ));
            }
        }
        Ok(())
    }

    /// Whether it has no term.
    pub fn is_empty(&self) -> bool {
        *self == Selection::default()
    }

    /// Whether units in this state are selected.
    pub fn wants(&self, state: UnitState) -> bool {
        if self.states.is_empty() {
            state == UnitState::Dead
        } else {
            self.states.contains(&state)
        }
    }

    /// Whether a unit matches every term.
    pub fn matches(&self, candidate: &Candidate<'_>) -> bool {
        let any =
            |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
        let some = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|v| any(list, v))
        };
        let of_asset =
            |asset: &(String, String)| any(&self.assets, &asset.0) && any(&self.roles, &asset.1);
        let about = (self.assets.is_empty() && self.roles.is_empty())
            || candidate.assets.iter().any(of_asset);
        self.wants(candidate.state)
            && any(&self.steps, candidate.step)
            && any(&self.titles, candidate.title)
            && some(&self.reasons, candidate.reason)
            && some(&self.classes, candidate.class)
            && some(&self.causes, candidate.cause)
            && about
    }
}

fn bad(message: String, hint: &str) -> BadTerm {
    BadTerm {
        message,
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate<'a>(
        step: &'a str,
        reason: &'a str,
        assets: &'a [(String, String)],
    ) -> Candidate<'a> {
        let (state, title) = (UnitState::Dead, "t");
        Candidate {
            step,
            state,
            reason: Some(reason),
            class: Some("transient"),
            cause: None,
            title,
            assets,
        }
    }

    #[test]
    fn terms_of_a_key_are_alternatives_and_keys_must_all_hold() {
        let assets = [
            ("a".to_owned(), "master".to_owned()),
            ("b".to_owned(), "audio".to_owned()),
        ];
        let matches = |terms: &[&str]| {
            Selection::parse(terms)
                .expect("reads")
                .matches(&candidate("land", "r", &assets))
        };
        assert!(matches(&["step=land", "step=check"]));
        assert!(!matches(&["step=land", "reason=q"]));
        assert!(matches(&["role=audio", "asset=b"]));
        assert!(
            !matches(&["role=audio", "asset=a"]),
            "role and asset speak of one asset"
        );
        assert!(!matches(&["state=cancelled"]) && matches(&["state=cancelled", "state=dead"]));
        assert!(
            !matches(&["cause=0123456789abcdef"]),
            "what has no cause is not of this one"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (term, word) in [
            ("raeson=x", "reason"),
            ("land", "key=value"),
            ("step=", "nothing"),
            ("class=transent", "transient"),
            ("state=ready", "state"),
            ("role=matser", "master"),
            ("cause=1", "fingerprint"),
            ("asset=zzz\ngarbage", "control character"),
            ("title=\u{85}", "control character"),
        ] {
            let bad = Selection::parse(&[term]).expect_err(term);
            assert!(
                format!("{} {}", bad.message, bad.hint).contains(word),
                "{term}: {bad:?}"
            );
        }
        assert!(Selection::parse::<&str>(&[]).expect("reads").is_empty());
    }

    proptest! {
        /// A further term of a new key never selects more, a further alternative never less.
        #[test]
        fn terms_narrow_and_alternatives_widen(step in "[ab]", other in "[ab]", reason in "[xy]") {
            let (one, two) = (format!("step={step}"), format!("step={other}"));
            let narrow = format!("reason={reason}");
            for (s, r) in [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")] {
                let matches = |terms: &[&str]| Selection::parse(terms).expect("reads").matches(&candidate(s, r, &[]));
                prop_assert!(!matches(&[&one, &narrow]) || matches(&[&one]));
                prop_assert!(!matches(&[&one]) || matches(&[&one, &two]));
            }
        }

        /// No text makes it fall over.
        #[test]
        fn any_text_is_read_or_refused(terms in prop::collection::vec("\\PC{0,20}=?\\PC{0,10}", 0..4)) {
            drop(Selection::parse(&terms));
        }
    }
}
