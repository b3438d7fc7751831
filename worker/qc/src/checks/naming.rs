//! The file name follows a pattern.
use super::{Case, Ruling};
use regex::Regex;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.naming else { return Ruling::NotApplicable };
    let pattern = match Regex::new(&format!("^(?:{})$", check.pattern)) {
        Ok(pattern) => pattern,
        Err(error) => return Ruling::unknown(format!("the pattern is not a regular expression: {error}")),
    };
    let name = case.subject.name();
    if pattern.is_match(name) {
        return Ruling::fine();
    }
    let message = format!("the name {name} does not match {}", check.pattern);
    Ruling::Judged(vec![case.finding("naming", name.into(), check.pattern.as_str().into(), "", message)])
}
