//! Reports as one page of HTML that needs nothing else: findings with a picture each, and the loudness in the course of time.
use super::{Inspected, escaped};
use ::qc::{Finding, Report, Verdict};
use base64::Engine;
use protocol::model::qc::Severity;
use serde_json::Value;

/// Size of the curve in units of the page.
const CURVE: (f64, f64) = (900.0, 140.0);
/// Loudness at the top and at the bottom of the curve in LUFS.
const SCALE: (f64, f64) = (0.0, -70.0);

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1d2430;background:#fff}\
h1{font-size:1.35rem}h2{font-size:1.1rem;overflow-wrap:anywhere;margin:2.2rem 0 .3rem;border-top:1px solid #d5dae2;padding-top:1.2rem}\
.verdict{display:inline-block;padding:.1rem .6rem;border-radius:.3rem;color:#fff;font-weight:600}\
.pass{background:#1a7f4b}.fail{background:#b3261e}.tool_error,.not_judged{background:#8a5a00}\
.small{color:#5a6473;font-size:.85rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%;margin:.8rem 0}\
td,th{text-align:left;vertical-align:top;padding:.45rem .6rem;border-bottom:1px solid #e4e8ee}th{font-weight:600;color:#5a6473;font-size:.85rem}\
img{display:block;width:240px;border-radius:.2rem;background:#e4e8ee}svg{width:100%;height:auto;background:#f6f8fa;border-radius:.3rem}\
.warning{color:#8a5a00}.mandatory{color:#b3261e}";

/// Writes the page.
pub(crate) fn write(inspected: &[Inspected]) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>QC report</title><style>{STYLE}</style></head><body>\n<h1>QC report</h1>\n"
    );
    let count = |verdict: Verdict| {
        inspected
            .iter()
            .filter(|file| file.report.verdict == verdict)
            .count()
    };
    let (pass, fail, unknown, not_judged) = (
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::ToolError),
        count(Verdict::NotJudged),
    );
    text += &format!(
        "<p>{} files: {pass} pass, {fail} fail, {unknown} could not be judged, {not_judged} not judged.</p>\n",
        inspected.len()
    );
    for file in inspected {
        text += &section(file);
    }
    text + "</body></html>\n"
}

fn section(file: &Inspected) -> String {
    let report = &file.report;
    let mut text = format!(
        "<h2>{}</h2>\n<p><span class=\"verdict {verdict}\">{verdict}</span> by {} <span class=\"small\">{}<br>{} bytes, {}</span></p>\n",
        escaped(&report.file),
        escaped(&report.policy),
        escaped(&report.policy_digest),
        report.bytes,
        escaped(&report.hash),
        verdict = report.verdict,
    );
    for waiver in &file.waivers {
        text += &format!("<p>{}</p>\n", escaped(waiver));
    }
    if !report.findings.is_empty() {
        text += "<table><tr><th>Check</th><th>Finding</th><th>At</th><th></th></tr>\n";
        for (n, finding) in report.findings.iter().enumerate() {
            text += &row(finding, file.stills.get(n).and_then(Option::as_deref));
        }
        text += "</table>\n";
    }
    for check in &report.not_measured {
        let why = report
            .reasons
            .get(check)
            .or_else(|| report.reasons.get("file"))
            .map_or("", String::as_str);
        text += &format!(
            "<p class=\"warning\">{check} was not measured: {}</p>\n",
            escaped(why)
        );
    }
    for note in report.notes.iter().chain(unjudged(report)) {
        text += &format!("<p class=\"warning\">{}</p>\n", escaped(note));
    }
    for recorded in report.recorded.values() {
        text += &format!("<p>{}</p>\n", escaped(recorded));
    }
    text + &curves(file)
}

/// Why a file was not judged at all.
fn unjudged(report: &Report) -> Option<&String> {
    let is_unjudged = report.verdict == Verdict::NotJudged;
    report.reasons.get("file").filter(|_| is_unjudged)
}

fn row(finding: &Finding, still: Option<&[u8]>) -> String {
    let severity = if finding.severity == Severity::Mandatory {
        "mandatory"
    } else {
        "warning"
    };
    let at: Vec<String> = finding
        .ranges
        .iter()
        .take(10)
        .map(|[start, end]| format!("{start:.2}–{end:.2} s"))
        .collect();
    let more = if finding.ranges.len() > 10 {
        format!("<br>and {} more", finding.ranges.len() - 10)
    } else {
        String::new()
    };
    let picture = still.map_or(String::new(), |jpeg| {
        let data = base64::engine::general_purpose::STANDARD.encode(jpeg);
        format!("<img alt=\"the picture there\" src=\"data:image/jpeg;base64,{data}\">")
    });
    format!(
        "<tr><td class=\"{severity}\">{}<br><span class=\"small\">{severity}</span></td><td>{}</td><td>{}{more}</td><td>{picture}</td></tr>\n",
        escaped(&finding.check),
        escaped(&finding.message),
        at.join("<br>"),
    )
}

/// Short-term loudness of each programme, with the target where the spec has one.
fn curves(file: &Inspected) -> String {
    let mut text = String::new();
    let programmes = file.sheet["facts"]["pass"]["audio"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for programme in programmes {
        let values: Vec<f64> = programme["curve"]["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect();
        let step = programme["curve"]["step"].as_f64().unwrap_or(1.0);
        if values.len() < 2 {
            continue;
        }
        let y =
            |lufs: f64| (SCALE.0 - lufs.clamp(SCALE.1, SCALE.0)) / (SCALE.0 - SCALE.1) * CURVE.1;
        let x = |n: usize| n as f64 / (values.len() - 1) as f64 * CURVE.0;
        let points: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(n, value)| format!("{:.1},{:.1}", x(n), y(*value)))
            .collect();
        let target = file.target.map_or(String::new(), |target| {
            let at = y(target);
            format!(
                "<line x1=\"0\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#1a7f4b\" stroke-dasharray=\"6 4\"/>",
                CURVE.0
            )
        });
        let integrated = programme["loudness"]
            .as_f64()
            .map_or("not measured".to_owned(), |is| format!("{is:.1} LUFS"));
        text += &format!(
            "<p class=\"small\">Short-term loudness from channel {}, {} to {} LUFS over {:.0} s; programme {integrated}</p>\n\
             <svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"loudness\">{target}<polyline fill=\"none\" stroke=\"#2457a6\" stroke-width=\"1.5\" points=\"{}\"/></svg>\n",
            programme["first_channel"],
            SCALE.1,
            SCALE.0,
            step * values.len() as f64,
            CURVE.0,
            CURVE.1,
            points.join(" "),
        );
    }
    text
}
