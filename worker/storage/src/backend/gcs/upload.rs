//! Content in parts that are composed.
use super::api::{self, Resource};
use super::{GcsStorage, PARTS, state};
use crate::web::Effect;
use crate::{
    Attributes, BeginRequest, Body, ChecksumKind, CompleteRequest, ListRequest, ListStart,
    MultipartUploads, ObjectState, Part, Precondition, PutRequest, Slot, Storage, StorageError,
    Upload,
};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;

/// Objects one request composes.
const COMPOSE_MAX: usize = 32;
/// The object that describes an upload. Its parts follow it in a listing.
const MARK: &str = "upload";

impl GcsStorage {
    async fn compose(
        &self,
        sources: &[(String, String)],
        key: &str,
        about: &serde_json::Value,
        precondition: &Precondition,
        effect: Effect,
    ) -> Result<Resource, StorageError> {
        let objects: Vec<_> = sources
            .iter()
            .map(|(name, generation)| {
                let mut object = json!({ "name": name });
                if generation.parse::<u64>().is_ok() {
                    object["objectPreconditions"] = json!({ "ifGenerationMatch": generation });
                }
                object
            })
            .collect();
        let body = json!({ "kind": "storage#composeRequest", "sourceObjects": objects, "destination": about });
        let query: Vec<_> = api::precondition(precondition).into_iter().collect();
        let request = self
            .api
            .request(
                Method::POST,
                &format!("{}/compose", self.object(key)),
                &query,
            )
            .json(&body);
        match self.api.json(&self.at(key), effect, request).await {
            Err(StorageError::NotFound(location)) => Err(StorageError::UploadGone(location)),
            other => other,
        }
    }

    /// Composes the parts of an upload, [`COMPOSE_MAX`] at a time, and the results again, until one request can compose
    /// all that is left.
    async fn compose_levels(
        &self,
        upload: &Upload,
        mut sources: Vec<(String, String)>,
    ) -> Result<Vec<(String, String)>, StorageError> {
        let mut level = 0;
        while sources.len() > COMPOSE_MAX {
            let mut next = Vec::with_capacity(sources.len().div_ceil(COMPOSE_MAX));
            for (at, group) in sources.chunks(COMPOSE_MAX).enumerate() {
                let name = hidden(upload, &format!("level-{level}-{at:05}"));
                let made = self
                    .compose(
                        group,
                        &name,
                        &json!({}),
                        &Precondition::Unconditional,
                        Effect::Repeatable,
                    )
                    .await?;
                next.push((name, made.generation.unwrap_or_default()));
            }
            (sources, level) = (next, level + 1);
        }
        Ok(sources)
    }

    /// The request that makes the object. An object without parts is written empty.
    async fn compose_object(
        &self,
        upload: &Upload,
        mark: &Resource,
        sources: &[(String, String)],
        precondition: &Precondition,
    ) -> Result<Resource, StorageError> {
        if sources.is_empty() {
            let nothing = Body::new(Vec::new(), ChecksumKind::Crc32c);
            let mut attributes = Attributes {
                content_type: mark.content_type.clone(),
                ..Attributes::default()
            };
            attributes.metadata = own_metadata(mark);
            let put = PutRequest {
                key: &upload.key,
                body: &nothing,
                attributes: &attributes,
                precondition,
            };
            self.insert(put, class_of(mark)).await
        } else {
            let mut about =
                json!({ "contentType": mark.content_type, "metadata": own_metadata(mark) });
            if let Some(class) = class_of(mark) {
                about["storageClass"] = class.clone().into();
            }
            self.compose(sources, &upload.key, &about, precondition, Effect::Commit)
                .await
        }
    }

    /// Removes the parts of an upload, its mark last, so that an interrupted sweep can be continued.
    async fn sweep(&self, upload: &Upload) -> Result<(), StorageError> {
        let mark = hidden(upload, MARK);
        let objects = self.all(&hidden(upload, "")).await?;
        let others = objects
            .iter()
            .map(|object| object.key.as_str())
            .filter(|key| *key != mark);
        for key in others.chain([mark.as_str()]) {
            self.delete(key, None).await?;
        }
        Ok(())
    }

    async fn all(&self, prefix: &str) -> Result<Vec<ObjectState>, StorageError> {
        let (mut found, mut page) = (Vec::new(), None);
        loop {
            let listed = self
                .page(ListRequest {
                    prefix,
                    start: ListStart::page(page.as_deref()),
                    objects_max: 1000,
                })
                .await?;
            found.extend(listed.objects);
            page = listed.next;
            if page.is_none() {
                return Ok(found);
            }
        }
    }
}

/// The error of a change that makes nothing visible and may be repeated.
fn repeatable(error: StorageError) -> StorageError {
    match error {
        StorageError::Unknown { location, said } => StorageError::Unavailable { location, said },
        other => other,
    }
}

