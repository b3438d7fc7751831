//! Integration tests: the real `showrunner` binary over real files, as its users meet it.
mod bad_input;
mod cli;
mod cluster;
mod database;
mod demo;
mod folder;
mod golden;
mod jobs;
mod kill;
mod leadership;
mod machine;
mod media;
mod redis_forms;
mod retry;
mod serve;
mod transport;
