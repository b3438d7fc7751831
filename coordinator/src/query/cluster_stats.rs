//! Statistics of the cluster for its gauges. They come from maintained counters and from the memory of the leader, never from
//! a scan over units.
use crate::dispatch::costs::Costs;
use crate::dispatch::fleet::WorkerSeen;
use crate::dispatch::forecast::remaining;
use crate::query::workers::workers;
use crate::review::waivers::Waivers;
use crate::store::{BarrierCounts, JobRow, Phase, StepRow, StoreError, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, Kind, StepNo};
use protocol::model::priority::Priority;
use protocol::model::slot_count::SlotCount;
use protocol::rules::review::task::TaskKind;
use protocol::rules::schedule::desired_workers::{
    Demand, DueWork, LastRequest, WorkerLimits, decide,
};
use protocol::rules::schedule::forecast::{Remaining, forecast};
use protocol::rules::unit::lease::LeaseLimits;
use protocol::time::Timestamp;
use protocol::workflow::{Action, Step, Workflow};
use std::collections::{BTreeMap, BTreeSet};

/// Open jobs counted at most.
const JOBS_MAX: u32 = 10_000;
/// Rows of causes counted at most.
const CAUSES_MAX: u32 = 20_000;
/// Without other limits, workers of a kind asked for at most.
const WORKERS: WorkerLimits = WorkerLimits { min: 0, max: 1_000 };
/// How far a deadline is, in hours, by name; the last has no end.
const BANDS: [(&str, u64); 4] = [("1h", 1), ("6h", 6), ("24h", 24), ("7d", 168)];
const LATER: &str = "later";

/// Every name of how far a deadline is.
pub fn bands() -> impl Iterator<Item = &'static str> {
    BANDS.iter().map(|(band, _)| *band).chain([LATER])
}

/// Snapshot of leases and live workers in the memory of the leader.
#[derive(Debug, Clone, Default)]
pub struct LeaderSnapshot {
    /// Units out by step.
    pub out: BTreeMap<(JobNo, StepNo), u32>,
    /// Workers as their last heartbeats showed them.
    pub workers: Vec<WorkerSeen>,
    /// When a unit of each kind ended last.
    pub last_finished: BTreeMap<Kind, Timestamp>,
    /// Executions that have ended, since the process started.
    pub ended: u64,
    /// Bytes a second that running units move.
    pub bytes_per_second: f64,
}

/// Units of one kind and class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// Ready and not with a worker.
    pub ready: u64,
    /// Units that are published or with a worker.
    pub out: u64,
    /// Submission of the oldest job with ready units.
    pub oldest: Option<Timestamp>,
}

/// Dead units of one kind and class of failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dead {
    /// All dead units, with and without a waiver.
    pub units: u64,
    /// Dead units whose cause has no waiver.
    pub unresolved: u64,
}

/// Workers of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Live workers that have such slots and take work.
    pub workers: u32,
    /// Workers there should be.
    pub desired: u32,
    /// Slots that run something.
    pub busy: u32,
    /// Slots that do not.
    pub idle: u32,
}

/// The cluster, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterStats {
    /// Units by kind and class.
    pub queues: BTreeMap<(Kind, Priority), Queue>,
    /// When a unit of each kind ended last.
    pub last_finished: BTreeMap<Kind, Timestamp>,
    /// Dead units by kind and class of failure.
    pub dead: BTreeMap<(Kind, &'static str), Dead>,
    /// Workers by state: `active`, `draining`, `quarantined`, `lost`.
    pub workers: BTreeMap<&'static str, u32>,
    /// Workers by kind.
    pub fleet: BTreeMap<Kind, Fleet>,
    /// Barriers that are not open by scope and state (`waiting`, `held`).
    pub barriers: BTreeMap<(&'static str, &'static str), u64>,
    /// Pending tasks by kind, and the overdue ones of them.
    pub tasks: BTreeMap<TaskKind, (u64, u64)>,
    /// Least slack in seconds by how far the deadline is.
    pub slack: BTreeMap<&'static str, i64>,
    /// Bytes a second that running units move.
    pub bytes_per_second: u64,
}

/// The last requested number of workers, by kind.
pub type DesiredWorkers = BTreeMap<Kind, LastRequest>;

