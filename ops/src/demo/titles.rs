//! What the sample library holds: six titles, twenty-four assets, nine of them wrong on purpose.
use super::model::{Fault, Step};

/// Seconds every clean clip lasts.
pub(super) const SECONDS: u32 = 8;

/// Seconds the wrong duration declares too much.
pub(super) const DECLARED_TOO_MUCH: u32 = 5;

/// An asset and how its file is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Index into [`TITLES`].
    pub(super) title: usize,
    pub(super) media: Media,
    pub(super) plant: Option<Plant>,
}

/// The kinds of files in the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Master,
    Proxy,
    Audio { language: &'static str },
    Subtitle { language: &'static str },
}

/// What is wrong with an asset, as far as making it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plant {
    Black,
    Freeze,
    DeadChannel,
    Loud,
    DeclaredDuration,
    Truncated,
    Resolution,
    AvLength,
    Missing,
}

/// A title: id, name, and its place in a series.
pub(super) struct Title {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// Series, season and episode.
    pub(super) series: Option<(&'static str, &'static str, &'static str)>,
}

pub(super) const TITLES: [Title; 6] = [
    Title {
        id: "harbour-lights",
        name: "Harbour Lights",
        series: None,
    },
    Title {
        id: "north-pass",
        name: "North Pass",
        series: None,
    },
    Title {
        id: "the-long-field",
        name: "The Long Field",
        series: None,
    },
    Title {
        id: "glass-river",
        name: "Glass River",
        series: None,
    },
    Title {
        id: "night-ferry-s01e01",
        name: "Night Ferry: Departure",
        series: Some(("night-ferry", "1", "1")),
    },
    Title {
        id: "night-ferry-s01e02",
        name: "Night Ferry: Open Water",
        series: Some(("night-ferry", "1", "2")),
    },
];

const DE: Media = Media::Audio { language: "de" };
const EN: Media = Media::Audio { language: "en" };
const SUBTITLE: Media = Media::Subtitle { language: "de" };

/// Every asset. The first two titles are clean and complete; the two episodes still wait for their subtitles.
pub(super) const ITEMS: [Item; 24] = [
    clean(0, Media::Master),
    clean(0, Media::Proxy),
    clean(0, DE),
    clean(0, EN),
    clean(0, SUBTITLE),
    clean(1, Media::Master),
    clean(1, Media::Proxy),
    clean(1, DE),
    clean(1, EN),
    clean(1, SUBTITLE),
    wrong(2, Media::Master, Plant::Black),
    wrong(2, Media::Proxy, Plant::DeclaredDuration),
    wrong(2, DE, Plant::DeadChannel),
    clean(2, SUBTITLE),
    wrong(3, Media::Master, Plant::Freeze),
    wrong(3, Media::Proxy, Plant::AvLength),
    wrong(3, DE, Plant::Loud),
    clean(3, SUBTITLE),
    wrong(4, Media::Master, Plant::Resolution),
    wrong(4, Media::Proxy, Plant::Truncated),
    clean(4, DE),
    clean(5, Media::Master),
    clean(5, Media::Proxy),
    wrong(5, DE, Plant::Missing),
];

const fn clean(title: usize, media: Media) -> Item {
    Item {
        title,
        media,
        plant: None,
    }
}

const fn wrong(title: usize, media: Media, plant: Plant) -> Item {
    Item {
        title,
        media,
        plant: Some(plant),
    }
}

impl Item {
    /// The asset's id.
    pub(super) fn id(&self) -> String {
        format!("{}-{}", TITLES[self.title].id, self.media.suffix())
    }

    /// Path of its file, relative to the library.
    pub(super) fn path(&self) -> String {
        let title = TITLES[self.title].id;
        format!(
            "{title}/{title}_{}.{}",
            self.media.suffix().replace('-', "_"),
            self.media.extension()
        )
    }

    /// Picture size as declared.
    pub(super) fn declared_size(&self) -> Option<(u32, u32)> {
        match self.media {
            Media::Master => Some((640, 360)),
            Media::Proxy => Some((320, 180)),
            Media::Audio { .. } | Media::Subtitle { .. } => None,
        }
    }

    /// Picture size as made.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        if self.plant == Some(Plant::Resolution) {
            Some((480, 270))
        } else {
            self.declared_size()
        }
    }

    /// Running time as declared; a subtitle declares none.
    pub(super) fn declared_seconds(&self) -> Option<u32> {
        match self.media {
            Media::Subtitle { .. } => None,
            _ if self.plant == Some(Plant::DeclaredDuration) => Some(SECONDS + DECLARED_TOO_MUCH),
            Media::Master | Media::Proxy | Media::Audio { .. } => Some(SECONDS),
        }
    }

    /// The truth about it for those who check the findings.
    pub(super) fn fault(&self) -> Option<Fault> {
        let (step, expect, also, words) = self.plant?.effect();
        Some(Fault {
            asset: self.id(),
            title: TITLES[self.title].id.to_owned(),
            step,
            expect,
            also,
            words,
        })
    }
}

impl Plant {
    /// The step that finds it, the check or reason it is found by, further checks that fail with it, and a sentence.
    fn effect(self) -> (Step, &'static str, &'static [&'static str], &'static str) {
        match self {
            Plant::Black => (
                Step::Check,
                "black",
                &[],
                "two seconds of black picture in the middle",
            ),
            Plant::Freeze => (
                Step::Check,
                "freeze",
                &[],
                "the picture is frozen for two and a half seconds",
            ),
            Plant::DeadChannel => (
                Step::Check,
                "dead_channel",
                &["silence", "phase"],
                "the right channel carries nothing",
            ),
            Plant::Loud => (
                Step::Check,
                "loudness",
                &[],
                "nine LU too loud: -14 LUFS instead of -23",
            ),
            Plant::DeclaredDuration => (
                Step::Check,
                "duration",
                &[],
                "the manifest declares five seconds more than the file has",
            ),
            Plant::Truncated => (
                Step::Check,
                "decode",
                &["truncated", "av_length", "duration", "freeze", "silence"],
                "the file breaks off after three fifths of its bytes",
            ),
            Plant::Resolution => (
                Step::Check,
                "resolution",
                &[],
                "480x270 was delivered, 640x360 is declared",
            ),
            Plant::AvLength => (
                Step::Check,
                "av_length",
                &["silence"],
                "the sound ends a second and a half before the picture",
            ),
            Plant::Missing => (
                Step::Land,
                "source_missing",
                &[],
                "the manifest lists a file that was not delivered",
            ),
        }
    }
}

impl Media {
    pub(super) fn role(self) -> &'static str {
        match self {
            Media::Master => "master",
            Media::Proxy => "proxy",
            Media::Audio { .. } => "audio",
            Media::Subtitle { .. } => "subtitle",
        }
    }

    pub(super) fn language(self) -> &'static str {
        match self {
            Media::Master | Media::Proxy => "en",
            Media::Audio { language } | Media::Subtitle { language } => language,
        }
    }

    fn suffix(self) -> String {
        match self {
            Media::Master | Media::Proxy => self.role().to_owned(),
            Media::Audio { language } | Media::Subtitle { language } => {
                format!("{}-{language}", self.role())
            }
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Media::Master => "mov",
            Media::Proxy => "mp4",
            Media::Audio { .. } => "wav",
            Media::Subtitle { .. } => "srt",
        }
    }
}
