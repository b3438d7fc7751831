//! One large transfer over several workers, with lost, repeated and late reports: completed once, with every byte, or not.
use coordinator::service::slicer::{self, Sliced};
use coordinator::store::Tx;
use coordinator::store::conformance::job;
use coordinator::store::memory::Memory;
use protocol::failure::Failure;
use protocol::id::{StepNo, UnitId};
use protocol::rules::retry::RetryPolicy;
use protocol::rules::slice::SliceLimits;
use protocol::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SEEDS: u64 = 200;
const LIMITS: SliceLimits = SliceLimits { whole_max: 100, bytes: 10, bytes_max: 50, slices_max: 100, align: 1 };

struct Run {
    random: fastrand::Rng,
    /// Executions under way or reported: number and epoch.
    out: Vec<(u32, u32)>,
    /// Bytes each execution has put at the destination.
    written: BTreeMap<(u32, u32), (u64, u64)>,
    completed: Vec<Vec<String>>,
    failed: u32,
    rejected: u64,
}

impl Run {
    fn step(&mut self, tx: &mut dyn Tx, unit: UnitId, now: Timestamp, policy: &RetryPolicy, dies: f64) {
        let room = self.random.usize(0..4);
        for row in slicer::claim(tx, unit, room, now).expect("claims") {
            let execution = (row.slice.number, row.epoch);
            let before = self.written.insert(execution, (row.slice.first, row.slice.bytes));
            assert_eq!(before, None, "an epoch is given once");
            self.out.push(execution);
        }
        let Some(at) = (!self.out.is_empty()).then(|| self.random.usize(0..self.out.len())) else { return };
        let (number, epoch) = self.out[at];
        match self.random.u32(0..10) {
            // Its lease lapses; the zombie may still report.
            0 => drop(slicer::take_back(tx, unit, number, epoch).expect("takes back")),
            // Its report is lost, and the lease lapses.
            1 => {
                self.out.remove(at);
                slicer::take_back(tx, unit, number, epoch).expect("takes back");
            }
            n => {
                // Some reports come twice.
                if n > 3 {
                    self.out.remove(at);
                }
                let lot = self.random.f64();
                let reported = match () {
                    () if lot < dies => Err(Failure::permanent("bad", "it is bad")),
                    () if lot < 0.2 => Err(Failure::transient("slow", "it was slow")),
                    () => Ok(format!("{number}@{epoch}")),
                };
                match slicer::settle(tx, unit, number, epoch, reported, policy, now, 0.5).expect("settles") {
                    Sliced::Complete(receipts) => self.completed.push(receipts),
                    Sliced::Failed(_) => self.failed += 1,
                    Sliced::Rejected => self.rejected += 1,
                    Sliced::Open => {}
                }
            }
        }
    }
}

#[test]
fn a_sliced_unit_is_completed_once_and_with_every_byte() {
    let (mut completed, mut failed, mut rejected) = (0, 0, 0);
    for seed in 0..SEEDS {
        let random = fastrand::Rng::with_seed(seed);
        let mut run =
            Run { random, out: Vec::new(), written: BTreeMap::new(), completed: Vec::new(), failed: 0, rejected: 0 };
        let bytes = run.random.u64(101..300);
        let dies = if seed % 4 == 0 { 0.05 } else { 0.0 };
        let policy = RetryPolicy { attempts_max: 50, ..RetryPolicy::default() };
        let mut memory = Memory::default();
        let unit = memory
            .write(|tx| Ok(UnitId { job: tx.insert_job(&job("j"))?, step: StepNo(0), part: 1 }))
            .expect("inserts");
        let slices = memory.write(|tx| slicer::cut(tx, unit, bytes, &LIMITS)).expect("cuts").expect("fits");
        assert_eq!(memory.write(|tx| slicer::cut(tx, unit, bytes, &LIMITS)).expect("cuts"), Ok(slices), "once");
        let mut now = Timestamp(0);
        for _ in 0..2_000 {
            now = now.after(Duration::from_secs(10));
            let stepped = |tx: &mut dyn Tx| {
                run.step(tx, unit, now, &policy, dies);
                Ok(())
            };
            memory.write(stepped).expect("steps");
        }
        assert!(run.completed.len() as u32 + run.failed == 1, "seed {seed}: ended {:?}, {}", run.completed, run.failed);
        if let Some(receipts) = run.completed.first() {
            let adopted: BTreeSet<(u64, u64)> = receipts
                .iter()
                .map(|receipt| {
                    let (number, epoch) = receipt.split_once('@').expect("as made");
                    run.written[&(number.parse().expect("a number"), epoch.parse().expect("a number"))]
                })
                .collect();
            let mut next = 0;
            for (first, length) in adopted {
                assert_eq!(first, next, "seed {seed}: a gap or an overlap");
                next += length;
            }
            assert_eq!(next, bytes, "seed {seed}");
        }
        completed += run.completed.len() as u64;
        failed += u64::from(run.failed);
        rejected += run.rejected;
    }
    assert!(completed > 100 && failed > 10 && rejected > 100, "{completed} {failed} {rejected}");
}
