//! The nouns of the trade: assets, their roles, what a delivery spec demands of them.
pub mod asset;
pub mod location;
pub mod path_filter;
pub mod spec;
pub mod template;
pub mod umdp;
