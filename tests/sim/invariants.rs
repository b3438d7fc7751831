//! What must hold after every transaction, by the numbers of `protocol::invariant`.
use crate::effects::Effects;
use crate::model::{JobView, Need};
use coordinator::reconcile::rescuer::POISON;
use coordinator::store::memory::Memory;
use coordinator::store::{
    BarrierState, CauseTx, FailureTx, JobState, ListingTx, PartitionTx, Phase, ScheduleTx,
    SpeculationState, StepRow, UnitRow,
};
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::rules::barrier::{BarrierDecision, Tally, evaluate};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::workflow::Action;
use protocol::workflow::on_failure::OnFailure;
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong, with the number of the broken promise in front.
pub(crate) type Verdict = Result<(), String>;

/// What a check may look at besides two views of a job.
pub(crate) struct Witness<'a> {
    /// The store.
    pub memory: &'a mut Memory,
    /// What workers have done to the outside world.
    pub effects: &'a Effects,
    /// Distinct asset ids of the job's library.
    pub library: &'a BTreeSet<String>,
    /// Whether an operator's retry was part of this transaction.
    pub redriving: bool,
    /// The moment of the transaction.
    pub now: Timestamp,
    /// Workers that died or stood still with a unit, and whether it was alone in them.
    pub deaths: &'a BTreeMap<UnitId, BTreeSet<(String, bool)>>,
}

macro_rules! must {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!($($what)+));
        }
    };
}

/// Checks a job after a transaction; `before` is the job before it.
pub(crate) fn check(
    before: Option<&JobView>,
    view: &JobView,
    witness: &mut Witness<'_>,
) -> Verdict {
    counters(view)?;
    partitions(before, view, witness)?;
    causes(view, witness)?;
    for (id, row) in &view.units {
        let was = before.and_then(|b| b.units.get(id));
        if was != Some(row) {
            transition(before, view, *id, was, *row, witness)?;
        }
    }
    if let Some(before) = before {
        let lost = before.units.keys().find(|id| !view.units.contains_key(id));
        must!(lost.is_none(), "TRUTH-1: the row of unit {lost:?} is gone");
    }
    if !matches!(
        view.row.state,
        JobState::Cancelling | JobState::Cancelled | JobState::Failed
    ) {
        graph(view)?;
        barriers(before, view, witness.now)?;
    }
    if view.row.state.has_ended() {
        ended(view)
    } else {
        Ok(())
    }
}

fn counters(view: &JobView) -> Verdict {
    for (step, declared) in view.workflow.numbered() {
        let mut want = StepRow {
            total: 0,
            succeeded: 0,
            dead: 0,
            cancelled: 0,
            live: 0,
            retrying: 0,
            ..*view.counters(step)
        };
        let mut rows = 0;
        for (_, row) in view.units.range((step, 0)..=(step, PartNo::MAX)) {
            rows += u64::from(row.state != UnitState::Planned);
            want.succeeded += u64::from(row.state == UnitState::Succeeded);
            want.dead += u64::from(row.state == UnitState::Dead);
            want.cancelled += u64::from(row.state == UnitState::Cancelled);
            want.live += u64::from(row.state.is_live());
            want.retrying += u64::from(row.state == UnitState::Retrying);
        }
        want.total = match declared.action {
            Action::Units { .. } | Action::Approval { .. } => view.parts.len() as u64,
            Action::Seal { .. } => rows,
            Action::Barrier { .. } => 0,
        };
        let got = view.counters(step);
        must!(
            *got == want,
            "TRUTH-1: counters of step {} are {got:?}, the rows say {want:?}",
            step.0
        );
    }
    Ok(())
}

