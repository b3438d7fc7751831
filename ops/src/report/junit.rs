//! Reports as JUnit XML: a file is a suite and a check a case, so that a pipeline shows what failed without reading anything else.
use super::escaped;
use ::qc::{Finding, Report};
use protocol::model::qc::Severity;
use spec::CHECK_IDS;

/// Writes a document over all files.
pub(crate) fn write(reports: &[&Report]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        text += &suite(report);
    }
    text + "</testsuites>\n"
}

fn suite(report: &Report) -> String {
    let (mut cases, mut failures, mut errors, mut tests) = (String::new(), 0, 0, 0);
    for check in CHECK_IDS {
        let found: Vec<&Finding> = report
            .findings
            .iter()
            .filter(|finding| finding.check == check)
            .collect();
        let unknown = report.not_measured.iter().any(|known| known == check);
        if found.is_empty() && !unknown {
            continue;
        }
        tests += 1;
        let failed = found
            .iter()
            .any(|finding| finding.severity == Severity::Mandatory);
        let messages: Vec<&str> = found
            .iter()
            .map(|finding| finding.message.as_str())
            .collect();
        let inside = if failed {
            failures += 1;
            format!("<failure message=\"{}\"/>", escaped(&messages.join("; ")))
        } else if unknown {
            errors += 1;
            let why = report
                .reasons
                .get(check)
                .or_else(|| report.reasons.get("file"))
                .map_or("", String::as_str);
            format!("<error message=\"not measured: {}\"/>", escaped(why))
        } else {
            format!(
                "<system-out>warning: {}</system-out>",
                escaped(&messages.join("; "))
            )
        };
        cases += &format!(
            "    <testcase classname=\"{}\" name=\"{check}\">{inside}</testcase>\n",
            escaped(&report.policy)
        );
    }
    // A case of its own for the verdict: a file that passes everything would be an empty suite, which some readers drop.
    let verdict = match report.verdict {
        ::qc::Verdict::ToolError if errors == 0 => {
            errors += 1;
            format!("<error message=\"{}\"/>", escaped(&report.summary()))
        }
        _ => String::new(),
    };
    tests += 1;
    cases += &format!(
        "    <testcase classname=\"{}\" name=\"verdict: {}\">{verdict}</testcase>\n",
        escaped(&report.policy),
        report.verdict
    );
    let name = escaped(&report.file);
    format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">\n{cases}  </testsuite>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_what_is_unknown_are_told_apart_and_names_are_only_names() {
        let report: Report = serde_json::from_value(serde_json::json!({
            "file": "a\n\"<b>&.mov", "hash": "", "policy": "p", "policy_digest": "", "verdict": "fail", "bytes": 1,
            "findings": [
                {"check": "black", "severity": "mandatory", "measured": 2, "limit": 1, "unit": "s", "ranges": [], "message": "1 < 2"},
                {"check": "freeze", "severity": "warning", "measured": 2, "limit": 1, "unit": "s", "ranges": [], "message": "still"}],
            "not_measured": ["phase"], "reasons": {"phase": "no sound"}
        }))
        .expect("a report");
        let text = write(&[&report]);
        assert!(
            text.contains("tests=\"4\" failures=\"1\" errors=\"1\""),
            "{text}"
        );
        assert!(
            text.contains("a&#10;&quot;&lt;b&gt;&amp;.mov") && text.contains("1 &lt; 2"),
            "{text}"
        );
        assert!(
            text.contains("not measured: no sound") && text.contains("warning: still"),
            "{text}"
        );
    }
}
