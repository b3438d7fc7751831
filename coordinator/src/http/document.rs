//! The OpenAPI document: from the routes, and where the derived text says less than the code does, made to say it.
use super::routes;
use actix_web::App;
use std::collections::BTreeMap;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{AllOf, Object, RefOr, Required, Schema};
use utoipa_actix_web::AppExt;

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(info(
    title = "Showrunner",
    description = "Runs bulk work over media libraries. Lists are ordered; ask for the next page with after= and the id \
                   of the last entry. Errors have one shape everywhere. No text may hold the character U+0000, and a \
                   member that is not described here is refused, so that a misspelt dry_run changes nothing."
))]
struct Document;

/// Requests that are recorded: they hold an order.
const ORDERS: [&str; 5] = [
    "Order",
    "PriorityRequest",
    "RetryRequest",
    "TaskRequest",
    "WaiveRequest",
];

/// The OpenAPI document of the API.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .configure(routes)
        .split_for_parts()
        .1;
    if let Some(components) = &mut document.components {
        let merged = ORDERS.map(|name| (name, closed(&components.schemas, name)));
        for (name, object) in merged {
            components
                .schemas
                .insert(name.to_owned(), RefOr::T(Schema::Object(object)));
        }
    }
    document
        .paths
        .paths
        .values_mut()
        .flat_map(operations)
        .for_each(complete);
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post].into_iter().flatten()
}

/// Makes operation ids unique (`jobs_pause`, `operations_pause`). Marks bodies that hold only an audit context as optional:
/// without one, the actor is `api`, the reason is empty, and the change is made.
fn complete(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next().cloned();
    if let (Some(tag), Some(id)) = (tag, &mut operation.operation_id) {
        *id = format!("{tag}_{id}");
    }
    let Some(body) = &mut operation.request_body else {
        return;
    };
    let RefOr::T(body) = body else { return };
    let named = |schema: &RefOr<Schema>| match schema {
        RefOr::Ref(reference) => reference.ref_location.rsplit('/').next().map(str::to_owned),
        RefOr::T(_) => None,
    };
    let contents = body.content.values().filter_map(|content| match content {
        RefOr::T(content) => content.schema.as_ref().and_then(named),
        RefOr::Ref(_) => None,
    });
    if contents
        .into_iter()
        .all(|name| ORDERS.contains(&name.as_str()))
    {
        body.required = Some(Required::False);
    }
}

/// A schema with everything that it is made of in one object, and nothing else allowed.
fn closed(schemas: &BTreeMap<String, RefOr<Schema>>, name: &str) -> Object {
    let mut object = Object::default();
    match schemas.get(name) {
        Some(RefOr::T(Schema::Object(found))) => object = found.clone(),
        Some(RefOr::T(Schema::AllOf(AllOf {
            items, description, ..
        }))) => {
            object.description.clone_from(description);
            for item in items {
                let part = match item {
                    RefOr::T(Schema::Object(part)) => part.clone(),
                    RefOr::Ref(reference) => closed(
                        schemas,
                        reference
                            .ref_location
                            .rsplit('/')
                            .next()
                            .unwrap_or_default(),
                    ),
                    RefOr::T(_) => continue,
                };
                object.properties.extend(part.properties);
                object.required.extend(part.required);
            }
        }
        _ => {}
    }
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_operation_has_an_id_of_its_own_and_orders_are_closed() {
        let mut document = document();
        let items = document.paths.paths.values_mut().flat_map(operations);
        let ids: Vec<String> = items
            .filter_map(|operation| operation.operation_id.clone())
            .collect();
        assert!(
            ids.len() > 20 && ids.contains(&"operations_pause".to_owned()),
            "{ids:?}"
        );
        assert_eq!(
            ids.iter().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "{ids:?}"
        );
        let text = document.to_json().expect("a document is JSON");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        for name in ORDERS {
            let schema = &value["components"]["schemas"][name];
            assert_eq!(schema["additionalProperties"], false, "{name}");
            assert!(schema["properties"]["dry_run"].is_object(), "{name}");
        }
    }
}
