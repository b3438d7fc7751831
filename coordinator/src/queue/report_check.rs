//! Which reports a coordinator accepts. With the keys of the deployment it accepts messages that their sender has
//! authenticated, and of these the reports that name no other worker. Without keys it accepts every message, as workers
//! without the coordinator's key run every unit.
use super::Sent;
use crate::refusal::Refusal;
use parking_lot::Mutex;
use protocol::id::WorkerId;
use protocol::wire::envelope::{self, WireError};
use protocol::wire::report::Report;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use transport::report_key::ReportKeys;

/// How often refused reports of one sender are logged.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Senders whose last log line is remembered. Anyone may make up names: those beyond share one place.
const SENDERS_MAX: usize = 64;
/// Characters of a sender's name in the log.
const NAME_MAX: usize = 80;

/// An entry of the stream of reports.
#[derive(Debug, Default)]
pub(super) struct ReportEntry {
    pub(super) id: String,
    pub(super) body: Vec<u8>,
    pub(super) sender: Option<Vec<u8>>,
    pub(super) authenticator: Option<Vec<u8>>,
}

/// Checks messages before and after they are decoded.
#[derive(Default)]
pub(super) struct ReportCheck {
    keys: Option<ReportKeys>,
    logged: Mutex<BTreeMap<String, Instant>>,
}

impl ReportCheck {
    /// A check with these keys.
    pub(super) fn new(keys: Option<ReportKeys>) -> ReportCheck {
        ReportCheck {
            keys,
            ..ReportCheck::default()
        }
    }

    /// Appends the accepted reports of an entry to `reports`, and counts what is refused in `refused`.
    pub(super) fn read(
        &self,
        entry: &ReportEntry,
        reports: &mut Vec<Sent>,
        refused: &mut BTreeMap<Refusal, u64>,
    ) -> Result<(), WireError> {
        let Some(keys) = &self.keys else {
            let decoded: Vec<Report> = envelope::decode(&entry.body)?;
            reports.extend(decoded.into_iter().map(Sent::from));
            return Ok(());
        };
        let sender = match authenticated(keys, entry) {
            Ok(sender) => Arc::new(sender),
            Err(refusal) => {
                *refused.entry(refusal).or_default() += 1;
                self.log(entry, refusal);
                return Ok(());
            }
        };
        let decoded: Vec<Report> = envelope::decode(&entry.body)?;
        for report in decoded {
            if worker_of(&report).is_some_and(|worker| *worker != *sender) {
                *refused.entry(Refusal::OtherSender).or_default() += 1;
                self.log(entry, Refusal::OtherSender);
                continue;
            }
            reports.push(Sent {
                sender: Some(Arc::clone(&sender)),
                report,
            });
        }
        Ok(())
    }

    fn log(&self, entry: &ReportEntry, refusal: Refusal) {
        let name = String::from_utf8_lossy(entry.sender.as_deref().unwrap_or_default());
        let name: String = name.chars().take(NAME_MAX).collect();
        if self.is_due(&name, Instant::now()) {
            tracing::warn!(
                sender = ?name,
                reason = refusal.as_str(),
                entry = %entry.id,
                "reports are refused: {}",
                advice(refusal)
            );
        }
    }

    /// Whether refused reports of this sender are logged now.
    fn is_due(&self, name: &str, now: Instant) -> bool {
        let mut logged = self.logged.lock();
        logged.retain(|_, at| now.duration_since(*at) < LOG_EVERY);
        let place = if logged.len() < SENDERS_MAX || logged.contains_key(name) {
            name
        } else {
            "…"
        };
        let due = !logged.contains_key(place);
        if due {
            logged.insert(place.to_owned(), now);
        }
        due
    }
}

/// The sender of an entry, when one of the keys shows it.
fn authenticated(keys: &ReportKeys, entry: &ReportEntry) -> Result<WorkerId, Refusal> {
    let (Some(sender), Some(authenticator)) = (&entry.sender, &entry.authenticator) else {
        return Err(Refusal::Unauthenticated);
    };
    if !keys.verifies(sender, &entry.body, authenticator) {
        return Err(Refusal::WrongKey);
    }
    let name = std::str::from_utf8(sender).map_err(|_| Refusal::WrongKey)?;
    Ok(WorkerId(name.to_owned()))
}

/// The worker that a report names.
fn worker_of(report: &Report) -> Option<&WorkerId> {
    match report {
        Report::Settled(outcome) => Some(&outcome.worker),
        Report::Heartbeat(beat) => Some(&beat.worker),
        Report::Isolated { worker, .. } => Some(worker),
        Report::Progress(progress) => Some(&progress.worker),
        Report::Page { .. } | Report::Buried { .. } => None,
    }
}

