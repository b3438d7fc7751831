//! What a seed asks for: jobs with random workflows and libraries, and how reliable the world around them is.
use fastrand::Rng;
use protocol::id::{Kind, StepNo};
use protocol::media::asset::{Asset, Role};
use protocol::model::barrier::Scope;
use protocol::model::hash::HashAlgorithm;
use protocol::model::priority::Priority;
use protocol::rules::barrier::{BarrierBudget, BarrierPolicy, BarrierRequire};
use protocol::rules::library::partition::PartitionLimits;
use protocol::rules::unit::lease::LeaseLimits;
use protocol::rules::unit::retry::RetryPolicy;
use protocol::time::Timestamp;
use protocol::wire::report::RowError;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::noop::NoopTask;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::step::seal::SealTask;
use protocol::workflow::on_failure::OnFailure;
use protocol::workflow::{Action, Step, Workflow};
use std::sync::Arc;
use std::time::Duration;

/// Assets of a job that kill their workers.
const POISON_MAX: usize = 3;
/// Share of jobs with a library that takes long to list.
const LONG_LISTINGS: f64 = 0.15;
/// One second of virtual time.
pub(crate) const SECOND: i64 = 1_000_000;

/// A job and the library it lists.
#[derive(Debug, Clone)]
pub(crate) struct JobPlan {
    /// What it runs.
    pub workflow: Workflow,
    /// Rows of its library as the source holds them, duplicates included.
    pub rows: Vec<Asset>,
    /// Rows of it that cannot be used; those on line 0 are in its first page.
    pub rejected: Vec<RowError>,
    /// Whether a scan can be resumed in the middle.
    pub resumable: bool,
    /// When it is submitted.
    pub submit_at: Timestamp,
    /// How its executions go.
    pub luck: Luck,
    /// Assets that kill the worker that works on them.
    pub poison: Vec<String>,
}

/// Chances of one execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Luck {
    /// An asset fails for good.
    pub asset_dies: f64,
    /// An asset fails and may pass later.
    pub asset_fails: f64,
    /// The unit fails as a whole.
    pub unit_fails: f64,
    /// The longest execution.
    pub duration_max: Duration,
}

/// Chances of the transport and the processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// A message is lost.
    pub loss: f64,
    /// A message is delivered twice.
    pub duplicate: f64,
    /// The longest way of a message.
    pub delay_max: Duration,
    /// A message is late by far more than that.
    pub straggle: f64,
    /// A transaction fails.
    pub store_error: f64,
    /// Average pause between crashes, pauses and wipes.
    pub mishap_every: Duration,
    /// Average pause between what operators do.
    pub operator_every: Duration,
}

/// Everything a seed decides in advance.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// The jobs.
    pub jobs: Vec<JobPlan>,
    /// Workers.
    pub workers: usize,
    /// Whether workers and coordinator are one process, dying together.
    pub embedded: bool,
    /// When faults stop.
    pub calm_at: Timestamp,
    /// How bad it is until then.
    pub weather: Weather,
    /// Limits of leases.
    pub limits: LeaseLimits,
    /// A worker in which everything fails.
    pub sick: Option<usize>,
}

/// Draws a scenario.
pub(crate) fn draw(rng: &mut Rng) -> Scenario {
    let jobs = 1 + rng.usize(0..3) / 2 + rng.usize(0..4) / 3;
    let sick = (rng.f64() < 0.15).then(|| rng.usize(0..4));
    let calm_at = Timestamp(rng.i64(5..90) * SECOND);
    Scenario {
        jobs: (0..jobs).map(|n| job(rng, n, calm_at)).collect(),
        workers: rng.usize(1..=4),
        embedded: rng.f64() < 0.3,
        calm_at,
        sick,
        weather: weather(rng),
        limits: LeaseLimits {
            silence_max: Duration::from_secs(rng.u64(7..=15)),
            unclaimed_max: Duration::from_secs(rng.u64(15..=60)),
        },
    }
}

fn weather(rng: &mut Rng) -> Weather {
    let some = |rng: &mut Rng, most: f64| if rng.bool() { rng.f64() * most } else { 0.0 };
    Weather {
        loss: some(rng, 0.15),
        duplicate: some(rng, 0.2),
        delay_max: Duration::from_millis(rng.u64(1..500)),
        straggle: some(rng, 0.05),
        store_error: some(rng, 0.06),
        mishap_every: Duration::from_secs(rng.u64(4..60)),
        operator_every: Duration::from_secs(rng.u64(10..120)),
    }
}

