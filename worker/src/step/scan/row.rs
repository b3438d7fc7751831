//! One row: named cells in, an asset or one clear problem out. Independent of CSV and JSON.
use super::location::Located;
use protocol::media::asset::{Asset, Declared, Role};
use protocol::model::hash::parse_hash;
use protocol::model::location::shown;
use protocol::wire::report::RowError;
use protocol::yaml::nearest;
use std::borrow::Cow;

/// Longest row, in bytes of the file. A longer one is passed over without being held in memory.
pub(super) const ROW_MAX: usize = 1 << 20;

/// Longest asset or title id; they are keys in SQL and parts of paths.
const ID_MAX: usize = 512;

/// Longest quoted text in a message.
const QUOTE_MAX: usize = 80;

/// A column the product knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Asset,
    Title,
    TitleName,
    Series,
    Season,
    Episode,
    Version,
    Role,
    Language,
    Location,
    Bytes,
    Hash,
    Duration,
    FrameRate,
    Width,
    Height,
}

impl Column {
    /// Every column with its name in manifests, in the order of the declaration.
    const NAMES: [(Column, &'static str); 16] = [
        (Column::Asset, "asset"),
        (Column::Title, "title"),
        (Column::TitleName, "title_name"),
        (Column::Series, "series"),
        (Column::Season, "season"),
        (Column::Episode, "episode"),
        (Column::Version, "version"),
        (Column::Role, "role"),
        (Column::Language, "language"),
        (Column::Location, "location"),
        (Column::Bytes, "bytes"),
        (Column::Hash, "hash"),
        (Column::Duration, "duration"),
        (Column::FrameRate, "frame_rate"),
        (Column::Width, "width"),
        (Column::Height, "height"),
    ];

    /// Columns that every row must have.
    pub(super) const REQUIRED: [Column; 4] =
        [Column::Asset, Column::Title, Column::Role, Column::Location];

    pub(super) fn as_str(self) -> &'static str {
        Column::NAMES[self as usize].1
    }

    /// Reads a column's name, in any case.
    pub(super) fn parse(name: &str) -> Option<Column> {
        Column::NAMES
            .into_iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(column, _)| column)
    }
}

/// The cells of one row; an empty one counts as absent.
#[derive(Default)]
pub(super) struct Cells<'a> {
    known: [&'a str; Column::NAMES.len()],
    /// Columns the product does not know, kept as metadata.
    pub(super) meta: Vec<(&'a str, &'a str)>,
}

impl<'a> Cells<'a> {
    pub(super) fn set(&mut self, column: Column, value: &'a str) {
        self.known[column as usize] = value;
    }

    pub(super) fn get(&self, column: Column) -> &'a str {
        self.known[column as usize]
    }

    fn optional(&self, column: Column) -> Option<&'a str> {
        Some(self.get(column)).filter(|value| !value.is_empty())
    }

    /// The asset's id for messages, when it is fit to be shown.
    pub(super) fn id(&self) -> Option<String> {
        self.readable(Column::Asset)
    }

    /// The title that lacks the row, when it is fit to be a key.
    pub(super) fn title(&self) -> Option<String> {
        self.readable(Column::Title)
    }

    fn readable(&self, column: Column) -> Option<String> {
        self.optional(column)
            .filter(|value| value.len() <= ID_MAX && !has_control(value))
            .map(str::to_owned)
    }
}

