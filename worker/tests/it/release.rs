//! A worker that is told to take no more work, and then to take work again.
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::wire::control::Control;
use protocol::wire::report::{Report, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::noop::NoopTask;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use worker::metrics::WorkerMetrics;
use worker::queue::local::LocalQueue;
use worker::runtime::{Worker, WorkerConfig};

/// Rounds of draining and releasing.
const ROUNDS: i64 = 3;

fn unit(part: i64) -> Unit {
    let task = TaskSpec::Noop(NoopTask {
        duration_min_us: 0,
        duration_max_us: 0,
        fail: 0.0,
    });
    let id = UnitId::new(JobNo(1), StepNo(0), part);
    Unit {
        id,
        epoch: 1,
        attempt: 0,
        kind: Kind::Noop,
        task: Arc::new(task),
        assets: vec![],
        deadline: None,
    }
}

/// A worker over channels.
struct Rig {
    _worker: Worker,
    units: mpsc::UnboundedSender<Unit>,
    reports: mpsc::Receiver<Vec<Report>>,
    control: mpsc::UnboundedSender<Control>,
}

impl Rig {
    fn start() -> Rig {
        let (units, units_in) = mpsc::unbounded_channel();
        let (reports_out, reports) = mpsc::channel(64);
        let (control, control_in) = mpsc::unbounded_channel();
        let queue = LocalQueue::new(
            BTreeMap::from([(Kind::Noop, units_in)]),
            reports_out,
            control_in,
        );
        let config = WorkerConfig {
            worker: WorkerId("w".into()),
            slots: BTreeMap::from([(Kind::Noop, 2)]),
            tools: Default::default(),
            rehearsal: Default::default(),
            storage: Arc::default(),
        };
        let metrics = WorkerMetrics::new().expect("names are sound");
        let give_up = Arc::new(|| panic!("the worker gave up"));
        let worker = Worker::start(
            config,
            Arc::new(queue),
            Handle::current(),
            None,
            give_up,
            metrics,
        );
        Rig {
            _worker: worker,
            units,
            reports,
            control,
        }
    }

    /// Has a unit run to its end: what comes just when the worker drains goes back, and is handed out again.
    async fn run(&mut self, part: i64) {
        loop {
            self.units.send(unit(part)).expect("the worker takes units");
            match self.end_of(part).await {
                UnitResult::Finished { .. } => return,
                end => assert_eq!(end, UnitResult::Returned),
            }
        }
    }

    /// The result of the next end of this unit.
    async fn end_of(&mut self, part: i64) -> UnitResult {
        loop {
            for report in self.reports.recv().await.expect("the worker lives") {
                if let Report::Settled(outcome) = report
                    && outcome.unit.part == part
                {
                    return outcome.result;
                }
            }
        }
    }

    /// Waits for a sign of life that says whether the worker drains.
    async fn says(&mut self, draining: bool) {
        loop {
            let reports = self.reports.recv().await.expect("the worker lives");
            let said = |report: &Report| matches!(report, Report::Heartbeat(beat) if beat.draining == draining);
            if reports.iter().any(said) {
                return;
            }
        }
    }
}

fn tell(rig: &Rig, message: Control) {
    rig.control.send(message).expect("the worker listens");
}

#[test]
fn worker_released_after_draining_runs_units_again_and_again() {
    actix_rt::System::new().block_on(async {
        let mut rig = Rig::start();
        let name = WorkerId("w".into());
        for round in 0..ROUNDS {
            rig.run(3 * round).await;
            tell(&rig, Control::Hold(name.clone()));
            rig.says(true).await;
            tell(&rig, Control::Release(name.clone()));
            rig.says(false).await;
            rig.run(3 * round + 1).await;
            // Told both at once, the last word counts.
            tell(&rig, Control::Hold(name.clone()));
            tell(&rig, Control::Release(name.clone()));
            rig.run(3 * round + 2).await;
        }
    });
}