fn job(rng: &mut Rng, number: usize, calm_at: Timestamp) -> JobPlan {
    let submit_at = Timestamp(rng.i64(0..calm_at.0 / 2));
    let steps = steps(rng, submit_at);
    let titled = steps.iter().any(|s| {
        matches!(
            s.action,
            Action::Barrier {
                scope: Scope::Title,
                ..
            }
        )
    });
    let scan = ScanTask {
        source: ScanSource::Manifest {
            path: "/library.csv".into(),
        },
        root: "/".into(),
        resume: None,
        page_assets: rng.u32(2..12),
    };
    let mut workflow = Workflow {
        name: format!("job {number}"),
        scan: Arc::new(TaskSpec::Scan(scan)),
        deadline: None,
        priority: [Priority::Urgent, Priority::Normal, Priority::Bulk][rng.usize(0..3)],
        tenant: "default".into(),
        partition: PartitionLimits {
            by_title: titled || rng.bool(),
            assets_max: rng.u32(1..=5),
            bytes_max: if rng.f64() < 0.2 { 300 } else { u64::MAX },
        },
        steps,
    };
    let bad = |rng: &mut Rng, most: f64| {
        if rng.f64() < 0.6 {
            rng.f64() * most
        } else {
            0.0
        }
    };
    let luck = Luck {
        asset_dies: bad(rng, 0.12),
        asset_fails: bad(rng, 0.2),
        unit_fails: bad(rng, 0.15),
        duration_max: Duration::from_millis(if rng.f64() < 0.15 {
            90_000
        } else {
            rng.u64(10..6_000)
        }),
    };
    let mut rows = library(rng);
    if rng.f64() < LONG_LISTINGS {
        // One that lasts while things happen to it: many pages, and little work behind them.
        rows = (0..rng.usize(40..=90)).map(|n| asset(rng, n, 3)).collect();
        let TaskSpec::Scan(scan) = workflow.scan.as_ref() else {
            unreachable!("a job lists its library")
        };
        workflow.scan = Arc::new(TaskSpec::Scan(ScanTask {
            page_assets: 1,
            ..scan.clone()
        }));
        workflow.partition.assets_max = 20;
    }
    let rejected = rejected(rng.clone(), rows.len());
    let poisoned = rng.f64() < 0.15;
    let mut poison: Vec<String> = rows
        .iter()
        .filter(|_| poisoned && rng.f64() < 0.1)
        .map(|asset| asset.id.clone())
        .collect();
    // With more of them few workers are up at any time, and what ends takes longer than a run waits.
    poison.truncate(POISON_MAX);
    JobPlan {
        workflow,
        rows,
        rejected,
        resumable: rng.bool(),
        submit_at,
        luck,
        poison,
    }
}

fn library(rng: &mut Rng) -> Vec<Asset> {
    let count = if rng.f64() < 0.2 {
        rng.usize(0..=40)
    } else {
        rng.usize(0..=12)
    };
    let titles = rng.usize(1..=6);
    let mut rows: Vec<Asset> = (0..count).map(|n| asset(rng, n, titles)).collect();
    if !rows.is_empty() && rng.f64() < 0.15 {
        let twice = rows[rng.usize(0..rows.len())].clone();
        rows.push(twice);
    }
    rng.shuffle(&mut rows);
    rows
}

/// Draws from a copy, so that the rest of a saved seed stays what it was.
fn rejected(mut rng: Rng, rows: usize) -> Vec<RowError> {
    if rng.f64() < 0.7 {
        return Vec::new();
    }
    let count = rng.usize(1..=6);
    let row = |n: usize| RowError {
        line: rng.u64(0..=rows as u64),
        column: None,
        asset: rng.bool().then(|| format!("a{:02}", rng.usize(0..40))),
        message: format!("row {n} cannot be used"),
        title: (rng.f64() < 0.8).then(|| format!("t{}", rng.usize(0..8))),
    };
    (0..count).map(row).collect()
}

fn asset(rng: &mut Rng, n: usize, titles: usize) -> Asset {
    Asset {
        id: format!("a{n:02}"),
        title: format!("t{}", rng.usize(0..titles)),
        role: Role::Master,
        location: format!("file:/library/a{n:02}"),
        path: format!("a{n:02}"),
        bytes: rng.bool().then(|| rng.u64(1..200)),
        hash: None,
        declared: None,
    }
}

