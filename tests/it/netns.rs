//! A cluster over seven hosts, each in a network namespace of its own: two coordinators, three workers, Redis, PostgreSQL. A
//! worker's host is cut off beyond its lease and comes back, then the leader's.
use std::time::{Duration, Instant};
use testkit::netns::{Hosts, NETWORK};
use testkit::postgres::PostgresServer;
use testkit::process::{promised, wait_until};
use testkit::redis::Redis;
use testkit::{Running, Scratch};
use tests::fleet::{Coordinator, Fleet};

const DATABASE_HOST: u8 = 0;
const REDIS_HOST: u8 = 1;
const COORDINATORS: [u8; 2] = [2, 3];
const WORKERS: [u8; 3] = [4, 5, 6];
const ASSETS: usize = 4_500;
/// The promise is five seconds after a death; a host that is cut off may have renewed its lease just before.
const FAILOVER_MAX: Duration = Duration::from_secs(6);

fn fleet(hosts: &Hosts) -> Fleet {
    let scratch = Scratch::new();
    let home = scratch.path(".");
    let redis = hosts.on(REDIS_HOST, || {
        Redis::start_with(
            &home,
            &["--save", "", "--bind", "0.0.0.0", "--protected-mode", "no"],
        )
    });
    let postgres = PostgresServer::start_with(&["listen_addresses=*"]);
    postgres.trust(NETWORK);
    let mut fleet = Fleet::of(scratch, postgres, redis);
    fleet.transport = fleet
        .transport
        .replace("127.0.0.1", &Hosts::address(REDIS_HOST));
    fleet.database = fleet
        .database
        .replace("127.0.0.1", &Hosts::address(DATABASE_HOST));
    fleet
}

fn coordinator(hosts: &Hosts, fleet: &Fleet, host: u8) -> Coordinator {
    let mut command = fleet.coordinator_command();
    command.args(["--advertise", &format!("http://{}", Hosts::address(host))]);
    hosts.on(host, || fleet.coordinator_of(command))
}

/// The host of the leader, and the number of its term.
fn leader(fleet: &Fleet) -> Option<(u8, u64)> {
    let found = fleet
        .postgres
        .ask(&fleet.name, "SELECT holder, generation FROM leader")?;
    let (holder, generation) = found.rsplit_once('|')?;
    let host = COORDINATORS
        .into_iter()
        .find(|host| holder.ends_with(&Hosts::address(*host)))?;
    Some((host, generation.parse().ok()?))
}

fn over(hosts: &Hosts) {
    let fleet = fleet(hosts);
    let _coordinators = COORDINATORS.map(|host| coordinator(hosts, &fleet, host));
    let workers: [Running; 3] = WORKERS.map(|host| hosts.on(host, || fleet.worker(16, &[])));
    let job = fleet.submit(ASSETS, "200ms..600ms");
    fleet.wait_for(300);
    workers[0].wait_for_units(&fleet.scratch.path("witnesses"), 12);
    hosts.cut(WORKERS[0], true);
    let since = Instant::now();
    wait_until("what the lost host held is done elsewhere", || {
        fleet.number("SELECT COUNT(*) FROM units WHERE epoch > 1 AND state = 'succeeded'") >= 8
    });
    println!("done elsewhere after {:?}", since.elapsed());
    hosts.cut(WORKERS[0], false);
    let (first, term) = leader(&fleet).expect("one of them leads");
    hosts.cut(first, true);
    let since = Instant::now();
    wait_until("the other leads", || {
        leader(&fleet).is_some_and(|(host, next)| host != first && next == term + 1)
    });
    let took = since.elapsed();
    println!("units go on {:?} later", fleet.wait_for_progress());
    promised("the other host leads", took, FAILOVER_MAX);
    hosts.cut(first, false);
    let verdict = fleet.assert_exact(&job, ASSETS);
    assert!(verdict.again >= 8, "{verdict:?}");
    let (last, terms) = leader(&fleet).expect("one of them leads");
    assert_eq!(
        (last != first, terms),
        (true, term + 1),
        "the host that came back stands by"
    );
}

#[test]
fn isolated_hosts_are_replaced_and_return() {
    let Some(hosts) = Hosts::make(7) else { return };
    // The test itself runs on the host of the database.
    hosts.on(DATABASE_HOST, || over(&hosts));
}
