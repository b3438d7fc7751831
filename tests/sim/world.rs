//! The cluster in one thread: a queue of events in virtual time, the processes they happen to, and the checks after each.
use crate::effects::Effects;
use crate::faults::{FaultyStore, Plant};
use crate::history::History;
use crate::invariants::{Witness, check, label};
use crate::model::JobView;
use crate::process::Process;
use crate::scenario::{SECOND, Scenario, draw};
use crate::stats::Stats;
use crate::worker::Worker;
use coordinator::store::{JobState, JobTx, NewJob, OperationTx};
use fastrand::Rng;
use protocol::id::{Execution, JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::{Report, ScanPage};
use protocol::wire::unit::Unit;
use protocol::workflow::{Action, Step};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Virtual seconds a calm cluster gets to end everything. One worker that two jobs' poisonous units kill in turns, four times
/// each before they are parked, needs more than an hour (seed 171).
const PATIENCE: i64 = 12_000 * SECOND;
/// More events than any run needs: something goes round in circles.
const EVENTS_MAX: u64 = 60_000;
/// A job with nothing left to do ends within this.
const PROMPT: Duration = Duration::from_secs(10);

/// Something that happens at a moment. Worker events carry the incarnation they are for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A job is submitted.
    Submit(usize),
    /// The coordinator takes a turn.
    Turn(u64),
    /// The coordinator judges leases.
    Rescue(u64),
    /// The coordinator looks after the workers.
    Tend(u64),
    /// The coordinator reads reports.
    Collect(u64),
    /// The coordinator starts.
    CoordinatorUp,
    /// A report arrives.
    Report(Box<Report>),
    /// A unit arrives in its stream.
    Unit(Box<Unit>),
    /// A worker hears from the coordinator.
    Control(usize, u64, Control),
    /// A worker starts.
    WorkerUp(usize),
    /// A worker gives a sign of life.
    Beat(usize, u64),
    /// An execution reaches its commit point.
    Commit(usize, u64, u64),
    /// An effect becomes visible after its report (planted).
    Effect(usize, u64, Box<(Unit, Vec<String>)>),
    /// An execution ends.
    End(usize, u64, u64),
    /// A scan has read a page.
    Page(usize, u64, u64, Box<ScanPage>),
    /// A scan has read everything.
    ScanEnd(usize, u64, u64, u64),
    /// Something breaks.
    Mishap,
    /// An operator does something.
    Operator,
    /// Faults stop.
    Calm,
}

/// The whole cluster.
pub(crate) struct World {
    /// All randomness.
    pub rng: Rng,
    /// Virtual time.
    pub now: Timestamp,
    /// What the seed asks for.
    pub scenario: Scenario,
    /// The planted bug, if any.
    pub plant: Option<Plant>,
    /// The truth.
    pub store: FaultyStore,
    /// The coordinator, while it runs.
    pub process: Option<Process>,
    /// Counts coordinators.
    pub incarnation: u64,
    /// Reports the coordinator has not read.
    pub inbox: VecDeque<Report>,
    /// Published units no worker has taken.
    pub queues: BTreeMap<Kind, VecDeque<Unit>>,
    /// The workers.
    pub workers: Vec<Worker>,
    /// Executions started.
    pub executions: u64,
    /// What workers have done.
    pub effects: Effects,
    /// Which plan a job runs.
    pub plans: BTreeMap<JobNo, usize>,
    /// The jobs after the last transaction.
    pub views: BTreeMap<JobNo, JobView>,
    /// Reports settled, for the plant that counts them.
    pub seen: BTreeSet<Execution>,
    /// Who took which published unit, as the transport knows it.
    pub taken_by: BTreeMap<Execution, WorkerId>,
    /// Executions whose entries are in the transport: from their publication until their end arrives.
    pub entries: BTreeSet<Execution>,
    /// Workers that died or stood still with a unit in hand, and whether it was alone in them.
    pub deaths: BTreeMap<UnitId, BTreeSet<(String, bool)>>,
    /// Counts of what happened.
    pub stats: Stats,
    /// The event log.
    pub history: History,
    events: BTreeMap<(Timestamp, u64), Event>,
    scheduled: u64,
    changed: BTreeMap<JobNo, Timestamp>,
    libraries: BTreeMap<JobNo, BTreeSet<String>>,
    violation: Option<String>,
    /// Things that may have ended a scan: each excuses another epoch of it.
    pub(crate) excuses: u64,
    /// When the last page or end of each scan arrives: a worker's reports keep their order, unless one straggles.
    pub(crate) scan_reports: BTreeMap<Execution, Timestamp>,
    /// How often operators may still want failures again after the end.
    pub(crate) encores: u32,
}

