//! Reading YAML files of people: errors carry file, line, column and, for a wrong key, the nearest right one.
mod mistakes;
mod places;

pub use mistakes::{Mistakes, read_all};

use places::Places;
use serde::de::DeserializeOwned;
use serde_saphyr::Error as YamlError;
use std::fmt;

/// A problem in a file a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the person named it.
    pub file: String,
    /// Line and column, counted from 1, when known.
    pub at: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a place.
    pub fn new(file: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: file.to_owned(),
            at: None,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Points at a node of the source: a value, a key (`key:`) or a value of a key (`key: value`). Keeps the problem
    /// without a place when there is none.
    #[must_use]
    pub fn near(mut self, source: &str, node: &str) -> Problem {
        self.at = self.at.or_else(|| Places::of(source).find(node, None));
        self
    }

    /// Points at a node below item `item` of the list `list`, or at that item.
    #[must_use]
    pub fn within(mut self, source: &str, node: &str, list: &str, item: usize) -> Problem {
        self.at = self
            .at
            .or_else(|| Places::of(source).find(node, Some((list, item))));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// The keys of the topmost mapping; what follows an error of syntax is left out.
pub fn top_keys(source: &str) -> Vec<String> {
    Places::of(source).top_keys()
}

/// Reads one document of type `T`.
pub fn read<T: DeserializeOwned>(file: &str, source: &str) -> Result<T, Problem> {
    serde_saphyr::from_str(source).map_err(|e| {
        let problem = problem(file, &e);
        // Of a file of another kind nothing is quoted: its path may have been a mistake.
        let quotes = ["invalid type", "invalid value", "expected mapping"]
            .iter()
            .any(|start| problem.message.starts_with(start));
        match quotes && !places::is_mapping(source) {
            true => Problem {
                message: NO_KEYS.to_owned(),
                hint: Some("check the path".to_owned()),
                ..problem
            },
            false => problem,
        }
    })
}

/// The message for a file that is no mapping.
const NO_KEYS: &str = "the file holds no keys, such as `key: value`";

fn problem(file: &str, error: &YamlError) -> Problem {
    let error = error.without_snippet();
    let at = error
        .location()
        .map(|l| (l.line(), l.column()))
        .filter(|(line, _)| *line > 0);
    let (message, hint) = match error {
        YamlError::SerdeUnknownField {
            field, expected, ..
        } => (
            format!("unknown key {field:?}"),
            Some(suggest(field, expected)),
        ),
        YamlError::SerdeUnknownVariant {
            variant, expected, ..
        } => (
            format!("unknown value {variant:?}"),
            Some(suggest(variant, expected)),
        ),
        YamlError::SerdeMissingField { field, .. } => (
            format!("missing key {field:?}"),
            Some(format!("add `{field}:`")),
        ),
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or("not valid YAML");
            let first = first.strip_prefix("error: ").unwrap_or(first);
            let first = without_place(first).to_owned();
            // A value that begins with `*` is an alias in YAML.
            let alias = first
                .contains("unknown anchor")
                .then(|| "quote what begins with `*`: \"*.mov\"".to_owned());
            (first, alias)
        }
    };
    Problem {
        file: file.to_owned(),
        at,
        message,
        hint,
    }
}

/// A message without the place that its end repeats, as in `… at line 5, column 55`.
fn without_place(message: &str) -> &str {
    let Some((text, place)) = message.rsplit_once(" at line ") else {
        return message;
    };
    let mut numbers = place.split(", column ");
    let is_number = |text: Option<&str>| text.is_some_and(|text| text.parse::<u64>().is_ok());
    let is_place = is_number(numbers.next()) && is_number(numbers.next());
    match is_place && numbers.next().is_none() {
        true => text.trim_end_matches(':'),
        false => message,
    }
}

/// "did you mean …" from the names that would have been right.
pub fn suggest(wrong: &str, known: &[&str]) -> String {
    match nearest(wrong, known) {
        Some(name) => format!("did you mean `{name}`? known: {}", known.join(", ")),
        None if known.is_empty() => "there is none to choose from".to_owned(),
        None => format!("known: {}", known.join(", ")),
    }
}

/// The known name most like `wrong`, if any is close enough to be what was meant.
pub fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Doc {
        #[expect(dead_code, reason = "only its name matters")]
        retry: Option<u32>,
        #[expect(dead_code, reason = "only its name matters")]
        needs: Vec<String>,
    }

    #[test]
    fn a_wrong_key_names_place_and_nearest_right_one() {
        let problem = read::<Doc>("job.yaml", "needs: [a]\nretyr: 3\n").expect_err("wrong key");
        let text = problem.to_string();
        assert!(
            text.starts_with("job.yaml:2:1: unknown key \"retyr\""),
            "{text}"
        );
        assert!(text.contains("did you mean `retry`?"), "{text}");
    }

    #[test]
    fn a_missing_key_and_a_wrong_type_have_a_place() {
        assert!(
            read::<Doc>("j", "retry: 1\n")
                .expect_err("missing")
                .message
                .contains("needs")
        );
        let problem = read::<Doc>("j", "needs: [a]\nretry: soon\n").expect_err("type");
        assert_eq!(problem.at.map(|(line, _)| line), Some(2), "{problem}");
    }

    #[test]
    fn file_without_keys_is_not_quoted() {
        for source in [
            "SECRET",
            "root:x:0:0:SECRET\nbin:x:1\n",
            "[SECRET]",
            "\"SECRET\"",
            "- SECRET\n",
        ] {
            let text = read::<Doc>("j", source)
                .expect_err("no mapping")
                .to_string();
            assert!(
                !text.contains("SECRET") && text.contains("no keys"),
                "{text}"
            );
        }
    }

    #[test]
    fn broken_yaml_is_an_error_not_a_panic() {
        for source in ["{", "a: [", "\u{0}", "- - -\n b: ]", &"[".repeat(5000)] {
            assert!(read::<Doc>("j", source).is_err());
        }
    }
}
