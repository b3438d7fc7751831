//! The role of a file whose source declares none.
use crate::delivery::DeliverySpec;
use crate::facts::FactSheet;
use crate::media_under_test::MediaUnderTest;
use protocol::media::asset::Role;
use serde::{Deserialize, Serialize};

/// How a file is measured: bytes measured as text have not been measured as media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentKind {
    /// Picture or sound with a running time.
    Media,
    /// A single picture without a running time.
    Still,
    /// Subtitles or captions.
    Text,
    /// Anything else: only people look into it.
    Paper,
}

impl ContentKind {
    /// How bytes of a role are measured.
    pub fn of(role: Role) -> ContentKind {
        match role {
            Role::Master | Role::Mezzanine | Role::Proxy | Role::Audio => ContentKind::Media,
            Role::Artwork => ContentKind::Still,
            Role::Subtitle | Role::Caption => ContentKind::Text,
            Role::Document => ContentKind::Paper,
        }
    }
}

/// The role that a file is judged by. A declared role holds. A role by the file's name holds only as far as the content
/// agrees: media under the name of a still, a text or a document is judged as media.
pub fn role_of_content(
    media: &MediaUnderTest,
    content: ContentKind,
    has_picture: bool,
    spec: &DeliverySpec,
) -> Role {
    let Some(named) = media.role else {
        return role_of_streams(has_picture, spec);
    };
    let agrees = match named {
        Role::Audio => content == ContentKind::Media && !has_picture,
        Role::Artwork | Role::Subtitle | Role::Caption | Role::Document => {
            content != ContentKind::Media
        }
        Role::Master | Role::Mezzanine | Role::Proxy => true,
    };
    if agrees || !media.role_is_guessed {
        named
    } else {
        role_of_streams(has_picture, spec)
    }
}

/// Whether only the name of a file gives it a role to which picture and sound checks do not apply: nothing in it shows
/// that the role is right.
pub(crate) fn is_role_by_name_alone(media: &MediaUnderTest, role: Role, facts: &FactSheet) -> bool {
    let confirmed = match role {
        Role::Master | Role::Mezzanine | Role::Proxy | Role::Audio => true,
        Role::Artwork => facts.video.is_some(),
        Role::Subtitle | Role::Caption => facts.text.as_ref().is_some_and(|text| text.cues > 0),
        Role::Document => false,
    };
    media.role_is_guessed && !confirmed
}

/// The role of media whose source did not say. A picture makes it the first component with one. Without a picture it is
/// sound where the spec knows sound in files of its own, or asks nothing of a picture; else it is a master whose picture is
/// missing, which must not pass as sound.
pub(crate) fn role_of_streams(has_picture: bool, spec: &DeliverySpec) -> Role {
    let with_picture = spec
        .components
        .iter()
        .find(|component| component.video.is_some());
    let of_picture = with_picture.map_or(Role::Master, |component| component.role);
    let sound_alone = spec.component(Role::Audio).is_some()
        || (with_picture.is_none() && !spec.qc.demands_picture());
    if has_picture || !sound_alone {
        of_picture
    } else {
        Role::Audio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_by_name_gives_way_to_media_and_declared_role_holds() {
        let spec: DeliverySpec =
            protocol::yaml::read("s", "spec: s\nqc: { black: { longest: 1s } }\n").expect("valid");
        let named = |role, role_is_guessed| MediaUnderTest {
            role: Some(role),
            role_is_guessed,
            ..Default::default()
        };
        for role in [
            Role::Artwork,
            Role::Subtitle,
            Role::Caption,
            Role::Document,
            Role::Audio,
        ] {
            let of =
                |guessed, content| role_of_content(&named(role, guessed), content, true, &spec);
            assert_eq!(of(true, ContentKind::Media), Role::Master, "{role}");
            assert_eq!(of(false, ContentKind::Media), role);
        }
        for role in [Role::Artwork, Role::Subtitle, Role::Document] {
            assert_eq!(
                role_of_content(&named(role, true), ContentKind::of(role), false, &spec),
                role
            );
        }
        // Sound by name and content is sound; a master by name stays one, and misses its picture.
        assert_eq!(
            role_of_content(&named(Role::Audio, true), ContentKind::Media, false, &spec),
            Role::Audio
        );
        assert_eq!(
            role_of_content(&named(Role::Master, true), ContentKind::Media, false, &spec),
            Role::Master
        );
    }

    #[test]
    fn role_without_declaration_follows_streams_and_spec() {
        let spec: DeliverySpec = protocol::yaml::read(
            "s",
            "spec: s\ncomponents: [ {role: subtitle}, {role: proxy, video: {}} ]\n",
        )
        .expect("valid");
        assert_eq!(role_of_streams(true, &spec), Role::Proxy);
        // The spec describes a picture and no sound of its own.
        assert_eq!(role_of_streams(false, &spec), Role::Proxy);
        let of = |source: &str| {
            let spec: DeliverySpec =
                protocol::yaml::read("s", source).unwrap_or_else(|problem| panic!("{problem}"));
            role_of_streams(false, &spec)
        };
        assert_eq!(
            of("spec: s\ncomponents: [ {role: master, video: {}}, {role: audio} ]\n"),
            Role::Audio
        );
        assert_eq!(
            of("spec: s\nqc: { loudness: { target: -23LUFS } }\n"),
            Role::Audio
        );
        assert_eq!(
            of("spec: s\nqc: { decode: {}, black: { longest: 1s } }\n"),
            Role::Master
        );
    }
}
