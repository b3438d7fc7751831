//! QC against media with faults that were planted, so that the truth is known by construction.
mod corpus;
mod hostile;
mod loudness;
mod media;
mod outside;
mod planted;
mod real;
mod text;
mod unit;
