//! The coordinator over its stores: planning, settlement, commands and schedules, without processes around it.
mod aside;
mod bounds;
mod control;
mod defence;
mod listings;
mod planning;
mod plans;
mod progress;
mod redriven;
mod releases;
mod scheduling;
mod slices;
mod status;
mod term;
