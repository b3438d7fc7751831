//! The worker against real files and programs.
mod qc;
