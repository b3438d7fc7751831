//! Every store answers alike: transactions of random questions and changes, asked of memory, SQLite and PostgreSQL.
//! PostgreSQL gathers what it is told and remembers what it read, so orders of calls matter more than calls.
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::ListedAsset;
use store::handle::Backend;
use store::postgres::{Postgres, PostgresOptions};
use store::sqlite::Sqlite;
use store::testing::{job, partition};
use store::view::UnitFilter;
use store::{BarrierGrowth, BarrierState, Partition, StepDelta, StoreResult, Tx, UnitRow};
use testkit::postgres::PostgresServer;

/// Transactions of a seed; `SHOWRUNNER_MODEL_TRANSACTIONS` asks for another number.
const TRANSACTIONS: u64 = 200;
/// Seeds under which a store once answered otherwise.
const FAILED_ONCE: [u64; 5] = [
    9_376_708_662_529_881_359,
    10_141_547_869_394_952_706,
    15_540_899_216_205_876_743,
    14_134_979_020_028_407_585,
    10_437_002_619_483_423_825,
];
const CALLS_MAX: usize = 12;
const PARTS: PartNo = 40;
/// A job whose library is being listed while the first one's is cut.
const OTHER: JobNo = JobNo(2);
const STEPS: [StepNo; 2] = [StepNo(0), StepNo(1)];
const KEYS: [&str; 4] = ["", "t-a", "t-b", "t-Z"];
const STATES: [UnitState; 6] = [
    UnitState::Ready,
    UnitState::Leased,
    UnitState::Retrying,
    UnitState::Succeeded,
    UnitState::Dead,
    UnitState::Cancelled,
];

/// A sequence of calls that is the same on every store, since it depends on the seed and on earlier answers alone.
struct Caller<'a> {
    tx: &'a mut dyn Tx,
    random: fastrand::Rng,
    job: JobNo,
    answers: Vec<String>,
}

fn name(n: i64) -> String {
    // Mixed case: byte order, not a dictionary's.
    if n % 3 == 0 {
        format!("A{n:03}")
    } else {
        format!("a{n:03}")
    }
}

fn asset(n: i64) -> Asset {
    Asset {
        id: name(n),
        title: format!("t-{}", ["a", "b", "Z"][(n % 3) as usize]),
        role: Role::Master,
        location: format!("file:/m/{n}"),
        path: n.to_string(),
        bytes: Some(n as u64),
        hash: Some(format!("md5:{n}")),
        declared: None,
    }
}