fn advice(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unauthenticated => {
            "the message has no authenticator; upgrade the worker and give it --report-key-file"
        }
        Refusal::WrongKey => {
            "the authenticator is not of a key of this deployment; give the worker the coordinators' --report-key-file"
        }
        Refusal::OtherSender => "the message reports in the name of another worker",
        Refusal::OtherHolder => "another worker holds the unit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{JobNo, StepNo, UnitId};
    use protocol::wire::report::{Heartbeat, Outcome, UnitResult};

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const OTHER: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn keys(text: &str) -> ReportKeys {
        ReportKeys::parse(text).expect("keys")
    }

    fn end(worker: &str) -> Report {
        Report::Settled(Outcome {
            unit: UnitId::new(JobNo(1), StepNo(0), 1),
            epoch: 1,
            worker: WorkerId(worker.into()),
            result: UnitResult::Returned,
            duration_us: 0,
        })
    }

    fn beat(worker: &str) -> Report {
        Report::Heartbeat(Heartbeat {
            worker: WorkerId(worker.into()),
            held: Vec::new(),
            slots: Vec::new(),
            draining: false,
            bytes: 0,
            leaves_at: None,
        })
    }

    fn entry(reports: Vec<Report>, sender: &str, key: Option<&str>) -> ReportEntry {
        let body = envelope::encode(&reports).expect("encodes");
        ReportEntry {
            id: "1-1".into(),
            authenticator: key.map(|key| keys(key).authenticate(sender, &body)),
            sender: key.map(|_| sender.as_bytes().to_vec()),
            body,
        }
    }

    fn read(check: &ReportCheck, entry: &ReportEntry) -> (Vec<Sent>, Vec<(Refusal, u64)>) {
        let (mut reports, mut refused) = (Vec::new(), BTreeMap::new());
        check
            .read(entry, &mut reports, &mut refused)
            .expect("it can be decoded");
        (reports, refused.into_iter().collect())
    }

    #[test]
    fn message_without_valid_authenticator_is_refused() {
        let check = ReportCheck::new(Some(keys(KEY)));
        let genuine = entry(vec![beat("w-1"), end("w-1")], "w-1", Some(KEY));
        let (reports, refused) = read(&check, &genuine);
        assert_eq!((reports.len(), refused), (2, vec![]));
        let forged = |change: fn(&mut ReportEntry)| {
            let mut entry = entry(vec![beat("w-1"), end("w-1")], "w-1", Some(KEY));
            change(&mut entry);
            read(&check, &entry)
        };
        let one = |refusal| (Vec::new(), vec![(refusal, 1)]);
        assert_eq!(
            read(&check, &entry(vec![end("w-1")], "w-1", None)),
            one(Refusal::Unauthenticated)
        );
        assert_eq!(
            read(&check, &entry(vec![end("w-1")], "w-1", Some(OTHER))),
            one(Refusal::WrongKey)
        );
        assert_eq!(
            forged(|entry| entry.sender = None),
            one(Refusal::Unauthenticated)
        );
        assert_eq!(
            forged(|entry| entry.sender = Some(b"w-2".to_vec())),
            one(Refusal::WrongKey)
        );
        assert_eq!(
            forged(|entry| entry.body.push(0)),
            one(Refusal::WrongKey),
            "it is not even decoded"
        );
    }

    #[test]
    fn reports_in_another_name_are_dropped_and_the_others_are_kept() {
        let check = ReportCheck::new(Some(keys(KEY)));
        let mixed = vec![beat("w-2"), end("w-1"), end("w-2"), beat("w-1")];
        let (reports, refused) = read(&check, &entry(mixed, "w-1", Some(KEY)));
        let kept: Vec<Report> = reports.into_iter().map(|sent| sent.report).collect();
        assert_eq!(kept, [end("w-1"), beat("w-1")]);
        assert_eq!(refused, [(Refusal::OtherSender, 2)]);
    }

    #[test]
    fn every_message_is_accepted_without_keys() {
        let check = ReportCheck::default();
        for key in [None, Some(KEY), Some(OTHER)] {
            let (reports, refused) = read(&check, &entry(vec![end("w-2")], "w-1", key));
            assert_eq!((reports, refused), (vec![Sent::from(end("w-2"))], vec![]));
        }
    }

    #[test]
    fn refused_reports_are_logged_once_per_sender_and_interval() {
        let (check, now) = (ReportCheck::default(), Instant::now());
        assert!(check.is_due("w-1", now) && !check.is_due("w-1", now));
        assert!(check.is_due("w-2", now));
        assert!(!check.is_due("w-1", now + LOG_EVERY / 2));
        assert!(check.is_due("w-1", now + LOG_EVERY));
        let names = 0..10_000;
        let lines = names
            .filter(|name| check.is_due(&format!("made-up-{name}"), now + LOG_EVERY))
            .count();
        assert!((60..=SENDERS_MAX).contains(&lines), "{lines}");
    }
}
