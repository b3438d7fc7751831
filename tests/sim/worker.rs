//! Workers: they take units, run them for a while, make their effect visible at one commit point, and report.
use crate::faults::Plant;
use crate::world::{Event, World};
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{Kind, UnitId, WorkerId};
use protocol::model::scan_cursor::ScanCursor;
use protocol::model::slot_count::SlotCount;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::{
    Heartbeat, ListedAsset, Outcome, Report, RowError, ScanPage, UnitResult,
};
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use worker::actor::running::{Begun, Running};

const BEAT_EVERY: Duration = Duration::from_secs(3);
const KINDS: [Kind; 4] = [Kind::Scan, Kind::Transfer, Kind::Qc, Kind::Noop];

/// One worker process.
pub(crate) struct Worker {
    /// Counts its restarts: a restarted worker is another one.
    pub incarnation: u64,
    /// Whether it runs.
    pub alive: bool,
    /// It does nothing before this moment, and knows nothing of it.
    pub paused_until: Timestamp,
    /// It takes no more work.
    pub draining: bool,
    slots: [u32; 4],
    /// What a worker knows of its executions, which decides what begins and what is stopped.
    held: Running,
    /// The executions, until they have reported their end.
    running: Vec<Execution>,
}

struct Execution {
    no: u64,
    unit: Unit,
    stop: CancellationToken,
    result: Option<UnitResult>,
}

impl Worker {
    /// A worker that is not running yet.
    pub(crate) fn new(rng: &mut fastrand::Rng) -> Worker {
        let slots = [
            rng.u32(1..=2),
            rng.u32(1..=3),
            rng.u32(1..=2),
            rng.u32(1..=6),
        ];
        let (held, running) = (Running::default(), Vec::new());
        Worker {
            incarnation: 0,
            alive: false,
            paused_until: Timestamp(0),
            draining: false,
            slots,
            held,
            running,
        }
    }

    fn free(&self, unit: &Unit) -> bool {
        let kind = unit.kind;
        let alone = |unit: &Unit| matches!(unit.task.as_ref(), TaskSpec::Alone(_));
        if self.draining
            || self.running.iter().any(|e| alone(&e.unit))
            || (alone(unit) && !self.running.is_empty())
        {
            return false;
        }
        let total = KINDS
            .iter()
            .position(|k| *k == kind)
            .map_or(0, |i| self.slots[i]);
        (self.running.iter().filter(|e| e.unit.kind == kind).count() as u32) < total
    }
}

/// What a unit does, alone or not.
fn inner(unit: &Unit) -> &TaskSpec {
    match unit.task.as_ref() {
        TaskSpec::Alone(task) => task,
        task => task,
    }
}

impl World {
    /// Starts a worker.
    pub(crate) fn worker_up(&mut self, no: usize) {
        let worker = &mut self.workers[no];
        if worker.alive {
            return;
        }
        worker.alive = true;
        worker.incarnation += 1;
        worker.draining = false;
        worker.paused_until = self.now;
        let incarnation = worker.incarnation;
        self.note(|| format!("worker {no} up"));
        self.at(Duration::from_millis(1), Event::Beat(no, incarnation));
        self.fill();
    }

    /// Ends a worker: whatever it had in hand is lost.
    pub(crate) fn worker_down(&mut self, no: usize) {
        let worker = &mut self.workers[no];
        if !worker.alive {
            return;
        }
        worker.alive = false;
        worker.draining = false;
        let alone = worker.running.len() == 1;
        let held: Vec<UnitId> = worker.running.drain(..).map(|e| e.unit.id).collect();
        worker.held = Running::default();
        let name = self.name(no);
        self.died_with(&name.0, &held, alone);
        self.stats.worker_deaths += 1;
        self.excuses += 1;
        self.note(|| format!("worker {no} down"));
        let pause = Duration::from_millis(self.rng.u64(100..20_000));
        self.at(pause, Event::WorkerUp(no));
    }

