//! The store on a real PostgreSQL: the suite every store passes, and what only a server can do to it.
use protocol::failure::ErrorClass;
use protocol::id::{JobNo, StepNo};
use protocol::media::asset::{Asset, Role};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::ListedAsset;
use std::time::{Duration, Instant};
use store::handle::{Backend, Store};
use store::postgres::{Postgres, PostgresOptions};
use store::testing::{atomicity, checks, partition};
use store::view::UnitFilter;
use store::{
    JobRow, ListingTx as _, NewJob, Partition, PartitionTx as _, StepDelta, StoreError,
    StoreResult, TombstoneRow, Tx, UnitRow,
};
use testkit::postgres::PostgresServer;

const LEASE: Duration = Duration::from_secs(60);

fn open(url: &str) -> Postgres {
    Postgres::open(url, PostgresOptions::default()).expect("connects")
}

fn add_job(tx: &mut dyn Tx, id: &str) -> StoreResult<JobNo> {
    let job: NewJob = store::testing::job(id);
    tx.insert_job(&job)
}

fn jobs(postgres: &mut Postgres) -> Vec<String> {
    let rows: Vec<JobRow> = postgres
        .read(|tx| (tx as &mut dyn Tx).jobs(false, 99))
        .expect("reads");
    rows.into_iter().map(|job| job.id).collect()
}

#[test]
fn postgres_conforms() {
    let server = PostgresServer::start();
    for (n, (name, check)) in checks().into_iter().enumerate() {
        println!("{name}");
        let mut backend = Backend::Postgres(Box::new(open(
            &server.create_database(&format!("check{n}")),
        )));
        let checked = backend.write(|tx| {
            check(tx);
            Ok(())
        });
        checked.expect("commits");
    }
    atomicity(&mut Backend::Postgres(Box::new(open(
        &server.create_database("atomicity"),
    ))));
}

#[test]
fn schema_is_created_once_and_a_newer_one_refused() {
    let server = PostgresServer::start();
    let url = server.url();
    let openers: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || drop(open(&url)))
        })
        .collect();
    for opener in openers {
        opener.join().expect("each finds or makes it");
    }
    server.sql(
        "postgres",
        "UPDATE meta SET value = '99' WHERE key = 'schema_version'",
    );
    let refused = Postgres::open(&url, PostgresOptions::default()).err();
    assert!(
        matches!(refused, Some(StoreError::NewerSchema { found: 99, .. })),
        "{refused:?}"
    );
}

#[test]
fn killed_server_keeps_committed_rows() {
    let mut server = PostgresServer::start();
    let mut postgres = open(&server.url());
    postgres.write(|tx| add_job(tx, "before")).expect("writes");
    server.kill();
    let away = postgres
        .write(|tx| add_job(tx, "away"))
        .expect_err("nobody is there");
    assert_eq!(away.class(), ErrorClass::Transient, "{away}");
    server.restart();
    postgres
        .write(|tx| add_job(tx, "after"))
        .expect("the next write works");
    assert_eq!(jobs(&mut postgres), ["after", "before"]);
    server.kill();
    server.restart();
    postgres
        .write(|tx| add_job(tx, "unnoticed"))
        .expect("a restart nobody noticed costs no error");
    // In the middle of a transaction it does.
    let cut = postgres.write(|tx| {
        add_job(tx, "cut")?;
        server.stop();
        add_job(tx, "off")
    });
    let cut = cut.expect_err("the session has ended");
    assert_eq!(
        cut.class(),
        ErrorClass::Transient,
        "nothing was committed: {cut}"
    );
    server.restart();
    let unknown = postgres.write(|tx| {
        add_job(tx, "unknown")?;
        server.stop();
        Ok(())
    });
    let unknown = unknown.expect_err("the reply is lost");
    assert_eq!(unknown.class(), ErrorClass::Ambiguous, "{unknown}");
    server.restart();
    assert_eq!(jobs(&mut postgres), ["unnoticed", "after", "before"]);
}

