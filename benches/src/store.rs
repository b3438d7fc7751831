//! Rows a second through each store's bulk primitives, beside the limits of the databases themselves.
//!
//! `bench store [--quick]` writes listings, partitions and units of one job in transactions of 2,000 to 8,000 rows over
//! memory, SQLite and a PostgreSQL it starts, prints a table for people and one JSON line. Rounds alternate between the
//! stores, so that a busy moment of the machine hits all of them.
use coordinator::store::handle::Backend;
use coordinator::store::postgres::{Postgres, PostgresOptions};
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::{job, partition};
use coordinator::store::{Partition, StoreResult, Tx, UnitRow};
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::media::asset::{Asset, Role};
use protocol::rules::unit::transition::UnitState;
use protocol::wire::report::ListedAsset;
use std::time::Instant;
use testkit::postgres::PostgresServer;

/// COPY into a table with a primary key, rows a second on two cores.
const LIMIT_POSTGRES_COPY: f64 = 430_000.0;
/// `UPDATE … FROM unnest(…)`, 1,000 rows a transaction, one connection.
const LIMIT_POSTGRES_UPDATE: f64 = 157_000.0;
/// One connection, WAL, FULL, 1,000 rows a transaction.
const LIMIT_SQLITE_INSERT: f64 = 682_000.0;
/// Updates under the same conditions.
const LIMIT_SQLITE_UPDATE: f64 = 407_000.0;

const STEP: StepNo = StepNo(0);
const PRIMITIVES: [&str; 6] = [
    "append_listing",
    "append_listing by title",
    "insert_partitions",
    "put_units new",
    "put_units again",
    "members",
];

struct Contender {
    name: &'static str,
    backend: Backend,
    job: i64,
}

impl Contender {
    fn new(name: &'static str, backend: Backend) -> Contender {
        Contender {
            name,
            backend,
            job: 0,
        }
    }

    fn limit(&self, primitive: &str) -> Option<f64> {
        match (self.name, primitive) {
            (_, "members") => None,
            ("PostgreSQL", "put_units again") => Some(LIMIT_POSTGRES_UPDATE),
            ("PostgreSQL", _) => Some(LIMIT_POSTGRES_COPY),
            ("SQLite", "put_units again") => Some(LIMIT_SQLITE_UPDATE),
            ("SQLite", _) => Some(LIMIT_SQLITE_INSERT),
            _ => None,
        }
    }

    /// Writes a job of so many rows in batches; returns rows a second of each primitive.
    fn round(&mut self, rows: usize, batch: usize) -> StoreResult<[f64; PRIMITIVES.len()]> {
        self.job += 2;
        let names = [
            format!("{}-{batch}-{}", self.name, self.job),
            format!("{}-{batch}-{}", self.name, self.job + 1),
        ];
        let [no, titled] = names.map(|name| self.backend.write(|tx| tx.insert_job(&job(&name))));
        let (no, titled) = (no?, titled?);
        let listing: Vec<ListedAsset> = (0..rows)
            .map(|n| ListedAsset {
                line: n as u64 + 2,
                asset: asset(n),
            })
            .collect();
        let partitions: Vec<Partition> = (0..rows).map(one_asset).collect();
        let units = |state| -> Vec<(PartNo, UnitRow)> {
            let row = UnitRow {
                state,
                epoch: 1,
                attempt: 0,
                due_at: None,
                duration_us: 120,
            };
            (1..=rows as PartNo).map(|part| (part, row)).collect()
        };
        let (ready, done) = (units(UnitState::Ready), units(UnitState::Succeeded));
        let append = |by_title, no: JobNo| {
            move |tx: &mut dyn Tx, page: &[ListedAsset]| {
                tx.append_listing(no, by_title, page).map(drop)
            }
        };
        let put = |step| {
            move |tx: &mut dyn Tx, units: &[(PartNo, UnitRow)]| write_units(tx, no, step, units)
        };
        Ok([
            self.timed(&listing, batch, append(false, no))?,
            self.timed(&listing, batch, append(true, titled))?,
            self.timed(&partitions, batch, |tx, page| {
                tx.insert_partitions(no, page)
            })?,
            self.timed(&ready, batch, put(STEP))?,
            self.timed(&done, batch, put(STEP))?,
            self.timed(&partitions, batch, |tx, page| {
                tx.members(no, page).map(drop)
            })?,
        ])
    }

