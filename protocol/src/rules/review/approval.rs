//! Conditions of approval steps: comparisons over declared fields of an asset, in the notation of CEL.
use crate::media::asset::Asset;
use std::fmt;

/// A condition over one asset: a disjunction of conjunctions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(Vec<Vec<Comparison>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    field: Field,
    equal: bool,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    Title,
    Role,
    Version,
    Language,
}

const FIELDS: [(&str, Field); 5] = [
    ("asset.id", Field::Id),
    ("asset.title", Field::Title),
    ("asset.role", Field::Role),
    ("asset.version", Field::Version),
    ("asset.language", Field::Language),
];

/// Why a condition cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The part that cannot be parsed.
    pub at: String,
    /// The correct form.
    pub hint: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "condition {:?} cannot be read", self.at)
    }
}

impl Condition {
    /// Reads `asset.role == 'master' && asset.language != 'de' || …`; `&&` binds closer than `||`.
    pub fn parse(text: &str) -> Result<Condition, Unreadable> {
        let alternatives = split(text, "||").into_iter().map(|alternative| {
            split(&alternative, "&&")
                .iter()
                .map(|comparison| parse_comparison(comparison))
                .collect()
        });
        alternatives.collect::<Result<_, _>>().map(Condition)
    }

    /// Whether the condition is true for an asset. An undeclared field equals the empty text.
    pub fn holds(&self, asset: &Asset) -> bool {
        self.0
            .iter()
            .any(|all| all.iter().all(|comparison| comparison.holds(asset)))
    }
}

impl Comparison {
    fn holds(&self, asset: &Asset) -> bool {
        let value = match self.field {
            Field::Id => asset.id.as_str(),
            Field::Title => asset.title.as_str(),
            Field::Role => asset.role.as_str(),
            Field::Version => asset.version().unwrap_or_default(),
            Field::Language => asset.language().unwrap_or_default(),
        };
        (value == self.text) == self.equal
    }
}

/// Splits at a separator outside of quotes.
fn split(text: &str, separator: &str) -> Vec<String> {
    let (mut parts, mut part, mut quote, mut rest) = (Vec::new(), String::new(), None, text);
    while let Some(c) = rest.chars().next() {
        if quote.is_none() && rest.starts_with(separator) {
            parts.push(std::mem::take(&mut part));
            rest = &rest[separator.len()..];
            continue;
        }
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        part.push(c);
        rest = &rest[c.len_utf8()..];
    }
    parts.push(part);
    parts
}

fn parse_comparison(text: &str) -> Result<Comparison, Unreadable> {
    let text = text.trim();
    let wrong = |hint: String| Unreadable {
        at: text.to_owned(),
        hint,
    };
    let form = || wrong("write asset.role == 'master', joined by && and ||".to_owned());
    let (at, equal) = match (text.find("=="), text.find("!=")) {
        (Some(at), None) => (at, true),
        (None, Some(at)) => (at, false),
        (Some(eq), Some(ne)) => (eq.min(ne), eq < ne),
        (None, None) => return Err(form()),
    };
    let name = text[..at].trim();
    let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) else {
        return Err(wrong(crate::yaml::suggest(
            name,
            &FIELDS.map(|(known, _)| known),
        )));
    };
    let value = text[at + 2..].trim();
    let inner = ['\'', '"']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let inner = inner
        .filter(|inner| !inner.contains(['\'', '"', '\\']))
        .ok_or_else(form)?;
    Ok(Comparison {
        field: *field,
        equal,
        text: inner.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::asset::Role;
    use proptest::prelude::*;

    fn asset(id: &str, role: Role) -> Asset {
        Asset {
            id: id.into(),
            title: "t".into(),
            role,
            location: "file:/m".into(),
            path: "m".into(),
            bytes: None,
            hash: None,
            declared: None,
        }
    }

    fn holds(text: &str, asset: &Asset) -> bool {
        Condition::parse(text)
            .unwrap_or_else(|error| panic!("{error}"))
            .holds(asset)
    }

    #[test]
    fn comparisons_are_joined_as_written() {
        let (master, audio) = (asset("a", Role::Master), asset("b || c", Role::Audio));
        assert!(
            holds("asset.role == 'master'", &master) && !holds("asset.role == 'master'", &audio)
        );
        assert!(holds(
            "asset.role != \"master\" && asset.language == ''",
            &audio
        ));
        assert!(holds(
            "asset.role == 'master' || asset.id == 'b || c'",
            &audio
        ));
        assert!(holds(
            "asset.title == 'x' && asset.role == 'audio' || asset.role == 'master'",
            &master
        ));
    }

    #[test]
    fn malformed_condition_names_its_part() {
        for wrong in [
            "",
            "true",
            "asset.role",
            "asset.rol == 'x'",
            "asset.role == master",
            "asset.role == 'a' &&",
        ] {
            assert!(Condition::parse(wrong).is_err(), "{wrong}");
        }
        assert!(
            Condition::parse("asset.rol == 'x'")
                .expect_err("unknown")
                .hint
                .contains("asset.role")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let _read = Condition::parse(&text);
        }

        #[test]
        fn a_comparison_and_its_opposite_never_agree(id in "[a-z]{0,3}", other in "[a-z]{0,3}") {
            let asset = asset(&id, Role::Proxy);
            let (same, differs) = (format!("asset.id == '{other}'"), format!("asset.id != '{other}'"));
            prop_assert!(holds(&same, &asset) != holds(&differs, &asset));
        }
    }
}
