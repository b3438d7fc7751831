//! Waivers of findings: which judged content they cover, and how they are shown.
use crate::error::{Answer, Error};
use crate::store::{StoreResult, Tx, WaiverRow};
use protocol::rules::review::waiver::{JudgedContent, Scope, waived};
use protocol::time::Timestamp;
use protocol::wire::step::qc::QcTask;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use utoipa::ToSchema;

/// A waived check: the decision of a person to accept its finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckWaived {
    /// Id of the waived check, such as `black`.
    pub check: String,
    /// Limits of the waiver beyond the check: asset, title, policy, hash.
    pub scope: BTreeMap<String, String>,
    /// Actor who recorded the waiver.
    pub by: String,
    /// Reason that the actor gave.
    pub reason: String,
    /// Time of the waiver, RFC 3339 in UTC.
    pub at: String,
    /// Time at which the waiver ends; absent when it does not end.
    pub until: Option<String>,
    /// Whether the waiver is in force.
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
    let Scope {
        cause: _,
        check: _,
        asset,
        title,
        policy,
        hash,
    } = scope;
    let terms = [
        ("asset", asset),
        ("title", title),
        ("policy", policy),
        ("hash", hash),
    ];
    terms
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect()
}

/// The name of the delivery spec that a step judges by.
pub fn policy_name(qc: &QcTask) -> String {
    #[derive(Deserialize)]
    struct Named {
        spec: String,
    }
    serde_json::from_str::<Named>(&qc.policy)
        .map(|named| named.spec)
        .unwrap_or_default()
}

/// Waivers of one check by what they are about.
#[derive(Debug, Default)]
struct OfCheck {
    assets: HashMap<String, Vec<WaiverRow>>,
    titles: HashMap<String, Vec<WaiverRow>>,
    /// Waivers that name neither.
    others: Vec<WaiverRow>,
}

impl OfCheck {
    fn add(&mut self, row: WaiverRow) {
        let rows = match (&row.scope.asset, &row.scope.title) {
            (Some(asset), _) => self.assets.entry(asset.clone()).or_default(),
            (None, Some(title)) => self.titles.entry(title.clone()).or_default(),
            (None, None) => &mut self.others,
        };
        rows.push(row);
    }
}

/// Waivers, read once for many questions, by check and subject: a question looks at those that may cover it, not at all.
#[derive(Debug, Default)]
pub struct Waivers(Option<HashMap<String, OfCheck>>);

impl Waivers {
    /// Waivers that may cover a check of a delivery.
    fn of<'a>(
        &'a mut self,
        tx: &mut dyn Tx,
        check: &str,
        delivery: &JudgedContent<'_>,
    ) -> StoreResult<impl Iterator<Item = &'a WaiverRow> + use<'a>> {
        if self.0.is_none() {
            let mut by_check: HashMap<String, OfCheck> = HashMap::new();
            // Waivers of causes are about dead letters, not about findings, and name no check.
            for row in tx
                .waivers()?
                .into_iter()
                .filter(|row| row.scope.cause.is_none())
            {
                if let Some(check) = row.scope.check.clone() {
                    by_check.entry(check).or_default().add(row);
                }
            }
            self.0 = Some(by_check);
        }
        let found = self
            .0
            .as_ref()
            .and_then(|by_check| by_check.get(check))
            .map(|of| {
                let named = [of.assets.get(delivery.asset), of.titles.get(delivery.title)]
                    .into_iter()
                    .flatten()
                    .flatten();
                named.chain(&of.others)
            });
        Ok(found.into_iter().flatten())
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
        for check in checks {
            let rows: Vec<&WaiverRow> = self.of(tx, check, delivery)?.collect();
            if waived(
                std::slice::from_ref(check),
                delivery,
                &rows,
                |row| row.rule(),
                now,
            )
            .is_empty()
            {
                return Ok(false);
            }
        }
        Ok(true)
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
        let mut decided = Vec::new();
        for check in checks {
            let covering = self
                .of(tx, check, delivery)?
                .filter(|row| row.scope.covers(check, delivery));
            let best = covering.max_by_key(|row| (row.rule().holds(now), row.at));
            decided.extend(best.map(|best| CheckWaived::of(check, best, now)));
        }
        Ok(decided)
    }
}

/// Parses the end of a waiver.
pub(crate) fn until(text: Option<&str>, now: Timestamp) -> Answer<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    match Timestamp::parse(text) {
        None => Err(Error::Invalid(
            "until is not a moment".into(),
            "2026-12-01T18:00:00Z".into(),
        )),
        Some(until) if until <= now => Err(Error::Invalid(
            "the waiver would have ended already".into(),
            "a later --until".into(),
        )),
        until => Ok(until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CauseTx as _;
    use crate::store::memory::Memory;

    /// Waivers found by check and subject cover what all of them cover.
    #[test]
    fn waivers_by_subject_cover_what_a_look_at_all_covers() {
        let mut memory = Memory::default();
        let term = |word: &str| (word != "-").then(|| word.to_owned());
        let mut rows = Vec::new();
        for (n, check) in ["black", "freeze", "-"].into_iter().enumerate() {
            for asset in ["a1", "a2", "-"] {
                for title in ["t1", "-"] {
                    for hash in ["h1", "-"] {
                        let scope = Scope {
                            cause: None,
                            check: term(check),
                            asset: term(asset),
                            title: term(title),
                            policy: term("hd"),
                            hash: term(hash),
                        };
                        // Half of them have ended.
                        let until = (rows.len() % 2 == n % 2).then_some(Timestamp(5));
                        rows.push(WaiverRow {
                            scope,
                            at: Timestamp(1),
                            actor: "ada".into(),
                            reason: String::new(),
                            until,
                        });
                    }
                }
            }
        }
        let kept: Vec<WaiverRow> = rows
            .iter()
            .enumerate()
            .filter(|(n, _)| n % 3 == 0)
            .map(|(_, row)| row.clone())
            .collect();
        kept.iter()
            .for_each(|row| memory.put_waiver(row).expect("writes"));
        let mut waivers = Waivers::default();
        for asset in ["a1", "a2", "a3"] {
            for (title, policy, hash) in
                [("t1", "hd", "h1"), ("t2", "hd", "h2"), ("t1", "sd", "h1")]
            {
                for checks in [
                    vec!["black"],
                    vec!["freeze"],
                    vec!["black", "freeze"],
                    vec!["other"],
                    vec![],
                ] {
                    let checks: Vec<String> = checks.into_iter().map(str::to_owned).collect();
                    let delivery = JudgedContent {
                        asset,
                        title,
                        policy,
                        hash,
                    };
                    let all = waived(&checks, &delivery, &kept, WaiverRow::rule, Timestamp(9));
                    let expected = !checks.is_empty() && all.len() == checks.len();
                    let covered = waivers
                        .cover(&mut memory, &checks, &delivery, Timestamp(9))
                        .expect("reads");
                    assert_eq!(covered, expected, "{checks:?} of {delivery:?}");
                    let about = waivers
                        .about(&mut memory, &checks, &delivery, Timestamp(9))
                        .expect("reads");
                    let of =
                        |check: &&String| kept.iter().any(|row| row.scope.covers(check, &delivery));
                    assert_eq!(
                        about.len(),
                        checks.iter().filter(of).count(),
                        "{checks:?} of {delivery:?}"
                    );
                }
            }
        }
    }
}
