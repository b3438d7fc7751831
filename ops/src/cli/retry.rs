//! `job retry`, `failure retry`: selections, corrected input, and what became of them.
use super::change::AuditArgs;
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output;
use crate::target::Target;
use coordinator::command::{Correction, Retried, RetryRequest};
use protocol::rules::unit::redrive_rate::parse_rate;
use std::path::{Path, PathBuf};

/// Which units, and with what input.
#[derive(Debug, clap::Args)]
pub(crate) struct Select {
    /// Which: step=ID, reason=CODE, class=, title=, role=, asset=ID, cause=FINGERPRINT, state=dead|cancelled;
    /// the same key twice means either, different keys must all hold
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// Every dead unit
    #[arg(long)]
    all: bool,
    /// Bring back units of this step alone and what depends on them, no other branch
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    /// Corrected input for every selected asset: asset.location=, asset.hash= or asset.bytes=; a location may use
    /// {file}, {title} and the other placeholders of targets
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Corrected input by asset: CSV with a header or JSON lines, with asset and location, hash or bytes
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Maximum rate, e.g. 50/s; the coordinator redrives the units, also after a restart
    #[arg(long)]
    rate: Option<String>,
}

impl Select {
    /// The request of these arguments, with more terms.
    pub(crate) fn request(&self, audit: &AuditArgs, more: Vec<String>) -> CliResult<RetryRequest> {
        let mut corrections = match &self.input {
            Some(path) => read_corrections(path)?,
            None => Vec::new(),
        };
        if !self.set.is_empty() {
            corrections.push(set(&self.set)?);
        }
        Ok(RetryRequest {
            filter: self.filters.iter().cloned().chain(more).collect(),
            all: self.all,
            only: self.only.clone(),
            corrections,
            rate: self
                .rate
                .as_deref()
                .map(parse_rate)
                .transpose()
                .map_err(CliError::usage)?,
            audit: audit.order(),
        })
    }
}

/// Retries units of one job.
pub(crate) fn job(
    context: &Context,
    id: &str,
    audit: &AuditArgs,
    select: &Select,
) -> CliResult<Exit> {
    let request = select.request(audit, Vec::new())?;
    let mut target = Target::open(context)?;
    let retried = target.retry(id, &request)?;
    show(context, &target, &retried)
}

/// Redrives dead letters.
pub(crate) fn redrive(
    context: &Context,
    job: Option<&str>,
    audit: &AuditArgs,
    select: &Select,
    cause: Option<&str>,
) -> CliResult<Exit> {
    let request = select.request(
        audit,
        cause
            .map(|cause| format!("cause={cause}"))
            .into_iter()
            .collect(),
    )?;
    let mut target = Target::open(context)?;
    let retried = target.redrive(job, &request)?;
    show(context, &target, &retried)
}

fn show(context: &Context, target: &Target, retried: &Retried) -> CliResult<Exit> {
    if retried.units > 0 && !retried.dry_run {
        target.warn_not_running(context);
    }
    let name = retried
        .operation
        .map_or_else(|| retried.job.clone(), |no| no.to_string());
    output::one(context.output, retried, render, &name)?;
    Ok(Exit::Ok)
}

fn render(r: &Retried) -> String {
    let job = if r.job.is_empty() {
        String::new()
    } else {
        format!("{}: ", r.job)
    };
    let would = if r.dry_run { "would run" } else { "will run" };
    let so_far = if r.counting { " so far" } else { "" };
    let mut text = format!(
        "{job}{} of {} matching units{so_far} {would} again\n",
        r.units, r.matched
    );
    if r.corrected > 0 {
        text.push_str(&format!(
            "  with corrected input for {} assets\n",
            r.corrected
        ));
    }
    for not in &r.ineligible {
        text.push_str(&format!("  {} not: {}\n", not.units, not.why));
    }
    match r.operation {
        Some(no) if r.counting || r.done < r.units => {
            text.push_str(&format!(
                "  operation {no} brings them back; {} so far: showrunner operation list\n",
                r.done
            ));
        }
        _ => {}
    }
    text
}

