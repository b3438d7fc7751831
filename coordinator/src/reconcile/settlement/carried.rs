//! Bytes that an attempt of a transfer carried: written, or found at the destination.
use crate::store::Carried;
use protocol::media::asset::AssetFact;
use protocol::rules::unit::settle::Settlement;

/// Counts the assets that an attempt reported as landed, as its unit is settled.
pub(super) fn of(facts: &[AssetFact], settlement: &Settlement) -> Carried {
    let count = |counted: &dyn Fn(&AssetFact) -> bool| {
        let counted = facts
            .iter()
            .filter(|fact| fact.location.is_some() && counted(fact));
        counted.fold((0u64, 0u64), |(assets, bytes), fact| {
            (
                assets + 1,
                bytes.saturating_add(fact.bytes.unwrap_or_default()),
            )
        })
    };
    let (copied, copied_bytes) = count(&|fact| !fact.skipped);
    // Another attempt finds what this one has copied, and reports it once more.
    let again = matches!(
        settlement,
        Settlement::Retry(..)
            | Settlement::Split { retry: Some(_), .. }
            | Settlement::Release
            | Settlement::Wait(..)
    );
    let (landed, landed_bytes) = count(&|_| !again);
    Carried {
        copied,
        copied_bytes,
        landed,
        landed_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::summary::TransferSummary;
    use protocol::failure::Failure;
    use protocol::time::Timestamp;

    fn fact(bytes: u64, skipped: bool) -> AssetFact {
        AssetFact {
            location: Some("file:/a".into()),
            bytes: Some(bytes),
            skipped,
            ..AssetFact::default()
        }
    }

    #[test]
    fn what_an_earlier_attempt_copied_was_not_present_before() {
        let failure = || Failure::transient("slow", "m");
        let split = Settlement::Split {
            dead: vec![],
            retry: Some((Timestamp(1), failure())),
        };
        for again in [Settlement::Retry(Timestamp(1), failure()), split] {
            let first = of(&[fact(1, false), fact(2, true)], &again);
            assert_eq!(
                TransferSummary::from(first),
                TransferSummary {
                    copied: 1,
                    copied_bytes: 1,
                    ..Default::default()
                }
            );
            let second = of(
                &[fact(1, true), fact(2, true), fact(4, false)],
                &Settlement::Succeed,
            );
            let expected = TransferSummary {
                copied: 2,
                copied_bytes: 5,
                present: 1,
                present_bytes: 2,
            };
            assert_eq!(TransferSummary::from(first + second), expected, "{again:?}");
        }
    }

    #[test]
    fn what_did_not_land_is_not_counted() {
        let lost = AssetFact {
            location: None,
            ..fact(1, false)
        };
        assert_eq!(of(&[lost], &Settlement::Die(vec![])), Carried::default());
    }
}
