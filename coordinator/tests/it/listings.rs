//! Libraries that are listed while everything around the scan fails: each page once, few epochs, whoever reports what.
use coordinator::dispatch::outstanding::outstanding;
use coordinator::dispatch::scan::scan_unit;
use coordinator::leader::engine::Turn;
use coordinator::leader::memory::lease_table::Lapsed;
use coordinator::leader::reactor::{Listed, Reactor, Work, group};
use coordinator::queue::Sent;
use coordinator::reconcile::rescuer::{LostWith, Taken};
use coordinator::reconcile::settlement::{PageTaken, Settled};
use coordinator::store::memory::Memory;
use coordinator::store::testing::job;
use coordinator::store::{JobRow, JobState, JobTx, LossTx, Phase, StoreResult, Tx};
use coordinator::workflows::Workflows;
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{Execution, JobNo, Kind, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::model::slot_count::SlotCount;
use protocol::rules::unit::lease::LeaseLimits;
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::report::{Heartbeat, ListedAsset, Outcome, Report, ScanPage, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A leader that lists one library with the workers the test plays.
struct World {
    store: Memory,
    reactor: Reactor,
    now: Timestamp,
    job: JobNo,
}

impl World {
    fn new() -> World {
        let mut store = Memory::default();
        let job = store.write(|tx| tx.insert_job(&job("j"))).expect("inserts");
        let world = World {
            store,
            reactor: Reactor::default(),
            now: Timestamp(1),
            job,
        };
        world.beat(&[]);
        world
    }

    fn scan(&self) -> UnitId {
        scan_unit(self.job)
    }

    /// Two workers with two scan slots each; the first holds these.
    fn beat(&self, held: &[Execution]) {
        for (worker, held) in [("w0", held), ("w1", &[][..])] {
            let slots = vec![SlotCount {
                kind: Kind::Scan,
                total: 2,
                free: 2,
            }];
            let (worker, held) = (WorkerId(worker.into()), held.to_vec());
            let beat = Heartbeat {
                worker,
                held,
                slots,
                draining: false,
                bytes: 0,
                leaves_at: None,
            };
            self.reactor.state.lock().leases.heard(&beat, self.now);
        }
    }

    fn write<R>(&mut self, work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>) -> R {
        self.store.write(work).expect("memory answers")
    }

    fn row(&mut self) -> JobRow {
        self.store
            .job(self.job)
            .expect("memory answers")
            .expect("a submitted job stays")
    }

    fn turn(&mut self) -> Turn {
        let (reactor, now) = (self.reactor.clone(), self.now);
        let turn = self.write(|tx| reactor.turn(tx, &[], now));
        self.reactor.on_turn_committed(&turn, now);
        turn
    }

    /// The scan that the next turn hands out.
    #[track_caller]
    fn claimed(&mut self) -> Unit {
        let mut units = self.turn().units;
        assert_eq!(units.len(), 1, "one scan is handed out");
        units.remove(0)
    }

    fn settle(&mut self, ends: &[(u32, UnitResult)]) -> (Settled, Turn) {
        let outcome = |(epoch, result): &(u32, UnitResult)| Outcome {
            unit: scan_unit(self.job),
            epoch: *epoch,
            worker: WorkerId("w1".into()),
            result: result.clone(),
            duration_us: 1,
        };
        let outcomes: Vec<Outcome> = ends.iter().map(outcome).collect();
        let (reactor, now) = (self.reactor.clone(), self.now);
        let (settled, turn) = self.write(|tx| reactor.settle(tx, &outcomes, now, &mut || 1.0));
        self.reactor.on_ends_committed(&outcomes, &turn, now);
        (settled, turn)
    }

    /// Reports pages of one asset each; says what became of them and what is called back.
    fn pages(&mut self, epoch: u32, numbers: &[u64]) -> (Vec<PageTaken>, Vec<Execution>) {
        let pages: Vec<Listed> = numbers
            .iter()
            .map(|number| (page(self.scan(), epoch, *number), None))
            .collect();
        let reactor = self.reactor.clone();
        let taken = self.write(|tx| reactor.store_pages(tx, &pages));
        let torn = self.reactor.on_pages_committed(&pages, &taken);
        (taken, torn)
    }

    fn take_back(&mut self, epoch: u32, with: Option<LostWith>) -> Taken {
        let lapsed = Lapsed {
            unit: self.scan(),
            epoch,
            with,
            vanished: false,
        };
        let (reactor, now) = (self.reactor.clone(), self.now);
        let page = std::slice::from_ref(&lapsed);
        let taken = self.write(|tx| reactor.take_back(tx, page, &PoisonLimits::default(), now))[0];
        self.reactor.on_taken_back(&lapsed, taken);
        taken
    }
}

fn page(unit: UnitId, epoch: u32, number: u64) -> ScanPage {
    let asset = Asset {
        id: format!("a{number}"),
        title: "t".into(),
        role: Role::Master,
        location: format!("file:/m/{number}"),
        path: number.to_string(),
        bytes: None,
        hash: None,
        declared: None,
    };
    ScanPage {
        unit,
        epoch,
        page: number,
        assets: vec![ListedAsset {
            line: number,
            asset,
        }],
        errors: Vec::new(),
        next: None,
    }
}

fn transient() -> UnitResult {
    UnitResult::Failed(Failure::new(
        ErrorClass::Transient,
        "source_unreadable",
        "away",
    ))
}

/// Case 30: a scan that was taken back reports its end, as one does that a newer epoch has replaced in its worker.
#[test]
fn listing_an_end_of_an_older_epoch_changes_nothing() {
    let mut world = World::new();
    let old = world.claimed();
    world.take_back(old.epoch, None);
    world.now = world.now.after(SECOND);
    let new = world.claimed();
    assert!(new.epoch > old.epoch);
    for result in [
        UnitResult::Cancelled,
        UnitResult::Listed { pages: 0 },
        UnitResult::Returned,
        transient(),
    ] {
        world.now = world.now.after(SECOND * 100);
        let (settled, turn) = world.settle(&[(old.epoch, result.clone())]);
        assert_eq!((settled.accepted, settled.rejected), (0, 1), "{result:?}");
        assert!(
            turn.units.is_empty(),
            "{result:?} of an older epoch claims {:?}",
            turn.units
        );
        assert!(
            world.turn().units.is_empty(),
            "the scan of the current epoch is in flight"
        );
    }
    assert_eq!(world.row().scan_epoch, new.epoch);
    assert_eq!(
        world.take_back(old.epoch, None),
        Taken::No,
        "nor is it taken back twice"
    );
    assert_eq!(world.pages(new.epoch, &[0]).0, [PageTaken::Stored]);
}

/// The worker that wakes up lists for nothing: it is called back when another gets the library.
#[test]
fn listing_handed_out_again_calls_the_earlier_executions_back() {
    let mut world = World::new();
    let old = world.claimed();
    world.take_back(old.epoch, None);
    world.now = world.now.after(SECOND);
    let turn = world.turn();
    assert!(
        world
            .reactor
            .called_back(&turn, world.now)
            .contains(&world.scan().execution(old.epoch)),
        "{:?}",
        turn.obsolete
    );
}

/// Several ends of one execution in one batch: given back by who found it in an old copy of the transport, and done.
#[test]
fn listing_two_ends_in_one_batch_count_once() {
    for second in [
        UnitResult::Returned,
        UnitResult::Listed { pages: 1 },
        transient(),
    ] {
        let mut world = World::new();
        let scan = world.claimed();
        world.pages(scan.epoch, &[0]);
        let ends = [
            (scan.epoch, UnitResult::Listed { pages: 1 }),
            (scan.epoch, second.clone()),
        ];
        let (settled, turn) = world.settle(&ends);
        assert_eq!((settled.accepted, settled.rejected), (1, 1), "{second:?}");
        assert_ne!(
            world.row().phase,
            Phase::Scanning,
            "{second:?} takes the listing back"
        );
        assert!(turn.units.iter().all(|unit| unit.kind != Kind::Scan));
    }
}

#[test]
fn listing_a_repeated_failure_uses_one_attempt() {
    let mut world = World::new();
    let scan = world.claimed();
    world.settle(&[(scan.epoch, transient()), (scan.epoch, transient())]);
    world.settle(&[(scan.epoch, transient())]);
    assert_eq!(
        (world.row().scan_attempt, world.row().state),
        (1, JobState::Running)
    );
}

/// The turn in the transaction of the failure used to hand the library out again at once: three attempts in a moment.
#[test]
fn listing_failed_waits_for_its_pause() {
    let mut world = World::new();
    let scan = world.claimed();
    let (settled, turn) = world.settle(&[(scan.epoch, transient())]);
    assert!(turn.units.is_empty(), "no pause: {:?}", turn.units);
    let due = settled.scan_retries[0].1;
    assert_eq!(turn.next_due, Some(due), "the turn after it is due by time");
    world.now = Timestamp(due.0 - 1);
    assert!(world.turn().units.is_empty());
    world.now = due;
    assert_eq!(world.claimed().attempt, 1);
}

/// Case 30: whatever ends scans at once, they are repeated more and more slowly, and that is said.
#[test]
fn listing_without_a_page_backs_off() {
    let mut world = World::new();
    let (mut claims, mut fruitless, until) = (0u32, 0, world.now.after(SECOND * 600));
    while world.now < until {
        world.beat(&[]);
        let turn = world.turn();
        fruitless += turn.fruitless.len() as u32;
        for unit in turn.units {
            claims += 1;
            let (_, again) = world.settle(&[(unit.epoch, UnitResult::Returned)]);
            assert!(
                again.units.is_empty(),
                "handed out again in the same moment"
            );
        }
        world.beat(&[]);
        world.now = world.now.after(SECOND / 10);
    }
    assert!(
        (8..=20).contains(&claims),
        "{claims} attempts in ten minutes"
    );
    assert_eq!(fruitless, claims - 1);
    // A page makes it quick again.
    world.now = world.now.after(SECOND * 60);
    world.beat(&[]);
    let scan = world.claimed();
    world.pages(scan.epoch, &[0]);
    world.settle(&[(scan.epoch, UnitResult::Returned)]);
    let next = world.row();
    assert_eq!(
        next.scan_epoch,
        scan.epoch + 2,
        "handed out in the turn that its end made room for"
    );
}

/// What was lost on its way cannot come any more: nobody waits for the end of such a scan.
#[test]
fn listing_with_a_lost_page_continues_after_the_last_stored_one() {
    let mut world = World::new();
    let scan = world.claimed();
    let (taken, torn) = world.pages(scan.epoch, &[0, 1, 3, 4]);
    assert_eq!(
        taken,
        [
            PageTaken::Stored,
            PageTaken::Stored,
            PageTaken::Gap,
            PageTaken::Gap
        ]
    );
    assert_eq!(
        torn,
        [world.scan().execution(scan.epoch)],
        "it is called back, once"
    );
    let next = world.claimed();
    let TaskSpec::Scan(task) = next.task.as_ref() else {
        panic!("a scan")
    };
    assert_eq!(task.resume.map(|cursor| cursor.page), Some(2));
    assert_eq!(
        world.pages(scan.epoch, &[2, 5]).0,
        [PageTaken::Ignored, PageTaken::Ignored]
    );
    assert_eq!(
        world.pages(next.epoch, &[0, 1, 2, 3]).0[2..],
        [PageTaken::Stored, PageTaken::Stored]
    );
    assert_eq!(world.row().assets, 4, "each entry once");
}

/// A coordinator alone that is replaced: the scan lists on, and its pages count.
#[test]
fn listing_continues_under_a_new_leader() {
    let mut world = World::new();
    let scan = world.claimed();
    world.pages(scan.epoch, &[0]);
    let (no, workflows) = (world.job, Workflows::default());
    let out = world.write(|tx| outstanding(tx, &workflows, no));
    assert_eq!(
        out.iter()
            .map(|unit| unit.id.execution(unit.epoch))
            .collect::<Vec<_>>(),
        [world.scan().execution(scan.epoch)]
    );
    world.reactor = Reactor::default();
    world.reactor.state.lock().leases.adopt(&out, world.now);
    world.beat(&[world.scan().execution(scan.epoch)]);
    assert!(world.turn().units.is_empty(), "it is not handed out again");
    assert_eq!(world.pages(scan.epoch, &[1]).0, [PageTaken::Stored]);
    world.settle(&[(scan.epoch, UnitResult::Listed { pages: 2 })]);
    assert_ne!(world.row().phase, Phase::Scanning);
    assert_eq!(world.row().scan_epoch, scan.epoch + 1);
}

/// Workers come and go in the hours a large library takes; that is no sign that its listing kills them.
#[test]
fn listing_that_gets_on_is_never_poison() {
    let mut world = World::new();
    for round in 0..12u64 {
        world.now = world.now.after(SECOND * 30);
        world.beat(&[]);
        let scan = world.claimed();
        world.pages(scan.epoch, &[round]);
        let with = LostWith {
            worker: format!("gone{round}"),
            alone: true,
        };
        let taken = world.take_back(scan.epoch, Some(with));
        assert!(
            matches!(taken, Taken::Ready | Taken::Suspect),
            "{taken:?} in round {round}"
        );
        let scan = world.scan();
        let losses = world.store.losses(&[scan]).expect("memory answers");
        assert!(losses.len() <= 2, "{losses:?}");
    }
    // One that kills its worker at the same page again and again still is.
    for round in 0..12 {
        world.now = world.now.after(SECOND * 120);
        world.beat(&[]);
        let scan = world.claimed();
        let with = LostWith {
            worker: format!("killed{round}"),
            alone: true,
        };
        if world.take_back(scan.epoch, Some(with)) == Taken::Parked {
            assert_eq!(world.row().state, JobState::Failed);
            return;
        }
    }
    panic!("it is never parked");
}

/// LEASE-1: a worker's sign of life does not wait behind what takes long to store.
#[test]
fn batch_signs_of_life_need_no_transaction_and_pages_precede_their_end() {
    let unit = scan_unit(JobNo(1));
    let end = |epoch| {
        let (worker, result) = (WorkerId("w".into()), UnitResult::Listed { pages: 2 });
        Report::Settled(Outcome {
            unit,
            epoch,
            worker,
            result,
            duration_us: 1,
        })
    };
    let beat = Report::Heartbeat(Heartbeat {
        worker: WorkerId("w".into()),
        held: Vec::new(),
        slots: Vec::new(),
        draining: false,
        bytes: 0,
        leaves_at: None,
    });
    let batch = vec![
        end(1),
        Report::Page {
            page: page(unit, 2, 0),
            up_to: None,
        },
        Report::Page {
            page: page(unit, 2, 1),
            up_to: Some("k".into()),
        },
        end(2),
        Report::Buried {
            execution: unit.execution(2),
            burials: Vec::new(),
        },
        end(3),
        beat,
    ];
    let work = group(batch);
    let shape: Vec<(&str, usize)> = work
        .iter()
        .map(|work| match work {
            Work::Settle(ends) => ("ends", ends.len()),
            Work::Store(pages) => ("pages", pages.len()),
            Work::Tombstones(..) => ("buried", 1),
        })
        .collect();
    assert_eq!(
        shape,
        [("ends", 1), ("pages", 2), ("buried", 1), ("ends", 2)]
    );
    let long: Vec<Report> = (0..20)
        .map(|number| Report::Page {
            page: page(unit, 1, number),
            up_to: None,
        })
        .collect();
    assert_eq!(
        group(long).len(),
        3,
        "pages of a few megabytes a transaction"
    );
}

/// LEASE-1: a write that takes long is no silence of anybody.
#[test]
fn leases_what_was_not_read_meanwhile_proves_no_silence() {
    let mut world = World::new();
    let scan = world.claimed();
    let held = [world.scan().execution(scan.epoch)];
    let limits = LeaseLimits::default();
    world.beat(&held);
    world
        .reactor
        .state
        .lock()
        .leases
        .read_up_to(world.now, true);
    // Four writes of 4.5 s in one batch; what workers say meanwhile is not read.
    let read_at = world.now;
    for _ in 0..4 {
        world.now = world.now.after(Duration::from_millis(4_500));
        assert_eq!(
            world.reactor.state.lock().leases.lapsed(&limits, world.now),
            [],
            "after {:?}",
            world.now.since(read_at)
        );
    }
    // Read again, and still nothing from the first: now it is silence.
    world
        .reactor
        .state
        .lock()
        .leases
        .read_up_to(world.now, true);
    let lapsed = world.reactor.state.lock().leases.lapsed(&limits, world.now);
    assert_eq!(
        lapsed.iter().map(|lapsed| lapsed.unit).collect::<Vec<_>>(),
        [world.scan()]
    );
}

/// The transport no longer holds a unit whose end was read; until that is stored it is not looked for, or it would run twice.
#[test]
fn leases_an_end_that_is_read_and_not_stored_is_no_loss() {
    let mut world = World::new();
    let scan = world.claimed();
    world
        .reactor
        .state
        .lock()
        .leases
        .read_up_to(world.now, true);
    // Its worker was quick, and no sign of life has shown it.
    world.now = world.now.after(SECOND * 20);
    assert_eq!(
        world.reactor.state.lock().leases.unclaimed(world.now, 10),
        [world.scan().execution(scan.epoch)]
    );
    let (worker, result) = (WorkerId("w0".into()), UnitResult::Listed { pages: 0 });
    let end = Report::Settled(Outcome {
        unit: world.scan(),
        epoch: scan.epoch,
        worker,
        result,
        duration_us: 1,
    });
    let work = world
        .reactor
        .on_reports(vec![Sent::from(end)], (world.now, true), world.now)
        .work;
    assert_eq!(work.len(), 1, "it is to be stored");
    assert_eq!(
        world.reactor.state.lock().leases.unclaimed(world.now, 10),
        []
    );
    let limits = LeaseLimits::default();
    world.now = world.now.after(SECOND * 100);
    assert_eq!(
        world.reactor.state.lock().leases.lapsed(&limits, world.now),
        [],
        "nothing was read since"
    );
}
