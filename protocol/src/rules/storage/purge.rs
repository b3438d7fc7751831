//! Whether something may be removed for good. Only what was seen at this moment counts: what the catalogue or an earlier
//! step believes of a copy is no evidence.

/// One of the two, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its size.
    pub bytes: u64,
    /// Its content as it was read or vouched for just now, `algorithm:digest`.
    pub hash: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// What is to be removed; `None` when nothing is there.
    pub of: Option<Seen>,
    /// The copy that is to stay; `None` when nothing is there.
    pub keep: Option<Seen>,
    /// Both names lead to the same bytes.
    pub same_object: bool,
    /// The hash that was declared of the asset, in the algorithm of the others, when one was.
    pub declared: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PurgeDecision {
    /// The copy holds what is to be removed.
    Remove,
    /// It is not there any more, and the copy is.
    Gone,
    /// There is no copy.
    NoCopy,
    /// What is called a copy is the thing itself.
    SameObject,
    /// The copy holds something else.
    Differs,
    /// What is to be removed is not what was declared.
    NotDeclared,
}

/// Decides. Nothing is removed unless a copy with the same hash and size was seen.
pub fn judge(evidence: &Evidence) -> PurgeDecision {
    let Some(keep) = &evidence.keep else { return PurgeDecision::NoCopy };
    if evidence.same_object {
        return PurgeDecision::SameObject;
    }
    let undeclared = |seen: &Seen| evidence.declared.as_ref().is_some_and(|declared| *declared != seen.hash);
    match &evidence.of {
        None if undeclared(keep) => PurgeDecision::Differs,
        None => PurgeDecision::Gone,
        Some(of) if of.hash.is_empty() || of != keep => PurgeDecision::Differs,
        Some(of) if undeclared(of) => PurgeDecision::NotDeclared,
        Some(_) => PurgeDecision::Remove,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen() -> impl Strategy<Value = Option<Seen>> {
        prop::option::of(
            (0u64..3, prop::sample::select(vec!["", "md5:0", "md5:1"]))
                .prop_map(|(bytes, hash)| Seen { bytes, hash: hash.to_owned() }),
        )
    }

    proptest! {
        /// The last copy of anything is never removed.
        #[test]
        fn nothing_is_removed_without_another_copy_of_it(
            of in seen(), keep in seen(), same_object in any::<bool>(),
            declared in prop::option::of(prop::sample::select(vec!["md5:0", "md5:1"]))
        ) {
            let declared = declared.map(str::to_owned);
            let evidence = Evidence { of: of.clone(), keep: keep.clone(), same_object, declared: declared.clone() };
            if judge(&evidence) == PurgeDecision::Remove {
                prop_assert!(!same_object && of == keep);
                let of = of.expect("something is there");
                prop_assert!(!of.hash.is_empty());
                prop_assert!(declared.is_none_or(|declared| declared == of.hash));
            }
        }
    }

    #[test]
    fn every_answer_is_given() {
        let seen = |hash: &str| Some(Seen { bytes: 1, hash: hash.to_owned() });
        let evidence = Evidence { of: seen("md5:0"), keep: seen("md5:0"), ..Evidence::default() };
        let with = |change: fn(&mut Evidence)| {
            let mut evidence = evidence.clone();
            change(&mut evidence);
            judge(&evidence)
        };
        assert_eq!(judge(&evidence), PurgeDecision::Remove);
        assert_eq!(with(|e| e.keep = None), PurgeDecision::NoCopy);
        assert_eq!(with(|e| e.same_object = true), PurgeDecision::SameObject);
        assert_eq!(with(|e| e.keep = Some(Seen { bytes: 2, hash: "md5:0".into() })), PurgeDecision::Differs);
        assert_eq!(with(|e| e.declared = Some("md5:1".into())), PurgeDecision::NotDeclared);
        assert_eq!(with(|e| e.of = None), PurgeDecision::Gone);
        assert_eq!(
            with(|e| {
                e.of = None;
                e.declared = Some("md5:1".into());
            }),
            PurgeDecision::Differs
        );
    }
}