impl Caller<'_> {
    fn part(&mut self) -> PartNo {
        self.random.i64(1..=PARTS)
    }

    fn parts(&mut self) -> Vec<PartNo> {
        let count = if self.random.bool() {
            1
        } else {
            self.random.usize(0..60)
        };
        (0..count).map(|_| self.part()).collect()
    }

    fn step(&mut self) -> StepNo {
        STEPS[self.random.usize(0..STEPS.len())]
    }

    fn key(&mut self) -> &'static str {
        KEYS[self.random.usize(0..KEYS.len())]
    }

    fn say(&mut self, what: &str, answer: impl std::fmt::Debug) {
        self.answers.push(format!("{what}: {answer:?}"));
    }

    fn call(&mut self) -> StoreResult<()> {
        match self.random.u32(0..5) {
            0 => self.units(),
            1 => self.unit_lists(),
            2 => self.barriers(),
            3 => self.partitions(),
            _ => self.others(),
        }
    }

    fn units(&mut self) -> StoreResult<()> {
        let (step, parts) = (self.step(), self.parts());
        if self.random.bool() {
            let found = self.tx.units(self.job, step, &parts)?;
            self.say("units", (step, &parts, found));
            return Ok(());
        }
        if self.random.u32(0..4) == 0 {
            return self.succeed_in_a_row(step);
        }
        let rows: Vec<(PartNo, UnitRow)> = parts
            .iter()
            .map(|part| {
                let state = STATES[self.random.usize(0..STATES.len())];
                let due =
                    (state == UnitState::Retrying).then(|| Timestamp(self.random.i64(0..1 << 50)));
                (
                    *part,
                    UnitRow {
                        state,
                        epoch: self.random.u32(1..9),
                        attempt: 0,
                        due_at: due,
                        duration_us: 3,
                    },
                )
            })
            .collect();
        self.tx.put_units(self.job, step, &rows)
    }

    /// Ends neighbours that have no row yet well, as a batch of reports does.
    fn succeed_in_a_row(&mut self, step: StepNo) -> StoreResult<()> {
        let first = self.part();
        let parts: Vec<PartNo> = (first..first + self.random.i64(1..30))
            .take_while(|part| *part <= PARTS)
            .collect();
        let found = self.tx.units(self.job, step, &parts)?;
        let row = UnitRow {
            state: UnitState::Succeeded,
            epoch: 1,
            attempt: 0,
            due_at: None,
            duration_us: 3,
        };
        let fresh: Vec<(PartNo, UnitRow)> = parts
            .into_iter()
            .zip(found)
            .filter(|(_, row)| row.is_none())
            .map(|(part, _)| (part, row))
            .collect();
        self.tx.put_units(self.job, step, &fresh)
    }

    fn unit_lists(&mut self) -> StoreResult<()> {
        let (step, part) = (self.step(), self.part());
        match self.random.u32(0..6) {
            0 => {
                let found = self.tx.ready_units(self.job, step, 5)?;
                self.say("ready", found);
            }
            1 => {
                // Plain successes are not listed one by one: nobody asks for them.
                let others: Vec<UnitState> = STATES
                    .into_iter()
                    .filter(|s| *s != UnitState::Succeeded)
                    .collect();
                let state = others[self.random.usize(0..others.len())];
                let found = self.tx.units_in(self.job, state, Some((step, part)), 7)?;
                self.say("in", found);
            }
            2 => {
                let found = (
                    self.tx.due_units(Timestamp(1 << 49), 5)?,
                    self.tx.next_due()?,
                );
                self.say("due", found);
            }
            3 => {
                let found = self.tx.computed_out(self.job, step, 0, 9)?;
                self.say("out", found);
            }
            4 => self.tx.set_cursor(self.job, step, part)?,
            _ => {
                let delta = StepDelta {
                    total: 2,
                    live: 1,
                    busy_us: part,
                    ..StepDelta::default()
                };
                self.tx.add_to_step(self.job, step, delta)?;
                if self.random.bool() {
                    let found = self.tx.steps(self.job)?;
                    self.say("steps", found);
                }
            }
        }
        Ok(())
    }

    fn barriers(&mut self) -> StoreResult<()> {
        let (step, key, part) = (self.step(), self.key(), self.part());
        match self.random.u32(0..6) {
            0 | 1 => {
                let growth = BarrierGrowth {
                    key: key.into(),
                    members: 2,
                    failed: part as u64 % 2,
                    first: part,
                    last: part + 3,
                };
                self.tx.add_to_barrier(self.job, step, &growth)?;
            }
            2 | 3 => {
                let found = self.tx.barrier(self.job, step, key)?;
                self.say("barrier", &found);
                if let Some(mut row) = found {
                    row.succeeded += 1;
                    row.state = [
                        BarrierState::Waiting,
                        BarrierState::Released,
                        BarrierState::Held,
                    ][self.random.usize(0..3)];
                    row.spread = part;
                    self.tx.put_barrier(self.job, &row)?;
                }
            }
            4 => {
                let found = (
                    self.tx.barrier_counts(self.job, step)?,
                    self.tx.barriers_spreading(self.job, step, 2)?,
                );
                self.say("counts", found);
            }
            _ => {
                let state = self.random.bool().then_some(BarrierState::Released);
                let found = self.tx.barriers(self.job, step, state, Some(key), 3)?;
                self.say("barriers", found);
            }
        }
        Ok(())
    }

    fn partitions(&mut self) -> StoreResult<()> {
        let parts = self.parts();
        match self.random.u32(0..4) {
            0 => {
                let found = self.tx.partitions(self.job, &parts)?;
                self.say("partitions", &found);
                let members = self.tx.members(self.job, &found)?;
                self.say("members", members);
            }
            1 => {
                let run: Vec<PartNo> = (1..=self.part()).collect();
                let run = self.tx.partitions(self.job, &run)?;
                let members = self.tx.members(self.job, &run)?;
                self.say("run", members);
            }
            2 => {
                let found = (
                    self.tx.children(self.job, 1, PARTS)?,
                    self.tx.partitions_after(self.job, 3, 9)?,
                );
                self.say("children", found);
            }
            _ => self.split()?,
        }
        Ok(())
    }

    /// Lists of units, which each store finds in another way than memory does. Asked for after the calls of a transaction, so
    /// that seeds stay what they were.
    fn lists(&mut self, n: u64) -> StoreResult<()> {
        let state = UnitState::ALL
            .into_iter()
            .cycle()
            .nth(n as usize % 11)
            .filter(|_| n % 11 < 7);
        let step = ["work", "after"]
            .into_iter()
            .nth(n as usize % 3)
            .map(str::to_owned);
        let after = (n % 2 == 1).then(|| (n as PartNo % PARTS, STEPS[n as usize % 2]));
        let state = state.map(|state| state.as_str().to_owned());
        let filter = UnitFilter {
            state,
            step,
            part: None,
            after,
            limit: 1 + n as u32 % 60,
        };
        let found = self.tx.unit_views("j", &filter)?;
        self.say("listed", (&filter, found));
        for step in STEPS {
            let counts = self.tx.barrier_counts(self.job, step)?;
            self.say("counted", counts);
        }
        Ok(())
    }

    /// Takes the first member out of a planned partition, as a split does.
    fn split(&mut self) -> StoreResult<()> {
        let part = self.part();
        let found = self.tx.partitions(self.job, &[part])?;
        let members = self.tx.members(self.job, &found)?.remove(0);
        if found[0].parent != 0 || members.len() < 2 {
            return Ok(());
        }
        let Some(mut row) = self.tx.job(self.job)? else {
            return Ok(());
        };
        row.parts += 1;
        self.tx.update_job(&row)?;
        let gone = vec![members[0].id.clone()];
        let child = Partition {
            parent: part,
            ..partition(row.parts, &found[0].title, &gone[0], &gone[0], 1)
        };
        self.tx.insert_partitions(self.job, &[child])?;
        self.tx.move_assets(self.job, row.parts, &gone)?;
        self.tx.shrink_partition(self.job, part, 1)?;
        let moved = self.tx.moved_away(self.job, part, &gone)?;
        self.say("moved", moved);
        Ok(())
    }

    fn others(&mut self) -> StoreResult<()> {
        let (step, part, n) = (self.step(), self.part(), self.random.i64(0..PARTS * 4));
        match self.random.u32(0..6) {
            0 => {
                let failures: Vec<(String, Failure)> = (0..self.random.i64(0..4))
                    .map(|n| {
                        (
                            name(n % 3),
                            Failure::permanent("qc_failed", format!("black frames {n}")),
                        )
                    })
                    .collect();
                self.tx
                    .put_failures(UnitId::new(self.job, step, part), &failures)?;
            }
            1 => {
                let found = self.tx.failures(self.job, 20)?;
                self.say("failures", found);
            }
            2 => {
                let page: Vec<ListedAsset> = (n..n + 9)
                    .map(|n| ListedAsset {
                        line: self.random.u64(0..3) * 1_000 + n as u64,
                        asset: asset(n),
                    })
                    .collect();
                let done = self.tx.append_listing(OTHER, true, &page)?;
                let added = self.tx.append_row_errors(OTHER, &done.errors)?;
                self.say("appended", (done, added));
            }
            3 => {
                let facts: Vec<AssetFact> = (0..self.random.i64(0..5))
                    .map(|k| AssetFact {
                        asset: name(n + k % 3),
                        hash: self.random.bool().then(|| format!("md5:{}", n + k)),
                        verdict: self.random.bool().then(|| "pass".to_owned()),
                        ..AssetFact::default()
                    })
                    .collect();
                self.tx.put_facts(self.job, &facts, Timestamp(n))?;
            }
            4 => {
                let imported: Vec<Asset> = (0..4).map(|k| asset(n + k % 3)).collect();
                self.tx.import_assets(&imported, Timestamp(n))?;
            }
            _ => {
                let by_title = n % 2 == 0;
                let title = if by_title { "t-a" } else { "" };
                let found = (
                    self.tx.catalogue(None, Some(&name(n)), 9)?,
                    self.tx.row_errors(OTHER, 5)?,
                );
                let (entries, mut errors) = found;
                errors.sort_by(|a, b| (a.line, &a.message).cmp(&(b.line, &b.message)));
                let listed =
                    self.tx
                        .listing_after(OTHER, by_title, true, Some((title, &name(n))), 9)?;
                self.say("lists", (entries, errors.first(), listed));
            }
        }
        Ok(())
    }
}

