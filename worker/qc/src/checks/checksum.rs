//! The bytes have the hash their source declared.
use super::{Case, Ruling};
use protocol::wire::unit::parse_hash;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    if case.policy.checksum.is_none() {
        return Ruling::NotApplicable;
    }
    let Some(declared) = &case.subject.declared_hash else { return Ruling::unknown("its source declared no hash") };
    let (algorithm, digest) = match parse_hash(declared) {
        Ok(parsed) => parsed,
        Err(why) => return Ruling::unknown(why),
    };
    let want = format!("{}:{digest}", algorithm.as_str());
    match &case.facts.declared_hash {
        Some(is) if *is == want => Ruling::fine(),
        Some(is) => Ruling::Judged(vec![case.differs("checksum", "the content hash", is, &want)]),
        None => Ruling::unknown("the bytes could not be hashed"),
    }
}
