//! A stored fact sheet: facts with the needs they were measured for, so that another policy knows whether they suffice.
use protocol::media::asset::Role;
use serde::{Deserialize, Serialize};
use spec::facts::FactSheet;
use spec::needs::Needs;
use spec::plan::needs;
use spec::{ContentKind, DeliverySpec, MediaUnderTest, role_of_content};

/// The form this build writes. A sheet of another form is not read: its bytes are measured again.
const VERSION: u32 = 3;
/// Bytes of a stored sheet at most: it travels with units and reports.
const BYTES_MAX: usize = 512 << 10;

/// The facts of some bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredSheet {
    version: u32,
    look: ContentKind,
    looked_for: Needs,
    /// The facts; the hash of the bytes is among them.
    pub(super) facts: FactSheet,
}

impl StoredSheet {
    /// The sheet of a finished measurement. `None` when it is not to be relied on: what could not be read or was broken
    /// off may go better the next time.
    pub(super) fn of(facts: &FactSheet, role: Role, looked_for: &Needs) -> Option<StoredSheet> {
        let broken = facts
            .pass
            .as_ref()
            .is_some_and(|pass| pass.broken.is_some());
        let asked = [
            facts
                .mediainfo
                .as_ref()
                .and_then(|said| said.trouble.as_ref()),
            facts
                .mediaconch
                .as_ref()
                .and_then(|said| said.trouble.as_ref()),
        ];
        let troubled = asked.iter().any(Option::is_some);
        if facts.hash.is_none() || facts.unreadable.is_some() || broken || troubled {
            return None;
        }
        // What a source declared belongs to the asset, not to the bytes.
        let facts = FactSheet {
            declared_hash: None,
            ..facts.clone()
        };
        Some(StoredSheet {
            version: VERSION,
            look: ContentKind::of(role),
            looked_for: looked_for.clone(),
            facts,
        })
    }

    /// Its stored form; `None` when it is too large to be kept.
    pub(super) fn write(&self) -> Option<String> {
        serde_json::to_string(self)
            .ok()
            .filter(|text| text.len() <= BYTES_MAX)
    }

    /// Reads a stored sheet. `None` when it is of another form.
    pub(super) fn read(text: &str) -> Option<StoredSheet> {
        serde_json::from_str(text)
            .ok()
            .filter(|sheet: &StoredSheet| sheet.version == VERSION)
    }

    /// Whether the bytes are these.
    pub(super) fn is_of(&self, hash: &str) -> bool {
        self.facts.hash.as_deref() == Some(hash)
    }

    /// The needs it was measured for, when bytes of this role are measured in the same way.
    pub(super) fn looked_for(&self, role: Role) -> Option<&Needs> {
        (self.look == ContentKind::of(role)).then_some(&self.looked_for)
    }

    /// The role of the bytes. `None` when the sheet does not settle it: bytes that were taken for a text, a still or a
    /// document may be media under a name that claims otherwise.
    pub(super) fn role(&self, media: &MediaUnderTest, spec: &DeliverySpec) -> Option<Role> {
        let settled = self.look == ContentKind::Media || !media.role_is_guessed;
        settled.then(|| role_of_content(media, self.look, self.facts.video.is_some(), spec))
    }

