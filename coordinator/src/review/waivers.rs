//! Waivers of findings: which judged content they cover, and how they are shown.
use crate::error::{Answer, Error};
use crate::store::{StoreResult, Tx, WaiverRow};
use protocol::rules::review::waiver::{JudgedContent, Scope, waived};
use protocol::time::Timestamp;
use protocol::wire::step::qc::QcTask;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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

/// As many waivers are read at once; of more, those that are asked for are looked up by their keys.
const READ_MAX: u32 = 1_000;
/// Keys looked up in one statement.
const KEYS_PAGE: usize = 4_096;

/// Waivers by key, read once for many questions.
#[derive(Debug, Default)]
pub struct Waivers {
    /// Whether all waivers have been read; `None` before the first question.
    whole: Option<bool>,
    known: HashMap<String, WaiverRow>,
    /// What was looked up where there are more, by the key of the narrowest scope.
    asked: HashSet<String>,
}

impl Waivers {
    /// Looks up what may cover these checks of deliveries, all of them together.
    pub fn look_up<'d>(
        &mut self,
        tx: &mut dyn Tx,
        deliveries: impl Iterator<Item = (&'d [String], JudgedContent<'d>)>,
    ) -> StoreResult<()> {
        let mut keys = Vec::new();
        for (checks, delivery) in deliveries {
            for check in checks {
                let covering = Scope::covering(check, &delivery);
                let narrowest = covering.last().cloned().unwrap_or_default();
                if self.asked.insert(narrowest) {
                    keys.extend(covering);
                }
            }
        }
        self.read(tx, &keys)
    }

    /// Reads all waivers where they are few, else those with these keys.
    fn read(&mut self, tx: &mut dyn Tx, keys: &[String]) -> StoreResult<()> {
        let whole = match self.whole {
            Some(whole) => whole,
            None => {
                let first = tx.waivers(READ_MAX + 1)?;
                let whole = first.len() <= READ_MAX as usize;
                self.whole = Some(whole);
                self.keep(first);
                whole
            }
        };
        if !whole {
            for page in keys.chunks(KEYS_PAGE) {
                let found = tx.waivers_of(page)?;
                self.keep(found);
            }
        }
        Ok(())
    }

    fn keep(&mut self, rows: Vec<WaiverRow>) {
        self.known
            .extend(rows.into_iter().map(|row| (row.scope.key(), row)));
    }

    /// Waivers that cover a check of a delivery, in force or not.
    fn of(
        &mut self,
        tx: &mut dyn Tx,
        check: &str,
        delivery: &JudgedContent<'_>,
    ) -> StoreResult<Vec<&WaiverRow>> {
        self.look_up(
            tx,
            std::iter::once((std::slice::from_ref(&check.to_owned()), *delivery)),
        )?;
        Ok(Scope::covering(check, delivery)
            .iter()
            .filter_map(|key| self.known.get(key))
            .collect())
    }

    /// The waivers in force at `now` of these causes of dead units, by cause.
    pub fn of_causes(
        mut self,
        tx: &mut dyn Tx,
        causes: &BTreeSet<String>,
        now: Timestamp,
    ) -> StoreResult<BTreeMap<String, WaiverRow>> {
        let keys: Vec<String> = causes
            .iter()
            .map(|cause| Scope::of_cause(cause).key())
            .collect();
        self.read(tx, &keys)?;
        let in_force = self.known.into_values().filter(|row| row.rule().holds(now));
        Ok(in_force
            .filter_map(|row| Some((row.scope.cause.clone()?, row)))
            .collect())
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
            let rows = self.of(tx, check, delivery)?;
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
            let covering = self.of(tx, check, delivery)?;
            let best = covering
                .into_iter()
                .max_by_key(|row| (row.rule().holds(now), row.at));
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
                    // Where there are more than are read at once, they are looked up by key.
                    let mut many = Waivers {
                        whole: Some(false),
                        ..Waivers::default()
                    };
                    let covered = many
                        .cover(&mut memory, &checks, &delivery, Timestamp(9))
                        .expect("reads");
                    assert_eq!(covered, expected, "{checks:?} of {delivery:?}, by key");
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
