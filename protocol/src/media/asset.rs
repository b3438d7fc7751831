//! One media object of a title version, as a manifest row or a folder entry declares it.
use crate::model::location;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// What an asset is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The finished picture (and usually sound) others are made from.
    Master,
    /// A high-quality copy kept for making deliverables.
    Mezzanine,
    /// A small copy to look at.
    Proxy,
    /// Sound alone: a language, a mix, a stem.
    Audio,
    /// Translated dialogue as timed text.
    Subtitle,
    /// Text for viewers who cannot hear.
    Caption,
    /// Stills: posters, thumbnails.
    Artwork,
    /// Paper: cue sheets, certificates, reports.
    Document,
}

impl Role {
    /// Every role, in the order of the product's word list.
    pub const ALL: [Role; 8] = [
        Role::Master,
        Role::Mezzanine,
        Role::Proxy,
        Role::Audio,
        Role::Subtitle,
        Role::Caption,
        Role::Artwork,
        Role::Document,
    ];

    /// The spelling in manifests, SQL and specs.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Mezzanine => "mezzanine",
            Role::Proxy => "proxy",
            Role::Audio => "audio",
            Role::Subtitle => "subtitle",
            Role::Caption => "caption",
            Role::Artwork => "artwork",
            Role::Document => "document",
        }
    }

    /// Reads the spelling of [`Role::as_str`], in any case.
    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str().eq_ignore_ascii_case(text.trim()))
    }

    /// Whether media of this role is expected to carry a picture.
    pub fn has_picture(self) -> bool {
        matches!(self, Role::Master | Role::Mezzanine | Role::Proxy)
    }

    /// Whether the asset is text or a still, which the audio and video measurements do not apply to.
    pub fn is_timed_media(self) -> bool {
        matches!(
            self,
            Role::Master | Role::Mezzanine | Role::Proxy | Role::Audio
        )
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Metadata that says how an asset of a unit was found, where no manifest declares it. Only units carry it.
const FOUND_BY: &str = "showrunner:found_by";
const LISTED: &str = "listing";
const COPIED: &str = "listing, copied";
/// Metadata that names the library's own file, where a unit opens a copy. Only units carry it.
const ORIGIN: &str = "showrunner:origin";
/// Metadata that names the directory below which a step made a copy, where a unit opens that copy. Only units carry it.
const COPIED_BELOW: &str = "showrunner:copied_below";
/// Metadata that says where the role of a listed asset comes from. Only units carry it.
const ROLE_BY: &str = "showrunner:role_by";
const NAME: &str = "name";

/// One media object with everything its source declared about it. Declared is not measured: QC compares the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// Id, unique within its library.
    pub id: String,
    /// Id of the title it belongs to.
    pub title: String,
    /// What it is for.
    pub role: Role,
    /// Where its bytes are: `file:`, `s3://`, `gs://`, `https://`; absolute once scanned.
    pub location: String,
    /// Path relative to its library, with `/`; the `{path}` placeholder.
    pub path: String,
    /// Size in bytes, as declared.
    pub bytes: Option<u64>,
    /// Content hash as declared, `algorithm:hex`.
    pub hash: Option<String>,
    /// Everything else the source declared; boxed, since a bulk listing of plain files has none of it.
    pub declared: Option<Box<Declared>>,
}

/// The optional columns of a manifest row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Declared {
    /// Title for people.
    pub title_name: Option<String>,
    /// Series name or id.
    pub series: Option<String>,
    /// Season within the series.
    pub season: Option<String>,
    /// Episode within the season.
    pub episode: Option<String>,
    /// Edit of the title (theatrical, broadcast, clean).
    pub version: Option<String>,
    /// BCP 47 language tag.
    pub language: Option<String>,
    /// Running time in seconds.
    pub duration: Option<f64>,
    /// Frames per second as written: `25`, `29.97`, `30000/1001`.
    pub frame_rate: Option<String>,
    /// Picture width in pixels.
    pub width: Option<u32>,
    /// Picture height in pixels.
    pub height: Option<u32>,
    /// Columns we do not know, kept as metadata.
    pub meta: BTreeMap<String, String>,
}

impl Asset {
    /// The version this asset is an object of, when declared.
    pub fn version(&self) -> Option<&str> {
        self.declared.as_ref().and_then(|d| d.version.as_deref())
    }

    /// The language it is in, when declared.
    pub fn language(&self) -> Option<&str> {
        self.declared.as_ref().and_then(|d| d.language.as_deref())
    }