/// Computes the statistics from maintained counters and from the leader's snapshot, without a scan of the units.
pub fn cluster_stats(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    snapshot: &LeaderSnapshot,
    pace: &mut DesiredWorkers,
    now: Timestamp,
) -> StoreResult<ClusterStats> {
    let bytes_per_second = snapshot.bytes_per_second as u64;
    let mut cluster_stats = ClusterStats {
        last_finished: snapshot.last_finished.clone(),
        bytes_per_second,
        ..ClusterStats::default()
    };
    cluster_stats.tasks = tx
        .task_counts(now)?
        .into_iter()
        .map(|(kind, all, late)| (kind, (all, late)))
        .collect();
    let costs = Costs::read(tx)?;
    count_fleet(&mut cluster_stats, snapshot, now);
    let slots = cluster_stats
        .fleet
        .iter()
        .map(|(kind, fleet)| (*kind, fleet.busy + fleet.idle))
        .collect();
    let mut due: BTreeMap<Kind, Vec<DueWork>> = BTreeMap::new();
    for job in tx.jobs(true, JOBS_MAX)? {
        let Some(workflow) = workflows.readable(tx, job.no)? else {
            continue;
        };
        let counters = match tx.steps(job.no) {
            // It is set aside; the others are counted.
            Err(StoreError::Corrupt(_)) => continue,
            counters => counters?,
        };
        count_queues(&mut cluster_stats, &job, &workflow, &counters, snapshot);
        count_barriers(tx, &mut cluster_stats, &job, &workflow)?;
        let left = remaining(&job, &workflow, &counters, &costs);
        if let Some(deadline) = job.deadline {
            note_slack(&mut cluster_stats, &job, deadline, &left, &slots, now);
            for step in left.iter().filter(|step| step.units > 0) {
                let service = step.mean.unwrap_or_default();
                let service = service.saturating_mul(u32::try_from(step.units).unwrap_or(u32::MAX));
                due.entry(step.kind).or_default().push(DueWork {
                    due: deadline,
                    units: step.units,
                    service,
                });
            }
        }
    }
    count_dead(tx, &mut cluster_stats, workflows, now)?;
    count_workers(tx, &mut cluster_stats, now)?;
    for kind in Kind::ALL {
        let demand = demand(
            kind,
            &cluster_stats,
            snapshot,
            &costs,
            due.remove(&kind).unwrap_or_default(),
        );
        let before = pace.get(&kind).copied().unwrap_or_default();
        let desired = decide(&demand, WORKERS, before, now);
        pace.insert(kind, desired.asked);
        cluster_stats.fleet.entry(kind).or_default().desired = desired.workers;
    }
    Ok(cluster_stats)
}

fn live(snapshot: &LeaderSnapshot, now: Timestamp) -> impl Iterator<Item = &WorkerSeen> {
    let silence_max = LeaseLimits::default().silence_max;
    snapshot
        .workers
        .iter()
        .filter(move |seen| now.since(seen.heard_at) <= silence_max)
}

fn count_fleet(cluster_stats: &mut ClusterStats, snapshot: &LeaderSnapshot, now: Timestamp) {
    for seen in live(snapshot, now) {
        for SlotCount { kind, total, free } in seen.slots.iter().copied().filter(|of| of.total > 0)
        {
            let fleet = cluster_stats.fleet.entry(kind).or_default();
            fleet.workers += u32::from(!seen.draining);
            fleet.busy += total.saturating_sub(free);
            fleet.idle += free;
        }
    }
}

/// Units of a step that are ready and not with a worker, when `out` of them are published or with one.
pub(super) fn ready_units(job: &JobRow, step: &Step, counter: &StepRow, out: u64) -> u64 {
    let computed = step.needs.is_empty() && step.has_units();
    let ahead = match computed {
        true => job.parts_planned.saturating_sub(counter.cursor),
        false => 0,
    };
    // Rows that are out are among the live ones; units that were never taken back have no row while they are out.
    let rows = counter
        .live
        .saturating_sub(counter.retrying)
        .saturating_sub(out);
    u64::try_from(ahead).unwrap_or(0) + rows
}

fn count_queues(
    cluster_stats: &mut ClusterStats,
    job: &JobRow,
    workflow: &Workflow,
    counters: &[StepRow],
    snapshot: &LeaderSnapshot,
) {
    let out_of = |step| {
        snapshot
            .out
            .get(&(job.no, step))
            .copied()
            .map_or(0, u64::from)
    };
    let mut add = |kind, ready: u64, out: u64| {
        let queue = cluster_stats
            .queues
            .entry((kind, job.priority))
            .or_default();
        queue.ready += ready;
        queue.out += out;
        if ready > 0 {
            queue.oldest = Some(
                queue
                    .oldest
                    .map_or(job.submitted_at, |oldest| oldest.min(job.submitted_at)),
            );
        }
    };
    let scanning = out_of(StepNo::SCAN);
    let waits = job.phase == Phase::Scanning && scanning == 0;
    add(Kind::Scan, u64::from(waits), scanning);
    for counter in counters {
        let Some(step) = workflow.step(counter.step) else {
            continue;
        };
        let Some(kind) = step.kind() else { continue };
        let out = out_of(counter.step);
        add(kind, ready_units(job, step, counter, out), out);
    }
}

