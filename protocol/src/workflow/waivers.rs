//! Waivers in a file, for media that is judged without a job: who lets which finding stand, why, and until when.
use crate::rules::review::waiver::{Scope, Waiver};
use crate::time::Timestamp;
use crate::yaml::{self, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

/// Waivers as a person writes them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiversFile {
    /// List of waivers.
    pub waivers: Vec<WaiverEntry>,
}

/// One waiver as a person writes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverEntry {
    /// Id of the check whose findings are waived.
    pub check: String,
    /// Only for this file, as it is named on the command line.
    pub file: Option<String>,
    /// Only for these bytes, `xxh128:hex`.
    pub hash: Option<String>,
    /// Only by this delivery spec.
    pub policy: Option<String>,
    /// Whose decision it is.
    pub by: String,
    /// Reason of the waiver.
    pub reason: String,
    /// Until when it holds (RFC 3339); for ever when not given.
    pub until: Option<String>,
}

/// A waiver that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenWaiver {
    /// What it is about, and until when.
    pub waiver: Waiver,
    /// Whose decision it is.
    pub by: String,
    /// Reason of the waiver.
    pub reason: String,
}

/// Reads a file of waivers for `checks`, the ids that there are. Reports every problem it finds.
pub fn read(file: &str, source: &str, checks: &[&str]) -> Result<Vec<WrittenWaiver>, Vec<Problem>> {
    let (parsed, known) = match yaml::read_all::<WaiversFile>(file, source) {
        Ok(parsed) => (parsed, None),
        Err(mut mistakes) => match mistakes.rest.take() {
            Some(rest) => (rest, Some(mistakes)),
            None => return Err(mistakes.problems),
        },
    };
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for entry in parsed.waivers {
        match written(file, source, checks, entry) {
            Ok(waiver) => read.push(waiver),
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(mistakes) = known {
        Err(mistakes.with(file, problems))
    } else if problems.is_empty() {
        Ok(read)
    } else {
        Err(problems)
    }
}

fn written(
    file: &str,
    source: &str,
    checks: &[&str],
    entry: WaiverEntry,
) -> Result<WrittenWaiver, Problem> {
    let problem = |near: &str, message: String, hint: String| {
        Err(Problem::new(file, message).hint(hint).near(source, near))
    };
    if !checks.contains(&entry.check.as_str()) {
        let hint = yaml::suggest(&entry.check, checks);
        return problem(
            &entry.check,
            format!("there is no check {:?}", entry.check),
            hint,
        );
    }
    if entry.by.trim().is_empty() || entry.reason.trim().is_empty() {
        let message = format!("the waiver of {} does not say by whom and why", entry.check);
        return problem(
            &entry.check,
            message,
            "write `by: ada` and `reason: creative intent`".into(),
        );
    }
    let until = match entry
        .until
        .as_deref()
        .map(|text| (text, Timestamp::parse(text)))
    {
        None => None,
        Some((_, Some(until))) => Some(until),
        Some((text, None)) => {
            return problem(
                text,
                format!("until {text:?} is not a time"),
                "write 2026-12-01T18:00:00Z".into(),
            );
        }
    };
    let WaiverEntry {
        check,
        file: asset,
        hash,
        policy,
        by,
        reason,
        ..
    } = entry;
    let scope = Scope {
        check: Some(check),
        asset,
        hash,
        policy,
        ..Scope::default()
    };
    Ok(WrittenWaiver {
        waiver: Waiver { scope, until },
        by,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_names_its_check_and_whose_it_is() {
        let one = "waivers:\n  - { check: black, file: a.mov, by: ada, reason: titles, until: 2026-12-01T18:00:00Z }\n";
        let read_one = read("w.yaml", one, &["black", "freeze"])
            .expect("valid")
            .remove(0);
        let scope = Scope {
            check: Some("black".into()),
            asset: Some("a.mov".into()),
            ..Scope::default()
        };
        assert_eq!(
            (read_one.waiver.scope, read_one.by.as_str()),
            (scope, "ada")
        );
        for (from, to, words) in [
            ("check: black", "check: blak", "did you mean `black`?"),
            ("by: ada", "by: ''", "by whom and why"),
            ("2026-12-01T18:00:00Z", "friday", "not a time"),
            ("reason:", "why:", "unknown key"),
        ] {
            let problems =
                read("w.yaml", &one.replace(from, to), &["black", "freeze"]).expect_err("wrong");
            assert!(problems[0].to_string().contains(words), "{}", problems[0]);
        }
    }
}
