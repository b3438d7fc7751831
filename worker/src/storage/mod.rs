//! Local files: where a location points, directories nothing can climb out of, temporary files that become visible
//! in one step (EFF-1), and what it takes for them to survive a power loss. Knows nothing of units and assets.
mod directory;
mod durable;
mod fast_copy;
mod location;
mod partial;

pub use directory::{Directory, DirectoryError, Root};
pub use durable::{Durability, sync_directories, sync_files};
pub use fast_copy::{CopyError, copy_in_kernel, reflink};
pub use location::{LocationError, file_location, local_path};
pub use partial::{PARTIAL_SUFFIX, Partial};
