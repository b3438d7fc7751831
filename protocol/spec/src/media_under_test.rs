//! A file before it is opened: its name and what its source declared.
use crate::value::FrameRate;
use protocol::media::asset::{Asset, Role};

use std::collections::BTreeMap;
use std::path::Path;

/// A file to be judged and what its source declared. Declared is not measured: QC compares the two.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MediaUnderTest {
    /// The name reports use.
    pub file: String,
    /// What it is for, as declared or by its name; inferred from its content when absent.
    pub role: Option<Role>,
    /// Whether the role was inferred from the file's name and not declared. The content has to confirm it.
    pub role_is_guessed: bool,
    /// Declared running time in seconds.
    pub duration: Option<f64>,
    /// Declared frame rate as written.
    pub frame_rate: Option<String>,
    /// Declared width in pixels.
    pub width: Option<u32>,
    /// Declared height in pixels.
    pub height: Option<u32>,
    /// Declared number of channels.
    pub channels: Option<u32>,
    /// What else it declared, by manifest column.
    pub meta: BTreeMap<String, String>,
    /// Declared content hash, `algorithm:hex`.
    pub declared_hash: Option<String>,
    /// Hash of exactly these bytes when they were just read and hashed; the file is then not read again for it.
    pub known_hash: Option<String>,
}

impl MediaUnderTest {
    /// A bare file, as on the command line: nothing is declared.
    pub fn bare(path: &Path) -> MediaUnderTest {
        let role = role_of_name(path);
        MediaUnderTest {
            file: path.to_string_lossy().into_owned(),
            role,
            role_is_guessed: role.is_some(),
            ..MediaUnderTest::default()
        }
    }

    /// An asset of a library.
    pub fn of(asset: &Asset) -> MediaUnderTest {
        let declared = asset.declared.as_deref();
        MediaUnderTest {
            file: asset.location.clone(),
            role: Some(asset.role),
            role_is_guessed: asset.role_is_inferred(),
            duration: declared.and_then(|d| d.duration),
            frame_rate: declared.and_then(|d| d.frame_rate.clone()),
            width: declared.and_then(|d| d.width),
            height: declared.and_then(|d| d.height),
            channels: declared
                .and_then(|d| d.meta.get("channels"))
                .and_then(|n| n.trim().parse().ok()),
            meta: declared.map(|d| d.meta.clone()).unwrap_or_default(),
            declared_hash: asset.hash.clone(),
            known_hash: None,
        }
    }

    /// The declared frame rate as a fraction; `Err` holds the text when it is none.
    pub fn declared_rate(&self) -> Result<Option<FrameRate>, &str> {
        match self.frame_rate.as_deref() {
            None => Ok(None),
            Some(text) => FrameRate::parse(text).map(Some).map_err(|_| text),
        }
    }

    /// The last component of the file's name.
    pub fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}

/// The role that a file name shows: text, stills and documents. Picture and sound are distinguished by their streams.
fn role_of_name(path: &Path) -> Option<Role> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "srt" | "vtt" | "ttml" | "dfxp" | "itt" | "imsc" | "stl" | "ass" | "ssa" | "sub"
        | "sup" | "pac" => Some(Role::Subtitle),
        "scc" | "mcc" => Some(Role::Caption),
        "jpg" | "jpeg" | "png" | "tif" | "tiff" | "webp" => Some(Role::Artwork),
        "pdf" | "txt" | "csv" | "doc" | "docx" | "xlsx" | "html" => Some(Role::Document),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_file_gets_the_role_its_name_or_streams_give_away() {
        assert_eq!(
            MediaUnderTest::bare(Path::new("a/b.SRT")).role,
            Some(Role::Subtitle)
        );
        assert_eq!(MediaUnderTest::bare(Path::new("a/b.mov")).role, None);
        assert_eq!(
            MediaUnderTest::bare(Path::new("b.stl")).role,
            Some(Role::Subtitle)
        );
        assert_eq!(
            MediaUnderTest::bare(Path::new("b.scc")).role,
            Some(Role::Caption)
        );
    }
}
