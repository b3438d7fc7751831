//! Reports as JUnit XML: a file is a suite and a demanded check a case, so that a pipeline shows what was checked and what
//! failed without reading anything else.
use super::{Inspected, escaped};
use ::qc::{Finding, Report, Verdict};
use protocol::model::qc::Severity;
use spec::CHECK_IDS;

/// The result of a test case.
enum CaseResult {
    Passed,
    /// The check passed, with a warning.
    Noted(String),
    Failed(String),
    /// No verdict: not measured, or not judged.
    Error(String),
    Skipped(String),
}

/// Counts of a suite.
#[derive(Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// Writes a document over all files.
pub(crate) fn write(files: &[Inspected]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for file in files {
        text += &suite(file);
    }
    text + "</testsuites>\n"
}

fn suite(file: &Inspected) -> String {
    let report = &file.report;
    let mut counts = Counts::default();
    let mut cases = String::new();
    for check in CHECK_IDS {
        if let Some(result) = result(file, check) {
            cases += &counts.case(report, check, &result);
        }
    }
    // Without a case that says so, a file without a verdict would look like one that passed.
    let says_why = counts.failures + counts.errors > 0;
    if matches!(report.verdict, Verdict::ToolError | Verdict::NotJudged) && !says_why {
        let why = match report.reasons.get("file") {
            Some(why) => format!("{}: {why}", report.verdict),
            None => report.summary(),
        };
        cases += &counts.case(report, "file", &CaseResult::Error(why));
    }
    format!(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n{cases}{}  </testsuite>\n",
        escaped(&report.file),
        counts.tests,
        counts.failures,
        counts.errors,
        counts.skipped,
        notes(report)
    )
}

impl Counts {
    fn case(&mut self, report: &Report, name: &str, result: &CaseResult) -> String {
        self.tests += 1;
        let inside = match result {
            CaseResult::Passed => String::new(),
            CaseResult::Noted(text) => format!("<system-out>{}</system-out>", escaped(text)),
            CaseResult::Failed(why) => {
                self.failures += 1;
                format!("<failure message=\"{}\"/>", escaped(why))
            }
            CaseResult::Error(why) => {
                self.errors += 1;
                format!("<error message=\"{}\"/>", escaped(why))
            }
            CaseResult::Skipped(why) => {
                self.skipped += 1;
                format!("<skipped message=\"{}\"/>", escaped(why))
            }
        };
        format!(
            "    <testcase classname=\"{}\" name=\"{name}\">{inside}</testcase>\n",
            escaped(&report.policy)
        )
    }
}

/// The result of a check; `None` where the spec does not demand it.
fn result(file: &Inspected, check: &str) -> Option<CaseResult> {
    let report = &file.report;
    let is_in = |list: &[String]| list.iter().any(|known| known == check);
    let found: Vec<&Finding> = report
        .findings
        .iter()
        .filter(|finding| finding.check == check)
        .collect();
    let messages: Vec<&str> = found
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    let messages = messages.join("; ");
    let failed = found
        .iter()
        .any(|finding| finding.severity == Severity::Mandatory);
    let unknown = is_in(&report.not_measured);
    if let Some(waiver) = file.accepted.get(check).filter(|_| failed || unknown) {
        let text = [messages.as_str(), waiver].join("; ");
        return Some(CaseResult::Skipped(
            text.trim_start_matches("; ").to_owned(),
        ));
    }
    if failed {
        return Some(CaseResult::Failed(messages));
    }
    if unknown {
        let why = report
            .reasons
            .get(check)
            .or_else(|| report.reasons.get("file"))
            .map_or("", String::as_str);
        return Some(CaseResult::Error(format!("not measured: {why}")));
    }
    if !found.is_empty() {
        return Some(CaseResult::Noted(format!("warning: {messages}")));
    }
    if is_in(&report.judged) {
        return Some(CaseResult::Passed);
    }
    is_in(&report.not_applicable)
        .then(|| CaseResult::Skipped("it does not apply to a file of this role".to_owned()))
}

/// What the verdict does not cover.
fn notes(report: &Report) -> String {
    if report.notes.is_empty() {
        return String::new();
    }
    format!(
        "    <system-out>{}</system-out>\n",
        escaped(&report.notes.join("; "))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written(report: Value, accepted: &[(&str, &str)]) -> String {
        let accepted = accepted
            .iter()
            .map(|(check, words)| ((*check).to_owned(), (*words).to_owned()));
        write(&[Inspected {
            report: serde_json::from_value(report).expect("a report"),
            waivers: Vec::new(),
            accepted: accepted.collect(),
            sheet: Value::Null,
            stills: Vec::new(),
            target: None,
        }])
    }

    fn report() -> Value {
        json!({
            "file": "a\n\"<b>&.mov", "hash": "", "policy": "p", "policy_digest": "", "verdict": "fail", "bytes": 1,
            "findings": [
                {"check": "black", "severity": "mandatory", "measured": 2, "limit": 1, "unit": "s", "ranges": [], "message": "1 < 2"},
                {"check": "freeze", "severity": "warning", "measured": 2, "limit": 1, "unit": "s", "ranges": [], "message": "still"}],
            "judged": ["black", "freeze", "decode"], "not_applicable": ["captions"],
            "not_measured": ["phase"], "reasons": {"phase": "no sound"}, "notes": ["no component"]
        })
    }

    #[test]
    fn every_demanded_check_is_a_case_with_its_result() {
        let text = written(report(), &[]);
        for expected in [
            "tests=\"5\" failures=\"1\" errors=\"1\" skipped=\"1\"",
            "a&#10;&quot;&lt;b&gt;&amp;.mov",
            "name=\"black\"><failure message=\"1 &lt; 2\"/>",
            "name=\"phase\"><error message=\"not measured: no sound\"/>",
            "name=\"freeze\"><system-out>warning: still</system-out>",
            "name=\"decode\"></testcase>",
            "name=\"captions\"><skipped message=",
            "<system-out>no component</system-out>",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(
            !text.contains("verdict"),
            "no case without a result of its own: {text}"
        );
    }

    #[test]
    fn waived_check_is_skipped_and_named() {
        let text = written(report(), &[("black", "black waived by ana: intended")]);
        assert!(
            text.contains(
                "name=\"black\"><skipped message=\"1 &lt; 2; black waived by ana: intended\"/>"
            ) && text.contains("failures=\"0\""),
            "{text}"
        );
    }

    #[test]
    fn file_without_verdict_is_an_error() {
        for verdict in ["not_judged", "tool_error"] {
            let text = written(
                json!({"file": "a.pdf", "policy": "p", "verdict": verdict, "reasons": {"file": "nothing applies"}}),
                &[],
            );
            assert!(
                text.contains("tests=\"1\" failures=\"0\" errors=\"1\"")
                    && text.contains("nothing applies"),
                "{text}"
            );
        }
    }
}