fn count_barriers(
    tx: &mut dyn Tx,
    cluster_stats: &mut ClusterStats,
    job: &JobRow,
    workflow: &Workflow,
) -> StoreResult<()> {
    for (no, step) in workflow.numbered() {
        let Action::Barrier { scope, .. } = &step.action else {
            continue;
        };
        let BarrierCounts {
            total,
            released,
            held,
            ..
        } = tx.barrier_counts(job.no, no)?;
        *cluster_stats
            .barriers
            .entry((scope.as_str(), "held"))
            .or_default() += held;
        *cluster_stats
            .barriers
            .entry((scope.as_str(), "waiting"))
            .or_default() += total.saturating_sub(released + held);
    }
    Ok(())
}

fn note_slack(
    cluster_stats: &mut ClusterStats,
    job: &JobRow,
    deadline: Timestamp,
    left: &[Remaining],
    slots: &BTreeMap<Kind, u32>,
    now: Timestamp,
) {
    let Some(ahead) = forecast(left, slots).filter(|_| job.phase == Phase::Sealed) else {
        return;
    };
    let slack = deadline.0.saturating_sub(now.after(ahead.p90).0) / 1_000_000;
    let hours = deadline.since(now).as_secs() / 3_600;
    let band = BANDS
        .iter()
        .find(|(_, limit)| hours < *limit)
        .map_or(LATER, |(band, _)| band);
    let least = cluster_stats.slack.entry(band).or_insert(slack);
    *least = (*least).min(slack);
}

fn count_dead(
    tx: &mut dyn Tx,
    cluster_stats: &mut ClusterStats,
    workflows: &Workflows,
    now: Timestamp,
) -> StoreResult<()> {
    let causes = tx.causes(None, None, CAUSES_MAX)?;
    let named: BTreeSet<String> = causes.iter().map(|row| row.cause.clone()).collect();
    let waived = Waivers::default().of_causes(tx, &named, now)?;
    for row in causes {
        let Some(workflow) = workflows.readable(tx, row.job)? else {
            continue;
        };
        let Some(kind) = workflow.step(row.step).and_then(|step| step.kind()) else {
            continue;
        };
        let classes = protocol::failure::ErrorClass::ALL;
        let Some(class) = classes
            .into_iter()
            .map(|class| class.as_str())
            .find(|class| *class == row.class)
        else {
            continue;
        };
        let units = u64::try_from(row.units).unwrap_or(0);
        let dead = cluster_stats.dead.entry((kind, class)).or_default();
        dead.units += units;
        dead.unresolved += if waived.contains_key(&row.cause) {
            0
        } else {
            units
        };
    }
    Ok(())
}

fn count_workers(
    tx: &mut dyn Tx,
    cluster_stats: &mut ClusterStats,
    now: Timestamp,
) -> StoreResult<()> {
    for worker in workers(tx, now)? {
        let state = match worker.state.as_str() {
            "draining" => "draining",
            "quarantined" => "quarantined",
            "silent" => "lost",
            // It ended as it was asked to: no loss, and no longer a worker.
            "left" => continue,
            _ => "active",
        };
        *cluster_stats.workers.entry(state).or_default() += 1;
    }
    Ok(())
}

fn demand(
    kind: Kind,
    cluster_stats: &ClusterStats,
    snapshot: &LeaderSnapshot,
    costs: &Costs,
    due: Vec<DueWork>,
) -> Demand {
    let queues = cluster_stats
        .queues
        .iter()
        .filter(|((of, _), _)| *of == kind);
    let (ready, out) = queues.fold((0, 0), |(ready, out), (_, queue)| {
        (ready + queue.ready, out + queue.out)
    });
    let fleet = cluster_stats.fleet.get(&kind).copied().unwrap_or_default();
    let slots = snapshot
        .workers
        .iter()
        .flat_map(|seen| &seen.slots)
        .filter(|of| of.kind == kind);
    let has_busy = |seen: &&WorkerSeen| {
        seen.slots
            .iter()
            .any(|of| of.kind == kind && of.free < of.total)
    };
    Demand {
        kind,
        ready: Some(ready),
        out: Some(out),
        mean: costs.of_kind(kind).and_then(|sketch| sketch.mean()),
        due,
        // Before the first worker has been heard of, one slot is the least that it can have.
        slots_per_worker: slots.map(|of| of.total).max().unwrap_or(1).max(1),
        workers: fleet.workers,
        busy_workers: snapshot.workers.iter().filter(has_busy).count() as u32,
        endpoint_units: None,
    }
}
