//! Judged assets: which failures are waived, and what is recorded of the verdicts.
use super::{Group, Verdicts};
use crate::review::tasks::{Recorder, Settled};
use crate::review::verdicts::Judged;
use crate::rows::{job_row, unit_row};
use crate::store::StoreResult;
use crate::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{PartNo, UnitId};
use protocol::rules::review::waiver::JudgedContent;
use protocol::rules::unit::transition::UnitState;
use std::collections::{BTreeMap, HashMap};

impl Group<'_, '_> {
    /// Drops failures whose checks are all waived. Returns the judged assets with whether they were waived.
    pub(super) fn waive(
        &mut self,
        part: PartNo,
        judged: Vec<Judged>,
        failures: &mut Vec<(String, Failure)>,
    ) -> StoreResult<Vec<(PartNo, Judged, bool)>> {
        let mut checked = Vec::with_capacity(judged.len());
        let mut titles: Option<HashMap<String, String>> = None;
        for one in judged {
            let mut waived = false;
            if one.failure.is_some() {
                let titles = match &mut titles {
                    Some(known) => known,
                    none => {
                        let partitions = self.tx.partitions(self.job.no, &[part])?;
                        let members = self.tx.members(self.job.no, &partitions)?;
                        none.insert(
                            members
                                .into_iter()
                                .flatten()
                                .map(|asset| (asset.id, asset.title))
                                .collect(),
                        )
                    }
                };
                let title = titles.get(&one.asset).map_or("", String::as_str);
                let delivery = JudgedContent {
                    asset: &one.asset,
                    title,
                    policy: &one.policy,
                    hash: &one.hash,
                };
                waived = self
                    .verdicts
                    .waivers
                    .cover(self.tx, one.checks(), &delivery, self.now)?;
            }
            if waived {
                failures.retain(|(asset, _)| *asset != one.asset);
            }
            checked.push((part, one, waived));
        }
        Ok(checked)
    }

    /// Records verdicts, and keeps waived failures with the unit that succeeds in spite of them.
    pub(super) fn record(&mut self, workflows: &Workflows) -> StoreResult<()> {
        let Verdicts { assets, dead, .. } = std::mem::take(&mut self.verdicts);
        let Some(step) = self.workflow.step(self.step).filter(|_| !assets.is_empty()) else {
            return Ok(());
        };
        let mut let_stand: BTreeMap<PartNo, Vec<(String, Failure)>> = BTreeMap::new();
        for (part, judged, _) in assets.iter().filter(|(_, _, waived)| *waived) {
            let_stand
                .entry(*part)
                .or_default()
                .extend(judged.failure.clone().map(|f| (judged.asset.clone(), f)));
        }
        for (part, failures) in let_stand {
            let unit = UnitId::new(self.job.no, self.step, part);
            let row = unit_row(self.tx, unit)?;
            if row.is_some_and(|row| row.state == UnitState::Succeeded) {
                self.tx.put_failures(unit, &failures)?;
            }
        }
        let mut row = job_row(self.tx, self.job.no)?;
        let decoded = assets
            .iter()
            .filter(|(_, judged, _)| judged.decoded)
            .count() as u64;
        row.judged += assets.len() as u64;
        row.decoded += decoded;
        self.done.judged += assets.len() as u64;
        self.done.decoded += decoded;
        self.tx.update_job(&row)?;
        self.job = row;
        let settled: Vec<Settled> = assets
            .into_iter()
            .map(|(part, judged, waived)| Settled {
                dead: dead.get(&judged.asset).copied(),
                judged,
                part,
                waived,
            })
            .collect();
        let (job, no, now) = (self.job.clone(), self.step, self.now);
        Recorder {
            tx: self.tx,
            workflows,
            job: &job,
            no,
            step,
            now,
        }
        .record(&settled)
    }
}