impl World {
    /// A world before its first event.
    pub(crate) fn new(seed: u64, plant: Option<Plant>) -> World {
        let mut rng = Rng::with_seed(seed);
        let mut scenario = draw(&mut rng);
        let workers = (0..scenario.workers)
            .map(|_| Worker::new(&mut rng))
            .collect();
        let mut error_rate = scenario.weather.store_error;
        if plant == Some(Plant::TurnNotRolledBack) {
            // It shows only where the one transaction fails that looks at barriers: empty libraries and a bad disk.
            scenario.jobs.iter_mut().for_each(|job| job.rows.clear());
            error_rate = 0.3;
        }
        let store = FaultyStore {
            error_rate,
            ..FaultyStore::default()
        };
        World {
            rng,
            now: Timestamp(0),
            scenario,
            plant,
            store,
            process: None,
            incarnation: 0,
            inbox: VecDeque::new(),
            queues: BTreeMap::new(),
            workers,
            executions: 0,
            effects: Effects::default(),
            plans: BTreeMap::new(),
            views: BTreeMap::new(),
            seen: BTreeSet::new(),
            taken_by: BTreeMap::new(),
            entries: BTreeSet::new(),
            deaths: BTreeMap::new(),
            stats: Stats::default(),
            history: History::default(),
            events: BTreeMap::new(),
            scheduled: 0,
            changed: BTreeMap::new(),
            libraries: BTreeMap::new(),
            violation: None,
            excuses: 0,
            scan_reports: BTreeMap::new(),
            encores: 2,
        }
    }

