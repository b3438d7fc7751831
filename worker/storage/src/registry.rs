//! From a location to its storage. Each storage is opened once and kept with its connections.
use super::backend::{Backend, Opened, Opening, file, gcs, http, s3};
use super::buffers::{Buffers, MEMORY_BYTES};
use super::layered::Layered;
use super::roots::Roots;
use super::settings::{EndpointSettings, StorageSettings};
use super::throttle::{Budget, Throttle};
use super::{Location, Storage, StorageError, file_location};
use parking_lot::Mutex;
use protocol::model::location::Scheme;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Every kind of storage.
const BACKENDS: [&Backend; 4] = [&file::BACKEND, &s3::BACKEND, &gcs::BACKEND, &http::BACKEND];

/// Bytes of one memory permit.
const PERMIT_BYTES: u64 = 1 << 10;

/// Number and size in bytes of reusable buffers for content from the network.
const STRETCHES_KEPT: usize = 5;
const STRETCH_BYTES: usize = 8 << 20;

/// Opens locations. A worker has one registry, so that limits hold over all of its units.
pub struct Registry {
    settings: StorageSettings,
    roots: Roots,
    storages: Mutex<HashMap<String, Arc<dyn Storage>>>,
    budgets: Mutex<HashMap<String, Arc<Budget>>>,
    memory: Arc<Semaphore>,
    buffers: Arc<Buffers>,
    around: Option<Box<Around>>,
}

/// Decorates every storage that is opened.
type Around = dyn Fn(Arc<dyn Storage>) -> Arc<dyn Storage> + Send + Sync;

/// A share of the memory for content in transit, returned on drop.
pub type MemoryPermit = tokio::sync::OwnedSemaphorePermit;

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
            storages: Mutex::default(),
            budgets: Mutex::default(),
            memory,
            buffers: Arc::new(Buffers::new(STRETCHES_KEPT, STRETCH_BYTES)),
            around: None,
        }
    }

    /// Decorates every storage that will be opened, below the limits of its endpoint. For tests and load tests.
    #[must_use]
    pub fn around(
        mut self,
        around: impl Fn(Arc<dyn Storage>) -> Arc<dyn Storage> + Send + Sync + 'static,
    ) -> Registry {
        self.around = Some(Box::new(around));
        self
    }

    /// Waits for a share of the memory, in the order of requests. A share above the whole memory counts as all of it,
    /// so that content of any size passes, one at a time.
    pub fn hold(&self, bytes: u64) -> impl Future<Output = Option<MemoryPermit>> + Send + 'static {
        let memory = Arc::clone(&self.memory);
        // The semaphore is never closed.
        async move {
            memory
                .acquire_many_owned(permits(bytes.min(MEMORY_BYTES)))
                .await
                .ok()
        }
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
        let opening = Opening {
            location: &location,
            text,
            settings: &settings,
            all: &self.settings,
            root,
        };
        let backend = BACKENDS
            .iter()
            .find(|backend| backend.schemes.contains(&location.scheme));
        let backend = backend.ok_or_else(|| StorageError::invalid(text, "no storage knows it"))?;
        let binding = (backend.bind)(&opening)?;
        if let Some(storage) = self.storages.lock().get(&binding.storage) {
            return Ok(Opened {
                storage: Arc::clone(storage),
                key: binding.key,
            });
        }
        let inner = (backend.open)(&opening).await?;
        let inner = self
            .around
            .as_ref()
            .map_or_else(|| Arc::clone(&inner), |around| around(Arc::clone(&inner)));
        let storage = self.limited(inner, &binding.storage, &settings, location.scheme);
        // Two callers may have opened it at the same time: either storage will do, and one is kept.
        let storage = Arc::clone(
            self.storages
                .lock()
                .entry(binding.storage)
                .or_insert(storage),
        );
        Ok(Opened {
            storage,
            key: binding.key,
        })
    }

    /// The registry with a given storage in place of the one that a backend would open under this name.
    #[must_use]
    pub fn with(self, name: &str, storage: Arc<dyn Storage>) -> Registry {
        self.storages.lock().insert(name.to_owned(), storage);
        self
    }

    /// The budgets of these local files: of each endpoint with a limit once. Transfers from file to file do not go through
    /// a storage, which would keep them within it.
    pub fn limits_of_files(&self, paths: &[&Path]) -> Vec<Arc<Budget>> {
        let limited = paths
            .iter()
            .map(|path| self.settings.of(&file_location(path)))
            .filter(|settings| settings.bytes_per_second.is_some());
        let mut found: Vec<Arc<Budget>> = Vec::new();
        for settings in limited {
            let budget = self.budget(&settings.prefix, &settings);
            if !found.iter().any(|known| Arc::ptr_eq(known, &budget)) {
                found.push(budget);
            }
        }
        found
    }

    fn budget(&self, name: &str, settings: &EndpointSettings) -> Arc<Budget> {
        let mut budgets = self.budgets.lock();
        let budget = budgets
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Budget::new(settings)));
        Arc::clone(budget)
    }

    /// Keeps a storage within the budget of its endpoint, which all storages of that endpoint share. Files without a
    /// limit have no budget: nothing asks for fewer requests.
    fn limited(
        &self,
        inner: Arc<dyn Storage>,
        name: &str,
        settings: &EndpointSettings,
        scheme: Scheme,
    ) -> Arc<dyn Storage> {
        let has_limit =
            settings.bytes_per_second.is_some() || settings.requests_per_second.is_some();
        if !has_limit && scheme == Scheme::File {
            return inner;
        }
        let name = if settings.prefix.is_empty() {
            name
        } else {
            &settings.prefix
        };
        Arc::new(Layered::new(inner, Throttle(self.budget(name, settings))))
    }
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}
