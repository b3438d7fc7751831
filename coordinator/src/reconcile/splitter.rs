//! Moves failed assets to a child partition, so that one bad asset never holds back the others of its unit. The child is dead
//! in the failing step and inherits all earlier outcomes of its parent.
use crate::graph::{Change, Graph, barrier_key, causes};
use crate::review::approvals::sync_tasks;
use crate::rows::{job_row, unit_row};
use crate::store::{BarrierGrowth, Partition, Phase, StepDelta, StoreResult, UnitRow};
use protocol::id::{PartNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::workflow::{Action, Step};

/// Splits `assets` off `part` because `failing` killed them; returns the number of their new partition, whose unit in the
/// failing step is dead and whose later units are cancelled.
pub fn split(
    graph: &mut Graph<'_>,
    part: PartNo,
    failing: StepNo,
    assets: &[String],
) -> StoreResult<PartNo> {
    let mut job = job_row(graph.tx, graph.job)?;
    let parent = graph.tx.partitions(graph.job, &[part])?.remove(0);
    // Numbers of planned partitions follow each other, and there are no more of them than assets. While some are still to
    // be cut, the child's number leaves room for all.
    let room = if job.phase == Phase::Sealed {
        0
    } else {
        PartNo::try_from(job.assets).unwrap_or(PartNo::MAX)
    };
    job.parts = job.parts.max(room) + 1;
    let child = Partition {
        part: job.parts,
        first: assets.first().cloned().unwrap_or_default(),
        last: assets.last().cloned().unwrap_or_default(),
        assets: assets.len() as u32,
        bytes: 0,
        parent: parent.origin(),
        split: false,
        title: parent.title.clone(),
    };
    graph.tx.update_job(&job)?;
    graph
        .tx
        .insert_partitions(graph.job, std::slice::from_ref(&child))?;
    graph.tx.move_assets(graph.job, child.part, assets)?;
    graph.tx.shrink_partition(graph.job, part, child.assets)?;
    grow_barriers(graph, &child)?;
    inherit(graph, &parent, &child, failing)?;
    Ok(child.part)
}

fn grow_barriers(graph: &mut Graph<'_>, child: &Partition) -> StoreResult<()> {
    let workflow = graph.workflow;
    for (barrier, step) in workflow.numbered() {
        let Action::Barrier { .. } = step.action else {
            continue;
        };
        let with_units = |no: &&StepNo| workflow.step(**no).is_some_and(|s| s.has_units());
        let members = step.needs.iter().filter(with_units).count() as u64;
        let key = barrier_key(workflow, barrier, child);
        let origin = child.origin();
        graph.tx.add_to_barrier(
            graph.job,
            barrier,
            &BarrierGrowth {
                key,
                members,
                failed: 0,
                first: origin,
                last: origin,
            },
        )?;
    }
    Ok(())
}

/// The child inherits ended and cancelled units of its parent. The failing step is dead, and the graph cancels its
/// dependents; other branches run for the child by themselves.
fn inherit(
    graph: &mut Graph<'_>,
    parent: &Partition,
    child: &Partition,
    failing: StepNo,
) -> StoreResult<()> {
    let workflow = graph.workflow;
    let mut inherited: Vec<(StepNo, Change)> = Vec::new();
    for (no, step) in workflow.numbered().filter(|(_, s)| s.has_units()) {
        let planned = StepDelta {
            total: 1,
            ..StepDelta::default()
        };
        graph.tx.add_to_step(graph.job, no, planned)?;
        let of_parent = UnitId::new(graph.job, no, parent.part);
        let row = unit_row(graph.tx, of_parent)?;
        let state = if no == failing {
            UnitState::Dead
        } else {
            match inherited_state(step, row.map(|r| r.state)) {
                Some(state) => state,
                None => continue,
            }
        };
        if state == UnitState::Dead && no != failing {
            inherit_failures(graph, of_parent, child.part)?;
        }
        let to = UnitRow {
            state,
            epoch: 0,
            attempt: 0,
            due_at: None,
            duration_us: 0,
        };
        inherited.push((
            no,
            Change {
                part: child.part,
                from: None,
                to,
                executed_us: None,
            },
        ));
    }
    apply(graph, &inherited)
}

/// The state of a unit of the child, from that of its parent; `None` while the step is only planned.
fn inherited_state(step: &Step, of_parent: Option<UnitState>) -> Option<UnitState> {
    match of_parent {
        Some(ended @ (UnitState::Succeeded | UnitState::Dead | UnitState::Cancelled)) => {
            Some(ended)
        }
        Some(UnitState::Ready | UnitState::Leased | UnitState::Retrying) => Some(UnitState::Ready),
        // A first step without a row is out or still to come: the child runs it by itself.
        None if step.needs.is_empty() => Some(UnitState::Ready),
        Some(UnitState::Planned) | None => None,
    }
}

/// The child dies of the failures of its parent; they count for the causes once more.
fn inherit_failures(graph: &mut Graph<'_>, of_parent: UnitId, child: PartNo) -> StoreResult<()> {
    let reasons = graph.tx.failures_of(of_parent)?;
    let own = UnitId {
        part: child,
        ..of_parent
    };
    graph.tx.put_failures(own, &reasons)?;
    causes::count_dead(graph.tx, own, &reasons, graph.now)
}

/// Applies the transitions of the child. All of them are written before any is carried on: a step must not make one ready
/// that the child has behind it.
fn apply(graph: &mut Graph<'_>, inherited: &[(StepNo, Change)]) -> StoreResult<()> {
    for (no, change) in inherited {
        let approvals = graph.record(*no, &[*change])?;
        sync_tasks(graph, &approvals)?;
    }
    for (no, change) in inherited {
        let approvals = graph.carry(*no, &[*change])?;
        sync_tasks(graph, &approvals)?;
    }
    Ok(())
}