    /// A worker that stands still for long looks like one that died.
    pub(crate) fn stands_still(&mut self, no: usize) {
        let running = &self.workers[no].running;
        let (held, alone) = (
            running.iter().map(|e| e.unit.id).collect::<Vec<_>>(),
            running.len() == 1,
        );
        self.excuses += 1;
        let name = self.name(no);
        self.died_with(&name.0, &held, alone);
    }

    /// Hands waiting units to free slots.
    pub(crate) fn fill(&mut self) {
        for kind in KINDS {
            while let Some(next) = self.queues.get(&kind).and_then(|queue| queue.front()) {
                let now = self.now;
                let can = |w: &Worker| w.alive && w.paused_until <= now && w.free(next);
                let free: Vec<usize> = (0..self.workers.len())
                    .filter(|i| can(&self.workers[*i]))
                    .collect();
                let Some(no) = self.rng.choice(free) else {
                    break;
                };
                let unit = self
                    .queues
                    .get_mut(&kind)
                    .and_then(|queue| queue.pop_front());
                let Some(unit) = unit else { break };
                self.start(no, unit);
            }
        }
    }

    fn start(&mut self, no: usize, unit: Unit) {
        self.executions += 1;
        let (exec, incarnation) = (self.executions, self.workers[no].incarnation);
        self.note(|| format!("worker {no} starts {} epoch {}", unit.id, unit.epoch));
        let name = self.name(no);
        self.taken_by.insert(unit.id.execution(unit.epoch), name);
        let stop = CancellationToken::new();
        match self.workers[no]
            .held
            .begin(unit.id, unit.epoch, stop.clone())
        {
            Begun::Already => return,
            Begun::Outdated => {
                let (worker, result) = (self.name(no), UnitResult::Cancelled);
                let outcome = Outcome {
                    unit: unit.id,
                    epoch: unit.epoch,
                    worker,
                    result,
                    duration_us: 0,
                };
                return self.report(Report::Settled(outcome));
            }
            Begun::Runs(_) => {}
        }
        // An older execution of the unit, whose slot this one takes.
        while let Some(stopped) = self.stopped(no) {
            self.report_end(no, stopped, UnitResult::Cancelled);
        }
        let plan = &self.scenario.jobs[self.plans[&unit.id.job]];
        let longest = u64::try_from(plan.luck.duration_max.as_micros()).unwrap_or(u64::MAX);
        let length = Duration::from_micros(self.rng.u64(1_000..=longest.max(1_001)));
        if let TaskSpec::Alone(_) = unit.task.as_ref() {
            self.report(Report::Isolated {
                execution: unit.id.execution(unit.epoch),
                worker: self.name(no),
            });
        }
        if let TaskSpec::Scan(_) = inner(&unit) {
            self.scan(no, exec, &unit, length);
        } else {
            self.at(length, Event::Commit(no, incarnation, exec));
        }
        self.workers[no].running.push(Execution {
            no: exec,
            unit,
            stop,
            result: None,
        });
    }

