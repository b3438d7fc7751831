//! From a location to the storage that has it. Places are opened once and remembered with their connections.
use super::backend::{BACKENDS, Opened, Opening};
use super::buffers::Buffers;
use super::layer::Layered;
use super::roots::Roots;
use super::settings::{EndpointSettings, StorageSettings};
use super::throttle::{Budget, Throttle};
use super::{Location, Storage, StorageError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Content on its way that a worker holds in memory at most, in bytes.
pub const MEMORY_BYTES: u64 = 40 << 20;
/// What a permit of the memory stands for, in bytes.
const PERMIT_BYTES: u64 = 1 << 10;

/// Stretches from the network whose memory is used again, and how large they are, in bytes.
const STRETCHES_KEPT: usize = 5;
const STRETCH_BYTES: usize = 8 << 20;

/// Opens locations. One for a worker: limits hold over everything that uses it.
pub struct Registry {
    settings: StorageSettings,
    roots: Roots,
    places: Mutex<HashMap<String, Arc<dyn Storage>>>,
    budgets: Mutex<HashMap<String, Arc<Budget>>>,
    memory: Arc<Semaphore>,
    buffers: Arc<Buffers>,
    around: Option<Box<Around>>,
}

/// What is put around every place that is opened.
type Around = dyn Fn(Arc<dyn Storage>) -> Arc<dyn Storage> + Send + Sync;

/// A claim on the memory that content on its way may take; given back when dropped.
pub type Held = tokio::sync::OwnedSemaphorePermit;

impl Default for Registry {
    fn default() -> Registry {
        Registry::new(StorageSettings::default())
    }
}

impl Registry {
    /// With the settings of the storage file.
    pub fn new(settings: StorageSettings) -> Registry {
        let memory = Arc::new(Semaphore::new(permits(MEMORY_BYTES) as usize));
        Registry {
            roots: Roots::new(&settings.roots),
            settings,
            places: Mutex::default(),
            budgets: Mutex::default(),
            memory,
            buffers: Arc::new(Buffers::new(STRETCHES_KEPT, STRETCH_BYTES)),
            around: None,
        }
    }

    /// Puts something around every place that will be opened, within the limits of its endpoint: for tests and
    /// rehearsals.
    #[must_use]
    pub fn around(mut self, around: impl Fn(Arc<dyn Storage>) -> Arc<dyn Storage> + Send + Sync + 'static) -> Registry {
        self.around = Some(Box::new(around));
        self
    }

    /// Waits until so many bytes may be held in memory, in the order of asking. More than there is counts as all of it,
    /// so that content of any size passes, one at a time.
    pub fn hold(&self, bytes: u64) -> impl Future<Output = Option<Held>> + Send + 'static {
        let memory = Arc::clone(&self.memory);
        // It is never closed; without a claim there is merely nothing to give back.
        async move { memory.acquire_many_owned(permits(bytes.min(MEMORY_BYTES))).await.ok() }
    }

    /// The directories that local files must be below.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Memory for content from the network.
    pub fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }

    /// Opens the place of a location. `root` is the directory that a `file:` location must be below.
    pub async fn open(&self, text: &str, root: Option<&Path>) -> Result<Opened, StorageError> {
        let location = Location::parse(text)?;
        let settings = self.settings.of(text);
        let opening = Opening { location: &location, text, settings: &settings, all: &self.settings, root };
        let found = BACKENDS.iter().find_map(|backend| Some((backend, (backend.place)(&opening)?)));
        let (backend, place) = found.ok_or_else(|| StorageError::invalid(text, "no storage knows it"))?;
        let place = place?;
        if let Some(storage) = self.places.lock().get(&place.name) {
            return Ok(Opened { storage: Arc::clone(storage), key: place.key });
        }
        let inner = (backend.open)(&opening).await?;
        let inner = self.around.as_ref().map_or_else(|| Arc::clone(&inner), |around| around(Arc::clone(&inner)));
        let storage = self.limited(inner, &place.name, &settings);
        // Two may have opened it at the same time; either will do, and one is kept.
        let storage = Arc::clone(self.places.lock().entry(place.name).or_insert(storage));
        Ok(Opened { storage, key: place.key })
    }

    /// The same with a storage of one's own at a place, by the name its backend gives it.
    #[must_use]
    pub fn with(self, place: &str, storage: Arc<dyn Storage>) -> Registry {
        self.places.lock().insert(place.to_owned(), storage);
        self
    }

    /// Keeps a place within its endpoint's budget, which it shares with every other place of that endpoint.
    fn limited(&self, inner: Arc<dyn Storage>, place: &str, settings: &EndpointSettings) -> Arc<dyn Storage> {
        let own = settings.bytes_per_second.is_some() || settings.requests_per_second.is_some();
        if !own && place.starts_with("file:") {
            return inner;
        }
        let name = if settings.prefix.is_empty() { place } else { &settings.prefix };
        let mut budgets = self.budgets.lock();
        let budget = budgets.entry(name.to_owned()).or_insert_with(|| Arc::new(Budget::new(settings)));
        Arc::new(Layered::new(inner, Throttle(Arc::clone(budget))))
    }
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}
