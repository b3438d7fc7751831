//! The forms Redis comes in: with users of least rights, encrypted, behind a Sentinel, as a cluster.
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;
use testkit::process::wait_until;
use testkit::redis::{Redis, RedisCluster, Replicated};
use testkit::{Running, Scratch};
use tests::cluster::Cluster;

/// The users we ship, with these passwords.
fn users(scratch: &Scratch) -> String {
    let shipped = include_str!("../../ops/redis/users.acl");
    let mut file = shipped.to_owned();
    for user in ["coordinator", "worker", "observer"] {
        file = file.replace(
            &format!("#SHA256_OF_{}_PASSWORD", user.to_uppercase()),
            &format!(">{user}-canary"),
        );
        scratch.write(format!("{user}.password"), format!("{user}-canary\n"));
    }
    file.push_str("user admin on >admin-canary ~* &* +@all\n");
    scratch.write("users.acl", file).display().to_string()
}

fn as_user(redis: &Redis, user: &str, command: &[&str]) -> String {
    let password = format!("{user}-canary");
    redis.cli(
        &[
            &["--user", user, "--pass", &password, "--no-auth-warning"],
            command,
        ]
        .concat(),
    )
}

#[test]
fn redis_users_have_exactly_their_rights() {
    let scratch = Scratch::new();
    let acl = users(&scratch);
    let redis = Redis::start_with(&scratch.path("."), &["--save", "", "--aclfile", &acl]);
    let url = |user: &str| format!("redis://{user}@127.0.0.1:{}/", redis.port());
    let (coordinator, worker) = (url("coordinator"), url("worker"));
    let arguments = [
        "--redis",
        &coordinator,
        "--redis-password-file",
        "coordinator.password",
    ];
    let cluster = Cluster::over(scratch, redis, &arguments);
    let worker = |cluster: &Cluster| {
        cluster.worker_with(&[
            "--redis",
            &worker,
            "--redis-password-file",
            "worker.password",
            "--slots",
            "noop=8",
        ])
    };
    let (first, _second) = (worker(&cluster), worker(&cluster));
    let job = cluster.submit(1_500, "2ms..20ms");
    cluster.wait_for(&job, 300);
    // What a janitor and a republisher need is in it, too.
    first.signal(Signal::KILL);
    cluster.wait_for(&job, 900);
    let units = "sr:{noop}:units:normal";
    assert!(
        !as_user(&cluster.redis, "worker", &["GET", "sr:deployment"])
            .trim()
            .is_empty(),
        "the leader has marked it"
    );
    let denied: [(&str, &[&str]); 18] = [
        ("coordinator", &["FLUSHALL"]),
        ("coordinator", &["KEYS", "*"]),
        ("coordinator", &["CONFIG", "SET", "maxmemory", "1"]),
        ("coordinator", &["CONFIG", "GET", "requirepass"]),
        (
            "coordinator",
            &[
                "XREADGROUP",
                "GROUP",
                "workers",
                "thief",
                "STREAMS",
                units,
                ">",
            ],
        ),
        ("coordinator", &["XADD", "sr:reports", "*", "b", "forged"]),
        ("coordinator", &["GET", "somebody-else"]),
        ("worker", &["FLUSHALL"]),
        ("worker", &["KEYS", "*"]),
        ("worker", &["CONFIG", "SET", "maxmemory", "1"]),
        ("worker", &["XREAD", "STREAMS", "sr:reports", "0"]),
        ("worker", &["XDEL", "sr:reports", "0-1"]),
        ("worker", &["XADD", "sr:control", "*", "b", "forged"]),
        ("worker", &["SET", "sr:mark", "1"]),
        ("worker", &["SET", "sr:deployment", "forged"]),
        ("worker", &["SET", "sr:key", "forged"]),
        ("observer", &["XADD", units, "*", "b", "forged"]),
        ("observer", &["XRANGE", units, "-", "+"]),
    ];
    for (user, command) in denied {
        let said = as_user(&cluster.redis, user, command);
        assert!(said.contains("NOPERM"), "{user} may {command:?}: {said}");
    }
    for command in [
        ["XLEN", units].as_slice(),
        &["XINFO", "GROUPS", units],
        &["INFO", "memory"],
    ] {
        let said = as_user(&cluster.redis, "observer", command);
        assert!(
            !said.contains("NOPERM") && !said.contains("ERR"),
            "the observer may not {command:?}: {said}"
        );
    }
    assert!(
        cluster.redis.cli(&["PING"]).contains("NOAUTH"),
        "nobody comes in without a name"
    );
    // Units are signed and workers know the key: an entry of another program is parked, not run.
    let public = as_user(&cluster.redis, "worker", &["GET", "sr:key"]);
    assert_eq!(public.trim().len(), 64, "{public}");
    as_user(
        &cluster.redis,
        "worker",
        &["XADD", units, "*", "b", "\u{1}forged"],
    );
    wait_until("what is forged is parked", || {
        let parked = as_user(
            &cluster.redis,
            "coordinator",
            &["XRANGE", "sr:parked", "-", "+"],
        );
        parked.contains("not signed")
    });
    cluster.assert_exact(&job, 1_500);
    let said = cluster.coordinator.stderr();
    assert!(
        !said.contains("NOPERM") && !said.contains("canary"),
        "{said}"
    );
}

