//! Which units of an approval step need no person: the condition of the step holds for none of their assets.
use crate::store::{StoreResult, Tx};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use protocol::rules::review::approval::Condition;
use protocol::workflow::{Action, Step};

/// The partitions that are approved without a person.
pub(super) fn auto_approved(
    tx: &mut dyn Tx,
    job: JobNo,
    step: &Step,
    parts: &[PartNo],
) -> StoreResult<Vec<PartNo>> {
    let Action::Approval {
        when: Some(when), ..
    } = &step.action
    else {
        return Ok(Vec::new());
    };
    // A condition that cannot be read asks about everything: it was checked when the job was compiled.
    let Ok(condition) = Condition::parse(when) else {
        return Ok(Vec::new());
    };
    let partitions = tx.partitions(job, parts)?;
    let members = tx.members(job, &partitions)?;
    let no_person =
        |(_, assets): &(&PartNo, Vec<Asset>)| !assets.iter().any(|asset| condition.holds(asset));
    Ok(parts
        .iter()
        .zip(members)
        .filter(no_person)
        .map(|(part, _)| *part)
        .collect())
}