fn partitions(before: Option<&JobView>, view: &JobView, witness: &mut Witness<'_>) -> Verdict {
    let same = before.is_some_and(|b| b.row.phase == view.row.phase && b.parts == view.parts);
    if same || view.row.phase != Phase::Sealed {
        return Ok(());
    }
    let no = view.row.no;
    let listed = witness
        .memory
        .listing_after(no, false, true, None, u32::MAX)
        .map_err(|e| e.to_string())?;
    let listed: BTreeSet<String> = listed.into_iter().map(|m| m.id).collect();
    must!(
        listed == *witness.library,
        "PART-1: listed {listed:?}, the library holds {:?}",
        witness.library
    );
    let parts: Vec<_> = view.parts.values().cloned().collect();
    let members = witness
        .memory
        .members(no, &parts)
        .map_err(|e| e.to_string())?;
    let mut homes: BTreeMap<String, PartNo> = BTreeMap::new();
    for (partition, assets) in parts.iter().zip(members) {
        let limit = view.workflow.partition.assets_max;
        must!(
            assets.len() as u32 == partition.assets,
            "PART-1: partition {partition:?} has {} members",
            assets.len()
        );
        must!(
            partition.assets <= limit,
            "PART-1: partition {partition:?} is over the limit {limit}"
        );
        for asset in assets {
            let other = homes.insert(asset.id.clone(), partition.part);
            must!(
                other.is_none(),
                "PART-1: asset {} is in {other:?} and {}",
                asset.id,
                partition.part
            );
        }
    }
    must!(
        homes.len() == listed.len(),
        "PART-1: {} of {} assets have a partition",
        homes.len(),
        listed.len()
    );
    Ok(())
}

/// Dead letters are counted by cause as they come and go: the counts are those of the failures of dead units.
fn causes(view: &JobView, witness: &mut Witness<'_>) -> Verdict {
    let mut want: BTreeMap<(String, StepNo), (BTreeSet<PartNo>, i64)> = BTreeMap::new();
    let failures = witness
        .memory
        .failures(view.row.no, u32::MAX)
        .map_err(|e| e.to_string())?;
    for row in failures.iter().filter(|row| row.state == UnitState::Dead) {
        let counted = want
            .entry((fingerprint(&row.failure), row.unit.step))
            .or_default();
        counted.0.insert(row.unit.part);
        counted.1 += 1;
    }
    let got = witness
        .memory
        .causes(Some(view.row.no), None, u32::MAX)
        .map_err(|e| e.to_string())?;
    let got: BTreeMap<_, _> = got
        .into_iter()
        .map(|row| ((row.cause, row.step), (row.units, row.assets)))
        .collect();
    let want: BTreeMap<_, _> = want
        .into_iter()
        .map(|(key, (parts, assets))| (key, (parts.len() as i64, assets)))
        .collect();
    must!(
        got == want,
        "TRUTH-1: causes of job {} are {got:?}, its failures say {want:?}",
        view.row.no.0
    );
    Ok(())
}

fn transition(
    before: Option<&JobView>,
    view: &JobView,
    (step, part): (StepNo, PartNo),
    was: Option<&UnitRow>,
    row: UnitRow,
    witness: &mut Witness<'_>,
) -> Verdict {
    use UnitState as S;
    let unit = UnitId::new(view.row.no, step, part);
    let fresh_child = before.is_none_or(|b| part > 0 && !b.parts.contains_key(&part));
    let out = was.is_none() && view.computed(step) && part <= view.counters(step).cursor;
    let from = was.map_or(if out { S::Leased } else { S::Planned }, |w| w.state);
    let (old, new) = (was.map_or(u32::from(out), |w| w.epoch), row.epoch);
    // One transaction may take a unit through several of these, so what is asked is whether a path exists.
    let legal = match (from, row.state) {
        _ if fresh_child => true,
        // A retry may bring new files, so seals that ran, run or are about to will run after them.
        (_, S::Planned) if part == 0 => witness.redriving || from == S::Planned,
        (S::Dead, S::Ready | S::Leased) | (S::Cancelled, _) => witness.redriving,
        (S::Succeeded | S::Dead, _) => false,
        (S::Leased, S::Succeeded | S::Dead | S::Retrying | S::Ready | S::Leased | S::Cancelled) => {
            true
        }
        (S::Planned, S::Planned | S::Ready | S::Leased | S::Cancelled) => true,
        (S::Ready, S::Leased | S::Cancelled) => true,
        (S::Retrying, S::Ready | S::Leased | S::Cancelled) => true,
        _ => false,
    };
    // An attempt that a sick worker used is given back.
    let refunded = was.is_some_and(|w| {
        UnitRow {
            attempt: w.attempt.saturating_sub(1),
            ..*w
        } == row
    }) && witness.redriving;
    if refunded {
        return Ok(());
    }
    must!(legal, "FEN-1: unit {unit} went from {was:?} to {row:?}");
    must!(
        new >= old,
        "FEN-1: the epoch of unit {unit} went from {old} to {new}"
    );
    if row.state == S::Dead {
        poison(unit, witness)?;
    }
    let handed_out = row.state == S::Leased;
    must!(
        handed_out == (new > old) || fresh_child,
        "FEN-1: unit {unit} went from {was:?} to {row:?}"
    );
    if row.state == S::Ready
        && was.is_none_or(|w| w.state == S::Planned)
        && part > 0
        && !out
        && !fresh_child
    {
        must!(
            view.needs(step, part) == Need::Met,
            "unit {unit} is ready before its needs are met"
        );
    }
    if let (true, Some(before)) = (fresh_child, before) {
        let origin = before
            .parts
            .get(&view.parts[&part].parent)
            .filter(|p| !p.split)
            .map(|p| p.part);
        let passed = origin.is_some_and(|origin| before.state(step, origin) == Some(S::Succeeded));
        must!(
            !passed || row.state == S::Succeeded,
            "unit {unit} was split off what had succeeded and is {row:?}"
        );
    }
    if row.state == S::Succeeded {
        effects(unit, row, view, witness)
    } else {
        Ok(())
    }
}