    /// Whether it holds everything that a spec demands of this role.
    pub(super) fn has_all(&self, spec: &DeliverySpec, role: Role) -> bool {
        let wanted = needs(spec, role, self.facts.video.is_some());
        let timed = role.is_timed_media();
        self.looked_for(role)
            .is_some_and(|looked_for| !timed || looked_for.covers(&wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spec::facts::{Pass, VideoStream};

    fn facts() -> FactSheet {
        let video = Some(VideoStream {
            width: 1920,
            ..VideoStream::default()
        });
        FactSheet {
            hash: Some("xxh128:1".into()),
            video,
            pass: Some(Pass::default()),
            ..FactSheet::default()
        }
    }

    fn spec(qc: &str) -> DeliverySpec {
        protocol::yaml::read("s.yaml", &format!("spec: s\nqc: {{ {qc} }}\n"))
            .unwrap_or_else(|e| panic!("{e}"))
    }

    fn sheet(qc: &str) -> StoredSheet {
        StoredSheet::of(
            &facts(),
            Role::Master,
            &needs(&spec(qc), Role::Master, true),
        )
        .expect("reliable")
    }

    #[test]
    fn a_changed_limit_asks_for_nothing_and_another_detector_does() {
        let known =
            sheet("black: { longest: 2s }, freeze: { longest: 1s }, loudness: { target: -23LUFS }");
        let has = |qc: &str| known.has_all(&spec(qc), Role::Master);
        assert!(has(
            "black: { longest: 0.1s }, true_peak: { max: -3dBTP }, loudness: { target: -16LUFS }"
        ));
        assert!(has("freeze: { longest: 0.3s }, decode: {}"));
        assert!(
            !has("freeze: { longest: 1s, noise: -40dB }"),
            "another noise floor is another measurement"
        );
        assert!(!has("silence: { longest: 1s }") && !has("levels: { illegal_pixels_max: 1% }"));
    }

    #[test]
    fn bytes_taken_for_something_else_are_looked_at_again() {
        let known = sheet("decode: {}");
        assert!(
            known.has_all(&spec("decode: {}"), Role::Proxy)
                && !known.has_all(&spec("decode: {}"), Role::Subtitle)
        );
    }

    #[test]
    fn sheet_of_a_text_settles_no_role_by_name() {
        let spec = spec("black: { longest: 1s }");
        let named = |role_is_guessed| MediaUnderTest {
            role: Some(Role::Document),
            role_is_guessed,
            ..Default::default()
        };
        let paper = StoredSheet {
            look: ContentKind::Paper,
            ..sheet("decode: {}")
        };
        assert_eq!(
            (
                paper.role(&named(false), &spec),
                paper.role(&named(true), &spec)
            ),
            (Some(Role::Document), None)
        );
        assert_eq!(
            sheet("decode: {}").role(&named(true), &spec),
            Some(Role::Master)
        );
    }

    #[test]
    fn what_is_not_to_be_relied_on_is_not_kept() {
        let broken = Some(Pass {
            broken: Some("it took too long".into()),
            ..Pass::default()
        });
        for facts in [
            FactSheet {
                hash: None,
                ..facts()
            },
            FactSheet {
                unreadable: Some("why".into()),
                ..facts()
            },
            FactSheet {
                pass: broken,
                ..facts()
            },
        ] {
            assert_eq!(
                StoredSheet::of(&facts, Role::Master, &Needs::default()),
                None
            );
        }
    }

    #[test]
    fn a_sheet_of_another_form_is_not_read() {
        let text = sheet("decode: {}").write().expect("small");
        assert_eq!(StoredSheet::read(&text), Some(sheet("decode: {}")));
        assert_eq!(
            StoredSheet::read(&text.replacen("\"version\":3", "\"version\":2", 1)),
            None
        );
        assert_eq!(StoredSheet::read("{}"), None);
    }

    fn some_needs() -> impl Strategy<Value = Needs> {
        let pair = || {
            proptest::option::of((-2i8..0, 1u8..4).prop_map(|(a, b)| (f64::from(a), f64::from(b))))
        };
        let one = || proptest::option::of((1u8..3).prop_map(f64::from));
        (
            pair(),
            pair(),
            one(),
            any::<bool>(),
            pair(),
            any::<bool>(),
            one(),
            any::<(bool, bool, bool)>(),
        )
            .prop_map(
                |(
                    black,
                    freeze,
                    scan,
                    levels,
                    silence,
                    loudness,
                    phase,
                    (gamut, mediainfo, conch),
                )| Needs {
                    black,
                    freeze,
                    scan,
                    levels,
                    silence,
                    loudness,
                    phase,
                    gamut,
                    mediainfo,
                    mediaconch: conch.then(|| "<policy/>".to_owned()),
                    ..Needs::default()
                },
            )
    }

    proptest! {
        /// What is measured together with what was known has all that is wanted, and never less than before where the two
        /// can be combined.
        #[test]
        fn measuring_again_has_all_that_is_wanted(known in some_needs(), wanted in some_needs()) {
            let both = wanted.with(&known);
            prop_assert!(both.covers(&wanted));
            prop_assert!(known.covers(&known) && known.covers(&Needs::default()));
            if known.covers(&wanted) {
                prop_assert!(both.covers(&known));
            }
        }
    }
}