/// A problem of a cell.
struct Complaint(Cow<'static, str>, String);

/// Makes an asset of a row. `locate` turns the written location into the one to use.
pub(super) fn asset(
    cells: &Cells<'_>,
    line: u64,
    locate: impl FnOnce(&str) -> Result<Located, String>,
) -> Result<Asset, RowError> {
    build(cells, locate).map_err(|Complaint(column, message)| RowError {
        line,
        column: Some(column.into_owned()),
        asset: cells.id(),
        message,
        title: cells.title(),
    })
}

fn build(
    cells: &Cells<'_>,
    locate: impl FnOnce(&str) -> Result<Located, String>,
) -> Result<Asset, Complaint> {
    for column in Column::REQUIRED {
        if cells.get(column).is_empty() {
            return Err(Complaint(
                column.as_str().into(),
                format!("{} is empty: every row needs one", column.as_str()),
            ));
        }
    }
    let declared = declared(cells)?;
    let role = role(cells.get(Column::Role))?;
    let written = plain(cells, Column::Location)?.unwrap_or_default();
    let id = key(cells, Column::Asset)?;
    let title = key(cells, Column::Title)?;
    let bytes = number(cells, Column::Bytes, |bytes: &u64| {
        i64::try_from(*bytes).is_ok()
    })?;
    let hash = cells.optional(Column::Hash).map(hash).transpose()?;
    let Located { location, path } =
        locate(written).map_err(|message| Complaint(Column::Location.as_str().into(), message))?;
    Ok(Asset {
        id: id.to_owned(),
        title: title.to_owned(),
        role,
        location,
        path,
        bytes,
        hash,
        declared,
    })
}

fn declared(cells: &Cells<'_>) -> Result<Option<Box<Declared>>, Complaint> {
    let owned = |column| plain(cells, column).map(|value| value.map(str::to_owned));
    let declared = Declared {
        title_name: text(cells, Column::TitleName)?.map(str::to_owned),
        series: owned(Column::Series)?,
        season: owned(Column::Season)?,
        episode: owned(Column::Episode)?,
        version: owned(Column::Version)?,
        language: owned(Column::Language)?,
        duration: cells.optional(Column::Duration).map(duration).transpose()?,
        frame_rate: cells
            .optional(Column::FrameRate)
            .map(frame_rate)
            .transpose()?,
        width: number(cells, Column::Width, |width: &u32| *width > 0)?,
        height: number(cells, Column::Height, |height: &u32| *height > 0)?,
        meta: cells
            .meta
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| match value.contains('\0') {
                true => Err(Complaint(
                    (*name).to_owned().into(),
                    format!("column {} holds a NUL character: remove it", quote(name)),
                )),
                false => Ok(((*name).to_owned(), (*value).to_owned())),
            })
            .collect::<Result<_, Complaint>>()?,
    };
    Ok((declared != Declared::default()).then(|| Box::new(declared)))
}

/// A key of the catalogue: short and printable.
fn key<'a>(cells: &Cells<'a>, column: Column) -> Result<&'a str, Complaint> {
    let value = plain(cells, column)?.unwrap_or_default();
    if value.len() > ID_MAX {
        let message = format!(
            "{} is {} bytes long; {ID_MAX} are allowed: shorten it",
            column.as_str(),
            value.len()
        );
        return Err(Complaint(column.as_str().into(), message));
    }
    Ok(value)
}

/// Text on one line, which ends up in paths, keys and logs.
fn plain<'a>(cells: &Cells<'a>, column: Column) -> Result<Option<&'a str>, Complaint> {
    let value = cells.optional(column);
    match value {
        Some(value) if has_control(value) => Err(Complaint(
            column.as_str().into(),
            format!(
                "{} {} holds a control character: remove it",
                column.as_str(),
                quote(&shown(value))
            ),
        )),
        _ => Ok(value),
    }
}

/// Text for people, which may have several lines but no NUL (SQL cannot hold it).
fn text<'a>(cells: &Cells<'a>, column: Column) -> Result<Option<&'a str>, Complaint> {
    let value = cells.optional(column);
    match value {
        Some(value) if value.contains('\0') => Err(Complaint(
            column.as_str().into(),
            format!("{} holds a NUL character: remove it", column.as_str()),
        )),
        _ => Ok(value),
    }
}

fn has_control(value: &str) -> bool {
    if value.is_ascii() {
        value.bytes().any(|b| b.is_ascii_control())
    } else {
        value.chars().any(char::is_control)
    }
}