    fn scan(&mut self, no: usize, exec: u64, unit: &Unit, length: Duration) {
        let TaskSpec::Scan(task) = inner(unit) else {
            return;
        };
        let plan = &self.scenario.jobs[self.plans[&unit.id.job]];
        let (rows, rejected, resumable) =
            (plan.rows.clone(), plan.rejected.clone(), plan.resumable);
        let resume = task.resume.filter(|_| resumable);
        let mut from = resume.map_or(0, |c| c.byte as usize);
        let mut number = resume.map_or(0, |c| c.page);
        let incarnation = self.workers[no].incarnation;
        let mut wait = Duration::ZERO;
        while from < rows.len() || number == 0 {
            let until = rows.len().min(from + task.page_assets as usize);
            let assets = (from..until)
                .map(|i| ListedAsset {
                    line: i as u64 + 1,
                    asset: rows[i].clone(),
                })
                .collect();
            let cursor = ScanCursor {
                page: number + 1,
                byte: until as u64,
                line: until as u64 + 1,
            };
            let next = resumable.then_some(cursor);
            let first = if number == 0 { 0 } else { from as u64 + 1 };
            let here = |row: &&RowError| (first..=until as u64).contains(&row.line);
            let errors: Vec<RowError> = rejected.iter().filter(here).cloned().collect();
            let page = ScanPage {
                unit: unit.id,
                epoch: unit.epoch,
                page: number,
                assets,
                errors,
                next,
            };
            wait += length / 8;
            self.at(wait, Event::Page(no, incarnation, exec, Box::new(page)));
            (from, number) = (until, number + 1);
        }
        let pages = number;
        self.at(
            wait + Duration::from_micros(1),
            Event::ScanEnd(no, incarnation, exec, pages),
        );
    }

    /// Sends a page of a listing, if its scan is still wanted.
    pub(crate) fn scan_page(&mut self, no: usize, exec: u64, page: ScanPage) {
        if self.workers[no].running.iter().any(|e| e.no == exec) {
            self.report(Report::Page { page, up_to: None });
        }
    }

    /// Ends a scan.
    pub(crate) fn scan_end(&mut self, no: usize, exec: u64, pages: u64) {
        let Some(ended) = self.workers[no].running.iter().find(|e| e.no == exec) else {
            return;
        };
        let luck = self.scenario.jobs[self.plans[&ended.unit.id.job]].luck;
        let result = if self.rng.f64() < luck.unit_fails {
            let class = if self.rng.f64() < 0.2 {
                ErrorClass::Permanent
            } else {
                ErrorClass::Transient
            };
            UnitResult::Failed(Failure::new(
                class,
                "source_unreadable",
                "the source went away",
            ))
        } else {
            UnitResult::Listed { pages }
        };
        self.finish(no, exec, result);
    }

    /// The commit point of an execution: what passed becomes visible here, all else is a failure.
    pub(crate) fn commit(&mut self, no: usize, exec: u64) {
        let incarnation = self.workers[no].incarnation;
        let Some(at) = self.workers[no].running.iter().position(|e| e.no == exec) else {
            return;
        };
        let unit = self.workers[no].running[at].unit.clone();
        let plan = &self.scenario.jobs[self.plans[&unit.id.job]];
        if unit
            .assets
            .iter()
            .any(|asset| plan.poison.contains(&asset.id))
        {
            self.note(|| format!("{} kills worker {no}", unit.id));
            return self.worker_down(no);
        }
        let luck = plan.luck;
        let lag = Duration::from_micros(self.rng.u64(1..200_000));
        let lot = self.rng.f64();
        let result = if self.scenario.sick == Some(no) {
            UnitResult::Failed(Failure::transient("tool_failed", "nothing works here"))
        } else if lot < luck.unit_fails {
            let class = if self.rng.f64() < 0.2 {
                ErrorClass::Permanent
            } else {
                ErrorClass::Transient
            };
            UnitResult::Failed(Failure::new(class, "tool_failed", "the tool failed"))
        } else {
            let mut failures = Vec::new();
            let mut passed = if unit.assets.is_empty() {
                vec![String::new()]
            } else {
                Vec::new()
            };
            for asset in &unit.assets {
                let lot = self.rng.f64();
                if lot < luck.asset_dies {
                    failures.push((asset.id.clone(), Failure::permanent("bad", "it is bad")));
                } else if lot < luck.asset_dies + luck.asset_fails {
                    failures.push((asset.id.clone(), Failure::transient("slow", "it was slow")));
                } else {
                    passed.push(asset.id.clone());
                }
            }
            if self.plant == Some(Plant::ReportBeforeEffect) {
                let effect = Event::Effect(no, incarnation, Box::new((unit.clone(), passed)));
                self.at(lag + Duration::from_millis(500), effect);
            } else {
                passed
                    .iter()
                    .for_each(|asset| self.effects.commit(unit.id, unit.epoch, asset));
            }
            UnitResult::Finished {
                facts: Vec::new(),
                failures,
            }
        };
        self.note(|| format!("worker {no} commits {} epoch {}", unit.id, unit.epoch));
        self.workers[no].running[at].result = Some(result);
        self.at(lag, Event::End(no, incarnation, exec));
    }