fn begin(tx: &mut dyn Tx) -> StoreResult<JobNo> {
    let no = tx.insert_job(&job("j"))?;
    let assets = PARTS * 3;
    let page: Vec<ListedAsset> = (0..assets)
        .map(|n| ListedAsset {
            line: n as u64,
            asset: asset(n),
        })
        .collect();
    tx.append_listing(no, true, &page)?;
    // In canonical order by id, three to a partition.
    let mut names: Vec<String> = (0..assets).map(name).collect();
    names.sort();
    let cut: Vec<Partition> = names
        .chunks(3)
        .zip(1..)
        .map(|(run, part)| partition(part, "", &run[0], &run[2], 3))
        .collect();
    tx.insert_partitions(no, &cut)?;
    let mut row = tx.job(no)?.expect("inserted");
    (row.parts, row.parts_planned) = (PARTS, PARTS);
    tx.update_job(&row)?;
    // Units are written here without their counters, which lists believe: these exclude nothing.
    let any = StepDelta {
        total: 1 << 40,
        succeeded: 1,
        dead: 1,
        cancelled: 1,
        live: 1,
        retrying: 1,
        ..StepDelta::default()
    };
    STEPS
        .into_iter()
        .try_for_each(|step| tx.add_to_step(no, step, any))?;
    assert_eq!(tx.insert_job(&job("other"))?, OTHER);
    Ok(no)
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `SEED` repeats one seed; `SHOWRUNNER_MODEL_SEEDS` asks for several, `SHOWRUNNER_MODEL_TRANSACTIONS` for longer ones.
#[test]
fn every_store_answers_alike() {
    let server = PostgresServer::start();
    let transactions = number("SHOWRUNNER_MODEL_TRANSACTIONS").unwrap_or(TRANSACTIONS);
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) => vec![seed],
        None => {
            let fresh =
                (0..number("SHOWRUNNER_MODEL_SEEDS").unwrap_or(1)).map(|_| fastrand::u64(..));
            FAILED_ONCE.into_iter().chain(fresh).collect()
        }
    };
    for (n, seed) in seeds.into_iter().enumerate() {
        println!("SEED={seed}");
        answers_alike(
            &server.create_database(&format!("seed{n}")),
            seed,
            transactions,
        );
    }
}