#[test]
fn calls_end_within_their_limits() {
    let server = PostgresServer::start();
    let url = server.url();
    let short = PostgresOptions {
        statement_timeout: Duration::from_millis(300),
        lock_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(500),
        ..PostgresOptions::default()
    };
    let mut postgres = Postgres::open(&url, short.clone()).expect("connects");
    let mut other = Postgres::open(&url, short).expect("connects");
    // A writer waits for its turn as long as lock_timeout.
    let waited = postgres
        .write(|_| Ok(other.write(|tx| add_job(tx, "second"))))
        .expect("commits");
    assert!(matches!(waited, Err(StoreError::Busy(_))), "{waited:?}");
    // A transaction that stands still loses its session, and the other goes on.
    let stood = postgres.write(|tx| {
        add_job(tx, "first")?;
        std::thread::sleep(Duration::from_millis(900));
        add_job(tx, "third")
    });
    assert!(matches!(stood, Err(StoreError::Busy(_))), "{stood:?}");
    other.write(|tx| add_job(tx, "fourth")).expect("writes");
    // A server that has stopped altogether: neither it nor its kernel says anything is wrong.
    server.freeze(true);
    let asked = Instant::now();
    let silent = postgres.write(|tx| add_job(tx, "silent"));
    let waited = asked.elapsed();
    server.freeze(false);
    assert!(matches!(silent, Err(StoreError::Busy(_))), "{silent:?}");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}

/// No timeout of the server ends a COPY whose client stands still, and it has the turn of all writers.
#[test]
fn frozen_copy_does_not_block_the_next_leader() {
    let server = PostgresServer::start();
    let url = server.url();
    let short = PostgresOptions {
        idle_timeout: Duration::from_millis(1_500),
        ..PostgresOptions::default()
    };
    let mut first = Postgres::open(&url, short.clone()).expect("connects");
    let mut second = Postgres::open(&url, short).expect("connects");
    assert_eq!(
        first
            .acquire("first", Duration::from_millis(200))
            .expect("asks"),
        Some(1)
    );
    let stuck = "BEGIN; SELECT pg_advisory_xact_lock(1936222319, hashtext(current_schema())); COPY meta FROM STDIN";
    let frozen = server.hold("postgres", stuck);
    std::thread::sleep(Duration::from_millis(300));
    let hurried = second.acquire("second", LEASE);
    assert!(
        matches!(hurried, Err(StoreError::Busy(_))),
        "it may go on yet: {hurried:?}"
    );
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(
        second
            .acquire("second", LEASE)
            .expect("ends the session that stands still"),
        Some(2)
    );
    drop(frozen);
    // Operators wait for their turn as well, as long as any writer.
    let frozen = server.hold("postgres", stuck);
    let patient = PostgresOptions {
        idle_timeout: Duration::from_millis(1_500),
        lock_timeout: Duration::from_millis(1_800),
        ..PostgresOptions::default()
    };
    let mut operator = Postgres::open(&url, patient).expect("connects");
    operator.write(|tx| add_job(tx, "order")).expect("writes");
    drop(frozen);
}

