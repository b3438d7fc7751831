//! The role of a file whose source declares none.
use crate::delivery::DeliverySpec;
use protocol::media::asset::Role;

/// The role of media whose source did not say. A picture makes it the first component with one. Without a picture it is
/// sound where the spec knows sound in files of its own, or asks nothing of a picture; else it is a master whose picture is
/// missing, which must not pass as sound.
pub fn role_of_streams(has_picture: bool, spec: &DeliverySpec) -> Role {
    let with_picture = spec.components.iter().find(|component| component.video.is_some());
    let of_picture = with_picture.map_or(Role::Master, |component| component.role);
    let sound_alone = spec.component(Role::Audio).is_some() || (with_picture.is_none() && !spec.qc.demands_picture());
    if has_picture || !sound_alone { of_picture } else { Role::Audio }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_without_declaration_follows_streams_and_spec() {
        let spec: DeliverySpec =
            protocol::yaml::read("s", "spec: s\ncomponents: [ {role: subtitle}, {role: proxy, video: {}} ]\n")
                .expect("valid");
        assert_eq!(role_of_streams(true, &spec), Role::Proxy);
        // The spec describes a picture and no sound of its own.
        assert_eq!(role_of_streams(false, &spec), Role::Proxy);
        let of = |source: &str| {
            let spec: DeliverySpec = protocol::yaml::read("s", source).unwrap_or_else(|problem| panic!("{problem}"));
            role_of_streams(false, &spec)
        };
        assert_eq!(of("spec: s\ncomponents: [ {role: master, video: {}}, {role: audio} ]\n"), Role::Audio);
        assert_eq!(of("spec: s\nqc: { loudness: { target: -23LUFS } }\n"), Role::Audio);
        assert_eq!(of("spec: s\nqc: { decode: {}, black: { longest: 1s } }\n"), Role::Master);
    }
}