fn steps(rng: &mut Rng, submitted: Timestamp) -> Vec<Step> {
    let count = rng.usize(1..=6);
    let mut steps: Vec<Step> = Vec::new();
    for no in 0..count {
        let needs = needs(rng, no);
        let over_barriers = needs.iter().any(|n| !steps[usize::from(n.0)].has_units());
        let action = if !needs.is_empty() && rng.f64() < 0.4 {
            barrier(rng, over_barriers, submitted)
        } else {
            let kind = [Kind::Noop, Kind::Transfer, Kind::Qc][rng.usize(0..3)];
            Action::Units {
                kind,
                task: noop(),
                reads: None,
            }
        };
        let on_failure = match rng.usize(0..20) {
            0 => OnFailure::Abort,
            1..=6 => OnFailure::Continue,
            7..=12 => OnFailure::Hold,
            _ => OnFailure::Task,
        };
        steps.push(Step {
            id: format!("s{no}"),
            needs,
            retry: retry(rng),
            on_failure,
            due_us: None,
            action,
        });
    }
    if rng.f64() < 0.3 {
        steps = reordered(rng, &steps);
    }
    let closed: Vec<StepNo> = (0..steps.len())
        .filter(|i| {
            matches!(
                steps[*i].action,
                Action::Units {
                    kind: Kind::Transfer,
                    ..
                }
            ) && rng.f64() < 0.4
        })
        .map(|i| StepNo(i as u16))
        .collect();
    steps.extend(closed.into_iter().map(|of| seal(rng, of)));
    steps
}

/// A job file may name a step before the steps it needs.
fn reordered(rng: &mut Rng, steps: &[Step]) -> Vec<Step> {
    let mut order: Vec<usize> = (0..steps.len()).collect();
    rng.shuffle(&mut order);
    let place = |old: &StepNo| {
        let at = order
            .iter()
            .position(|o| *o == usize::from(old.0))
            .expect("an order holds every step");
        StepNo(at as u16)
    };
    let moved = |old: &usize| {
        let step = steps[*old].clone();
        Step {
            needs: step.needs.iter().map(place).collect(),
            ..step
        }
    };
    order.iter().map(moved).collect()
}

fn needs(rng: &mut Rng, no: usize) -> Vec<StepNo> {
    if no == 0 || rng.f64() < 0.15 {
        return Vec::new();
    }
    if rng.f64() < 0.6 {
        return vec![StepNo(no as u16 - 1)];
    }
    let mut needs: Vec<StepNo> = (0..no)
        .filter(|_| rng.bool())
        .map(|n| StepNo(n as u16))
        .collect();
    if needs.is_empty() {
        needs.push(StepNo(rng.u16(0..no as u16)));
    }
    needs
}

fn barrier(rng: &mut Rng, over_barriers: bool, submitted: Timestamp) -> Action {
    let scope = if over_barriers {
        Scope::Job
    } else {
        [Scope::Title, Scope::Batch, Scope::Job][rng.usize(0..3)]
    };
    let require = match rng.usize(0..5) {
        0 => BarrierRequire::Count(rng.u64(1..6)),
        1 => BarrierRequire::Fraction(rng.f64()),
        _ => BarrierRequire::All,
    };
    let budget = match rng.usize(0..5) {
        0 => Some(BarrierBudget::Count(rng.u64(0..4))),
        1 => Some(BarrierBudget::Share(rng.f64() * 0.6)),
        _ => None,
    };
    let until = (rng.f64() < 0.2).then(|| Timestamp(submitted.0 + rng.i64(1..200) * SECOND));
    let policy = BarrierPolicy {
        require,
        budget,
        until,
    };
    Action::Barrier {
        scope,
        batch_units: rng.u32(1..=4),
        policy,
        deadline_us: None,
    }
}

fn retry(rng: &mut Rng) -> RetryPolicy {
    RetryPolicy {
        attempts_max: rng.u32(1..=4),
        backoff_min: Duration::from_millis(rng.u64(10..2_000)),
        backoff_max: Duration::from_millis(rng.u64(2_000..20_000)),
    }
}

fn seal(rng: &mut Rng, of: StepNo) -> Step {
    let task = SealTask {
        root: "/landing".into(),
        job: "job".into(),
        algorithm: HashAlgorithm::Xxh128,
    };
    Step {
        id: format!("seal of {}", of.0),
        needs: Vec::new(),
        retry: retry(rng),
        on_failure: OnFailure::Hold,
        due_us: None,
        action: Action::Seal {
            of,
            task: Arc::new(TaskSpec::Seal(task)),
        },
    }
}

fn noop() -> Arc<TaskSpec> {
    Arc::new(TaskSpec::Noop(NoopTask {
        duration_min_us: 0,
        duration_max_us: 0,
        fail: 0.0,
    }))
}