#[test]
fn statement_past_its_limit_is_cancelled() {
    let server = PostgresServer::start();
    let short = PostgresOptions {
        statement_timeout: Duration::from_millis(200),
        ..PostgresOptions::default()
    };
    let mut postgres = Postgres::open(&server.url(), short).expect("connects");
    server.sql(
        "postgres",
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(9); RETURN NEW; END';
         CREATE TRIGGER slow BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let slow = postgres.write(|tx| add_job(tx, "slow"));
    assert!(matches!(slow, Err(StoreError::Busy(_))), "{slow:?}");
    server.sql("postgres", "DROP TRIGGER slow ON job");
    postgres
        .write(|tx| add_job(tx, "quick"))
        .expect("the connection goes on");
}

#[test]
fn only_the_latest_generation_writes() {
    let server = PostgresServer::start();
    let (mut first, mut second, mut operator) = (
        open(&server.url()),
        open(&server.url()),
        open(&server.url()),
    );
    assert_eq!(first.acquire("first", LEASE).expect("asks"), Some(1));
    assert_eq!(second.acquire("second", LEASE).expect("asks"), None);
    first.write(|tx| add_job(tx, "a")).expect("it leads");
    let standby = second.write(|tx| add_job(tx, "b"));
    assert!(
        matches!(standby, Err(StoreError::NotLeader(_))),
        "{standby:?}"
    );
    operator
        .write(|tx| add_job(tx, "intent"))
        .expect("operators need not lead");
    first.renew(Duration::ZERO).expect("it still leads");
    first
        .write(|tx| add_job(tx, "c"))
        .expect("a lease that ended unclaimed protects as well as another");
    assert_eq!(second.acquire("second", LEASE).expect("asks"), Some(2));
    let late = first
        .write(|tx| add_job(tx, "late"))
        .expect_err("another leads");
    assert!(matches!(late, StoreError::NotLeader(_)), "{late}");
    assert_eq!(late.class(), ErrorClass::Permanent);
    assert!(matches!(first.renew(LEASE), Err(StoreError::NotLeader(_))));
    assert_eq!(first.acquire("first", LEASE).expect("asks"), None);
    assert_eq!(
        jobs(&mut first),
        ["c", "intent", "a"],
        "whoever does not lead may read"
    );
    second.release().expect("releases");
    assert!(matches!(
        second.write(|tx| add_job(tx, "d")),
        Err(StoreError::NotLeader(_))
    ));
    assert_eq!(first.acquire("first", LEASE).expect("asks"), Some(3));
    assert_eq!(
        first.acquire("first", LEASE).expect("asks"),
        Some(3),
        "asking again renews"
    );
    first.write(|tx| add_job(tx, "e")).expect("it leads again");
}

#[test]
fn writers_take_turns() {
    let server = PostgresServer::start();
    let url = server.url();
    let job = open(&url).write(|tx| add_job(tx, "j")).expect("writes");
    let writer = |seed: u64| {
        let url = url.clone();
        std::thread::spawn(move || {
            let (mut postgres, mut random) = (open(&url), fastrand::Rng::with_seed(seed));
            for _ in 0..50 {
                let mut parts: Vec<i64> = (1..=200).collect();
                random.shuffle(&mut parts);
                postgres.write(|tx| {
                    let tx: &mut dyn Tx = tx;
                    let rows = tx.units(job, StepNo(0), &parts)?;
                    let next = |row: Option<UnitRow>| UnitRow {
                        state: UnitState::Ready,
                        epoch: row.map_or(1, |row| row.epoch + 1),
                        attempt: 0,
                        due_at: None,
                        duration_us: 0,
                    };
                    let rows: Vec<_> = parts
                        .iter()
                        .copied()
                        .zip(rows.into_iter().map(next))
                        .collect();
                    tx.put_units(job, StepNo(0), &rows)?;
                    tx.add_to_step(
                        job,
                        StepNo(0),
                        StepDelta {
                            executions: 1,
                            ..StepDelta::default()
                        },
                    )
                })?;
            }
            Ok::<(), StoreError>(())
        })
    };
    for writer in [writer(1), writer(2)] {
        writer
            .join()
            .expect("does not panic")
            .expect("no deadlock, no lost turn");
    }
    assert_eq!(
        server.sql("postgres", "SELECT MIN(epoch), MAX(epoch) FROM unit"),
        "100|100",
        "no update was lost"
    );
    assert_eq!(
        server.sql("postgres", "SELECT executions FROM step WHERE step = 0"),
        "100"
    );
}

#[test]
fn failed_statement_aborts_its_transaction() {
    let server = PostgresServer::start();
    let mut postgres = open(&server.url());
    for asks_on in [false, true] {
        let passed_over = postgres.write(|tx| {
            let tx: &mut dyn Tx = tx;
            let job = add_job(tx, "j")?;
            let part = store::testing::partition(1, "t", "a", "a", 1);
            tx.insert_partitions(job, std::slice::from_ref(&part))?;
            // A number is unique. That it is taken may be said here, by what is asked next, or by the commit.
            let said = tx.insert_partitions(job, &[part]).is_err();
            assert!(!asks_on || said || tx.jobs(false, 9).is_err());
            Ok(())
        });
        assert!(
            matches!(passed_over, Err(StoreError::Database(_))),
            "{passed_over:?}"
        );
        assert_eq!(jobs(&mut postgres), [""; 0]);
    }
}

#[test]
fn units_are_listed_with_and_without_rows() {
    let server = PostgresServer::start();
    let mut postgres = open(&server.url());
    postgres
        .write(|tx| {
            let tx: &mut dyn Tx = tx;
            let job = add_job(tx, "j")?;
            let part = |n| store::testing::partition(n, "t", "a", "a", 1);
            tx.insert_partitions(job, &[part(1), part(2), part(3)])?;
            tx.set_cursor(job, StepNo(0), 2)?;
            let done = UnitRow {
                state: UnitState::Succeeded,
                epoch: 1,
                attempt: 0,
                due_at: None,
                duration_us: 5,
            };
            tx.put_units(job, StepNo(0), &[(1, done)])
        })
        .expect("writes");
    let filter = UnitFilter {
        step: Some("work".into()),
        limit: 9,
        ..UnitFilter::default()
    };
    let mut units = |filter: &UnitFilter| {
        postgres
            .read(|tx| (tx as &mut dyn Tx).unit_views("j", filter))
            .expect("lists")
    };
    let found = units(&filter);
    let states: Vec<&str> = found.iter().map(|unit| unit.state.as_str()).collect();
    assert_eq!(states, ["succeeded", "leased", "ready"]);
    let planned = units(&UnitFilter {
        state: Some("planned".into()),
        ..filter.clone()
    });
    assert_eq!(planned.len(), 0);
    assert_eq!(
        units(&UnitFilter {
            part: Some(1),
            ..filter
        })[0]
            .duration_us,
        Some(5)
    );
}

#[test]
fn sessions_verify_what_sslmode_requires() {
    let server = PostgresServer::start();
    server.encrypt(
        include_str!("../tls/server.pem"),
        include_str!("../tls/server.key"),
    );
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/ca.pem");
    let connects = |host: &str, query: &str| {
        let url = format!(
            "postgres://showrunner@{host}:{}/postgres?{query}",
            server.port()
        );
        Postgres::open(&url, PostgresOptions::default()).map(drop)
    };
    let used = format!(
        "{}&application_name=x",
        server.url().replace("sslmode=disable", "sslmode=require")
    );
    let mut encrypted = open(&used);
    let seen = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'x'";
    assert_eq!(server.sql("postgres", seen), "t");
    encrypted.write(|tx| add_job(tx, "j")).expect("writes");
    connects("127.0.0.1", "sslmode=prefer").expect("any certificate will do");
    // The certificate is for localhost alone.
    connects(
        "localhost",
        &format!("sslmode=verify-full&sslrootcert={ca}"),
    )
    .expect("the right one");
    connects("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={ca}"))
        .expect("of the right authority");
    connects("127.0.0.1", &format!("sslmode=require&sslrootcert={ca}"))
        .expect("of the right authority");
    connects(
        "127.0.0.1",
        &format!("sslmode=verify-full&sslrootcert={ca}"),
    )
    .expect_err("for another name");
    connects("localhost", "sslmode=verify-full")
        .expect_err("of an authority the system does not know");
    let missing = connects("localhost", "sslmode=verify-full&sslrootcert=/nowhere.pem")
        .expect_err("no such file");
    assert!(matches!(missing, StoreError::Refused(_)), "{missing}");
}

