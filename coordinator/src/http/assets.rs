//! `/api/v1/assets`: the catalogue.
use crate::http::State;
use crate::http::body::Body;
use crate::http::endpoint::endpoints;
use crate::http::problem::{Problem, Refused};
use crate::query::jobs::{self, AssetView, AssetsFilter};
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, get, post};
use protocol::media::asset::Asset;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Assets of one import at most.
pub const IMPORT_MAX: usize = 2_000;

endpoints! {
    "assets" and [import];

    /// Lists the catalogue in id order.
    get list List "/api/v1/assets" query(AssetsFilter) -> Vec<AssetView> = |tx, ask| jobs::assets(tx, &ask.query);

    /// Everything known about an asset.
    get get Get "/api/v1/assets/{asset}" path("asset": String) -> AssetView
        = |tx, ask| jobs::asset(tx, &ask.path.0, ask.now);
}

/// Assets to be added to the catalogue, as their source declares them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// At most 2,000: send a large manifest in pages.
    #[schema(value_type = Vec<ImportedAsset>, max_items = 2000)]
    pub assets: Vec<Asset>,
}

/// An asset as its source declares it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it describes protocol's Asset, which knows nothing of OpenAPI"
)]
struct ImportedAsset {
    #[schema(min_length = 1)]
    id: String,
    title: String,
    #[schema(pattern = "^(master|mezzanine|proxy|audio|subtitle|caption|artwork|document)$")]
    role: String,
    /// `file:`, `s3://`, `gs://` or `https://`.
    location: String,
    path: String,
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    bytes: Option<u64>,
    hash: Option<String>,
    /// Optional columns of a manifest row.
    declared: Option<Declared>,
}

/// The optional columns of a manifest row.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it describes protocol's Declared, which knows nothing of OpenAPI"
)]
struct Declared {
    title_name: Option<String>,
    series: Option<String>,
    season: Option<String>,
    episode: Option<String>,
    version: Option<String>,
    language: Option<String>,
    duration: Option<f64>,
    frame_rate: Option<String>,
    #[schema(minimum = 0, maximum = 4_294_967_295_u64)]
    width: Option<u32>,
    #[schema(minimum = 0, maximum = 4_294_967_295_u64)]
    height: Option<u32>,
    meta: std::collections::BTreeMap<String, String>,
}

/// Result of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Assets added or declared anew.
    pub assets: u64,
}

/// Adds assets to the catalogue; what is known of the same bytes stays.
#[utoipa::path(tag = "assets", request_body = Import, responses((status = 200, body = Imported), Refused))]
#[post("/api/v1/assets/import")]
async fn import(
    state: Data<State>,
    request: HttpRequest,
    Body(import): Body<Import>,
) -> Result<Json<Imported>, Problem> {
    let assets = import.assets;
    if assets.len() > IMPORT_MAX {
        return Err(
            Problem::new("usage", format!("{} assets in one import", assets.len()))
                .hint(format!("send at most {IMPORT_MAX} at a time"))
                .at("assets"),
        );
    }
    for (i, asset) in assets.iter().enumerate() {
        let wrong = |what: &str| Problem::new("usage", what).at(format!("assets[{i}]"));
        if asset.id.is_empty() {
            return Err(wrong("an asset has no id"));
        }
        if asset
            .bytes
            .is_some_and(|bytes| i64::try_from(bytes).is_err())
        {
            return Err(wrong("bytes is larger than a file can be"));
        }
    }
    let (count, now) = (assets.len() as u64, state.now());
    state
        .write(&request, move |tx| Ok(tx.import_assets(&assets, now)?))
        .await?;
    Ok(Json(Imported { assets: count }))
}
