//! Slates and their text. Reading them is a person's work: a spec may name them, and the answer is always the same.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    if case.policy.slate.is_none() || !case.role.has_picture() {
        return Ruling::NotApplicable;
    }
    Ruling::unknown("not_measurable: no machine here reads slates; a person has to look and waive it")
}
