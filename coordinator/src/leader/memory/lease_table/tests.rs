use super::*;
use crate::queue::Lost;
use protocol::model::slot_count::SlotCount;
use protocol::wire::report::Heartbeat;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::noop::NoopTask;
use std::time::Duration;

fn published(part: i64) -> Unit {
    let task = TaskSpec::Noop(NoopTask {
        duration_min_us: 0,
        duration_max_us: 0,
        fail: 0.0,
    });
    Unit {
        id: unit(part),
        epoch: 1,
        attempt: 0,
        kind: Kind::Qc,
        task: Arc::new(task),
        assets: vec![],
        deadline: None,
    }
}

fn unit(part: i64) -> UnitId {
    UnitId::new(JobNo(1), StepNo(0), part)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn beat(held: &[UnitId]) -> Heartbeat {
    Heartbeat {
        worker: WorkerId("w".into()),
        held: held.iter().map(|unit| unit.execution(1)).collect(),
        slots: vec![SlotCount {
            kind: Kind::Qc,
            total: 1,
            free: 0,
        }],
        draining: false,
        bytes: 0,
        leaves_at: None,
    }
}

/// Unit 1 runs and unit 2 waits for the only slot, for two minutes; heartbeats say what `held` says.
fn after_two_minutes(held: &[UnitId]) -> Vec<Execution> {
    let mut leases = Leases::default();
    leases.adopt(&[published(1), published(2)], at(0));
    for second in (0..=120).step_by(3) {
        leases.heard(&beat(held), at(second));
        let lapsed = leases.lapsed(&LeaseLimits::default(), at(second));
        if !lapsed.is_empty() {
            return lapsed
                .into_iter()
                .map(|lapsed| lapsed.unit.execution(lapsed.epoch))
                .collect();
        }
    }
    Vec::new()
}

#[test]
fn execution_that_is_out_no_more_is_called_back_when_heartbeats_go_on_showing_it() {
    let mut leases = Leases::default();
    for seconds in [0, 3] {
        leases.heard(&beat(&[unit(1)]), at(seconds));
    }
    assert_eq!(leases.load(at(3)).obsolete, []);
    leases.heard(&beat(&[unit(1)]), at(6));
    assert_eq!(leases.load(at(6)).obsolete, [unit(1).execution(1)]);
}

/// Case 63: successive pages cover all units, also when no unit of a page is found.
#[test]
fn every_unit_is_looked_for_in_turn() {
    let mut leases = Leases::default();
    let out: Vec<_> = (1..=25).map(published).collect();
    leases.adopt(&out, at(0));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let page = leases.unclaimed(at(60), 10);
        assert_eq!(page.len(), 10);
        seen.extend(page);
    }
    assert_eq!(seen.len(), 25);
}

/// Case 11: how long a unit runs says nothing; only silence does.
#[test]
fn unit_that_runs_twenty_times_the_limit_of_silence_is_kept_and_lapses_with_its_worker() {
    let limits = LeaseLimits {
        silence_max: Duration::from_secs(5),
        unclaimed_max: Duration::from_secs(9),
    };
    let (mut leases, mut looked) = (Leases::default(), 0);
    leases.adopt(&[published(1)], at(0));
    for second in 0..=100 {
        if second % 3 == 0 {
            leases.heard(&beat(&[unit(1)]), at(second));
        }
        assert_eq!(leases.lapsed(&limits, at(second)), [], "at {second} s");
        assert_eq!(
            leases.unclaimed(at(second), 9),
            [],
            "it is held: nothing looks for it"
        );
        looked += 1;
    }
    assert_eq!(looked, 101);
    assert_eq!(leases.lapsed(&limits, at(99 + 5)), []);
    let lapsed = leases.lapsed(&limits, at(99 + 6));
    assert!(
        matches!(&lapsed[..], [Lapsed { with: Some(with), .. }] if with.worker == "w"),
        "{lapsed:?}"
    );
}

#[test]
fn end_reported_by_another_worker_than_the_holder_is_told() {
    let mut leases = Leases::default();
    leases.adopt(&[published(1)], at(0));
    let end = |worker: &str, epoch| Outcome {
        unit: unit(1),
        epoch,
        worker: WorkerId(worker.into()),
        result: UnitResult::Returned,
        duration_us: 0,
    };
    let mut unheard = Leases::default();
    unheard.adopt(&[published(1)], at(0));
    assert!(unheard.ends(&end("thief", 1), at(3)), "no holder is known");
    leases.heard(&beat(&[unit(1)]), at(3));
    assert!(!leases.ends(&end("thief", 1), at(3)) && leases.ends(&end("w", 1), at(3)));
    assert!(
        leases.ends(&end("thief", 2), at(3)),
        "the epoch speaks for itself"
    );
}

#[test]
fn heartbeat_of_another_worker_takes_no_unit_from_its_holder() {
    let end = |worker: &str| Outcome {
        unit: unit(1),
        epoch: 1,
        worker: WorkerId(worker.into()),
        result: UnitResult::Returned,
        duration_us: 0,
    };
    let thief = WorkerId("thief".into());
    let showing = |worker: &WorkerId| Heartbeat {
        worker: worker.clone(),
        ..beat(&[unit(1)])
    };
    let held = || {
        let mut leases = Leases::default();
        leases.adopt(&[published(1)], at(0));
        leases.heard(&beat(&[unit(1)]), at(1));
        leases
    };
    let mut leases = held();
    leases.heard(&showing(&thief), at(2));
    leases.runs_alone(unit(1), 1, &thief, at(2));
    assert!(!leases.may_report(unit(1).execution(1), &thief));
    assert!(leases.may_report(unit(1).execution(1), &WorkerId("w".into())));
    assert!(leases.may_report(unit(1).execution(2), &thief), "not out");
    assert!(!leases.ends(&end("thief"), at(3)) && leases.ends(&end("w"), at(3)));
    // Nor does it keep the lease of a holder that is silent.
    let limits = LeaseLimits::default();
    let mut leases = held();
    for second in 2..=100 {
        leases.heard(&showing(&thief), at(second));
    }
    let lapsed = leases.lapsed(&limits, at(100));
    assert!(
        matches!(&lapsed[..], [Lapsed { with: Some(with), .. }] if with.worker == "w"),
        "{lapsed:?}"
    );
}