    /// Reports an execution that has ended.
    pub(crate) fn end(&mut self, no: usize, exec: u64) {
        let found = self.workers[no].running.iter().find(|e| e.no == exec);
        if let Some(result) = found.and_then(|e| e.result.clone()) {
            self.finish(no, exec, result);
        }
    }

    fn finish(&mut self, no: usize, exec: u64, result: UnitResult) {
        let Some(at) = self.workers[no].running.iter().position(|e| e.no == exec) else {
            return;
        };
        // A scan that comes to its end may be followed by another epoch; one that is called back already was.
        let ended =
            self.workers[no].running[at].unit.kind == Kind::Scan && result != UnitResult::Cancelled;
        self.excuses += u64::from(ended);
        self.report_end(no, at, result);
        self.fill();
    }

    fn report_end(&mut self, no: usize, at: usize, result: UnitResult) {
        let ended = self.workers[no].running.remove(at);
        self.workers[no].held.end(ended.unit.id, ended.unit.epoch);
        let outcome = Outcome {
            unit: ended.unit.id,
            epoch: ended.unit.epoch,
            worker: self.name(no),
            result,
            // Some clocks jump: how long a worker says it took decides nothing.
            duration_us: if self.rng.f64() < 0.02 {
                3_600_000_000
            } else {
                self.rng.u64(0..1_000_000)
            },
        };
        self.report(Report::Settled(outcome));
    }

    /// An execution that has been stopped. After its commit point an execution ends as it would have.
    fn stopped(&self, no: usize) -> Option<usize> {
        self.workers[no]
            .running
            .iter()
            .position(|e| e.stop.is_cancelled() && e.result.is_none())
    }

    /// Obeys the coordinator.
    pub(crate) fn obey(&mut self, no: usize, control: &Control) {
        let name = self.name(no);
        let executions = match control {
            Control::Revoke(executions) => executions,
            Control::Drain(_) => return,
            Control::Hold(worker) | Control::Release(worker) => {
                if *worker == name {
                    self.workers[no].draining = matches!(control, Control::Hold(_));
                    self.fill();
                }
                return;
            }
        };
        executions
            .iter()
            .for_each(|of| self.workers[no].held.revoke(of.unit, of.epoch));
        while let Some(stopped) = self.stopped(no) {
            let exec = self.workers[no].running[stopped].no;
            self.finish(no, exec, UnitResult::Cancelled);
        }
    }

    /// Gives a sign of life.
    pub(crate) fn beat(&mut self, no: usize) {
        let worker = &self.workers[no];
        let held = worker.held.held();
        let slots = KINDS.iter().zip(worker.slots).map(|(kind, total)| {
            let busy = worker
                .running
                .iter()
                .filter(|e| e.unit.kind == *kind)
                .count() as u32;
            SlotCount {
                kind: *kind,
                total,
                free: total.saturating_sub(busy),
            }
        });
        let slots = slots.collect();
        let draining = worker.draining;
        let beat = Heartbeat {
            worker: self.name(no),
            held,
            slots,
            draining,
            bytes: 0,
            leaves_at: None,
        };
        let incarnation = worker.incarnation;
        self.report(Report::Heartbeat(beat));
        self.at(BEAT_EVERY, Event::Beat(no, incarnation));
        self.fill();
    }

    pub(crate) fn name(&self, no: usize) -> WorkerId {
        WorkerId(format!("w{no}.{}", self.workers[no].incarnation))
    }
}
