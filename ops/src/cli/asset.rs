//! `showrunner asset`: the catalogue.
mod import;

use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output::{self, Columns, Lister};
use crate::target::{Target, each_page};
use coordinator::http::assets;
use coordinator::http::endpoint::Nothing;
use coordinator::query::asset_failures::AssetFailure;
use coordinator::query::jobs::{AssetView, AssetsFilter, Tombstone};
use std::path::PathBuf;

/// Commands of `asset`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add the rows of a manifest to the catalogue
    Import {
        /// CSV or JSON lines
        manifest: PathBuf,
        /// Check the rows, add nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List the catalogue in id order
    List {
        /// Only assets of this title
        #[arg(long)]
        title: Option<String>,
        /// Maximum number of assets
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Start after this id
        #[arg(long)]
        after: Option<String>,
    },
    /// Everything known about an asset
    Get {
        /// Id of the asset
        asset: String,
    },
}

/// Runs the command.
pub(crate) fn run(context: Context, command: Command) -> CliResult<Exit> {
    match command {
        Command::Import { manifest, dry_run } => super::block_on(context.output, async move {
            import::import(&context, &manifest, dry_run).await
        }),
        Command::List {
            title,
            limit,
            after,
        } => {
            let (mut target, mut start) = (Target::open(&context)?, after);
            let page = |limit, after: Option<String>| {
                let filter = AssetsFilter {
                    title: title.clone(),
                    after: after.or_else(|| start.take()),
                    limit,
                };
                target.ask::<assets::List>((), filter)
            };
            let row = |s: &AssetView| {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                let size = s.bytes.map(output::bytes).unwrap_or_default();
                vec![
                    s.asset.clone(),
                    s.title.clone(),
                    s.role.clone(),
                    size,
                    text(&s.verdict),
                    text(&s.hash),
                ]
            };
            let columns = Columns {
                table: &["asset", "title", "role", "size", "verdict", "hash"],
                row: &row,
                csv: &[
                    "asset",
                    "title",
                    "role",
                    "version",
                    "language",
                    "location",
                    "copy",
                    "bytes",
                    "hash",
                    "verdict",
                    "updated_at",
                ],
                name: &|s| s.asset.clone(),
            };
            let mut lister = Lister::new(context.output, columns);
            let id = |asset: &AssetView| asset.asset.clone();
            let listed = each_page(limit, page, id, |page| Ok(lister.page(&page)?))?;
            lister.end()?;
            listed.note(&context, "assets");
            Ok(Exit::Ok)
        }
        Command::Get { asset } => {
            let found = Target::open(&context)?.ask::<assets::Get>((asset.clone(),), Nothing {})?;
            output::one(context.output, &found, render, &asset)?;
            Ok(Exit::Ok)
        }
    }
}

fn render(s: &AssetView) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let waived: String = s
        .waived
        .iter()
        .map(|w| format!("  {}\n", super::task::waived_line(w)))
        .collect();
    let verdicts: String = s
        .verdicts
        .iter()
        .map(|v| {
            format!(
                "  {}  {:<10} {} by {}\n",
                v.judged_at, v.verdict, v.hash, v.policy
            )
        })
        .collect();
    let report = s
        .report
        .as_ref()
        .and_then(|r| serde_json::to_string_pretty(r).ok())
        .unwrap_or_default();
    let failures: String = s.failures.iter().map(failure).collect();
    let tombstones: String = s.tombstones.iter().map(tombstone).collect();
    format!(
        "asset     {}\ntitle     {}\nrole      {}\nversion   {}\nlanguage  {}\nlocation  {}\ncopy      {}\nbytes     {}\nhash      {}\nverdict   {}\nupdated   {}\n{failures}{waived}{verdicts}{tombstones}{report}\n",
        s.asset,
        s.title,
        s.role,
        text(&s.version),
        text(&s.language),
        s.location,
        text(&s.copy),
        s.bytes.map_or_else(|| "-".into(), |n| n.to_string()),
        text(&s.hash),
        text(&s.verdict),
        s.updated_at
    )
}

fn failure(f: &AssetFailure) -> String {
    let place = match &f.unit {
        Some(unit) => unit.clone(),
        None => format!("{}, {}", f.job, f.step),
    };
    format!("failed    {place}  {}: {}\n", f.reason, f.message)
}

fn tombstone(t: &Tombstone) -> String {
    let word = match (t.dry_run, t.found_gone) {
        (true, _) => "would be purged",
        (false, true) => "found purged",
        (false, false) => "purged",
    };
    format!(
        "{word}  {} ({}, {}) at {} by job {}, step {}\n          ordered by {}: {}\n          kept in {}, proven by {}\n",
        t.location,
        output::bytes(t.bytes),
        t.hash,
        t.at,
        t.job,
        t.step,
        t.ordered_by,
        t.reason,
        t.copy,
        t.proof
    )
}
