//! What statements cost on databases that nothing has ever counted: pages read on PostgreSQL, machine steps on SQLite, for
//! so many rows. The same questions over four times the rows cost the same, so nothing is quadratic.
//!
//! - `rows`, `records`: the databases, a smaller and a larger one
//! - `reads`: every method of the store that reads
//! - `queries`: what people and gauges ask, and their commands
//! - `turns`, `settlements`: what the leader does
//! - `coverage`: nothing is left out
//!
//! `SHOWRUNNER_PLAN_ROWS` says how many partitions the larger library has.
mod coverage;
mod queries;
mod reads;
mod records;
mod rows;
mod settlements;
mod turns;

use coordinator::store::handle::Backend;
use coordinator::store::postgres::{Postgres, PostgresOptions};
use coordinator::store::sqlite::Sqlite;
use coordinator::store::{StoreResult, Tx};
use protocol::id::{JobNo, StepNo};
use testkit::postgres::PostgresServer;

/// Partitions of the larger library, unless asked otherwise; the smaller one has a quarter.
const ROWS: i64 = 100_000;
/// Partitions of the library that wrong statistics are about.
const TINY: i64 = 2_000;
/// Of a page of answers.
const LIMIT: u32 = 100;
const FIRST: StepNo = StepNo(0);
const BARRIER: StepNo = StepNo(1);
const JOB: JobNo = JobNo(1);
/// A job whose library is listed and not cut.
const PLANNED: JobNo = JobNo(2);
/// A job that has ended.
const ENDED: JobNo = JobNo(3);

/// What is asked of a transaction.
type Ask = Box<dyn Fn(&mut dyn Tx) -> StoreResult<()>>;

/// A question: its name, how many rows it is about, and how it is asked.
struct Question {
    name: String,
    rows: u64,
    growth: Growth,
    ask: Ask,
}

/// What the size of the library means for the cost of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// Nothing.
    None,
    /// The question reads so many rows that the smaller library has fewer.
    Page,
    /// The question walks along the key of all units of a step, as long as no block of them is closed.
    Walk,
}

fn question(
    name: impl Into<String>,
    rows: u64,
    ask: impl Fn(&mut dyn Tx) -> StoreResult<()> + 'static,
) -> Question {
    Question {
        name: name.into(),
        rows,
        growth: Growth::None,
        ask: Box::new(ask),
    }
}

/// A question that reads up to `rows` rows, which the smaller library may not have.
fn page(
    name: impl Into<String>,
    rows: u64,
    ask: impl Fn(&mut dyn Tx) -> StoreResult<()> + 'static,
) -> Question {
    Question {
        growth: Growth::Page,
        ..question(name, rows, ask)
    }
}

fn walk(
    name: impl Into<String>,
    ask: impl Fn(&mut dyn Tx) -> StoreResult<()> + 'static,
) -> Question {
    Question {
        growth: Growth::Walk,
        ..question(name, u64::from(LIMIT), ask)
    }
}

fn asset(n: i64) -> String {
    format!("a{n:08}")
}

/// All questions, in an order in which none spoils the rows of a later one.
fn questions(n: i64) -> Vec<Question> {
    let groups = [
        reads::questions(n),
        queries::questions(n),
        settlements::questions(n),
        turns::questions(n),
    ];
    groups.into_iter().flatten().collect()
}

fn statements(n: i64, pad: &str) -> Vec<String> {
    [rows::statements(n, pad), records::statements(n, pad)].concat()
}

/// What a question cost.
struct Cost {
    question: Question,
    /// Pages or steps.
    spent: u64,
    /// The statement that cost the most of it, where the database tells.
    dearest: String,
}

/// What a question may cost.
struct Bounds {
    /// For each row that it is about.
    row: u64,
    /// For each row of a page of thousands.
    row_of_page: u64,
    /// For the statements of the question, however few rows they find.
    fixed: u64,
    /// For each row, where rows lie apart, however many there are.
    scattered: u64,
    /// More than twice what it costs over a quarter of the rows: trees of keys get deeper.
    growth: u64,
    /// For each partition that a walk passes.
    walking: f64,
}