#[test]
fn wrong_password_is_a_permanent_error() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE ROLE guest LOGIN PASSWORD 'right'");
    server.ask_for_passwords();
    let mut file = tempfile::NamedTempFile::new().expect("makes");
    std::io::Write::write_all(&mut file, b"wrong\n").expect("writes");
    let options = PostgresOptions {
        password_file: Some(file.path().into()),
        ..PostgresOptions::default()
    };
    let url = server.url().replace("showrunner@", "guest@");
    let refused = Postgres::open(&url, options.clone())
        .err()
        .expect("refuses");
    assert_eq!(refused.class(), ErrorClass::Permanent, "{refused}");
    std::fs::write(file.path(), "right").expect("writes");
    let no_rights = Postgres::open(&url, options)
        .err()
        .expect("a guest may create nothing");
    assert!(
        no_rights.to_string().contains("permission denied"),
        "{no_rights}"
    );
}

#[tokio::test]
async fn url_opens_from_async_code() {
    let server = PostgresServer::start();
    let (store, _thread) = Store::open(&server.url(), PostgresOptions::default()).expect("opens");
    assert_eq!(
        store.acquire("me".into(), LEASE).await.expect("asks"),
        Some(1)
    );
    store.write(|tx| add_job(tx, "j")).await.expect("writes");
    let found = store.read(|tx| tx.jobs(true, 9)).await.expect("reads");
    assert_eq!(found.len(), 1);
    assert!(matches!(
        Store::open("mysql://h/d", PostgresOptions::default()),
        Err(StoreError::Refused(_))
    ));
}

#[test]
fn leader_cache_ends_with_a_foreign_write() {
    let server = PostgresServer::start();
    let mut leader = open(&server.url());
    leader
        .acquire("leader", LEASE)
        .expect("asks")
        .expect("nobody leads");
    let open_jobs = |leader: &mut Postgres| -> Vec<(String, String)> {
        let rows = leader
            .write(|tx| (tx as &mut dyn Tx).jobs(true, u32::MAX))
            .expect("reads");
        rows.into_iter().map(|job| (job.id, job.tenant)).collect()
    };
    let named = |id: &str, tenant: &str| (id.to_owned(), tenant.to_owned());
    assert_eq!(open_jobs(&mut leader), []);
    let mut operator = open(&server.url());
    let job = operator.write(|tx| add_job(tx, "theirs")).expect("writes");
    assert_eq!(
        open_jobs(&mut leader),
        [named("theirs", "default")],
        "a job handed in by another process is seen"
    );
    let rename = |tx: &mut dyn Tx, tenant: &str| -> StoreResult<()> {
        let mut row = tx.job(job)?.expect("it is there");
        row.tenant = tenant.into();
        tx.update_job(&row)
    };
    operator.write(|tx| rename(tx, "sport")).expect("writes");
    assert_eq!(
        open_jobs(&mut leader),
        [named("theirs", "sport")],
        "and so is a change of it"
    );
    // What was taken back has not happened, in memory either.
    let taken_back: StoreResult<()> = leader.write(|tx| {
        rename(tx, "never")?;
        Err(StoreError::Closed)
    });
    assert!(taken_back.is_err());
    assert_eq!(open_jobs(&mut leader), [named("theirs", "sport")]);
    // A new generation remembers nothing of the one before.
    leader.release().expect("released");
    let mut second = open(&server.url());
    second
        .acquire("second", LEASE)
        .expect("asks")
        .expect("it was released");
    second.write(|tx| rename(tx, "news")).expect("writes");
    second.release().expect("released");
    leader
        .acquire("leader", LEASE)
        .expect("asks")
        .expect("it was released");
    assert_eq!(open_jobs(&mut leader), [named("theirs", "news")]);
}

