//! Assets, their roles, and how their locations and paths are written.
pub mod asset;
pub mod path_filter;
pub mod role_pattern;
pub mod template;