    fn timed<T>(
        &mut self,
        rows: &[T],
        batch: usize,
        write: impl Fn(&mut dyn Tx, &[T]) -> StoreResult<()>,
    ) -> StoreResult<f64> {
        let started = Instant::now();
        for page in rows.chunks(batch) {
            self.backend.write(|tx| write(tx, page))?;
        }
        Ok(rows.len() as f64 / started.elapsed().as_secs_f64())
    }
}

/// Writes units as the coordinator does: existing rows are read first, and counters are updated with them.
fn write_units(
    tx: &mut dyn Tx,
    job: JobNo,
    step: StepNo,
    units: &[(PartNo, UnitRow)],
) -> StoreResult<()> {
    let parts: Vec<PartNo> = units.iter().map(|(part, _)| *part).collect();
    tx.units(job, step, &parts)?;
    tx.put_units(job, step, units)
}

fn asset(n: usize) -> Asset {
    Asset {
        id: format!("asset-{n:08}"),
        title: format!("title-{:07}", n / 10),
        role: Role::Master,
        location: format!("file:/library/media/asset-{n:08}.mov"),
        path: format!("media/asset-{n:08}.mov"),
        bytes: Some(1_000_000),
        hash: None,
        declared: None,
    }
}

fn one_asset(n: usize) -> Partition {
    let id = format!("asset-{n:08}");
    partition(n as PartNo + 1, "", &id, &id, 1)
}

/// Measures all stores, a fifth of the rounds over a quarter of the rows with `--quick`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let quick = arguments.iter().any(|arg| arg == "--quick");
    let (rows, rounds) = if quick { (16_000, 1) } else { (64_000, 5) };
    let dir = tempfile::tempdir()?;
    let server = PostgresServer::start();
    let sqlite = Sqlite::open(&dir.path().join("bench.db"))?;
    let postgres = Postgres::open(&server.url(), PostgresOptions::default())?;
    let mut contenders = [
        Contender::new("memory", Backend::Memory(Box::default())),
        Contender::new("SQLite", Backend::Sqlite(Box::new(sqlite))),
        Contender::new("PostgreSQL", Backend::Postgres(Box::new(postgres))),
    ];
    println!(
        "{:<12} {:>6} {:<26} {:>12} {:>26} {:>10}",
        "store", "rows/tx", "primitive", "rows/s", "", "of limit"
    );
    let mut lines = Vec::new();
    for batch in [2_000, 4_000, 8_000] {
        let mut measured: Vec<Vec<[f64; PRIMITIVES.len()]>> = vec![Vec::new(); contenders.len()];
        for _ in 0..rounds {
            for (contender, rates) in contenders.iter_mut().zip(&mut measured) {
                // Memory copies itself for every transaction, so it is measured small.
                let rows = if contender.name == "memory" {
                    batch
                } else {
                    rows
                };
                rates.push(contender.round(rows, batch)?);
            }
        }
        for (contender, rates) in contenders.iter().zip(&measured) {
            for (n, primitive) in PRIMITIVES.iter().enumerate() {
                let mut rates: Vec<f64> = rates.iter().map(|round| round[n]).collect();
                rates.sort_by(f64::total_cmp);
                let (least, median, most) =
                    (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
                let ratio = contender.limit(primitive).map(|limit| median / limit);
                let of_limit = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
                let spread = format!("({least:.0}–{most:.0})");
                println!(
                    "{:<12} {batch:>6} {primitive:<26} {median:>12.0} {spread:>26} {of_limit:>10}",
                    contender.name
                );
                lines.push(
                    serde_json::json!({ "store": contender.name, "rows_per_transaction": batch,
                    "primitive": primitive, "rows_per_second": median, "of_limit": ratio }),
                );
            }
        }
    }
    println!("{}", serde_json::Value::Array(lines));
    Ok(())
}
