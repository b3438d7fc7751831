//! Waivers: findings that a person accepted, with scope and expiry.
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Scope of a waiver. `None` does not restrict it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Fingerprint of a cause of dead units. A waiver of a cause has no other term.
    pub cause: Option<String>,
    /// Id of a check.
    pub check: Option<String>,
    /// Id of an asset.
    pub asset: Option<String>,
    /// Id of a title.
    pub title: Option<String>,
    /// Name of a delivery spec.
    pub policy: Option<String>,
    /// Hash of the bytes, `algorithm:hex`; a redelivery is not covered.
    pub hash: Option<String>,
}

impl Scope {
    /// The waiver of a cause.
    pub fn of_cause(cause: &str) -> Scope {
        Scope {
            cause: Some(cause.to_owned()),
            ..Scope::default()
        }
    }

    fn terms(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("check", &self.check),
            ("asset", &self.asset),
            ("title", &self.title),
            ("policy", &self.policy),
            ("hash", &self.hash),
        ]
    }

    /// The canonical text, which is also the key in SQL: the cause alone, or one term per line.
    pub fn key(&self) -> String {
        if let Some(cause) = &self.cause {
            return cause.clone();
        }
        let terms = self.terms();
        let set = terms
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", escaped(value.as_ref()?))));
        set.collect::<Vec<_>>().join("\n")
    }

    /// Reads what [`Scope::key`] wrote.
    pub fn parse(key: &str) -> Scope {
        let mut scope = Scope::default();
        for line in key.lines() {
            match line.split_once('=') {
                Some(("check", value)) => scope.check = Some(unescaped(value)),
                Some(("asset", value)) => scope.asset = Some(unescaped(value)),
                Some(("title", value)) => scope.title = Some(unescaped(value)),
                Some(("policy", value)) => scope.policy = Some(unescaped(value)),
                Some(("hash", value)) => scope.hash = Some(unescaped(value)),
                _ => scope.cause = Some(line.to_owned()),
            }
        }
        scope
    }

    /// The keys of all scopes that cover a check of judged content: a waiver that counts has one of them.
    pub fn covering(check: &str, delivery: &JudgedContent<'_>) -> Vec<String> {
        let of =
            |chosen: u32, bit: u32, value: &str| (chosen >> bit & 1 == 1).then(|| value.to_owned());
        let scope = |chosen: u32| Scope {
            cause: None,
            check: Some(check.to_owned()),
            asset: of(chosen, 0, delivery.asset),
            title: of(chosen, 1, delivery.title),
            policy: of(chosen, 2, delivery.policy),
            hash: of(chosen, 3, delivery.hash),
        };
        (0..16).map(|chosen| scope(chosen).key()).collect()
    }

    /// Whether a check of judged content is covered.
    pub fn covers(&self, check: &str, delivery: &JudgedContent<'_>) -> bool {
        let fits =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        // A waiver names its check, so that it never covers a check that was not considered.
        self.cause.is_none()
            && self.check.as_deref() == Some(check)
            && fits(&self.asset, delivery.asset)
            && fits(&self.title, delivery.title)
            && fits(&self.policy, delivery.policy)
            && fits(&self.hash, delivery.hash)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key().replace('\n', " "))
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

fn unescaped(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    out
}

/// Judged content: the bytes, and the asset and policy they were judged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedContent<'a> {
    /// Id of an asset.
    pub asset: &'a str,
    /// Id of a title.
    pub title: &'a str,
    /// Name of the delivery spec.
    pub policy: &'a str,
    /// Hash of the bytes; empty when they could not be read.
    pub hash: &'a str,
}

/// Scope and expiry of a waiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Findings that it covers.
    pub scope: Scope,
    /// Time of expiry; `None` never expires.
    pub until: Option<Timestamp>,
}