#[test]
fn a_unit_that_waits_for_a_slot_is_not_lost() {
    assert_eq!(after_two_minutes(&[unit(1)]), []);
}

#[test]
fn what_an_earlier_coordinator_handed_out_lapses_when_no_busy_worker_explains_it() {
    assert_eq!(
        after_two_minutes(&[]),
        [unit(1).execution(1), unit(2).execution(1)]
    );
}

#[test]
fn unit_that_a_living_worker_no_longer_shows_vanishes() {
    let limits = LeaseLimits {
        silence_max: Duration::from_secs(5),
        unclaimed_max: Duration::from_secs(9),
    };
    let lapsed = |last: Option<Heartbeat>| {
        let mut leases = Leases::default();
        leases.adopt(&[published(1)], at(0));
        leases.heard(&beat(&[unit(1)]), at(1));
        last.iter().for_each(|beat| leases.heard(beat, at(6)));
        let lapsed = leases.lapsed(&limits, at(7));
        let [one] = &lapsed[..] else {
            panic!("{lapsed:?}")
        };
        (one.vanished, one.with.is_some())
    };
    assert_eq!(
        lapsed(Some(beat(&[]))),
        (true, false),
        "its report never arrived"
    );
    assert_eq!(
        lapsed(Some(Heartbeat {
            draining: true,
            ..beat(&[])
        })),
        (false, false),
        "it is handed back"
    );
    assert_eq!(lapsed(None), (false, true), "the worker is lost");
}

#[test]
fn execution_of_a_cancelled_job_is_called_back_once_and_again_while_it_is_shown() {
    let (mut leases, jobs) = (Leases::default(), [JobNo(1)]);
    leases.adopt(&[published(1), published(2)], at(0));
    let both = vec![unit(1).execution(1), unit(2).execution(1)];
    assert_eq!(leases.call_back(&jobs, &[], at(1)), both);
    for second in 2..=6 {
        leases.heard(&beat(&[unit(1)]), at(second));
        assert_eq!(
            leases.call_back(&jobs, &both, at(second)),
            [],
            "at {second} s"
        );
    }
    leases.heard(&beat(&[unit(1)]), at(7));
    assert_eq!(
        leases.call_back(&jobs, &[], at(7)),
        [unit(1).execution(1)],
        "its worker has not heard it"
    );
    assert_eq!(leases.call_back(&jobs, &[], at(8)), []);
    assert_eq!(
        leases.call_back(&jobs, &[unit(9).execution(4)], at(8)),
        [unit(9).execution(4)],
        "what is out no more is named once"
    );
}

/// Case 5: a unit that no heartbeat shows ends, and its entry is removed with the report, before the report has been read.
#[test]
fn entry_that_is_gone_proves_nothing_before_the_reports_have_been_read() {
    let limits = LeaseLimits::default();
    let gone = |report: Option<Outcome>, whole| {
        let mut leases = Leases::default();
        leases.adopt(&[published(1)], at(0));
        leases.read_up_to(at(9), true);
        let lost = Lost {
            unit: unit(1),
            epoch: 1,
            holder: None,
            vanished: true,
        };
        assert_eq!(leases.not_found(vec![lost], &limits, at(10)), []);
        assert_eq!(
            leases.missing(),
            [],
            "the last reading began before the transport was asked"
        );
        report
            .iter()
            .for_each(|end| assert!(leases.ends(end, at(11))));
        leases.read_up_to(at(11), whole);
        leases
            .missing()
            .into_iter()
            .map(|lapsed| (lapsed.unit, lapsed.vanished))
            .collect::<Vec<_>>()
    };
    let worker = WorkerId("w".into());
    let end = Outcome {
        unit: unit(1),
        epoch: 1,
        worker,
        result: UnitResult::Returned,
        duration_us: 0,
    };
    assert_eq!(
        gone(None, true),
        [(unit(1), true)],
        "nothing has been reported of it"
    );
    assert_eq!(gone(Some(end), true), [], "its end was waiting to be read");
    assert_eq!(gone(None, false), [], "more reports wait");
}

#[test]
fn unit_that_a_silent_worker_took_unseen_is_lost_with_it_at_once() {
    let limits = LeaseLimits {
        silence_max: Duration::from_secs(5),
        unclaimed_max: Duration::from_secs(60),
    };
    let mut leases = Leases::default();
    leases.adopt(&[published(1)], at(0));
    leases.heard(&beat(&[]), at(1));
    let lost = Lost {
        unit: unit(1),
        epoch: 1,
        holder: Some(WorkerId("w".into())),
        vanished: false,
    };
    let gone = leases.not_found(vec![lost], &limits, at(9));
    assert!(
        matches!(&gone[..], [Lapsed { with: Some(with), .. }] if with.worker == "w"),
        "{gone:?}"
    );
    leases.read_up_to(at(10), true);
    assert_eq!(leases.missing(), [], "once");
}
