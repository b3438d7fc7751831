//! Decides whether content may be removed. Only the present state of both copies is evidence; the catalogue and results of
//! earlier steps are not.

/// Present state of the original or the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentState {
    /// Size in bytes.
    pub bytes: u64,
    /// Hash of the content as just read, or as its storage attests it, `algorithm:digest`.
    pub hash: String,
}

/// State of the original and of the copy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The content to remove; `None` when it does not exist.
    pub of: Option<ContentState>,
    /// The copy to keep; `None` when it does not exist.
    pub keep: Option<ContentState>,
    /// Whether both names lead to the same object.
    pub same_object: bool,
    /// The declared hash of the asset in the algorithm of the others, if any.
    pub declared: Option<String>,
}

/// Whether content may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PurgeDecision {
    /// The copy has the same content.
    Remove,
    /// The content is already removed, and the copy exists.
    Gone,
    /// The copy does not exist.
    NoCopy,
    /// The copy is the same object.
    SameObject,
    /// The copy has different content.
    Differs,
    /// The content differs from its declaration.
    NotDeclared,
}

/// Decides. Content is removed only when a copy with the same hash and size exists.
pub fn decide(evidence: &Evidence) -> PurgeDecision {
    let Some(keep) = &evidence.keep else {
        return PurgeDecision::NoCopy;
    };
    if evidence.same_object {
        return PurgeDecision::SameObject;
    }
    let undeclared = |seen: &ContentState| {
        evidence
            .declared
            .as_ref()
            .is_some_and(|declared| *declared != seen.hash)
    };
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

    fn seen() -> impl Strategy<Value = Option<ContentState>> {
        prop::option::of(
            (0u64..3, prop::sample::select(vec!["", "md5:0", "md5:1"])).prop_map(
                |(bytes, hash)| ContentState {
                    bytes,
                    hash: hash.to_owned(),
                },
            ),
        )
    }

    proptest! {
        /// The last copy of anything is never removed.
        #[test]
        fn content_without_another_copy_is_never_removed(
            of in seen(), keep in seen(), same_object in any::<bool>(),
            declared in prop::option::of(prop::sample::select(vec!["md5:0", "md5:1"]))
        ) {
            let declared = declared.map(str::to_owned);
            let evidence = Evidence { of: of.clone(), keep: keep.clone(), same_object, declared: declared.clone() };
            if decide(&evidence) == PurgeDecision::Remove {
                prop_assert!(!same_object && of == keep);
                let of = of.expect("something is there");
                prop_assert!(!of.hash.is_empty());
                prop_assert!(declared.is_none_or(|declared| declared == of.hash));
            }
        }
    }

    #[test]
    fn each_decision_has_a_case() {
        let seen = |hash: &str| {
            Some(ContentState {
                bytes: 1,
                hash: hash.to_owned(),
            })
        };
        let evidence = Evidence {
            of: seen("md5:0"),
            keep: seen("md5:0"),
            ..Evidence::default()
        };
        let with = |change: fn(&mut Evidence)| {
            let mut evidence = evidence.clone();
            change(&mut evidence);
            decide(&evidence)
        };
        assert_eq!(decide(&evidence), PurgeDecision::Remove);
        assert_eq!(with(|e| e.keep = None), PurgeDecision::NoCopy);
        assert_eq!(with(|e| e.same_object = true), PurgeDecision::SameObject);
        assert_eq!(
            with(|e| e.keep = Some(ContentState {
                bytes: 2,
                hash: "md5:0".into()
            })),
            PurgeDecision::Differs
        );
        assert_eq!(
            with(|e| e.declared = Some("md5:1".into())),
            PurgeDecision::NotDeclared
        );
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
