//! Reports of `showrunner qc` for people and pipelines.
mod junit;
mod page;

use ::qc::Report;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

/// An inspected file with the data of its report.
pub(crate) struct Inspected {
    pub(crate) report: Report,
    /// Lines about waived findings.
    pub(crate) waivers: Vec<String>,
    /// Lines about the waivers in force, by check.
    pub(crate) accepted: BTreeMap<String, String>,
    /// The stored form of what was measured; null when nothing was.
    pub(crate) sheet: Value,
    /// A JPEG for each finding that has a time.
    pub(crate) stills: Vec<Option<Vec<u8>>>,
    /// Loudness the spec demands in LUFS.
    pub(crate) target: Option<f64>,
}

/// A report to be written, `html=PATH` or `junit=PATH`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    html: bool,
    path: PathBuf,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        match text.split_once('=') {
            Some((kind @ ("html" | "junit"), path)) if !path.is_empty() => Ok(Wanted {
                html: kind == "html",
                path: path.into(),
            }),
            _ => Err("write html=PATH or junit=PATH".to_owned()),
        }
    }
}

impl Wanted {
    /// Whether it shows pictures.
    pub(crate) fn wants_stills(&self) -> bool {
        self.html
    }

    /// Writes it; an error names the file.
    pub(crate) fn write(&self, inspected: &[Inspected]) -> Result<(), String> {
        let text = if self.html {
            page::write(inspected)
        } else {
            junit::write(inspected)
        };
        std::fs::write(&self.path, text)
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

/// Text inside XML and HTML. Control characters that XML cannot hold are shown as a replacement.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' | '\r' => out += &format!("&#{};", u32::from(character)),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_its_kind_and_place() {
        assert!(
            "html=a.html"
                .parse::<Wanted>()
                .is_ok_and(|wanted| wanted.wants_stills())
        );
        assert!(
            "junit=a=b.xml"
                .parse::<Wanted>()
                .is_ok_and(|wanted| !wanted.wants_stills() && wanted.path.ends_with("a=b.xml"))
        );
        for wrong in ["html", "html=", "pdf=a"] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
    }
}
