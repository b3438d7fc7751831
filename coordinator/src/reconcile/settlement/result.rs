//! The result of a unit, parsed for the rule that settles it.
use super::Group;
use crate::review::verdicts::{self, Judged};
use crate::store::StoreResult;
use protocol::id::PartNo;
use protocol::media::asset::AssetFact;
use protocol::rules::unit::settle::Reported;
use protocol::wire::report::UnitResult;
use std::time::Duration;

/// The parsed result of a unit, ready to be settled.
pub(super) struct ParsedResult {
    pub(super) reported: Reported,
    pub(super) learned: Vec<AssetFact>,
    pub(super) judged: Vec<(PartNo, Judged, bool)>,
}

impl Group<'_, '_> {
    /// Parses a result. Failures of assets that a split has moved since belong to another unit.
    pub(super) fn reported(
        &mut self,
        result: UnitResult,
        part: PartNo,
    ) -> StoreResult<ParsedResult> {
        let without_facts = |reported| ParsedResult {
            reported,
            learned: Vec::new(),
            judged: Vec::new(),
        };
        Ok(match result {
            UnitResult::Finished {
                mut facts,
                mut failures,
            } => {
                if !failures.is_empty() && part > 0 {
                    let ids: Vec<String> =
                        failures.iter().map(|(asset, _)| asset.clone()).collect();
                    let gone = self.tx.moved_away(self.job.no, part, &ids)?;
                    failures.retain(|(asset, _)| !gone.contains(asset));
                }
                let judges = self
                    .workflow
                    .step(self.step)
                    .is_some_and(|step| step.qc().is_some());
                let judged = if judges {
                    verdicts::read(&mut facts, &failures)
                } else {
                    Vec::new()
                };
                let judged = self.waive(part, judged, &mut failures)?;
                ParsedResult {
                    reported: Reported::Finished(failures),
                    learned: facts,
                    judged,
                }
            }
            UnitResult::Failed(failure) => without_facts(Reported::Failed(failure)),
            UnitResult::Waiting {
                look_again_us,
                message,
            } => without_facts(Reported::Waiting(
                Duration::from_micros(look_again_us),
                message,
            )),
            // Begun uploads were taken before, and no unit is a slice.
            UnitResult::Returned
            | UnitResult::Cancelled
            | UnitResult::Listed { .. }
            | UnitResult::UploadsBegun(_)
            | UnitResult::Sliced(_) => without_facts(Reported::Returned),
        })
    }
}
