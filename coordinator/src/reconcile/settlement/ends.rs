//! GroupUnits of units: each is attributed, parsed, decided by the rule and carried out; the transitions are applied together.
use super::{Group, attempt, carried};
use crate::graph::Change;
use crate::reconcile::attribution::Attribution;
use crate::review::approvals;
use crate::store::{AttemptRow, Carried, StoreResult, UnitRow};
use foldhash::HashMap as IdMap;
use protocol::id::{PartNo, UnitId};
use protocol::media::asset::AssetFact;
use protocol::rules::unit::retry::RetryPolicy;
use protocol::rules::unit::settle::{Reported, Settlement, UnitFacts, accountable_us, decide};
use protocol::rules::unit::transition::UnitState;
use protocol::wire::report::{Outcome, UnitResult};

/// Units of a group of reports, and what their ends change.
struct GroupUnits {
    /// Rows as the reports before have left them; `None` for a unit without a row.
    rows: IdMap<PartNo, Option<UnitRow>>,
    /// Cursor of the step.
    cursor: PartNo,
    changes: Vec<Change>,
    facts: Vec<AssetFact>,
    carried: Carried,
}

impl Group<'_, '_> {
    /// Settles ends of slices and units of the step, and applies the transitions.
    pub(super) fn settle(
        &mut self,
        outcomes: Vec<Outcome>,
        jitter: &mut dyn FnMut() -> f64,
    ) -> StoreResult<()> {
        let Some(policy) = self.workflow.step(self.step).map(|s| s.retry) else {
            return Ok(());
        };
        let outcomes = self.settle_slices(outcomes, &policy, jitter)?;
        let mut units = self.read_units(&outcomes)?;
        for outcome in outcomes {
            self.settle_end(outcome, &policy, jitter, &mut units)?;
        }
        self.learn(&units.facts, units.carried)?;
        self.tx.put_attempts(&std::mem::take(&mut self.attempts))?;
        self.tx.add_to_causes(&std::mem::take(&mut self.causes))?;
        let step = self.step;
        approvals::apply(&mut self.graph(), step, &units.changes)
    }

    /// Reads the units that reports are about.
    fn read_units(&mut self, outcomes: &[Outcome]) -> StoreResult<GroupUnits> {
        let parts: Vec<PartNo> = outcomes.iter().map(|o| o.unit.part).collect();
        let rows = self.tx.units(self.job.no, self.step, &parts)?;
        let cursor = self
            .tx
            .steps(self.job.no)?
            .iter()
            .find(|s| s.step == self.step)
            .map_or(0, |s| s.cursor);
        Ok(GroupUnits {
            rows: parts.into_iter().zip(rows).collect(),
            cursor,
            changes: Vec::new(),
            facts: Vec::new(),
            carried: Carried::default(),
        })
    }

    /// Settles one end, unless it is of another execution or opens a multipart upload.
    fn settle_end(
        &mut self,
        outcome: Outcome,
        policy: &RetryPolicy,
        jitter: &mut dyn FnMut() -> f64,
        units: &mut GroupUnits,
    ) -> StoreResult<()> {
        let part = outcome.unit.part;
        let row = units.rows.get(&part).copied().flatten();
        let unit = self.unit_facts(row, part, units.cursor);
        let epoch = match self.attribution(row, &outcome)? {
            Attribution::Current => unit.epoch,
            Attribution::Stale => {
                self.done.rejected += 1;
                return Ok(());
            }
            Attribution::Revoked => {
                self.done.withdrawn += 1;
                return Ok(());
            }
        };
        let from = row.map(|r| r.state);
        if let UnitResult::UploadsBegun(open_uploads) = &outcome.result {
            let multipart = self.begin_multipart(outcome.unit, from, unit, open_uploads)?;
            units
                .rows
                .extend(multipart.map(|change| (part, Some(change.to))));
            units.changes.extend(multipart);
            return Ok(());
        }
        let duration_us = accountable_us(outcome.duration_us);
        let record = attempt::of_report(&outcome, duration_us, self.now);
        let parsed = self.reported(outcome.result, part)?;
        let assets = self.assets_of(&parsed.reported, part)?;
        let unit = UnitFacts { assets, ..unit };
        let settlement = decide(unit, epoch, parsed.reported, policy, self.now, jitter());
        if let Settlement::Reject(_) = settlement {
            self.done.rejected += 1;
            return Ok(());
        }
        self.done.accepted += 1;
        units.carried = units.carried + carried::of(&parsed.learned, &settlement);
        units.facts.extend(parsed.learned);
        self.verdicts.assets.extend(parsed.judged);
        let record = attempt::settled(record, &settlement, unit.attempt);
        let split = matches!(settlement, Settlement::Split { .. });
        let change = self.carry_out(part, from, unit, settlement, duration_us)?;
        self.record_attempt(record, split);
        units.rows.insert(part, Some(change.to));
        units.changes.push(change);
        Ok(())
    }

    /// Keeps the record of an execution. What was split off died in this execution: its log has it too.
    fn record_attempt(&mut self, record: Option<AttemptRow>, split: bool) {
        let child = record
            .clone()
            .filter(|_| split)
            .map(|record| self.of_child(record));
        self.attempts.extend(record.into_iter().chain(child));
    }

    /// The record of an execution for the partition that was split off last.
    fn of_child(&self, record: AttemptRow) -> AttemptRow {
        AttemptRow {
            unit: UnitId {
                part: self.job.parts,
                ..record.unit
            },
            epoch: 0,
            ..record
        }
    }

    /// A unit without a row is out under epoch 1 exactly when the cursor has passed it.
    fn unit_facts(&self, row: Option<UnitRow>, part: PartNo, cursor: PartNo) -> UnitFacts {
        match row {
            Some(row) => UnitFacts {
                state: row.state,
                epoch: row.epoch,
                attempt: row.attempt,
                assets: 1,
            },
            None => {
                let state = if (1..=cursor).contains(&part) {
                    UnitState::Leased
                } else {
                    UnitState::Planned
                };
                UnitFacts {
                    state,
                    epoch: 1,
                    attempt: 0,
                    assets: 1,
                }
            }
        }
    }

    /// Number of assets of a unit, where the rule needs it: it compares them with those that failed.
    fn assets_of(&mut self, reported: &Reported, part: PartNo) -> StoreResult<u32> {
        let needed = matches!(reported, Reported::Finished(failures) if !failures.is_empty());
        if !needed || part == 0 {
            return Ok(1);
        }
        Ok(self
            .tx
            .partitions(self.job.no, &[part])?
            .first()
            .map_or(1, |p| p.assets))
    }
}
