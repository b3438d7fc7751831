//! The stored plan of an operation. Plans are read strictly: a plan that cannot be read selects no unit, because an empty
//! selection means every dead unit.
use crate::command::request::RetryRequest;
use crate::error::Error;
use crate::graph::redrive::RedriveScope;
use crate::store::OperationRow;
use protocol::rules::unit::selection::Selection;
use serde::{Deserialize, Serialize};

/// Marks the text of a plan whose units got corrected input. No term of a selection has this form.
const CORRECTED: &str = "input=corrected";
/// Precedes the step in the text of a plan for one step.
const ONLY: &str = "only=";

/// Plan of an operation: which units it redrives, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Criteria that a unit must meet to be part of the operation.
    pub selection: Selection,
    /// Of those, only units of this step.
    pub only: Option<String>,
    /// Their input was corrected.
    pub corrected: bool,
    terms: Vec<String>,
}

/// A plan in the store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    terms: Vec<String>,
    only: Option<String>,
    corrected: bool,
}

impl Plan {
    /// Reads a request.
    pub fn of(request: &RetryRequest) -> Result<Plan, Error> {
        let plan = Plan::parsed(
            request.filter.clone(),
            request.only.clone(),
            !request.corrections.is_empty(),
        );
        let plan = plan.map_err(|(message, hint)| Error::Invalid(message, hint))?;
        if plan.selection.is_empty() && plan.only.is_none() && !request.all {
            let hint = "--filter step=check, --filter reason=CODE, --filter asset=ID, or --all";
            return Err(Error::Invalid("nothing selected".into(), hint.into()));
        }
        Ok(plan)
    }

    fn parsed(
        terms: Vec<String>,
        only: Option<String>,
        corrected: bool,
    ) -> Result<Plan, (String, String)> {
        let selection = Selection::parse(&terms).map_err(|bad| (bad.message, bad.hint))?;
        if only
            .as_deref()
            .is_some_and(|only| only.chars().any(char::is_control))
        {
            return Err((
                "the step holds a control character".into(),
                "name a step of the job".into(),
            ));
        }
        Ok(Plan {
            selection,
            only,
            corrected,
            terms,
        })
    }

    /// For people and for the version before: a term a line. No term holds a line break.
    pub fn text(&self) -> String {
        let only = self.only.iter().map(|step| format!("{ONLY}{step}"));
        let corrected = self.corrected.then(|| CORRECTED.to_owned());
        self.terms
            .iter()
            .cloned()
            .chain(only)
            .chain(corrected)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// As it is stored.
    pub fn json(&self) -> String {
        let stored = Stored {
            terms: self.terms.clone(),
            only: self.only.clone(),
            corrected: self.corrected,
        };
        // Texts and a flag always have a JSON form; one that had none would be refused by `read`.
        serde_json::to_string(&stored).unwrap_or_else(|error| error.to_string())
    }

    /// The plan of a stored operation, or why it cannot be read.
    pub fn read(row: &OperationRow) -> Result<Plan, String> {
        let wrong =
            |(message, _): (String, String)| format!("the stored plan cannot be read: {message}");
        let Some(json) = &row.plan else {
            return Plan::of_lines(&row.filter).map_err(wrong);
        };
        let stored: Stored = serde_json::from_str(json)
            .map_err(|error| wrong((error.to_string(), String::new())))?;
        Plan::parsed(stored.terms, stored.only, stored.corrected).map_err(wrong)
    }

    /// Reads what the version before stored: its terms could hold line breaks, and then they do not read.
    fn of_lines(text: &str) -> Result<Plan, (String, String)> {
        let (mut terms, mut only, mut corrected) = (Vec::new(), None, false);
        for line in text.split('\n').filter(|_| !text.is_empty()) {
            match line.strip_prefix(ONLY) {
                Some(step) => only = Some(step.to_owned()),
                None if line == CORRECTED => corrected = true,
                None => terms.push(line.to_owned()),
            }
        }
        Plan::parsed(terms, only, corrected)
    }

    /// Which units of a partition are redriven.
    pub(super) fn scope(&self) -> RedriveScope {
        if self.corrected {
            RedriveScope::FromSource
        } else {
            RedriveScope::Unit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditContext, begun};
    use protocol::time::Timestamp;

    fn stored(plan: Option<&str>, filter: &str) -> OperationRow {
        let row = begun(&AuditContext::default(), "retry", None, Timestamp(0));
        OperationRow {
            plan: plan.map(str::to_owned),
            filter: filter.to_owned(),
            ..row
        }
    }

    #[test]
    fn plan_stored_reads_the_same() {
        let request = RetryRequest {
            filter: vec!["asset=a=b".into(), "title=Ünder \"the\" sea".into()],
            only: Some("left".into()),
            ..RetryRequest::default()
        };
        let plan = Plan::of(&request).expect("a plan");
        assert_eq!(
            Plan::read(&stored(Some(&plan.json()), &plan.text())),
            Ok(plan.clone())
        );
        assert_eq!(
            Plan::read(&stored(None, &plan.text())),
            Ok(plan),
            "the version before stored the lines"
        );
        let all = Plan::of(&RetryRequest {
            all: true,
            ..RetryRequest::default()
        })
        .expect("a plan");
        assert_eq!(Plan::read(&stored(None, "")), Ok(all));
    }

    #[test]
    fn plan_unreadable_never_selects_everything() {
        for (plan, filter) in [
            (None, "asset=zzz\ngarbage"),
            (None, "asset=zzz\n"),
            (None, "\n"),
            (Some(""), ""),
            (Some("{}"), ""),
            (Some("null"), ""),
            (
                Some(r#"{"terms":["asset=zzz\ngarbage"],"only":null,"corrected":false}"#),
                "",
            ),
            (
                Some(r#"{"terms":[],"only":null,"corrected":false,"more":1}"#),
                "",
            ),
        ] {
            assert!(
                Plan::read(&stored(plan, filter)).is_err(),
                "{plan:?} {filter:?}"
            );
        }
    }

    #[test]
    fn request_with_control_characters_is_refused() {
        for (term, only) in [
            ("asset=zzz\ngarbage", None),
            ("asset=a\u{7}", None),
            ("step=a", Some("a\nb")),
        ] {
            let request = RetryRequest {
                filter: vec![term.into()],
                only: only.map(str::to_owned),
                ..RetryRequest::default()
            };
            let refused = Plan::of(&request).expect_err(term);
            assert!(
                matches!(&refused, Error::Invalid(why, _) if why.contains("control character")),
                "{refused:?}"
            );
        }
    }
}