fn numbered(n: u64) -> Asset {
    let id = format!("a{n:04}");
    let location = format!("file:/m/{id}");
    let (path, title, role) = (id.clone(), "t".into(), Role::Master);
    Asset {
        id,
        title,
        role,
        location,
        path,
        bytes: Some(1),
        hash: None,
        declared: None,
    }
}

/// The reader ahead sees what has been committed: what a transaction splits and then reads ahead would come back whole.
#[test]
fn prefetched_partitions_exclude_assets_split_off_earlier() {
    let server = PostgresServer::start();
    let mut postgres = open(&server.url());
    assert_eq!(postgres.acquire("leader", LEASE).expect("asks"), Some(1));
    let job = postgres.write(|tx| {
        let no = add_job(tx, "split")?;
        let page: Vec<ListedAsset> = (0..2_000)
            .map(|n| ListedAsset {
                line: n,
                asset: numbered(n),
            })
            .collect();
        tx.append_listing(no, false, &page)?;
        let cut = |part: i64| {
            let (first, last) = (
                numbered(part as u64 * 2 - 2).id,
                numbered(part as u64 * 2 - 1).id,
            );
            partition(part, "", &first, &last, 2)
        };
        tx.insert_partitions(no, &(1..=1_000).map(cut).collect::<Vec<_>>())?;
        Ok(no)
    });
    let job = job.expect("writes");
    let split = postgres.write(|tx| {
        let tx: &mut dyn Tx = tx;
        let gone = numbered(798).id;
        tx.insert_partitions(
            job,
            &[Partition {
                parent: 400,
                ..partition(1_001, "", &gone, &gone, 1)
            }],
        )?;
        tx.move_assets(job, 1_001, &[gone])?;
        tx.shrink_partition(job, 400, 1)?;
        let claimed = tx.partitions_after(job, 0, 300)?;
        // Time for the reader.
        std::thread::sleep(Duration::from_millis(500));
        Ok(claimed.len())
    });
    assert_eq!(split.expect("writes"), 300);
    let members = postgres.write(|tx| {
        let tx: &mut dyn Tx = tx;
        let next = tx.partitions_after(job, 300, 300)?;
        let at = next
            .iter()
            .position(|partition| partition.part == 400)
            .expect("it is among them");
        Ok(tx.members(job, &next)?.swap_remove(at))
    });
    let members: Vec<String> = members
        .expect("reads")
        .into_iter()
        .map(|asset| asset.id)
        .collect();
    assert_eq!(members, [numbered(799).id]);
}

/// Locations may have 8,192 characters, an entry of an index a third of that.
#[test]
fn tombstone_of_a_long_location_is_stored_once() {
    let server = PostgresServer::start();
    let mut postgres = open(&server.url());
    // Nothing that compresses.
    let mut random = fastrand::Rng::with_seed(7);
    let location = format!(
        "file:/{}",
        std::iter::repeat_with(|| random.alphanumeric())
            .take(8_000)
            .collect::<String>()
    );
    let row = TombstoneRow {
        asset: "a".into(),
        location,
        job: "j".into(),
        step: "purge".into(),
        version: "v".into(),
        bytes: 1,
        hash: "md5:1".into(),
        copy: "file:/c".into(),
        proof: "checksum".into(),
        ordered_by: "me".into(),
        reason: "r".into(),
        found_gone: false,
        dry_run: false,
        at: Timestamp(1),
    };
    for _ in 0..2 {
        postgres
            .write(|tx| (tx as &mut dyn Tx).put_tombstones(std::slice::from_ref(&row)))
            .expect("writes");
    }
    let kept = postgres
        .read(|tx| (tx as &mut dyn Tx).tombstones("a"))
        .expect("reads");
    assert_eq!(kept, [row]);
}
