//! The bytes have the hash their source declared.
use super::{Case, Ruling};
use protocol::wire::unit::{HashAlgorithm, parse_hash};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    if case.policy.checksum.is_none() {
        return Ruling::NotApplicable;
    }
    let Some(declared) = &case.subject.declared_hash else { return Ruling::unknown("its source declared no hash") };
    let (algorithm, digest) = match parse_hash(declared) {
        Ok(parsed) => parsed,
        Err(why) => return Ruling::unknown(why),
    };
    if algorithm != HashAlgorithm::Xxh128 {
        return Ruling::unknown(format!(
            "{} is not computed here: a transfer with `verify` checks it",
            algorithm.as_str()
        ));
    }
    let want = format!("{}:{digest}", algorithm.as_str());
    match &case.facts.hash {
        Some(is) if *is == want => Ruling::fine(),
        Some(is) => Ruling::Judged(vec![case.differs("checksum", "the content hash", is, &want)]),
        None => Ruling::unknown("the bytes could not be hashed"),
    }
}