#[async_trait]
impl MultipartUploads for GcsStorage {
    async fn begin(&self, request: BeginRequest<'_>) -> Result<Upload, StorageError> {
        let BeginRequest {
            key, attributes, ..
        } = request;
        self.checked(key)?;
        let upload = Upload {
            key: key.to_owned(),
            id: format!("{:032x}", fastrand::u128(..)),
        };
        let mut metadata = BTreeMap::from([("key".to_owned(), key.to_owned())]);
        metadata.extend(
            attributes
                .class
                .as_ref()
                .or(self.class.as_ref())
                .map(|class| ("class".into(), class.clone())),
        );
        metadata.extend(
            attributes
                .metadata
                .iter()
                .map(|(name, value)| (format!("m-{name}"), value.clone())),
        );
        let mark = Attributes {
            content_type: attributes.content_type.clone(),
            class: None,
            metadata,
        };
        let nothing = Body::new(Vec::new(), ChecksumKind::Crc32c);
        let (key, precondition) = (&hidden(&upload, MARK), &Precondition::IfAbsent);
        let marked = self
            .insert(
                PutRequest {
                    key,
                    body: &nothing,
                    attributes: &mark,
                    precondition,
                },
                None,
            )
            .await;
        // An upload whose reply is lost makes nothing visible: another one is begun.
        marked.map_err(repeatable)?;
        Ok(upload)
    }

    async fn put_part(
        &self,
        upload: &Upload,
        slot: Slot,
        body: &Body,
    ) -> Result<Part, StorageError> {
        let name = hidden(upload, &part_name(slot.number));
        let (attributes, precondition) = (&Attributes::default(), &Precondition::Unconditional);
        let stored = self
            .insert(
                PutRequest {
                    key: &name,
                    body,
                    attributes,
                    precondition,
                },
                None,
            )
            .await;
        // A part with an unknown outcome is sent again or found by a listing: nothing is visible yet.
        let stored = stored.map_err(repeatable)?;
        // A completed or aborted upload is swept already: a later part would be left behind.
        if let Err(StorageError::NotFound(_)) = self.resource(&hidden(upload, MARK)).await {
            self.delete(&name, None).await?;
            return Err(StorageError::UploadGone(self.at(&upload.key)));
        }
        let tag = stored.generation.unwrap_or_default();
        Ok(Part {
            number: slot.number,
            bytes: body.bytes(),
            tag,
            checksum: Some(body.checksum()),
        })
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        let (mut found, mut known) = (Vec::new(), false);
        for object in self.all(&hidden(upload, "")).await? {
            let name = object.key.rsplit('/').next().unwrap_or_default();
            known |= name == MARK;
            if let Some(number) = name
                .strip_prefix("part-")
                .and_then(|number| number.parse().ok())
            {
                found.push(Part {
                    number,
                    bytes: object.bytes,
                    tag: object.version.tag,
                    checksum: object.checksum,
                });
            }
        }
        if known {
            Ok(found)
        } else {
            Err(StorageError::UploadGone(self.at(&upload.key)))
        }
    }

    /// Composes the parts, 32 at a time, those of those, until one request makes the object: that is the commit.
    async fn complete(&self, request: CompleteRequest<'_>) -> Result<ObjectState, StorageError> {
        let CompleteRequest {
            upload,
            parts,
            whole,
            precondition,
        } = request;
        let location = self.checked(&upload.key)?;
        let mark = match self.resource(&hidden(upload, MARK)).await {
            Err(StorageError::NotFound(_)) => return Err(StorageError::UploadGone(location)),
            other => other?,
        };
        let expected = whole
            .filter(|whole| whole.kind() == ChecksumKind::Crc32c)
            .or_else(|| Part::whole(parts));
        let parts = parts
            .iter()
            .map(|part| (hidden(upload, &part_name(part.number)), part.tag.clone()));
        let sources = self.compose_levels(upload, parts.collect()).await?;
        let made = self
            .compose_object(upload, &mark, &sources, precondition)
            .await?;
        // Composing may not name the kept checksum in its answer.
        let made = if made.crc32c.is_some() {
            made
        } else {
            self.resource(&upload.key).await?
        };
        self.proven(&location, &made, expected).await?;
        if let Err(error) = self.sweep(upload).await {
            tracing::warn!(%error, "parts could not be removed: they are swept later");
        }
        Ok(state(made))
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        self.sweep(upload).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        let mut uploads = Vec::new();
        for object in self.all(PARTS).await? {
            let Some(id) = object
                .key
                .strip_prefix(PARTS)
                .and_then(|rest| rest.strip_suffix(&format!("/{MARK}")))
            else {
                continue;
            };
            let key = self
                .resource(&object.key)
                .await?
                .metadata
                .and_then(|metadata| metadata.get("key").cloned());
            uploads.extend(key.filter(|key| key.starts_with(prefix)).map(|key| Upload {
                key,
                id: id.to_owned(),
            }));
        }
        Ok(uploads)
    }
}

fn hidden(upload: &Upload, name: &str) -> String {
    format!("{PARTS}{}/{name}", upload.id)
}

fn part_name(number: u32) -> String {
    format!("part-{number:05}")
}

fn class_of(mark: &Resource) -> Option<&String> {
    mark.metadata.as_ref()?.get("class")
}

fn own_metadata(mark: &Resource) -> BTreeMap<String, String> {
    let all = mark.metadata.iter().flatten();
    all.filter_map(|(name, value)| Some((name.strip_prefix("m-")?.to_owned(), value.clone())))
        .collect()
}