    /// Runs to the end of every job. Says which promise was broken, if one was.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        for no in 0..self.scenario.jobs.len() {
            self.push(self.scenario.jobs[no].submit_at, Event::Submit(no));
        }
        self.at(Duration::ZERO, Event::CoordinatorUp);
        (0..self.workers.len()).for_each(|no| self.at(Duration::ZERO, Event::WorkerUp(no)));
        self.at(self.scenario.weather.mishap_every, Event::Mishap);
        self.at(self.scenario.weather.operator_every, Event::Operator);
        self.push(self.scenario.calm_at, Event::Calm);
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = self.now.max(at);
            self.happens(event);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
            let calm = self.now >= self.scenario.calm_at;
            if calm && self.all_ended() && !self.operating() && !self.encore() {
                break;
            }
            if self.now.0 > self.scenario.calm_at.0 + PATIENCE || self.scheduled > EVENTS_MAX {
                let open: Vec<String> = self
                    .views
                    .values()
                    .filter(|v| !v.row.state.has_ended())
                    .map(describe)
                    .collect();
                return Err(format!(
                    "LIVENESS: nothing ends these jobs, {} events:\n{}",
                    self.scheduled,
                    open.join("\n")
                ));
            }
        }
        self.stats.finish(&self.views, &self.effects, &self.store);
        Ok(())
    }

    /// What the jobs do, for a report.
    pub(crate) fn outline(&self) -> String {
        self.views
            .values()
            .map(outline)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Schedules an event after `wait`.
    pub(crate) fn at(&mut self, wait: Duration, event: Event) {
        self.push(self.now.after(wait), event);
    }

    /// Schedules an event.
    pub(crate) fn push(&mut self, at: Timestamp, event: Event) {
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
    }

    /// Notes which units a worker took down with it.
    pub(crate) fn died_with(&mut self, worker: &str, units: &[UnitId], alone: bool) {
        for unit in units {
            self.deaths
                .entry(*unit)
                .or_default()
                .insert((worker.to_owned(), alone));
        }
    }

    /// Notes a broken promise.
    pub(crate) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// Writes to the event log.
    pub(crate) fn note(&mut self, event: impl FnOnce() -> String) {
        self.history.note(self.now, event());
    }

    /// Whether something unlikely goes wrong here, while things still do.
    pub(crate) fn mishap(&mut self, chance: f64) -> bool {
        self.now < self.scenario.calm_at && self.rng.f64() < chance
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Submit(no) => self.submit(no),
            Event::Turn(n) if n == self.incarnation => self.turn(),
            Event::Rescue(n) if n == self.incarnation => self.rescue(),
            Event::Collect(n) if n == self.incarnation => self.collect(),
            Event::Tend(n) if n == self.incarnation => self.tend(),
            Event::Turn(_) | Event::Rescue(_) | Event::Collect(_) | Event::Tend(_) => {}
            Event::CoordinatorUp => self.coordinator_up(),
            Event::Report(report) => {
                self.entry_removed(&report);
                self.inbox.push_back(*report);
                self.collect_soon();
            }
            Event::Unit(unit) => self.arrived(*unit),
            Event::WorkerUp(no) => self.worker_up(no),
            Event::Mishap => self.break_something(),
            Event::Operator => self.operate(),
            Event::Calm => self.calm(),
            Event::Control(no, n, _)
            | Event::Beat(no, n)
            | Event::Commit(no, n, _)
            | Event::Effect(no, n, _)
            | Event::End(no, n, _)
            | Event::Page(no, n, ..)
            | Event::ScanEnd(no, n, ..) => {
                let worker = &self.workers[no];
                if !worker.alive || worker.incarnation != n {
                    return;
                }
                if worker.paused_until > self.now {
                    return self.push(worker.paused_until, event);
                }
                self.at_worker(no, event);
            }
        }
    }

    fn at_worker(&mut self, no: usize, event: Event) {
        match event {
            Event::Control(_, _, control) => self.obey(no, &control),
            Event::Beat(..) => self.beat(no),
            Event::Commit(_, _, exec) => self.commit(no, exec),
            Event::Effect(_, _, late) => {
                late.1
                    .iter()
                    .for_each(|asset| self.effects.commit(late.0.id, late.0.epoch, asset));
            }
            Event::End(_, _, exec) => self.end(no, exec),
            Event::Page(_, _, exec, page) => self.scan_page(no, exec, *page),
            Event::ScanEnd(_, _, exec, pages) => self.scan_end(no, exec, pages),
            _ => {}
        }
    }

    fn submit(&mut self, no: usize) {
        let plan = &self.scenario.jobs[no];
        let job = NewJob {
            id: format!("job-{no}"),
            workflow: plan.workflow.clone(),
            digest: String::new(),
            submitted_at: self.now,
            submission: None,
        };
        let library = plan.rows.iter().map(|asset| asset.id.clone()).collect();
        let job = self
            .store
            .memory
            .write(|tx| tx.insert_job(&job))
            .expect("memory takes a job");
        self.plans.insert(job, no);
        self.libraries.insert(job, library);
        self.note(|| format!("job {} submitted", job.0));
        self.wake(Duration::ZERO);
    }

    /// Looks at every job after a transaction.
    pub(crate) fn check(&mut self, redriving: bool) {
        let jobs: Vec<JobNo> = self.plans.keys().copied().collect();
        for no in jobs {
            let before = self.views.get(&no);
            let row = self
                .store
                .memory
                .job(no)
                .expect("memory answers")
                .expect("a submitted job stays");
            if before.is_some_and(|b| b.row.state.has_ended() && b.row == row) {
                continue;
            }
            let view = JobView::read(
                &mut self.store.memory,
                no,
                before.map(|b| b.workflow.clone()),
            );
            // The end of a scan is an epoch of its own.
            let most = 2 + 2 * self.excuses;
            if u64::from(view.row.scan_epoch) > most {
                let what = format!(
                    "LISTING: epoch {} of a scan after {} mishaps",
                    view.row.scan_epoch, self.excuses
                );
                self.violation.get_or_insert(label(no, what));
            }
            let mut witness = Witness {
                deaths: &self.deaths,
                memory: &mut self.store.memory,
                effects: &self.effects,
                library: &self.libraries[&no],
                redriving,
                now: self.now,
            };
            if let Err(verdict) = check(before, &view, &mut witness) {
                self.violation.get_or_insert(label(no, verdict));
            }
            let same = before.is_some_and(|b| b.same(&view));
            let changed = if same {
                self.changed.get(&no).copied()
            } else {
                None
            }
            .unwrap_or(self.now);
            let idle = self.changed.get(&no).copied().unwrap_or(self.now);
            // A job that fails with its scan had the scan to wait for.
            let worked_off = matches!(
                view.row.state,
                JobState::Succeeded | JobState::FinishedWithFailures
            );
            // The end of the last unit and that of its job may be one transaction.
            let worked = before.is_none_or(|b| b.units != view.units || b.steps != view.steps);
            let ends = worked_off && !worked && before.is_none_or(|b| !b.row.state.has_ended());
            if ends && idle > self.scenario.calm_at.after(PROMPT) && self.now.since(idle) > PROMPT {
                let late = format!(
                    "had nothing left to do for {:?} before it ended",
                    self.now.since(idle)
                );
                self.violation.get_or_insert(label(no, late));
            }
            self.changed.insert(no, changed);
            self.stats.watch(before, &view);
            self.views.insert(no, view);
        }
    }

    /// Whether an operator's retry is under way.
    pub(crate) fn operating(&mut self) -> bool {
        !self
            .store
            .memory
            .running_operations(1)
            .expect("memory answers")
            .is_empty()
    }

    /// Whether every job has been submitted and has ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.plans.len() == self.scenario.jobs.len()
            && self.views.len() == self.plans.len()
            && self.views.values().all(|view| view.row.state.has_ended())
    }
}

fn describe(view: &JobView) -> String {
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}",
        view.row, view.steps, view.units, view.barriers
    )
}

/// What a job does, one step a line.
fn outline(view: &JobView) -> String {
    let line = |(no, step): (StepNo, &Step)| {
        let needs: Vec<u16> = step.needs.iter().map(|n| n.0).collect();
        let action = match &step.action {
            Action::Units { kind, .. } => format!("{kind} on failure {:?}", step.on_failure),
            Action::Barrier {
                scope,
                batch_units,
                policy,
                ..
            } => format!("{scope:?} of {batch_units}: {policy:?}"),
            Action::Approval { role, .. } => format!("approval by {role}"),
            Action::Seal { of, .. } => format!("seal of {}", of.0),
        };
        format!("  {} needs {needs:?}: {action}", no.0)
    };
    let lines: Vec<String> = view.workflow.numbered().map(line).collect();
    format!(
        "job {} {:?} {:?}\n{}",
        view.row.no.0,
        view.row.state,
        view.row.phase,
        lines.join("\n")
    )
}