fn number<T: std::str::FromStr>(
    cells: &Cells<'_>,
    column: Column,
    valid: impl FnOnce(&T) -> bool,
) -> Result<Option<T>, Complaint> {
    let Some(value) = cells.optional(column) else {
        return Ok(None);
    };
    // A leading plus sign parses, but is no spelling anything else would read back.
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    match value.parse::<T>() {
        Ok(number) if digits && valid(&number) => Ok(Some(number)),
        _ => {
            let like = if column == Column::Bytes {
                "a whole number such as 1048576"
            } else {
                "pixels such as 1920"
            };
            Err(Complaint(
                column.as_str().into(),
                format!("{} {} is not {like}", column.as_str(), quote(value)),
            ))
        }
    }
}

fn role(value: &str) -> Result<Role, Complaint> {
    Role::parse(value).ok_or_else(|| {
        let known = Role::ALL.map(Role::as_str);
        let hint = match Some(value)
            .filter(|v| v.len() <= QUOTE_MAX)
            .and_then(|v| nearest(v, &known))
        {
            Some(name) => format!("did you mean {name}? known: {}", known.join(", ")),
            None => format!("known: {}", known.join(", ")),
        };
        Complaint(
            Column::Role.as_str().into(),
            format!("unknown role {}; {hint}", quote(value)),
        )
    })
}

fn hash(value: &str) -> Result<String, Complaint> {
    let complaint = |message| Complaint(Column::Hash.as_str().into(), message);
    if value.len() > 2 * QUOTE_MAX {
        return Err(complaint(format!(
            "hash {} is longer than any digest: write algorithm:digest",
            quote(value)
        )));
    }
    parse_hash(value)
        .map(|(algorithm, digest)| format!("{}:{digest}", algorithm.as_str()))
        .map_err(complaint)
}

fn duration(value: &str) -> Result<f64, Complaint> {
    let seconds = if value.contains(':') {
        clock(value)
    } else {
        decimal(value)
    };
    seconds.ok_or_else(|| {
        let message = format!(
            "duration {} is not seconds (12.5) or HH:MM:SS (00:00:12.5)",
            quote(value)
        );
        Complaint(Column::Duration.as_str().into(), message)
    })
}

/// Reads `HH:MM:SS` with an optional fraction.
fn clock(value: &str) -> Option<f64> {
    let mut parts = value.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || hours.len() > 6 || minutes.len() > 2 {
        return None;
    }
    let whole = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u32>().ok())
            .flatten()
    };
    let (hours, minutes, seconds) = (whole(hours)?, whole(minutes)?, decimal(seconds)?);
    (minutes < 60 && seconds < 60.0)
        .then(|| f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0 + seconds)
}

/// Digits with at most one point: what people write, not all that a float parser takes.
fn decimal(value: &str) -> Option<f64> {
    let plain = value.len() <= 32 && value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| value.parse().ok()).flatten()
}

fn frame_rate(value: &str) -> Result<String, Complaint> {
    let rate = match value.split_once('/') {
        Some((over, under)) => decimal(over)
            .zip(decimal(under))
            .map(|(over, under)| over / under),
        None => decimal(value),
    };
    match rate {
        Some(rate) if rate.is_finite() && rate > 0.0 => Ok(value.to_owned()),
        _ => Err(Complaint(
            Column::FrameRate.as_str().into(),
            format!(
                "frame_rate {} is not frames per second such as 25, 29.97 or 30000/1001",
                quote(value)
            ),
        )),
    }
}

