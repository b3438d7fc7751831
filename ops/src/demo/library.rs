//! Makes the sample library: media with planted faults, manifest, delivery spec and job.
use super::model::{DemoError, Planted};
use super::titles::{ITEMS, Item};
use super::{encode, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Version of the library's content; another one makes it anew.
const VERSION: &str = "1";

/// Says whose directory it is and whether the library in it is complete.
const MARKER: &str = ".showrunner-demo";

/// Encoders at a time.
const ENCODERS: usize = 2;

/// Makes the sample library in `dir`, or finds it there already. Blocks for some seconds and uses two processors.
///
/// `dir` gets `job.yaml`, `specs/demo.yaml` and `library/`. An interrupted run is taken up again; a directory with other
/// files in it is left alone.
pub fn make(dir: &Path, ffmpeg: &str) -> Result<Planted, DemoError> {
    let faults = ITEMS.iter().filter_map(Item::fault).collect();
    let mut planted = Planted {
        job: dir.join("job.yaml"),
        assets: ITEMS.len(),
        faults,
        reused: true,
    };
    let marker = dir.join(MARKER);
    let library = dir.join("library");
    let delivered: Vec<(&Item, PathBuf)> = ITEMS
        .iter()
        .filter(|item| text::is_delivered(item))
        .map(|item| (item, library.join(item.path())))
        .collect();
    let complete = format!("{VERSION} complete\n");
    let said = fs::read_to_string(&marker).unwrap_or_default();
    if said == complete && planted.job.is_file() && delivered.iter().all(|(_, path)| path.is_file())
    {
        return Ok(planted);
    }
    planted.reused = false;
    if said.is_empty() && !is_empty(dir)? {
        return Err(DemoError::NotOurs {
            dir: dir.to_owned(),
        });
    }
    encode::check(ffmpeg)?;
    write(&marker, &format!("{VERSION} being made\n"))?;
    // A file with this version's name is complete: it got the name last. Another version's files are made again.
    let keep = said.starts_with(&format!("{VERSION} "));
    let wanted: Vec<_> = delivered
        .into_iter()
        .filter(|(_, path)| !(keep && path.is_file()))
        .collect();
    make_all(&wanted, ffmpeg)?;
    let manifest = text::manifest(&library).map_err(|error| DemoError::io(&library, error))?;
    write(&library.join("manifest.csv"), &manifest)?;
    write(&dir.join("specs/demo.yaml"), text::SPEC)?;
    write(&planted.job, text::JOB)?;
    write(&marker, &complete)?;
    Ok(planted)
}

fn is_empty(dir: &Path) -> Result<bool, DemoError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(DemoError::io(dir, error)),
    }
}

fn write(path: &Path, content: &str) -> Result<(), DemoError> {
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, content));
    written.map_err(|error| DemoError::io(path, error))
}

/// Makes the files with [`ENCODERS`] processes at a time; the first failure keeps further ones from starting.
fn make_all(wanted: &[(&Item, PathBuf)], ffmpeg: &str) -> Result<(), DemoError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = || {
        while let Some((item, path)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = encode::make(item, path, ffmpeg) {
                next.store(wanted.len(), Ordering::Relaxed);
                let mut first = failed
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                first.get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..ENCODERS {
            scope.spawn(work);
        }
    });
    match failed
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
    {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