#[test]
fn password_change_under_load_raises_few_errors() {
    let scratch = Scratch::new();
    let acl = users(&scratch);
    let redis = Redis::start_with(&scratch.path("."), &["--save", "", "--aclfile", &acl]);
    let url = |user: &str| format!("redis://{user}@127.0.0.1:{}/", redis.port());
    let (coordinator, worker) = (url("coordinator"), url("worker"));
    let arguments = [
        "--redis",
        &coordinator,
        "--redis-password-file",
        "coordinator.password",
    ];
    let cluster = Cluster::over(scratch, redis, &arguments);
    let worker = cluster.worker_with(&[
        "--redis",
        &worker,
        "--redis-password-file",
        "worker.password",
        "--slots",
        "noop=8",
    ]);
    let job = cluster.submit(1_000, "2ms..20ms");
    cluster.wait_for(&job, 200);
    // The administrator changes both passwords and closes all connections; the files follow seconds later.
    let changed = std::fs::read_to_string(&acl)
        .expect("we wrote it")
        .replace("-canary", "-second");
    let changed = changed.replace("admin-second", "admin-canary");
    std::fs::write(&acl, changed).expect("it can be written");
    assert!(as_user(&cluster.redis, "admin", &["ACL", "LOAD"]).contains("OK"));
    as_user(
        &cluster.redis,
        "admin",
        &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
    );
    std::thread::sleep(std::time::Duration::from_secs(6));
    let lines = |running: &Running| {
        running
            .stderr()
            .lines()
            .filter(|line| line.contains("ERROR"))
            .count()
    };
    for running in [&cluster.coordinator, &worker] {
        // A worker has two connections for short commands (one for its signs of life), each with two errors to meet.
        let alarms = lines(running);
        assert!(
            (1..=12).contains(&alarms),
            "{alarms} alarms in six seconds: {}",
            running.stderr()
        );
    }
    for user in ["coordinator", "worker"] {
        cluster
            .scratch
            .write(format!("{user}.password"), format!("{user}-second\n"));
    }
    cluster.assert_exact(&job, 1_000);
    assert!(
        !worker.stderr().contains("-canary") && !worker.stderr().contains("-second"),
        "no password is printed"
    );
}

