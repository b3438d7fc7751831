//! Plans partitions of a listed library, a page at a time, and seals the job at the end of the listing.
mod rejected;

use crate::graph::batch_key;
use crate::rows::job_row;
use crate::store::cost::page as share_of;
use crate::store::{BarrierGrowth, Partition, Phase, StepDelta, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::model::barrier::Scope;
use protocol::rules::library::partition::{Partitioner, PlannedPartition};
use protocol::workflow::{Action, Workflow};
use std::collections::BTreeMap;

/// Assets taken from the listing at a time.
const PAGE_ASSETS: u32 = 4_096;

/// Cuts the next page of a job. Returns whether there was anything to do.
pub fn plan(tx: &mut dyn Tx, workflows: &Workflows, job: JobNo) -> StoreResult<bool> {
    let mut row = job_row(tx, job)?;
    if row.phase != Phase::Planning || row.state.has_ended() {
        return Ok(false);
    }
    let workflow = workflows.of(tx, job)?;
    let limits = workflow.partition;
    let (mut after, mut cutter, mut cuts) = (
        row.plan_after.clone(),
        Partitioner::new(limits),
        Vec::<PlannedPartition>::new(),
    );
    let page_assets = share_of(PAGE_ASSETS);
    // A partition may be longer than a page: what is open is counted, not kept.
    let last_page = loop {
        let behind = after
            .as_ref()
            .map(|(title, id)| (title.as_str(), id.as_str()));
        let page = tx.listing_after(
            job,
            limits.by_title,
            limits.needs_row_bytes(),
            behind,
            page_assets,
        )?;
        let last_page = page.len() < page_assets as usize;
        after = page
            .last()
            .map(|member| (member.title.clone(), member.id.clone()))
            .or(after);
        cuts.extend(page.into_iter().filter_map(|member| cutter.push(member)));
        if last_page || !cuts.is_empty() {
            break last_page;
        }
    };
    if last_page {
        cuts.extend(cutter.finish());
    }
    let first = row.parts_planned + 1;
    let partitions: Vec<Partition> = cuts
        .into_iter()
        .zip(first..)
        .map(|(cut, part)| partition(cut, part))
        .collect();
    tx.insert_partitions(job, &partitions)?;
    let before = row.plan_after.as_ref().map(|(title, _)| title.clone());
    grow_barriers(tx, job, &workflow, before, &partitions)?;
    count_units(tx, job, &workflow, partitions.len() as i64)?;
    if let Some(last) = partitions.last() {
        row.plan_after = Some((last.title.clone(), last.last.clone()));
        row.parts_planned = last.part;
        row.parts = row.parts.max(last.part);
    }
    // Rows that cannot be used are counted once every partition is cut, and before any barrier may open.
    if last_page && rejected::count(tx, &row, &workflow)? {
        row.phase = Phase::Sealed;
        if row.assets == 0 {
            // It ends well, as an empty folder may be what was meant; it must not do so without a word.
            tracing::warn!(job.id = %row.id, "the library of a job is empty");
            let why = "the library is empty: nothing was listed, so nothing was done; check what `library` names";
            row.message.get_or_insert_with(|| why.to_owned());
        }
        seal_empty_barriers(tx, job, &workflow)?;
    }
    tx.update_job(&row)?;
    Ok(true)
}

fn partition(cut: PlannedPartition, part: PartNo) -> Partition {
    Partition {
        part,
        title: cut.title,
        first: cut.first,
        last: cut.last,
        assets: cut.assets,
        bytes: cut.bytes,
        parent: 0,
        split: false,
    }
}

fn count_units(tx: &mut dyn Tx, job: JobNo, workflow: &Workflow, units: i64) -> StoreResult<()> {
    for (step, declared) in workflow.numbered() {
        if declared.has_units() {
            tx.add_to_step(
                job,
                step,
                StepDelta {
                    total: units,
                    ..StepDelta::default()
                },
            )?;
        }
    }
    Ok(())
}

/// Partitions of a title are neighbours, so a title is new exactly when it differs from the one before.
fn grow_barriers(
    tx: &mut dyn Tx,
    job: JobNo,
    workflow: &Workflow,
    before: Option<String>,
    partitions: &[Partition],
) -> StoreResult<()> {
    for (barrier, step) in workflow.numbered() {
        let Action::Barrier {
            scope, batch_units, ..
        } = &step.action
        else {
            continue;
        };
        let needs: Vec<_> = step
            .needs
            .iter()
            .filter_map(|no| workflow.step(*no).map(|s| &s.action))
            .collect();
        let mut grown: BTreeMap<String, BarrierGrowth> = BTreeMap::new();
        let mut previous = before.as_deref();
        for p in partitions {
            let members: u64 = needs
                .iter()
                .map(|action| u64::from(is_new(action, p, previous)))
                .sum();
            previous = Some(&p.title);
            let key = match scope {
                Scope::Title => p.title.clone(),
                Scope::Batch => batch_key(p.part, *batch_units),
                Scope::Job => String::new(),
            };
            let growth = grown.entry(key.clone()).or_insert_with(|| BarrierGrowth {
                key,
                members: 0,
                failed: 0,
                first: p.part,
                last: p.part,
            });
            growth.members += members;
            growth.last = p.part;
        }
        for growth in grown.values() {
            tx.add_to_barrier(job, barrier, growth)?;
        }
    }
    Ok(())
}

/// Whether a partition adds a member to a barrier through one of its needs.
fn is_new(need: &Action, partition: &Partition, previous_title: Option<&str>) -> bool {
    match need {
        Action::Units { .. } | Action::Approval { .. } => true,
        Action::Barrier {
            scope: Scope::Title,
            ..
        } => previous_title != Some(partition.title.as_str()),
        Action::Barrier {
            scope: Scope::Batch,
            batch_units,
            ..
        } => (partition.part - 1) % i64::from((*batch_units).max(1)) == 0,
        Action::Barrier {
            scope: Scope::Job, ..
        } => partition.part == 1,
        Action::Seal { .. } => false,
    }
}

/// A barrier over a whole job exists even when the library is empty, and then opens at once.
fn seal_empty_barriers(tx: &mut dyn Tx, job: JobNo, workflow: &Workflow) -> StoreResult<()> {
    let job_wide = |no: &StepNo| {
        workflow.step(*no).is_some_and(|step| {
            matches!(
                step.action,
                Action::Barrier {
                    scope: Scope::Job,
                    ..
                }
            )
        })
    };
    for (no, step) in workflow.numbered().filter(|(no, _)| job_wide(no)) {
        if tx.barrier(job, no, "")?.is_none() {
            // The other barriers of the whole job that it holds exist too; those of titles and batches do not.
            let members = step.needs.iter().filter(|need| job_wide(need)).count() as u64;
            tx.add_to_barrier(
                job,
                no,
                &BarrierGrowth {
                    key: String::new(),
                    members,
                    failed: 0,
                    first: 1,
                    last: 0,
                },
            )?;
        }
    }
    Ok(())
}
