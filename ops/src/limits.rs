//! Limits of coordinators from the settings: endpoints, and transfers over several workers.
use crate::error::{CliError, CliResult};
use crate::settings::Settings;
use protocol::quantity::Bytes;
use protocol::rules::schedule::endpoint::EndpointLimit;
use protocol::rules::storage::multipart::SliceLimits;
use std::collections::BTreeMap;

/// Limit flags of commands that run a coordinator.
#[derive(Debug, Default, clap::Args)]
pub struct LimitArgs {
    /// Units at once and starts a second at an endpoint, over all workers; may be repeated [env: SHOWRUNNER_LIMITS]
    #[arg(id = "endpoint_limit", long = "limit", value_name = "LOCATION=N[,R/s]")]
    limits: Vec<String>,
    /// Size from which one file may be carried by several workers; 0 for none [env: SHOWRUNNER_SLICE_ABOVE] [default: 2GiB]
    #[arg(long, value_name = "BYTES")]
    slice_above: Option<String>,
}

impl LimitArgs {
    /// The flags as settings.
    pub fn flags(&self, flags: &mut BTreeMap<&str, String>) {
        flags.extend((!self.limits.is_empty()).then(|| ("limits", self.limits.join(" "))));
        flags.extend(self.slice_above.clone().map(|above| ("slice_above", above)));
    }
}

/// Reads the size from which several workers share a transfer.
pub fn slice_limits(settings: &Settings) -> CliResult<SliceLimits> {
    let text = settings["slice_above"].value.as_str();
    let above =
        Bytes::parse(text).map_err(|error| CliError::usage(format!("slice-above: {error}")))?;
    Ok(SliceLimits { above: above.0 })
}

/// Reads `s3://partner-a=8,20/s s3://partner-b=4`: one endpoint a word.
pub fn endpoint_limits(settings: &Settings) -> CliResult<Vec<EndpointLimit>> {
    let words = settings["limits"].value.split_whitespace();
    words
        .map(|word| EndpointLimit::parse(word).map_err(CliError::usage))
        .collect()
}
