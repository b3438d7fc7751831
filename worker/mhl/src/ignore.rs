//! Ignore patterns of a history: those of gitignore, relative to the root of the history.
use super::journal;
use regex::Regex;
use storage::UNFINISHED_SUFFIXES;

/// Patterns of the reference tool, and those of our own working files.
pub(super) fn default_patterns() -> Vec<String> {
    let mut patterns: Vec<String> = [".DS_Store", "ascmhl", "ascmhl/"]
        .map(str::to_owned)
        .to_vec();
    add_own(&mut patterns);
    patterns
}

/// Adds the patterns that keep journals and unfinished copies out of a history others began.
pub(super) fn add_own(patterns: &mut Vec<String>) {
    let unfinished = UNFINISHED_SUFFIXES.map(|suffix| format!(".*{suffix}"));
    for own in std::iter::once(format!("{}/", journal::DIRECTORY)).chain(unfinished) {
        if !patterns.contains(&own) {
            patterns.push(own);
        }
    }
}

pub(super) struct Ignore {
    rules: Vec<Rule>,
}

struct Rule {
    regex: Regex,
    negated: bool,
    directories_only: bool,
}

impl Ignore {
    /// Compiles patterns; one that is no pattern matches nothing.
    pub(super) fn new(patterns: &[String]) -> Ignore {
        Ignore {
            rules: patterns
                .iter()
                .filter_map(|pattern| rule(pattern))
                .collect(),
        }
    }

    /// Whether an entry itself matches; what is inside an ignored directory is not asked for.
    pub(super) fn matches(&self, path: &str, directory: bool) -> bool {
        let last = self
            .rules
            .iter()
            .rev()
            .find(|r| (directory || !r.directories_only) && r.regex.is_match(path));
        last.is_some_and(|rule| !rule.negated)
    }

    /// Whether a file, or any directory it is in, matches.
    pub(super) fn covers(&self, path: &str) -> bool {
        let mut parents = path.match_indices('/').map(|(slash, _)| &path[..slash]);
        parents.any(|parent| self.matches(parent, true)) || self.matches(path, false)
    }
}

fn rule(pattern: &str) -> Option<Rule> {
    let pattern = pattern.trim_end();
    if pattern.is_empty() || pattern.starts_with('#') {
        return None;
    }
    let (negated, pattern) = pattern
        .strip_prefix('!')
        .map_or((false, pattern), |rest| (true, rest));
    let (directories_only, pattern) = pattern
        .strip_suffix('/')
        .map_or((false, pattern), |rest| (true, rest));
    let anchored = pattern.contains('/');
    let glob = glob(pattern.strip_prefix('/').unwrap_or(pattern));
    let regex = if anchored {
        format!("^{glob}$")
    } else {
        format!("^(?:.*/)?{glob}$")
    };
    Some(Rule {
        regex: Regex::new(&format!("(?s){regex}")).ok()?,
        negated,
        directories_only,
    })
}

fn glob(pattern: &str) -> String {
    let (mut out, mut rest) = (String::new(), pattern);
    while let Some(c) = rest.chars().next() {
        let at_part = out.is_empty() || out.ends_with('/') || out.ends_with("/)?");
        if at_part && let Some(after) = rest.strip_prefix("**/") {
            out.push_str("(?:.*/)?");
            rest = after;
            continue;
        }
        if at_part && rest == "**" {
            out.push_str(".*");
            break;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => match rest.find(']').filter(|end| *end > 0) {
                Some(end) => {
                    let class = rest[..end].replace('\\', "\\\\").replace('[', "\\[");
                    let class = class
                        .strip_prefix('!')
                        .map_or(class.clone(), |not| format!("^{not}"));
                    out.push_str(&format!("[{class}]"));
                    rest = &rest[end + 1..];
                }
                None => out.push_str("\\["),
            },
            '\\' => {
                let escaped = rest.chars().next().unwrap_or('\\');
                out.push_str(&regex::escape(&escaped.to_string()));
                rest = rest.get(escaped.len_utf8()..).unwrap_or("");
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignore(patterns: &[&str]) -> Ignore {
        Ignore::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn follows_the_rules_of_gitignore() {
        for (pattern, path, directory, expected) in [
            (".DS_Store", "a/.DS_Store", false, true),
            (".DS_Store", "a/.DS_Store2", false, false),
            ("*.tmp", "a/b.tmp", false, true),
            ("/a.tmp", "b/a.tmp", false, false),
            ("/a.tmp", "a.tmp", false, true),
            ("a/*.tmp", "a/b/c.tmp", false, false),
            ("a/**/c.tmp", "a/c.tmp", false, true),
            ("a/**/c.tmp", "a/x/y/c.tmp", false, true),
            ("**/c", "x/c", false, true),
            ("proxy/", "proxy", false, false),
            ("proxy/", "a/proxy", true, true),
            ("a/**", "a/b/c", false, true),
            ("x[0-9].mov", "x7.mov", false, true),
            ("x[!0-9].mov", "x7.mov", false, false),
            ("x\\*", "x*", false, true),
            ("x\\*", "xy", false, false),
            ("[", "[", false, true),
        ] {
            assert_eq!(
                ignore(&[pattern]).matches(path, directory),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn the_last_rule_wins_and_directories_cover_what_is_in_them() {
        let rules = ignore(&["*.tmp", "!keep.tmp"]);
        assert!(rules.matches("a.tmp", false) && !rules.matches("keep.tmp", false));
        assert!(ignore(&["proxy/"]).covers("a/proxy/b/c.mov"));
        assert!(!ignore(&["proxy/"]).covers("a/proxy"));
        let own = Ignore::new(&default_patterns());
        assert!(
            own.covers(".showrunner/job/w.jsonl")
                && own.covers("a/.b.mov.0123456789abcdef.sr-part")
        );
        assert!(
            own.covers(".x.mov.0123.sr-upload")
                && own.covers("a/.x.mov.0123.sr-ledger")
                && !own.covers("x.sr-upload")
        );
        assert!(own.matches("a/ascmhl", true) && !own.covers("a/b.part"));
    }
}