impl Waiver {
    /// Whether it has not expired.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// The blocking checks that are waived at `now`, each with the first waiver that covers it. Content passes only when every
/// check is waived.
pub fn waived<'w, W>(
    checks: &[String],
    delivery: &JudgedContent<'_>,
    waivers: &'w [W],
    of: impl Fn(&W) -> Waiver,
    now: Timestamp,
) -> Vec<(String, &'w W)> {
    let holding: Vec<(&W, Waiver)> = waivers
        .iter()
        .map(|w| (w, of(w)))
        .filter(|(_, w)| w.holds(now))
        .collect();
    let covering = |check: &String| {
        holding
            .iter()
            .find(|(_, w)| w.scope.covers(check, delivery))
            .map(|(w, _)| *w)
    };
    checks
        .iter()
        .filter_map(|check| Some((check.clone(), covering(check)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delivery() -> JudgedContent<'static> {
        JudgedContent {
            asset: "a",
            title: "t",
            policy: "p",
            hash: "xxh128:1",
        }
    }

    fn waiver(scope: Scope, until: Option<i64>) -> Waiver {
        Waiver {
            scope,
            until: until.map(Timestamp),
        }
    }

    fn scope() -> impl Strategy<Value = Scope> {
        let term = || proptest::option::of("[a-d=\\\\\n\r]{0,4}");
        (term(), term(), term(), term(), term()).prop_map(|(check, asset, title, policy, hash)| {
            Scope {
                cause: None,
                check,
                asset,
                title,
                policy,
                hash,
            }
        })
    }

    #[test]
    fn a_waiver_is_about_its_check_and_what_narrows_it() {
        let black = Scope {
            check: Some("black".into()),
            ..Scope::default()
        };
        assert!(black.covers("black", &delivery()) && !black.covers("freeze", &delivery()));
        assert!(
            !Scope {
                asset: Some("b".into()),
                ..black.clone()
            }
            .covers("black", &delivery())
        );
        assert!(
            !Scope {
                hash: Some("xxh128:2".into()),
                ..black.clone()
            }
            .covers("black", &delivery())
        );
        assert!(
            Scope {
                title: Some("t".into()),
                policy: Some("p".into()),
                ..black
            }
            .covers("black", &delivery())
        );
        assert!(
            !Scope::default().covers("black", &delivery()),
            "no waiver is about everything"
        );
        assert!(!Scope::of_cause("black").covers("black", &delivery()));
    }

    #[test]
    fn a_cause_reads_back() {
        assert_eq!(
            Scope::parse(&Scope::of_cause("0a1b").key()),
            Scope::of_cause("0a1b")
        );
    }

    proptest! {
        /// A scope covers a delivery exactly when its key is among those that are looked up.
        #[test]
        fn covering_scopes_are_those_whose_keys_are_looked_up(scope in scope(), check in "[a-c]", words in prop::collection::vec("[a-d=\\\\\n]{0,2}", 4)) {
            let delivery = JudgedContent { asset: &words[0], title: &words[1], policy: &words[2], hash: &words[3] };
            let narrow = |wanted: Option<String>, is: &str| wanted.map(|wanted| if wanted.len() < 3 { is.to_owned() } else { wanted });
            let scope = Scope {
                check: scope.check.map(|_| check.clone()),
                asset: narrow(scope.asset, delivery.asset),
                title: narrow(scope.title, delivery.title),
                policy: narrow(scope.policy, delivery.policy),
                hash: narrow(scope.hash, delivery.hash),
                cause: None,
            };
            prop_assert_eq!(Scope::covering(&check, &delivery).contains(&scope.key()), scope.covers(&check, &delivery));
        }

        #[test]
        fn scopes_read_back_whatever_they_hold(scope in scope()) {
            prop_assert_eq!(Scope::parse(&scope.key()), scope);
        }

        /// An expired waiver never counts, and what is waived is always among what was asked.
        #[test]
        fn expired_ones_never_count(scopes in prop::collection::vec((scope(), proptest::option::of(0i64..10)), 0..6), now in 0i64..10) {
            let waivers: Vec<Waiver> = scopes.into_iter().map(|(scope, until)| waiver(scope, until)).collect();
            let checks: Vec<String> = vec!["a".into(), "b".into(), "d".into()];
            let found = waived(&checks, &delivery(), &waivers, Clone::clone, Timestamp(now));
            for (check, waiver) in &found {
                prop_assert!(checks.contains(check) && waiver.until.is_none_or(|until| until.0 > now));
                prop_assert!(waiver.scope.covers(check, &delivery()));
            }
            let later = waived(&checks, &delivery(), &waivers, Clone::clone, Timestamp(now + 1));
            for (check, _) in later {
                prop_assert!(found.iter().any(|(known, _)| *known == check), "time makes no waiver");
            }
        }

        /// A narrower waiver covers nothing that a wider one does not.
        #[test]
        fn narrowing_never_widens(scope in scope(), title in "[a-d]{0,2}") {
            let narrow = Scope { title: Some(title), ..scope.clone() };
            let wide = Scope { title: None, ..scope };
            for check in ["a", "b", ""] {
                prop_assert!(!narrow.covers(check, &delivery()) || wide.covers(check, &delivery()));
            }
        }
    }
}