fn answers_alike(url: &str, seed: u64, transactions: u64) {
    let dir = tempfile::tempdir().expect("makes a directory");
    let sqlite = Sqlite::open(&dir.path().join("x.db")).expect("opens");
    let postgres = Postgres::open(url, PostgresOptions::default()).expect("connects");
    let mut stores = [
        ("memory", Backend::Memory(Box::default())),
        ("SQLite", Backend::Sqlite(Box::new(sqlite))),
        ("PostgreSQL", Backend::Postgres(Box::new(postgres))),
    ];
    for (_, store) in &mut stores {
        assert_eq!(store.write(begin).expect("begins"), JobNo(1));
    }
    for n in 0..transactions {
        let answers = stores.each_mut().map(|(_, store)| {
            let outcome = store.write(|tx| {
                let random = fastrand::Rng::with_seed(seed.wrapping_add(n));
                let mut caller = Caller {
                    tx,
                    random,
                    job: JobNo(1),
                    answers: Vec::new(),
                };
                let calls = caller.random.usize(1..=CALLS_MAX);
                for _ in 0..calls {
                    caller.call()?;
                }
                caller.lists(n)?;
                Ok(caller.answers)
            });
            outcome.expect("nothing fails")
        });
        for (answers_of_one, (store, _)) in answers.iter().zip(&stores).skip(1) {
            for (theirs, expected) in answers_of_one.iter().zip(&answers[0]) {
                assert_eq!(
                    theirs, expected,
                    "{store} in transaction {n} of SEED={seed}"
                );
            }
            assert_eq!(
                answers_of_one.len(),
                answers[0].len(),
                "{store} in transaction {n} of SEED={seed}"
            );
        }
    }
}