fn certificate(scratch: &Scratch) -> (std::path::PathBuf, std::path::PathBuf) {
    let (certificate, key) = (scratch.path("server.pem"), scratch.path("server.key"));
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]);
    command.args([
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    let made = command
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl is installed");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    (certificate, key)
}

#[test]
fn tls_server_is_used_only_with_a_verified_certificate() {
    let scratch = Scratch::new();
    let (pem, key) = certificate(&scratch);
    let redis = Redis::start_encrypted(&scratch.path("."), &pem, &key);
    let url = format!("rediss://127.0.0.1:{}/", redis.port());
    let refused = |arguments: &[&str], words: &[&str]| {
        let ran = scratch.run(
            &[
                &["coordinator", "--data", "other", "--listen", "127.0.0.1:0"],
                arguments,
            ]
            .concat(),
        );
        assert!(ran.code == 1 || ran.code == 2, "{ran:#?}");
        ran.expect_said(words);
    };
    refused(&["--redis", &url], &["certificate"]);
    refused(&["--redis", &format!("{url}#insecure")], &["--redis-ca"]);
    refused(
        &["--redis", &url, "--redis-ca", "nothing.pem"],
        &["nothing.pem"],
    );
    refused(
        &["--redis", &redis.url(), "--redis-ca", "server.pem"],
        &["rediss://"],
    );
    let other = Scratch::new();
    let (stranger, _) = certificate(&other);
    refused(
        &["--redis", &url, "--redis-ca", &path(&stranger)],
        &["certificate"],
    );
    let cluster = Cluster::over(
        scratch,
        redis,
        &["--redis", &url, "--redis-ca", "server.pem"],
    );
    let _worker = cluster.worker_with(&[
        "--redis",
        &url,
        "--redis-ca",
        "server.pem",
        "--slots",
        "noop=8",
    ]);
    let job = cluster.submit(500, "1ms..5ms");
    cluster.assert_exact(&job, 500);
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn promoted_replica_without_acknowledged_writes_is_used() {
    let scratch = Scratch::new();
    let mut set = Replicated::start(&scratch.path("."));
    let url = set.url();
    let idle = Redis::start(&scratch.path("."));
    let cluster = Cluster::over(scratch, idle, &["--redis", &url]);
    let worker = || cluster.worker_with(&["--redis", &url, "--slots", "noop=32"]);
    let _workers = [worker(), worker()];
    let job = cluster.submit(12_000, "2ms..20ms");
    cluster.wait_for(&job, 1_000);
    // The replica receives nothing more, the master keeps confirming writes, and dies.
    set.replica.signal(Signal::STOP);
    cluster.wait_for(&job, 2_500);
    set.master.kill();
    set.replica.signal(Signal::CONT);
    set.wait_for_promotion();
    let delay = cluster.wait_for_progress(&job);
    println!("work went on {delay:?} after the promotion");
    cluster.assert_exact(&job, 12_000);
}

#[test]
fn redis_cluster_is_used_while_its_slots_move() {
    let scratch = Scratch::new();
    let set = RedisCluster::start(&scratch.path("."));
    let url = set.url();
    let idle = Redis::start(&scratch.path("."));
    let cluster = Cluster::over(scratch, idle, &["--redis", &url]);
    let worker = || cluster.worker_with(&["--redis", &url, "--slots", "noop=16"]);
    let workers = [worker(), worker()];
    let job = cluster.submit(20_000, "2ms..20ms");
    cluster.wait_for(&job, 500);
    // The stream of units moves several times: entries are added to it meanwhile, and none of them twice.
    let units = "sr:{noop}:units:normal";
    for key in [units, "sr:reports", units, "sr:mark", units, units, units] {
        let to = (set.holder(key) + 1) % 3;
        set.move_slot(key, to);
        wait_until("the slot has moved", || set.holder(key) == to);
        cluster.wait_for_progress(&job);
    }
    cluster.assert_exact(&job, 20_000);
    for running in workers.iter().chain([&cluster.coordinator]) {
        assert!(
            !running.stderr().contains("CROSSSLOT"),
            "{}",
            running.stderr()
        );
    }
}