/// A person's text in quotes, escaped and cut to what fits a message.
pub(super) fn quote(value: &str) -> String {
    match value.char_indices().nth(QUOTE_MAX) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::location::Root;
    use super::*;

    fn cells(changes: &[(Column, &'static str)]) -> Cells<'static> {
        let mut cells = Cells::default();
        let base = [
            (Column::Asset, "a1"),
            (Column::Title, "t1"),
            (Column::Role, "master"),
            (Column::Location, "a/b.mov"),
        ];
        for (column, value) in base.iter().chain(changes) {
            cells.set(*column, value);
        }
        cells
    }

    fn make(changes: &[(Column, &'static str)]) -> Result<Asset, RowError> {
        asset(&cells(changes), 7, |written| {
            Root::new("/lib").resolve(written)
        })
    }

    #[test]
    fn names_are_in_the_order_of_the_declaration() {
        for (i, (column, name)) in Column::NAMES.into_iter().enumerate() {
            assert_eq!(
                (column as usize, Column::parse(&name.to_uppercase())),
                (i, Some(column))
            );
        }
    }

    #[test]
    fn a_minimal_row_declares_nothing() {
        let asset = make(&[]).expect("valid");
        assert_eq!(
            (asset.location.as_str(), asset.path.as_str()),
            ("file:/lib/a/b.mov", "a/b.mov")
        );
        assert_eq!(
            (asset.declared, asset.bytes, asset.hash),
            (None, None, None)
        );
    }

    #[test]
    fn every_declared_column_arrives() {
        let mut cells = cells(&[
            (Column::TitleName, "Two\nlines"),
            (Column::Season, "01"),
            (Column::Language, "de"),
            (Column::Bytes, "12"),
            (Column::Hash, "MD5:D41D8CD98F00B204E9800998ECF8427E"),
            (Column::Duration, "01:02:03.5"),
            (Column::FrameRate, "30000/1001"),
            (Column::Width, "1920"),
        ]);
        cells.meta = vec![("studio", "x"), ("empty", "")];
        let asset = asset(&cells, 1, |written| Root::new("/lib").resolve(written)).expect("valid");
        let declared = asset.declared.expect("declared");
        assert_eq!(
            (asset.bytes, asset.hash.as_deref()),
            (Some(12), Some("md5:d41d8cd98f00b204e9800998ecf8427e"))
        );
        assert_eq!(
            (declared.duration, declared.frame_rate.as_deref()),
            (Some(3723.5), Some("30000/1001"))
        );
        assert_eq!(
            (declared.width, declared.height, declared.season.as_deref()),
            (Some(1920), None, Some("01"))
        );
        assert_eq!(
            declared.meta.into_iter().collect::<Vec<_>>(),
            [("studio".to_owned(), "x".to_owned())]
        );
    }

    #[test]
    fn each_bad_cell_is_named_with_what_to_do() {
        let long: &'static str = Box::leak("x".repeat(513).into_boxed_str());
        let cases = [
            (Column::Asset, "", "every row needs one"),
            (Column::Location, "", "every row needs one"),
            (Column::Asset, "a\0b", "control character"),
            (Column::Location, "a\u{85}b", "control character"),
            (Column::Title, "a\nb", "control character"),
            (Column::TitleName, "a\0b", "NUL"),
            (Column::Asset, long, "512 are allowed"),
            (Column::Role, "mastr", "did you mean master?"),
            (Column::Role, long, "known: master"),
            (Column::Bytes, "1.5", "whole number"),
            (Column::Bytes, "+1", "whole number"),
            (Column::Bytes, "18446744073709551615", "whole number"),
            (Column::Width, "0", "1920"),
            (Column::Height, "-4", "1920"),
            (Column::Duration, "01:02", "HH:MM:SS"),
            (Column::Duration, "00:61:00", "HH:MM:SS"),
            (Column::Duration, "00:00:10:12", "HH:MM:SS"),
            (Column::Duration, "inf", "HH:MM:SS"),
            (Column::Duration, "-1", "HH:MM:SS"),
            (Column::FrameRate, "25/0", "29.97"),
            (Column::FrameRate, "fast", "29.97"),
            (Column::Hash, "md5:zz", "hexadecimal"),
            (Column::Hash, long, "algorithm:digest"),
            (Column::Location, "../x", "climbs out"),
        ];
        for (column, value, says) in cases {
            let error = make(&[(column, value)]).expect_err(value);
            assert_eq!(
                (error.line, error.column.as_deref()),
                (7, Some(column.as_str())),
                "{value:?}"
            );
            let title = (column != Column::Title).then(|| "t1".to_owned());
            assert_eq!(error.title, title, "{value:?}: the title lacks the row");
            assert!(
                error.message.contains(says) && error.message.len() < 400,
                "{value:?}: {}",
                error.message
            );
            assert_eq!(
                error.asset.as_deref(),
                (column != Column::Asset).then_some("a1"),
                "{value:?}"
            );
        }
    }
}
