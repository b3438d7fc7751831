//! Splits verdicts as workers report them: the measurements, the judgement, and the checks that failed.
use protocol::failure::Failure;
use protocol::media::asset::AssetFact;
use protocol::model::qc::{Judgement, Verdict};

/// An asset that was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Id of the asset that was judged.
    pub asset: String,
    /// Hash of its bytes; empty when they could not be read.
    pub hash: String,
    /// Name of the policy.
    pub policy: String,
    /// Digest of the policy.
    pub digest: String,
    /// Verdict on these bytes.
    pub verdict: Verdict,
    /// The text of the stored report.
    pub report: String,
    /// The text of the fact sheet, when something was measured.
    pub sheet: Option<String>,
    /// Whether media had to be decoded.
    pub decoded: bool,
    /// Size in bytes.
    pub bytes: Option<u64>,
    /// Why it does not pass by itself.
    pub failure: Option<Failure>,
    /// The text of the pictures of what fails it.
    pub pictures: Option<String>,
}

impl Judged {
    /// Ids of the failed checks.
    pub fn checks(&self) -> &[String] {
        self.failure.as_ref().map_or(&[], |failure| &failure.checks)
    }

    /// What a task about it is about: the asset under this policy, whatever its bytes and the policy's revision.
    pub fn subject(&self) -> String {
        subject(&self.asset, &self.policy)
    }
}

/// Key of a rework task: the asset and the policy.
pub fn subject(asset: &str, policy: &str) -> String {
    format!("{asset}\n{policy}")
}

/// Takes verdicts out of what a unit learned. What was measured is moved out of the reports: it belongs to the bytes.
pub fn read(facts: &mut [AssetFact], failures: &[(String, Failure)]) -> Vec<Judged> {
    facts
        .iter_mut()
        .filter_map(|fact| judged(fact, failures))
        .collect()
}

fn judged(fact: &mut AssetFact, failures: &[(String, Failure)]) -> Option<Judged> {
    let verdict = Verdict::parse(fact.verdict.as_deref()?);
    // A report that cannot be read stays as it came, and nothing is learned from it.
    let Judgement {
        report: stored,
        facts,
        pictures,
    } = Judgement::read(fact.report.as_deref()?)?;
    let failure = failures
        .iter()
        .find(|(asset, _)| *asset == fact.asset)
        .map(|(_, failure)| failure.clone());
    if failure.is_none() && !matches!(verdict, Verdict::Pass | Verdict::NotJudged) {
        // Its failure belongs to another unit by now: a split has moved the asset away.
        return None;
    }
    let report = stored.write()?;
    fact.report = Some(report.clone());
    let pictures = serde_json::to_string(&pictures)
        .ok()
        .filter(|_| !pictures.is_empty());
    Some(Judged {
        asset: fact.asset.clone(),
        hash: fact.hash.clone().unwrap_or_default(),
        policy: stored.report.policy,
        digest: stored.report.policy_digest,
        verdict,
        report,
        sheet: facts.map(|sheet| sheet.to_string()),
        decoded: stored.decoded,
        bytes: fact.bytes,
        failure,
        pictures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(report: &str) -> AssetFact {
        AssetFact {
            asset: "a".into(),
            hash: Some("xxh128:1".into()),
            verdict: Some("fail".into()),
            report: Some(report.into()),
            ..AssetFact::default()
        }
    }

    #[test]
    fn what_was_measured_is_taken_out_of_the_report() {
        let text = r#"{"policy":"hd","policy_digest":"d","decoded":true,"facts":{"bytes":3},"findings":[]}"#;
        let mut facts = [fact(text)];
        let failures = [(
            "a".to_owned(),
            Failure {
                checks: vec!["black".into()],
                ..Failure::permanent("r", "m")
            },
        )];
        let judged = read(&mut facts, &failures).remove(0);
        assert_eq!(
            (
                judged.subject().as_str(),
                judged.digest.as_str(),
                judged.decoded
            ),
            ("a\nhd", "d", true)
        );
        assert_eq!(judged.sheet.as_deref(), Some(r#"{"bytes":3}"#));
        assert_eq!(judged.checks(), ["black"]);
        assert!(
            !judged.report.contains("facts")
                && facts[0].report.as_deref() == Some(judged.report.as_str())
        );
    }

    #[test]
    fn pictures_are_taken_out_of_the_report() {
        let picture =
            r#"{"kind":"still","check":"black","at":1.5,"media_type":"image/jpeg","image":"AAAA"}"#;
        let failures = [("a".to_owned(), Failure::permanent("r", "m"))];
        let of = |pictures: &str| {
            let judged = read(
                &mut [fact(&format!(r#"{{"policy":"hd","pictures":{pictures}}}"#))],
                &failures,
            )
            .remove(0);
            assert!(!judged.report.contains("pictures"), "{}", judged.report);
            judged.pictures
        };
        assert_eq!(of(&format!("[{picture}]")), Some(format!("[{picture}]")));
        assert_eq!(
            [of("[]"), of("7"), of(r#"[{"kind":1}]"#)],
            [None, None, None]
        );
    }

    #[test]
    fn a_report_of_an_older_worker_teaches_what_it_can() {
        let passed = AssetFact {
            verdict: Some("pass".into()),
            ..fact(r#"{"policy":"hd"}"#)
        };
        let judged = read(&mut [passed], &[]).remove(0);
        assert_eq!(
            (judged.sheet, judged.decoded, judged.failure),
            (None, false, None)
        );
        assert_eq!(read(&mut [fact("not json")], &[]), []);
        assert_eq!(
            read(
                &mut [AssetFact {
                    verdict: None,
                    ..fact("{}")
                }],
                &[]
            ),
            []
        );
        assert_eq!(
            read(&mut [fact("{}")], &[]),
            [],
            "a failure without its failure is another unit's"
        );
    }
}