/// A unit is parked as poison only when it was lost with four workers, and twice when nothing else was in the worker.
fn poison(unit: UnitId, witness: &mut Witness<'_>) -> Verdict {
    let failures = witness
        .memory
        .failures_of(unit)
        .map_err(|e| e.to_string())?;
    if !failures.iter().any(|(_, failure)| failure.reason == POISON) {
        return Ok(());
    }
    let deaths = witness.deaths.get(&unit);
    let alone = deaths.map_or(0, |deaths| {
        deaths.iter().filter(|(_, alone)| *alone).count()
    });
    let workers: BTreeSet<&str> = deaths
        .into_iter()
        .flatten()
        .map(|(worker, _)| worker.as_str())
        .collect();
    must!(
        alone >= 2 && workers.len() >= 4,
        "POISON: unit {unit} was parked for {deaths:?}"
    );
    Ok(())
}

/// A unit succeeds only with what its own execution did: one effect for each of its assets, under the epoch of its row.
fn effects(unit: UnitId, row: UnitRow, view: &JobView, witness: &mut Witness<'_>) -> Verdict {
    let assets = match view.parts.get(&unit.part) {
        None => vec![String::new()],
        Some(partition) => {
            let members = witness
                .memory
                .members(unit.job, std::slice::from_ref(partition));
            let members = members
                .map_err(|e| e.to_string())?
                .pop()
                .unwrap_or_default();
            members.into_iter().map(|asset| asset.id).collect()
        }
    };
    // Of two executions the older may have won; the row keeps the newer epoch, so that it is never given again.
    let copy = witness
        .memory
        .speculation(unit)
        .map_err(|e| e.to_string())?;
    let adopted =
        copy.filter(|copy| copy.newer == row.epoch && copy.state == SpeculationState::Adopted);
    let winner = adopted.map_or(row.epoch, |copy| copy.older);
    for asset in assets {
        let done = if row.epoch == 0 {
            // It was split off a partition for which the step had already passed.
            witness.effects.any(unit.job, unit.step, &asset)
        } else {
            witness.effects.under(unit, winner, &asset)
        };
        must!(
            done,
            "EFF-1: unit {unit} succeeded under epoch {} without an effect on {asset:?}",
            row.epoch
        );
    }
    Ok(())
}

fn graph(view: &JobView) -> Verdict {
    for (step, declared) in view.workflow.numbered().filter(|(_, s)| s.has_units()) {
        for part in view.parts.keys() {
            let (state, needs) = (view.state(step, *part), view.needs(step, *part));
            let name = UnitId::new(view.row.no, step, *part);
            if declared.needs.is_empty() {
                let child = view.parts[part].parent > 0;
                must!(
                    !child || state.is_some(),
                    "unit {name} was split off and never gets a row"
                );
                continue;
            }
            let untouched = state.is_none_or(|s| s == UnitState::Planned);
            must!(
                !(untouched && needs == Need::Met),
                "unit {name} waits although its needs are met"
            );
            must!(
                !(untouched && needs == Need::Failed),
                "unit {name} waits for something that failed"
            );
            let cancelled = state == Some(UnitState::Cancelled);
            must!(
                !cancelled || needs == Need::Failed,
                "unit {name} is cancelled although no need failed"
            );
        }
        let aborts = declared.on_failure == OnFailure::Abort && view.counters(step).dead > 0;
        must!(
            !aborts,
            "a unit of step {} died, which aborts the job, and the job goes on",
            step.0
        );
    }
    Ok(())
}