    /// Notes that a listing of its library found it, at its own location or, with `copied`, at that of a copy. What a
    /// listing says of its size is an observation: the file may have grown since.
    pub fn note_listed(&mut self, copied: bool) {
        let found = if copied { COPIED } else { LISTED };
        self.declared
            .get_or_insert_default()
            .meta
            .insert(FOUND_BY.to_owned(), found.to_owned());
    }

    /// Whether its size was seen by a listing, and not declared by a manifest.
    pub fn size_is_observed(&self) -> bool {
        self.found_by().is_some()
    }

    /// Whether it is where a listing of its library found it.
    pub fn is_in_listed_library(&self) -> bool {
        self.found_by() == Some(LISTED)
    }

    /// Notes where the library has the file, when the unit opens a copy of it.
    pub fn note_origin(&mut self, location: String) {
        self.declared
            .get_or_insert_default()
            .meta
            .insert(ORIGIN.to_owned(), location);
    }

    /// Where the library has the file: its location, unless the unit opens a copy.
    pub fn origin(&self) -> &str {
        let noted = self
            .declared
            .as_ref()
            .and_then(|declared| declared.meta.get(ORIGIN));
        noted.map_or(self.location.as_str(), String::as_str)
    }

    /// Notes the directory below which an earlier step made the copy that the unit opens.
    pub fn note_copied_below(&mut self, root: &str) {
        self.declared
            .get_or_insert_default()
            .meta
            .insert(COPIED_BELOW.to_owned(), root.to_owned());
    }

    /// Location of the directory that its file lies below: the one whose listing found it, or the one below which an
    /// earlier step copied it. `None` where a manifest names the file.
    pub fn base(&self) -> Option<&str> {
        let copied = self
            .declared
            .as_ref()
            .and_then(|declared| declared.meta.get(COPIED_BELOW));
        let listed = || {
            self.location
                .strip_suffix(self.path.as_str())
                .filter(|base| base.ends_with('/'))
        };
        copied
            .map(String::as_str)
            .or_else(|| listed().filter(|_| self.is_in_listed_library()))
    }

    /// Notes that its role was inferred from its name: neither a manifest nor the pattern of its library declares it.
    pub fn note_inferred_role(&mut self) {
        self.declared
            .get_or_insert_default()
            .meta
            .insert(ROLE_BY.to_owned(), NAME.to_owned());
    }

    /// Whether its role was inferred from its name. Such a role is confirmed by the content or proves nothing.
    pub fn role_is_inferred(&self) -> bool {
        self.declared
            .as_ref()
            .and_then(|declared| declared.meta.get(ROLE_BY))
            .is_some_and(|by| by == NAME)
    }

    fn found_by(&self) -> Option<&str> {
        self.declared
            .as_ref()?
            .meta
            .get(FOUND_BY)
            .map(String::as_str)
    }

    /// Bytes it takes in a message, at most, the columns kept as metadata included.
    pub fn weight(&self) -> usize {
        /// Lengths, numbers and marks.
        const BESIDES: usize = 64;
        let declared = self.declared.as_ref().map_or(0, |declared| {
            let texts = [
                &declared.title_name,
                &declared.series,
                &declared.season,
                &declared.episode,
                &declared.version,
                &declared.language,
                &declared.frame_rate,
            ];
            let texts: usize = texts.into_iter().flatten().map(String::len).sum();
            let meta: usize = declared
                .meta
                .iter()
                .map(|(name, value)| name.len() + value.len() + BESIDES / 4)
                .sum();
            texts + meta + 2 * BESIDES
        });
        let hash = self.hash.as_ref().map_or(0, String::len);
        self.id.len()
            + self.title.len()
            + self.location.len()
            + self.path.len()
            + hash
            + declared
            + BESIDES
    }

    /// Name of the file at the location: the `{file}` placeholder.
    pub fn file(&self) -> Cow<'_, str> {
        location::file_name(&self.location)
    }
}

/// What a step learned about an asset; kept in the catalogue.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AssetFact {
    /// The asset's id.
    pub asset: String,
    /// Where a verified copy now is.
    pub location: Option<String>,
    /// Content hash of the bytes read, `algorithm:hex`.
    pub hash: Option<String>,
    /// Size of the content in bytes, as read.
    pub bytes: Option<u64>,
    /// QC verdict (`pass`, `fail`, `tool_error`) of exactly these bytes.
    pub verdict: Option<String>,
    /// The QC report as JSON.
    pub report: Option<String>,
    /// Whether the destination already held identical bytes and nothing was written.
    pub skipped: bool,
}
