//! The one place where wire messages become bytes: a version byte, then bincode's compact layout.
//!
//! bincode is not self-describing, so a changed struct is a new version: add the new struct, keep the old one readable
//! (N-1), and write N-1 until every node reports N. Golden bytes in `tests/golden` fail when a layout moves by accident.
//! Only short-lived messages are encoded this way; what is stored is JSON.
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The version this build writes.
pub const VERSION: u8 = 1;

/// Versions this build reads.
pub const READABLE: std::ops::RangeInclusive<u8> = 1..=1;

/// Largest message either side accepts.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why bytes are not a message. All of these are permanent: the message is parked, never retried for ever.
#[derive(Debug, Error)]
pub enum WireError {
    /// No bytes at all.
    #[error("empty wire message")]
    Empty,
    /// Written by a build this one does not know.
    #[error("wire version {0}; this build reads {start} to {end}: upgrade this process", start = READABLE.start(), end = READABLE.end())]
    Version(u8),
    /// Larger than [`BYTES_MAX`].
    #[error("wire message of {0} bytes exceeds {BYTES_MAX}")]
    TooLong(usize),
    /// Not the layout its version promises.
    #[error("malformed wire message: {0}")]
    Malformed(String),
}

/// Encodes a message with its version byte.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![VERSION];
    bincode::serde::encode_into_std_write(message, &mut bytes, config())
        .map_err(|e| WireError::Malformed(e.to_string()))?;
    if bytes.len() > BYTES_MAX {
        return Err(WireError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes a message; refuses unknown versions, left-over bytes and oversized bodies.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let (&version, body) = bytes.split_first().ok_or(WireError::Empty)?;
    if !READABLE.contains(&version) {
        return Err(WireError::Version(version));
    }
    if bytes.len() > BYTES_MAX {
        return Err(WireError::TooLong(bytes.len()));
    }
    let (message, used) =
        bincode::serde::decode_from_slice(body, config()).map_err(|e| WireError::Malformed(e.to_string()))?;
    if used != body.len() {
        return Err(WireError::Malformed(format!("{} left-over bytes", body.len() - used)));
    }
    Ok(message)
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<BYTES_MAX>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{ErrorClass, Failure};
    use crate::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
    use crate::media::asset::{Asset, Role};
    use crate::wire::report::{Outcome, Report, UnitResult};
    use crate::wire::unit::{NoopTask, TaskSpec, Unit};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn unit() -> Unit {
        Unit {
            id: UnitId { job: JobNo(7), step: StepNo(2), part: 42 },
            epoch: 3,
            attempt: 1,
            kind: Kind::Noop,
            task: Arc::new(TaskSpec::Noop(NoopTask { duration_min_us: 0, duration_max_us: 5000, fail: 0.01 })),
            assets: vec![Asset {
                id: "a-1".into(),
                title: "t-1".into(),
                role: Role::Master,
                location: "file:///m/a.mov".into(),
                path: "a.mov".into(),
                bytes: Some(12),
                hash: None,
                declared: None,
            }],
            deadline: None,
        }
    }

    fn report() -> Report {
        Report::Settled(Outcome {
            unit: unit().id,
            epoch: 3,
            worker: WorkerId("w".into()),
            result: UnitResult::Finished {
                facts: vec![],
                failures: vec![(
                    "a-1".into(),
                    Failure::new(ErrorClass::Throttled { retry_after_ms: Some(5) }, "slow", "m"),
                )],
            },
            duration_us: 77,
        })
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Frozen layout of version 1. If this fails you changed the wire: make a new version instead.
    #[test]
    fn golden_bytes_of_version_1() {
        insta::assert_snapshot!("wire-1-unit", hex(&encode(&unit()).expect("encodes")));
        insta::assert_snapshot!("wire-1-report", hex(&encode(&report()).expect("encodes")));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let mut bytes = encode(&unit()).expect("encodes");
        assert_eq!(decode::<Unit>(&bytes).expect("reads"), unit());
        bytes.push(0);
        assert!(matches!(decode::<Unit>(&bytes), Err(WireError::Malformed(_))));
        bytes[0] = 9;
        assert!(matches!(decode::<Unit>(&bytes), Err(WireError::Version(9))));
        assert!(matches!(decode::<Unit>(&[]), Err(WireError::Empty)));
    }

    proptest! {
        /// Arbitrary bytes never panic and never allocate without bound.
        #[test]
        fn survives_any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            let _unit = decode::<Unit>(&bytes);
            let _report = decode::<Report>(&bytes);
        }
    }
}
