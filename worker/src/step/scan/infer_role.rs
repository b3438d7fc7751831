//! Role and title of an asset, inferred from its file name.
use protocol::media::asset::Role;

/// The role a file of this name usually has. A pattern with a `role` capture overrules it.
pub(super) fn role(path: &str) -> Role {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase())
        .unwrap_or_default();
    match extension.as_str() {
        "mov" | "mxf" | "mp4" | "m4v" | "mkv" | "avi" | "mpg" | "mpeg" | "m2v" | "ts" | "m2ts"
        | "mts" | "webm" | "dv" | "wmv" | "qt" | "gxf" | "vob" | "y4m" => Role::Master,
        "wav" | "flac" | "aif" | "aiff" | "bwf" | "rf64" | "w64" | "mp3" | "aac" | "m4a"
        | "ac3" | "ec3" | "eac3" | "opus" | "ogg" | "oga" | "caf" | "mka" => Role::Audio,
        "srt" | "vtt" | "ttml" | "dfxp" | "itt" | "imsc" | "stl" | "ass" | "ssa" | "sub"
        | "sup" | "pac" => Role::Subtitle,
        "scc" | "mcc" => Role::Caption,
        "jpg" | "jpeg" | "png" | "tif" | "tiff" | "webp" | "gif" | "bmp" | "psd" | "svg"
        | "heic" | "avif" | "exr" => Role::Artwork,
        _ => Role::Document,
    }
}

/// The title a file belongs to: its first directory, or its own stem at the top.
pub(super) fn title(path: &str) -> &str {
    match path.split_once('/') {
        Some((directory, _)) => directory,
        None => path
            .rsplit_once('.')
            .map(|(stem, _)| stem)
            .filter(|stem| !stem.is_empty())
            .unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_tell_the_role() {
        let cases = [
            ("a/b.MOV", Role::Master),
            ("b.mxf", Role::Master),
            ("b.de.wav", Role::Audio),
            ("b.vtt", Role::Subtitle),
            ("b.scc", Role::Caption),
            ("poster.PNG", Role::Artwork),
            ("cue.pdf", Role::Document),
            ("mov", Role::Document),
            ("a.mov/readme", Role::Document),
        ];
        for (path, expected) in cases {
            assert_eq!(role(path), expected, "{path}");
        }
    }

    #[test]
    fn titles_are_directories_or_stems() {
        assert_eq!(title("dune/v1/a.mov"), "dune");
        assert_eq!(title("dune.de.mov"), "dune.de");
        assert_eq!((title("dune"), title(".hidden")), ("dune", ".hidden"));
    }
}
