//! Statistics of the tables that jobs fill. The statements of this store need none, but queries of people over the views do.
//! Autovacuum analyses a minute later, or never where it is off.
use super::address::Address;
use super::error::{failed, said};
use super::link::Link;
use super::options::PostgresOptions;
use crate::error::StoreResult;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Fewest assets of a job that change plans.
pub(crate) const ASSETS_MIN: u64 = 10_000;
/// Shortest time between two analyses.
const EVERY: Duration = Duration::from_secs(60);
/// Entries of a histogram; PostgreSQL samples 300 times as many rows. Queries over the views select by state and step, of
/// which there are a few dozen.
const TARGET: u32 = 10;
/// The analysed tables.
const TABLES: [&str; 6] = [
    "listing",
    "partition",
    "unit",
    "streak",
    "failure",
    "barrier",
];

/// Analyses tables after a large listing has been sealed, over a connection of its own: no writer waits for it.
#[derive(Default)]
pub(super) struct Statistics {
    last: Option<Instant>,
    running: Arc<AtomicBool>,
}

impl Statistics {
    /// A large job has been sealed.
    pub(super) fn renew(&mut self, address: &Address, options: &PostgresOptions) {
        let early = self.last.is_some_and(|last| last.elapsed() < EVERY);
        if early || self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        self.last = Some(Instant::now());
        let (address, options, running) =
            (address.clone(), options.clone(), Arc::clone(&self.running));
        let work = move || {
            if let Err(error) = analyse(&address, &options) {
                tracing::debug!(%error, "tables could not be analysed");
            }
            running.store(false, Ordering::Release);
        };
        if std::thread::Builder::new()
            .name("store-analyse".into())
            .spawn(work)
            .is_err()
        {
            self.running.store(false, Ordering::Release);
        }
    }
}

fn analyse(address: &Address, options: &PostgresOptions) -> StoreResult<()> {
    let mut link = Link::open(address, options)?;
    // The default sample of 30,000 rows would take 0.1 s for each table while the job begins.
    link.script(&format!("SET default_statistics_target = {TARGET}"))
        .map_err(failed)?;
    for table in TABLES {
        link.script(&format!("ANALYZE {table}"))
            .inspect_err(|fault| tracing::debug!(table, why = said(fault), "not analysed"))
            .map_err(failed)?;
    }
    Ok(())
}