fn set(pairs: &[String]) -> CliResult<Correction> {
    let mut correction = Correction::default();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(CliError::usage(format!("--set {pair:?} is not key=value"))
                .hint("asset.location=PATH"));
        };
        let field = key.strip_prefix("asset.").unwrap_or(key);
        put(&mut correction, field, value)
            .map_err(|why| CliError::usage(format!("--set {key}: {why}")))?;
    }
    Ok(correction)
}

/// Fields of a correction.
const KNOWN: [&str; 4] = ["asset", "location", "hash", "bytes"];

fn put(correction: &mut Correction, field: &str, value: &str) -> Result<(), String> {
    match field {
        "asset" => correction.asset = value.to_owned(),
        "location" => correction.location = Some(value.to_owned()),
        "hash" => correction.hash = Some(value.to_owned()),
        "bytes" => {
            let bytes = value
                .trim()
                .parse()
                .map_err(|_| format!("{value:?} is not a number of bytes"))?;
            correction.bytes = Some(bytes);
        }
        _ => {
            return Err(format!(
                "{field:?} cannot be corrected; {}",
                protocol::yaml::suggest(field, &KNOWN)
            ));
        }
    }
    Ok(())
}

fn read_corrections(path: &Path) -> CliResult<Vec<Correction>> {
    let wrong = |why: String| CliError::usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let lines = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty());
    let mut corrections = Vec::new();
    if text.trim_start().starts_with('{') {
        for (line, number) in lines {
            // The text of the line stays out: a wrong path must not show what another file holds.
            let read: Result<Correction, _> = serde_json::from_str(line);
            let known = KNOWN.join(", ");
            corrections.push(read.map_err(|_| {
                wrong(format!("line {number} is no JSON object with only {known}"))
            })?);
        }
    } else {
        let mut lines = lines;
        let header = lines
            .next()
            .map(|(line, _)| fields(line.trim_start_matches('\u{feff}')))
            .unwrap_or_default();
        if let Some(at) = header
            .iter()
            .position(|field| !KNOWN.contains(&field.trim()))
        {
            let known = KNOWN.join(", ");
            return Err(wrong(format!(
                "column {} of the header cannot be corrected; known: {known}",
                at + 1
            )));
        }
        for (line, number) in lines {
            let values = fields(line);
            if values.len() != header.len() {
                let (found, wanted) = (values.len(), header.len());
                return Err(wrong(format!(
                    "line {number}: {found} fields, the header has {wanted}"
                )));
            }
            let mut correction = Correction::default();
            for (field, value) in header
                .iter()
                .zip(values)
                .filter(|(_, value)| !value.is_empty())
            {
                put(&mut correction, field.trim(), &value)
                    .map_err(|why| wrong(format!("line {number}: {why}")))?;
            }
            corrections.push(correction);
        }
    }
    match corrections
        .iter()
        .position(|correction| correction.asset.is_empty())
    {
        Some(at) => Err(wrong(format!("row {} names no asset", at + 1))),
        None => Ok(corrections),
    }
}

/// Fields of a line of CSV; one in quotes may hold commas and doubled quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_line() {
        assert_eq!(fields("a,\"b, \"\"c\"\"\",\r"), ["a", "b, \"c\"", ""]);
        assert_eq!(fields(""), [""]);
    }

    #[test]
    fn file_of_another_kind_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for text in [
            "SECRET,b\nc,d\n",
            "{\"SECRET\": 1}\n",
            "{SECRET\n",
            "asset\nSECRET,x\n",
        ] {
            std::fs::write(file.path(), text).expect("written");
            let error = read_corrections(file.path()).expect_err(text);
            assert!(!error.message.contains("SECRET"), "{}", error.message);
        }
        std::fs::write(file.path(), "asset,location\na,new/a.mov\n").expect("written");
        assert_eq!(read_corrections(file.path()).expect("reads").len(), 1);
    }

    #[test]
    fn what_is_set_is_checked() {
        let pairs = [
            "asset.location=new/{file}".to_owned(),
            "asset.bytes=12".to_owned(),
        ];
        let correction = set(&pairs).expect("reads");
        assert_eq!(
            (correction.location.as_deref(), correction.bytes),
            (Some("new/{file}"), Some(12))
        );
        assert!(set(&["asset.lokation=x".into()]).is_err());
        assert!(set(&["asset.bytes=many".into()]).is_err());
        assert!(set(&["location".into()]).is_err());
    }
}
