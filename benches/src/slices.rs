//! One large file over several workers: up to a bucket, across to another server's, and down again.
//!
//! `bench slices BYTES WORKERS [kill] [up|across|down] [verify=ALGORITHM] [beside=DIR]`: random bytes; processes of their own over a
//! real Redis and two SeaweedFS servers. With `kill` one worker of each leg is killed with signal 9 when half of it has
//! been carried (the only one is started again). Prints one JSON line for each leg: seconds, MB/s, slices, and whether
//! the bytes are right, the reported hash is theirs, and nothing is left over.
use protocol::model::hash::HashAlgorithm;
use protocol::quantity::Bytes;
use rustix::process::Signal;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use storage::hash::hash_file;
use testkit::{Running, Scratch};
use tests::haul::{Haul, Leg};
use tests::objects;
use tokio_util::sync::CancellationToken;

type Fault = Box<dyn std::error::Error>;

const SLOTS: u32 = 4;
const FILE: &str = "master.mov";
const LOOK_EVERY: Duration = Duration::from_millis(50);

struct Asked {
    bytes: u64,
    workers: usize,
    kill: bool,
    legs: Vec<Leg>,
    verify: String,
    /// Where the first and the third copy are; the others are where temporary files are.
    beside: String,
}

fn asked(arguments: &[String]) -> Result<Asked, Fault> {
    let usage =
        "bench slices BYTES WORKERS [kill] [up|across|down] [verify=ALGORITHM] [beside=DIR]";
    let mut args = arguments.iter().cloned();
    let bytes = Bytes::parse(&args.next().ok_or(usage)?)?.0;
    let workers = args.next().ok_or(usage)?.parse()?;
    let rest: Vec<String> = args.collect();
    let named = |leg: &Leg| {
        rest.iter()
            .any(|word| *word == format!("{leg:?}").to_lowercase())
    };
    let last = Leg::ALL
        .iter()
        .rposition(named)
        .unwrap_or(Leg::ALL.len() - 1);
    let verify = rest
        .iter()
        .find_map(|word| word.strip_prefix("verify="))
        .unwrap_or("xxh128")
        .to_owned();
    // Each leg carries what the one before has left.
    let legs = Leg::ALL[..=last].to_vec();
    let beside = rest
        .iter()
        .find_map(|word| word.strip_prefix("beside="))
        .unwrap_or("/tmp")
        .to_owned();
    Ok(Asked {
        bytes,
        workers,
        kill: rest.iter().any(|word| word == "kill"),
        legs,
        verify,
        beside,
    })
}

/// Carries one file over the legs that are named, or over all of them.
pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let asked = asked(arguments)?;
    let (scratch, beside) = (Scratch::new(), tempfile::tempdir_in(&asked.beside)?);
    let source = beside.path().join("in");
    std::fs::create_dir_all(&source)?;
    make(&source.join(FILE), asked.bytes)?;
    let expected = xxh128(&source.join(FILE))?;
    let haul = Haul::start(scratch, (&source, beside.path()), "2GiB", SLOTS, "");
    let mut haul = haul.ok_or("no S3 to carry to: run ops/setup.sh test")?;
    for leg in &asked.legs {
        let told = carry(&haul, &asked, *leg, &expected)?;
        println!("{told}");
        // At most two copies at a time.
        haul.remove_source(*leg);
        if told["right"] != true || told["left_over"] != 0 {
            return Err("what was carried is not what it should be".into());
        }
    }
    Ok(())
}

fn carry(haul: &Haul, asked: &Asked, leg: Leg, expected: &str) -> Result<Value, Fault> {
    let mut workers: Vec<Running> = (0..asked.workers).map(|_| haul.worker()).collect();
    haul.wait_for_workers(asked.workers);
    let begun = Instant::now();
    let job = haul.submit(leg, &format!(", verify: {}", asked.verify));
    let slices = if asked.kill {
        kill(haul, asked, &mut workers)
    } else {
        0
    };
    let summary = haul.wait(&job);
    let seconds = begun.elapsed().as_secs_f64();
    drop(workers);
    let (bytes, hash) = landed(haul, leg)?;
    let reported = haul.reported(FILE);
    let proven = asked.verify != "xxh128" || reported.as_deref() == Some(expected);
    let hidden = std::fs::read_dir(haul.cluster.scratch.path("down")).map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with('.'))
            .count()
    });
    Ok(serde_json::json!({
        "leg": format!("{leg:?}").to_lowercase(), "workers": asked.workers, "killed": asked.kill, "bytes": bytes,
        "seconds": seconds, "mb_per_second": bytes as f64 / 1e6 / seconds, "slices": slices,
        "state": summary["state"], "right": hash == expected && proven && summary["state"] == "succeeded",
        "hash": hash, "reported": reported,
        "left_over": haul.uploads().len() + hidden,
    }))
}

/// Kills a worker when half of the slices have arrived. Returns the number of slices.
fn kill(haul: &Haul, asked: &Asked, workers: &mut Vec<Running>) -> u64 {
    let mut slices = 0;
    loop {
        let (all, arrived) = haul.slices();
        slices = slices.max(all);
        // One that carries all of it alone says how much it has moved.
        let half = if all > 0 {
            arrived * 2 >= all
        } else {
            haul.moved() * 2 >= asked.bytes
        };
        if half {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    workers.remove(0).signal(Signal::KILL);
    if workers.is_empty() {
        workers.push(haul.worker());
    }
    slices
}

fn landed(haul: &Haul, leg: Leg) -> Result<(u64, String), Fault> {
    let found = match leg {
        Leg::Up => haul
            .here()
            .and_then(|here| objects::hash(here, &format!("up/{FILE}"))),
        Leg::Across => objects::hash(&haul.there, &format!("across/{FILE}")),
        Leg::Down => {
            let path = haul.cluster.scratch.path("down").join(FILE);
            Some((std::fs::metadata(&path)?.len(), xxh128(&path)?))
        }
    };
    found.ok_or_else(|| "nothing has landed".into())
}

fn xxh128(path: &Path) -> Result<String, Fault> {
    let (digests, _) = hash_file(path, &[HashAlgorithm::Xxh128], &CancellationToken::new())?;
    Ok(digests.first().ok_or("no digest")?.to_string())
}

/// Writes random bytes.
fn make(path: &Path, bytes: u64) -> Result<(), Fault> {
    let mut out = std::fs::File::create(path)?;
    let mut random = fastrand::Rng::with_seed(bytes);
    let mut block = vec![0; 4 << 20];
    let mut left = bytes;
    while left > 0 {
        random.fill(&mut block);
        let take = usize::try_from(left.min(block.len() as u64))?;
        out.write_all(&block[..take])?;
        left -= take as u64;
    }
    Ok(())
}
