//! The cost of a message of reports: encode, authenticate, verify, decode.
//!
//! `bench message [REPORTS]...`: messages of 1, 64 and 1,024 ends of light units, or of these numbers of ends. Prints one
//! JSON line for each: bytes, and microseconds of each part for one message.
use protocol::id::{JobNo, StepNo, UnitId, WorkerId};
use protocol::wire::envelope;
use protocol::wire::report::{Outcome, Report, UnitResult};
use std::hint::black_box;
use std::time::{Duration, Instant};
use transport::report_key::ReportKeys;

/// Time that each part is repeated for.
const EACH: Duration = Duration::from_secs(1);
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const SENDER: &str = "worker-17.internal-0a1b2c3d";

/// Runs the measurement.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let mut sizes = Vec::new();
    for argument in arguments {
        sizes.push(argument.parse()?);
    }
    if sizes.is_empty() {
        sizes = vec![1, 64, 1_024];
    }
    let keys = ReportKeys::parse(KEY)?;
    for size in sizes {
        let reports: Vec<Report> = (1..=size).map(end).collect();
        let body = envelope::encode(&reports)?;
        let tag = keys.authenticate(SENDER, &body);
        let encode = micros(|| envelope::encode(black_box(&reports)).is_ok());
        let authenticate = micros(|| !keys.authenticate(SENDER, black_box(&body)).is_empty());
        let verify = micros(|| keys.verifies(SENDER.as_bytes(), black_box(&body), &tag));
        let decode = micros(|| envelope::decode::<Vec<Report>>(black_box(&body)).is_ok());
        let line = serde_json::json!({
            "reports": size, "bytes": body.len(), "encode_us": encode, "authenticate_us": authenticate,
            "verify_us": verify, "decode_us": decode,
        });
        println!("{line}");
    }
    Ok(())
}

fn end(part: i64) -> Report {
    Report::Settled(Outcome {
        unit: UnitId::new(JobNo(7), StepNo(2), part),
        epoch: 1,
        worker: WorkerId(SENDER.into()),
        result: UnitResult::Finished {
            facts: Vec::new(),
            failures: Vec::new(),
        },
        duration_us: 1_500,
    })
}

/// Microseconds of one call, with two decimals.
fn micros(mut call: impl FnMut() -> bool) -> f64 {
    let (started, mut calls) = (Instant::now(), 0_u32);
    while started.elapsed() < EACH {
        for _ in 0..64 {
            assert!(call(), "the part fails");
        }
        calls += 64;
    }
    let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(calls);
    (micros * 100.0).round() / 100.0
}