fn barriers(before: Option<&JobView>, view: &JobView, now: Timestamp) -> Verdict {
    for (step, _) in view
        .workflow
        .numbered()
        .filter(|(_, s)| matches!(s.action, Action::Barrier { .. }))
    {
        let tallies = view.tallies(step);
        for ((_, key), row) in view
            .barriers
            .range((step, String::new())..(StepNo(step.0 + 1), String::new()))
        {
            let was = before.and_then(|b| b.barriers.get(&(step, key.clone())));
            let want = tallies.get(key).copied().unwrap_or(Tally {
                sealed: row.tally(true).sealed,
                ..Tally::default()
            });
            let got = row.tally(want.sealed);
            must!(
                got.succeeded + got.failed <= got.total,
                "BAR-1: barrier {}/{key:?} has {got:?}",
                step.0
            );
            must!(
                got == want,
                "BAR-1: barrier {}/{key:?} has {got:?}, its members say {want:?}",
                step.0
            );
            let open = row.state == BarrierState::Released;
            if was.is_some_and(|w| w.state == BarrierState::Released) {
                let at = was.and_then(|w| w.released_at);
                must!(
                    open && row.released_at == at,
                    "BAR-1: barrier {}/{key:?} opened twice",
                    step.0
                );
            } else if open {
                // Splits after the release in the same transaction may have added members.
                let least = was.map_or(0, |w| w.total).min(got.total);
                let opens = |total| {
                    let tally = Tally {
                        total,
                        sealed: view.row.phase == Phase::Sealed,
                        ..got
                    };
                    evaluate(&view.policy(step), tally, now) == BarrierDecision::Release
                };
                must!(
                    (least..=got.total).any(opens),
                    "BAR-1: barrier {}/{key:?} opened with {got:?}",
                    step.0
                );
            }
        }
        for key in tallies.keys() {
            must!(
                view.barriers.contains_key(&(step, key.clone())),
                "BAR-1: barrier {}/{key:?} is missing",
                step.0
            );
        }
    }
    Ok(())
}

fn ended(view: &JobView) -> Verdict {
    let no = view.row.no.0;
    let live = view.units.iter().find(|(_, row)| row.state.is_live());
    must!(
        live.is_none(),
        "job {no} has ended and unit {live:?} is live"
    );
    if matches!(view.row.state, JobState::Cancelled | JobState::Failed) {
        return Ok(());
    }
    let mut clean = view.row.row_errors == 0
        && view
            .barriers
            .values()
            .all(|b| b.state == BarrierState::Released);
    for (step, declared) in view.workflow.numbered() {
        for part in view.parts.keys().filter(|_| declared.has_units()) {
            let state = view.state(step, *part);
            clean &= state == Some(UnitState::Succeeded);
            must!(
                !view.computed(step) || state.is_some(),
                "job {no} has ended without unit {}/{part}",
                step.0
            );
        }
        let seal = view.state(step, 0);
        clean &= seal.is_none_or(|s| s == UnitState::Succeeded);
    }
    let want = if clean {
        JobState::Succeeded
    } else {
        JobState::FinishedWithFailures
    };
    must!(
        view.row.state == want,
        "job {no} has ended as {:?}, its rows say {want:?}",
        view.row.state
    );
    let tick = view.row.ended_at.expect("an ended job says when");
    for row in view.barriers.values() {
        let decision = evaluate(&view.policy(row.step), row.tally(true), tick);
        let fits = match row.state {
            BarrierState::Released => true,
            BarrierState::Waiting => matches!(decision, BarrierDecision::Wait { .. }),
            BarrierState::Held => matches!(decision, BarrierDecision::Hold { .. }),
        };
        must!(
            fits,
            "BAR-1: job {no} has ended and nobody has judged {row:?}: {decision:?}"
        );
    }
    Ok(())
}

/// Names a job in messages.
pub(crate) fn label(no: JobNo, verdict: String) -> String {
    format!("job {}: {verdict}", no.0)
}
