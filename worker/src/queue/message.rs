//! Reports as the messages they are sent in. One limit holds for a message, and no report ends another's way: what is too
//! long by itself is replaced or left out, and everything else is sent.
use protocol::failure::Failure;
use protocol::wire::envelope::{self, WireError};
use protocol::wire::report::{Outcome, Report, UnitResult};

/// Reports in one message.
const REPORTS_MAX: usize = 1_024;

/// Reason code of a unit whose report does not fit into a message.
pub const REPORT_TOO_LONG: &str = "report_too_long";

/// Reports and the bytes they are sent as.
pub(super) struct Message {
    pub(super) reports: Vec<Report>,
    pub(super) body: Vec<u8>,
}

/// Puts reports into messages, in order, each small enough to be sent: most reports are tiny, those of judged media hold
/// what was measured. Returns the messages, and the reason when a report that is not the end of a unit had to be left out.
pub(super) fn pack(mut reports: Vec<Report>) -> (Vec<Message>, Option<WireError>) {
    let (mut messages, mut refused) = (Vec::new(), None);
    let mut open: Vec<Vec<Report>> = Vec::new();
    while reports.len() > REPORTS_MAX {
        let rest = reports.split_off(REPORTS_MAX);
        open.push(std::mem::replace(&mut reports, rest));
    }
    open.push(reports);
    open.reverse();
    while let Some(mut chunk) = open.pop() {
        if chunk.is_empty() {
            continue;
        }
        match envelope::encode(&chunk) {
            Ok(body) => messages.push(Message {
                reports: chunk,
                body,
            }),
            Err(error) if chunk.len() == 1 => {
                match chunk.pop().map(|report| replaced(report, &error)) {
                    Some(Some(failed)) => open.push(vec![failed]),
                    _ => refused = Some(error),
                }
            }
            Err(_) => {
                let second = chunk.split_off(chunk.len() / 2);
                open.extend([second, chunk]);
            }
        }
    }
    (messages, refused)
}

/// What is sent instead of a report that is too long: the unit fails, and no attempt can change that. Nothing where it is
/// not the end of a unit, or short already.
fn replaced(report: Report, error: &WireError) -> Option<Report> {
    let Report::Settled(outcome) = report else {
        return None;
    };
    if matches!(&outcome.result, UnitResult::Failed(failure) if failure.reason == REPORT_TOO_LONG) {
        return None;
    }
    let message = format!(
        "what the unit has to report does not fit into a message ({error}): use a lower partition.max_assets"
    );
    tracing::error!(unit.id = %outcome.unit, %error, "a report is too long to be sent; its unit fails");
    let result = UnitResult::Failed(Failure::permanent(REPORT_TOO_LONG, message));
    Some(Report::Settled(Outcome { result, ..outcome }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::failure::ErrorClass;
    use protocol::id::{JobNo, StepNo, UnitId, WorkerId};
    use protocol::media::asset::AssetFact;
    use protocol::wire::report::ScanPage;

    fn report(part: i64, length: usize) -> Report {
        let fact = AssetFact {
            report: Some("x".repeat(length)),
            ..AssetFact::default()
        };
        Report::Settled(Outcome {
            unit: UnitId::new(JobNo(1), StepNo(0), part),
            epoch: 1,
            worker: WorkerId("w".into()),
            result: UnitResult::Finished {
                facts: vec![fact],
                failures: vec![],
            },
            duration_us: 1,
        })
    }

    fn read(messages: &[Message]) -> Vec<Report> {
        let decode = |message: &Message| {
            envelope::decode::<Vec<Report>>(&message.body).expect("what is sent can be read")
        };
        messages.iter().flat_map(decode).collect()
    }

    #[test]
    fn long_reports_go_in_messages_of_their_own_and_in_order() {
        let reports: Vec<Report> = (0..9)
            .map(|part| report(part, if part % 2 == 0 { 1 << 20 } else { 3 }))
            .collect();
        let (sent, refused) = pack(reports.clone());
        assert!(refused.is_none() && sent.len() > 1);
        assert!(
            sent.iter()
                .all(|message| message.body.len() <= envelope::BYTES_MAX)
        );
        assert_eq!(read(&sent), reports);
        assert!(pack(vec![]).0.is_empty());
        let many: Vec<Report> = (0..2_500).map(|part| report(part, 1)).collect();
        assert_eq!(read(&pack(many.clone()).0), many);
    }

    #[test]
    fn report_that_is_too_long_fails_its_unit_and_no_other() {
        let (sent, refused) = pack(vec![report(1, 3), report(2, 5 << 20), report(3, 3)]);
        assert!(refused.is_none());
        let back = read(&sent);
        assert_eq!((&back[0], &back[2]), (&report(1, 3), &report(3, 3)));
        let Report::Settled(Outcome {
            unit,
            epoch: 1,
            result: UnitResult::Failed(failure),
            ..
        }) = &back[1]
        else {
            panic!("{:?}", back[1]);
        };
        assert_eq!(
            (unit.part, failure.class, failure.reason.as_str()),
            (2, ErrorClass::Permanent, REPORT_TOO_LONG)
        );
        assert!(
            failure.message.contains("max_assets"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn page_that_is_too_long_is_left_out_and_said() {
        let next = "x".repeat(5 << 20);
        let unit = UnitId::new(JobNo(1), StepNo(0), 0);
        let page = ScanPage {
            unit,
            epoch: 1,
            page: 0,
            assets: vec![],
            errors: vec![],
            next: None,
        };
        let long = Report::Page {
            page,
            up_to: Some(next),
        };
        let (sent, refused) = pack(vec![report(1, 3), long, report(2, 3)]);
        assert_eq!(read(&sent), [report(1, 3), report(2, 3)]);
        assert!(matches!(refused, Some(WireError::TooLong(_))));
    }
}
