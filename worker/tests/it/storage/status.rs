//! Tables of what answers of servers mean: each row names a status, an error code, operations, and the class that their
//! error must have.
use ::storage::{
    Attributes, BeginRequest, Body, CompleteRequest, CopyRequest, CopySource, ListRequest,
    ListStart, ObjectState, Part, PartCopyRequest, Precondition, PutRequest, Slot, Storage,
    StorageError, Upload, Version,
};
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::failure::ErrorClass;
use protocol::model::restore_tier::RestoreTier;
use std::sync::Arc;

/// What a server is asked, and has to answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) status: String,
    pub(crate) code: String,
    pub(crate) operation: String,
}

/// The row that the server answers now.
#[derive(Clone, Default)]
pub(crate) struct Row(Arc<Mutex<Asked>>);

impl Row {
    pub(crate) fn now(&self) -> Asked {
        self.0.lock().clone()
    }
}

/// Makes the calls of a table; returns the rows whose errors have another class.
pub(crate) async fn wrong_rows(
    table: &str,
    row: &Row,
    open: impl AsyncFn() -> Arc<dyn Storage>,
) -> Vec<String> {
    let (mut storage, mut wrong) = (open().await, Vec::new());
    for line in table.lines().skip(1) {
        let cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        let [status, code, operations, reason, retried, says] =
            cells.try_into().expect("six cells without a comma");
        for operation in operations.split(' ') {
            *row.0.lock() = Asked {
                status: status.clone(),
                code: code.clone(),
                operation: operation.to_owned(),
            };
            let error = call(&*storage, operation).await;
            // An endpoint that asks for less gets less, from everything that shares its budget.
            if error
                .as_ref()
                .is_some_and(|error| error.reason() == "storage_throttled")
            {
                storage = open().await;
            }
            let found = error.as_ref().map(|error| {
                let retried = match error.class() {
                    ErrorClass::Permanent => "no",
                    ErrorClass::Ambiguous => "look",
                    _ => "yes",
                };
                (error.reason(), retried)
            });
            let said = error.map(|error| error.to_string()).unwrap_or_default();
            if found != Some((reason.as_str(), retried.as_str())) || !said.contains(&says) {
                wrong.push(format!("{status} {code} {operation}: {found:?}, {said}"));
            }
        }
    }
    wrong
}

/// Makes one call and returns its error.
async fn call(storage: &dyn Storage, operation: &str) -> Option<StorageError> {
    let body = Body::new(
        vec![Bytes::from_static(b"content")],
        storage.capabilities().checksum,
    );
    let upload = Upload {
        key: "key".into(),
        id: "upload".into(),
    };
    let part = Part {
        number: 1,
        bytes: 7,
        tag: "\"tag\"".into(),
        checksum: Some(body.checksum()),
    };
    let (attributes, slot) = (
        Attributes::default(),
        Slot {
            number: 1,
            offset: 0,
        },
    );
    let version = Version {
        tag: "\"tag\"".into(),
        id: None,
    };
    let state = ObjectState {
        key: "key".into(),
        bytes: 7,
        version: version.clone(),
        checksum: None,
        modified: None,
        class: None,
        archive: None,
    };
    let uploads = || storage.multipart("key").expect("it takes content in parts");
    let copies = || storage.server_copy("key").expect("it copies");
    let from = || -> CopySource { copies().source(&state).expect("a source") };
    match operation {
        "stat" => storage.stat("key").await.err(),
        "look" => storage.stat_with_content("key", 100).await.err(),
        "read" => read(storage).await.err(),
        "list" => storage
            .list(ListRequest {
                prefix: "",
                start: ListStart::First,
                objects_max: 10,
            })
            .await
            .err(),
        "put" => storage
            .put(PutRequest {
                key: "key",
                body: &body,
                attributes: &attributes,
                precondition: &Precondition::IfAbsent,
            })
            .await
            .err(),
        "delete" => storage.delete("key", None).await.err(),
        "begin" => uploads()
            .begin(BeginRequest {
                key: "key",
                attributes: &attributes,
                source: None,
            })
            .await
            .err(),
        "put_part" => uploads().put_part(&upload, slot, &body).await.err(),
        "parts" => uploads().parts(&upload).await.err(),
        "uploads" => uploads().uploads("key").await.err(),
        "abort" => uploads().abort(&upload).await.err(),
        "complete" => uploads()
            .complete(CompleteRequest {
                upload: &upload,
                parts: &[part],
                whole: None,
                precondition: &Precondition::IfAbsent,
            })
            .await
            .err(),
        "copy" => copies()
            .copy(CopyRequest {
                from: &from(),
                key: "copy",
                attributes: &attributes,
                precondition: &Precondition::Unconditional,
            })
            .await
            .err(),
        "copy_part" => {
            let request = PartCopyRequest {
                upload: &upload,
                slot,
                from: &from(),
                range: 0..7,
            };
            storage
                .part_copy("key")
                .expect("it copies parts")
                .copy_part(request)
                .await
                .err()
        }
        "restore" => storage
            .archive("key")
            .expect("it has archives")
            .restore("key", 1, RestoreTier::Standard)
            .await
            .err(),
        "set_class" => storage
            .classes("key")
            .expect("it has classes")
            .set_class("key", &version, "GLACIER")
            .await
            .err(),
        "keep" => storage
            .versions("key")
            .expect("it has versions")
            .keep(&state)
            .await
            .err(),
        other => panic!("{other:?} is no operation of a table"),
    }
}

async fn read(storage: &dyn Storage) -> Result<(), StorageError> {
    storage
        .read("key", 0..7, None)
        .await?
        .collect()
        .await
        .map(drop)
}
