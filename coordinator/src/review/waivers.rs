//! Waivers of findings: which judged content they cover, and how they are shown.
use crate::error::{Answer, Error};
use crate::store::{StoreResult, Tx, WaiverRow};
use protocol::rules::review::waiver::{JudgedContent, Scope, waived};
use protocol::time::Timestamp;
use protocol::wire::unit::QcTask;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A check whose finding a person let stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckWaived {
    /// The check.
    pub check: String,
    /// What the waiver is about beyond the check: asset, title, policy, hash.
    pub scope: BTreeMap<String, String>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: String,
    /// Until when it holds; for ever when not given.
    pub until: Option<String>,
    /// Whether it still counts.
    pub holds: bool,
}

impl CheckWaived {
    fn of(check: &str, row: &WaiverRow, now: Timestamp) -> CheckWaived {
        CheckWaived {
            check: check.to_owned(),
            scope: scope_words(&row.scope),
            by: row.actor.clone(),
            reason: row.reason.clone(),
            at: row.at.to_string(),
            until: row.until.map(|until| until.to_string()),
            holds: row.rule().holds(now),
        }
    }
}

fn scope_words(scope: &Scope) -> BTreeMap<String, String> {
    let Scope { cause: _, check: _, asset, title, policy, hash } = scope;
    let terms = [("asset", asset), ("title", title), ("policy", policy), ("hash", hash)];
    terms.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
}

/// The name of the delivery spec that a step judges by.
pub fn policy_name(qc: &QcTask) -> String {
    #[derive(Deserialize)]
    struct Named {
        spec: String,
    }
    serde_json::from_str::<Named>(&qc.policy).map(|named| named.spec).unwrap_or_default()
}

/// Waivers, read once for many questions.
#[derive(Debug, Default)]
pub struct Waivers(Option<Vec<WaiverRow>>);

impl Waivers {
    fn rows(&mut self, tx: &mut dyn Tx) -> StoreResult<&[WaiverRow]> {
        if self.0.is_none() {
            // Waivers of causes are about dead letters, not about findings.
            self.0 = Some(tx.waivers()?.into_iter().filter(|row| row.scope.cause.is_none()).collect());
        }
        Ok(self.0.as_deref().unwrap_or_default())
    }

    /// Whether every one of these checks is waived for a delivery at `now`. No checks are never waived: something else
    /// is wrong then.
    pub fn cover(
        &mut self,
        tx: &mut dyn Tx,
        checks: &[String],
        delivery: &JudgedContent<'_>,
        now: Timestamp,
    ) -> StoreResult<bool> {
        if checks.is_empty() {
            return Ok(false);
        }
        let rows = self.rows(tx)?;
        Ok(waived(checks, delivery, rows, WaiverRow::rule, now).len() == checks.len())
    }

    /// What was decided about checks of a delivery: for each the waiver that counts, or the last one that did.
    pub fn about(
        &mut self,
        tx: &mut dyn Tx,
        checks: &[String],
        delivery: &JudgedContent<'_>,
        now: Timestamp,
    ) -> StoreResult<Vec<CheckWaived>> {
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.rows(tx)?;
        let of_check = |check: &String| {
            let covering = rows.iter().filter(|row| row.scope.covers(check, delivery));
            let best = covering.max_by_key(|row| (row.rule().holds(now), row.at))?;
            Some(CheckWaived::of(check, best, now))
        };
        Ok(checks.iter().filter_map(of_check).collect())
    }
}

/// Parses the end of a waiver.
pub(crate) fn until(text: Option<&str>, now: Timestamp) -> Answer<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    match Timestamp::parse(text) {
        None => Err(Error::Invalid("until is not a moment".into(), "2026-12-01T18:00:00Z".into())),
        Some(until) if until <= now => {
            Err(Error::Invalid("the waiver would have ended already".into(), "a later --until".into()))
        }
        until => Ok(until),
    }
}