/// Asserts that no question over `n` partitions costs more than its bounds, nor more than over a quarter of them.
fn assert_bounded(small: &[Cost], large: &[Cost], n: i64, bounds: &Bounds) {
    let mut wrong = Vec::new();
    for (
        Cost { spent: few, .. },
        Cost {
            question,
            spent: many,
            dearest,
        },
    ) in small.iter().zip(large)
    {
        let Question {
            name, rows, growth, ..
        } = question;
        println!(
            "{few:>9} {many:>9} {:>9.1} a row  {name}",
            *many as f64 / *rows as f64
        );
        let most = match growth {
            Growth::None => bounds.row * rows,
            Growth::Page => bounds.row_of_page * rows,
            Growth::Walk => bounds.row * rows + (n as f64 * bounds.walking) as u64,
        };
        if *many > most + bounds.fixed {
            wrong.push(format!("{name}: {many} for {rows} rows; {dearest}"));
        }
        let grows = *many > few * 2 + bounds.growth && *many > rows * bounds.scattered;
        if *growth == Growth::None && grows {
            wrong.push(format!(
                "{name}: {few} over a quarter of the rows, {many} over all; {dearest}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sizes() -> [i64; 2] {
    let rows = std::env::var("SHOWRUNNER_PLAN_ROWS")
        .ok()
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(ROWS);
    [rows / 4, rows]
}

/// What the planner knows of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// Nothing has ever been counted.
    None,
    /// The tables were counted while they held another, tiny library.
    Wrong,
}

/// Pages read by each question over a database of `n` partitions.
fn pages(server: &PostgresServer, n: i64, knowledge: Knowledge) -> Vec<Cost> {
    let name = format!("rows{n}{knowledge:?}").to_lowercase();
    let url = server.create_database(&name);
    server.sql(&name, "CREATE EXTENSION pg_stat_statements");
    let mut store = Backend::Postgres(Box::new(
        Postgres::open(&url, PostgresOptions::default()).expect("opens"),
    ));
    store.write(rows::begin).expect("writes");
    let fill = |n: i64| {
        for statement in statements(n, "lpad(({})::TEXT, 8, '0')") {
            server.sql(&name, &statement);
        }
    };
    if knowledge == Knowledge::Wrong {
        fill(TINY);
        server.sql(&name, "ANALYZE");
        let tables = "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public'
             AND tablename NOT IN ('meta', 'deployment', 'leader')";
        let tables = server.sql(&name, tables);
        server.sql(&name, &format!("TRUNCATE {tables} RESTART IDENTITY"));
        store.write(rows::begin).expect("writes");
    } else {
        // Plans are kept for a while, and those made while the tables were empty must do for what is in them later.
        for question in questions(n) {
            // An error is as good as an answer: there is nothing to find yet.
            drop(store.preview(|tx| (question.ask)(tx)));
        }
    }
    fill(n);
    let counted = server.sql(
        &name,
        "SELECT COUNT(*) FROM pg_stats WHERE tablename = 'unit'",
    );
    assert_eq!(
        counted == "0",
        knowledge == Knowledge::None,
        "{counted} columns are counted"
    );
    let cost = |question: Question| {
        server.sql(&name, "SELECT pg_stat_statements_reset()");
        store
            .write(|tx| (question.ask)(tx))
            .unwrap_or_else(|error| panic!("{}: {error}", question.name));
        let spent = "SELECT COALESCE(SUM(pages), 0) || ' ' ||
               COALESCE((ARRAY_AGG(pages || ' of them by ' || query ORDER BY pages DESC))[1], '')
             FROM (SELECT shared_blks_hit + shared_blks_read AS pages, query FROM pg_stat_statements
                   WHERE query NOT LIKE '%pg_stat_statements%') AS s";
        let spent = server.sql(&name, spent);
        let (spent, dearest) = spent.split_once(' ').expect("a number and a statement");
        let (spent, dearest) = (spent.parse().expect("a number"), dearest.to_owned());
        Cost {
            question,
            spent,
            dearest,
        }
    };
    questions(n).into_iter().map(cost).collect()
}

#[test]
fn statements_on_postgres_without_statistics_read_few_pages_a_row() {
    let settings = [
        "autovacuum=off",
        "shared_preload_libraries=pg_stat_statements",
        "pg_stat_statements.max=10000",
        "fsync=off",
        "max_wal_size=4GB",
    ];
    let server = PostgresServer::start_with(&settings);
    let [few, many] = sizes();
    let small = pages(&server, few, Knowledge::None);
    let bounds = Bounds {
        row: 40,
        row_of_page: 10,
        fixed: 100,
        scattered: 2,
        growth: 30,
        walking: 0.05,
    };
    for knowledge in [Knowledge::None, Knowledge::Wrong] {
        println!("statistics: {knowledge:?}");
        assert_bounded(&small, &pages(&server, many, knowledge), many, &bounds);
    }
}

#[test]
fn view_of_units_with_statistics_of_empty_tables_compares_few_rows() {
    let server = PostgresServer::start_with(&["autovacuum=off", "fsync=off"]);
    let url = server.create_database("rows");
    let mut store = Postgres::open(&url, PostgresOptions::default()).expect("opens");
    store.write(|tx| rows::begin(tx)).expect("writes");
    server.sql("rows", "ANALYZE");
    let [rows, _] = sizes();
    for statement in statements(rows, "lpad(({})::TEXT, 8, '0')") {
        server.sql("rows", &statement);
    }
    let plan = server.sql(
        "rows",
        "EXPLAIN ANALYZE SELECT * FROM units WHERE job_no = 1 AND step_no = 0",
    );
    let removed = plan
        .lines()
        .filter_map(|line| line.split_once("Rows Removed by"));
    let removed = removed
        .filter_map(|(_, count)| count.rsplit(' ').next()?.parse::<i64>().ok())
        .sum::<i64>();
    assert!(
        removed <= rows,
        "{removed} rows are compared in vain:\n{plan}"
    );
}

#[test]
fn statements_on_sqlite_without_statistics_take_few_steps_a_row() {
    let [small, large]: [Vec<Cost>; 2] = sizes().map(|n| {
        let dir = tempfile::tempdir().expect("makes a directory");
        let mut sqlite = Sqlite::open(&dir.path().join("x.db")).expect("opens");
        sqlite.write(|tx| rows::begin(tx)).expect("writes");
        for statement in statements(n, "printf('%08d', {})") {
            sqlite.connection().execute_batch(&statement).expect("runs");
        }
        let mut cost = |question: Question| {
            let before = sqlite.steps();
            sqlite
                .write(|tx| (question.ask)(tx))
                .unwrap_or_else(|error| panic!("{}: {error}", question.name));
            Cost {
                question,
                spent: sqlite.steps() - before,
                dearest: String::new(),
            }
        };
        questions(n).into_iter().map(&mut cost).collect()
    });
    let bounds = Bounds {
        row: 600,
        row_of_page: 100,
        fixed: 5_000,
        scattered: 10,
        growth: 1_000,
        walking: 20.0,
    };
    assert_bounded(&small, &large, sizes()[1], &bounds);
}
