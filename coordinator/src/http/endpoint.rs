//! The table of requests. One entry of `endpoints!` gives the route, its entry in the OpenAPI document, the request of
//! the client, and the function that the command line runs on a database of its own.
use super::problem::Problem;
use crate::audit::AuditContext;
use crate::command::{PriorityRequest, WaiveRequest};
use crate::error::Answer;
use crate::query::jobs::{AssetsFilter, JobIdsFilter, JobsFilter};
use crate::query::status::StatusFilter;
use crate::query::units::UnitsFilter;
use crate::review::{TaskRequest, TasksFilter};
use crate::store::Tx;
use protocol::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::any::Any;

/// Characters of a reason or a name at most.
const TEXT_MAX: usize = 1_000;
/// Checks named in one decision at most.
const CHECKS_MAX: usize = 100;

/// One kind of request, answered inside one transaction.
pub trait Endpoint: Sized + Send + 'static {
    /// Parameters in the path, in their order.
    type Path: Segments + DeserializeOwned + Send + 'static;
    /// Parameters in the query.
    type Query: Checked + Serialize + DeserializeOwned + Send + 'static;
    /// The JSON body of a change.
    type Body: Checked + Serialize + Send + 'static;
    /// The JSON answer.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// The path of the route, with placeholders as in `/api/v1/jobs/{job}`.
    const PATH: &'static str;
    /// Whether the request changes the database: it is a `POST`, and only the leader answers it.
    const CHANGES: bool;

    /// Answers the request. A refusal is an answer too, and its transaction commits.
    fn answer(tx: &mut dyn Tx, ask: &Ask<Self>) -> Answer<Self::Answer>;
}

/// A request with its parameters.
pub struct Ask<E: Endpoint> {
    /// Parameters in the path.
    pub path: E::Path,
    /// Parameters in the query.
    pub query: E::Query,
    /// The body of a change.
    pub body: E::Body,
    /// The moment of the request.
    pub now: Timestamp,
}

impl<E: Endpoint> Ask<E> {
    /// A request whose parameters are within their limits.
    pub fn new(
        path: E::Path,
        query: E::Query,
        body: E::Body,
        now: Timestamp,
    ) -> Result<Ask<E>, Problem> {
        Ok(Ask {
            path,
            query: query.checked()?,
            body: body.checked()?,
            now,
        })
    }

    /// The segments of the path without their encoding.
    pub fn segments(&self) -> Vec<String> {
        let mut values = self.path.values().into_iter();
        let fill = |segment: &str| match segment.starts_with('{') {
            true => values.next().unwrap_or_default(),
            false => segment.to_owned(),
        };
        E::PATH.split('/').skip(1).map(fill).collect()
    }
}

/// Parameters of a path.
pub trait Segments {
    /// The parameters as text, in their order.
    fn values(&self) -> Vec<String>;

    /// The first parameter, where it is text.
    fn first(&mut self) -> Option<&mut String>;
}

impl Segments for () {
    fn values(&self) -> Vec<String> {
        Vec::new()
    }

    fn first(&mut self) -> Option<&mut String> {
        None
    }
}

impl<A: ToString + Any> Segments for (A,) {
    fn values(&self) -> Vec<String> {
        vec![self.0.to_string()]
    }

    fn first(&mut self) -> Option<&mut String> {
        (&mut self.0 as &mut dyn Any).downcast_mut()
    }
}

impl<A: ToString + Any, B: ToString, C: ToString> Segments for (A, B, C) {
    fn values(&self) -> Vec<String> {
        vec![self.0.to_string(), self.1.to_string(), self.2.to_string()]
    }

    fn first(&mut self) -> Option<&mut String> {
        (&mut self.0 as &mut dyn Any).downcast_mut()
    }
}

/// A query or body without members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// Parameters with limits that their types do not express.
pub trait Checked: Sized {
    /// The parameters when they are within their limits.
    fn checked(self) -> Result<Self, Problem> {
        Ok(self)
    }
}

impl Checked for Nothing {}
impl Checked for TasksFilter {}
impl Checked for AssetsFilter {}
impl Checked for JobsFilter {}
impl Checked for JobIdsFilter {}
impl Checked for StatusFilter {}
impl Checked for UnitsFilter {}

impl Checked for AuditContext {
    /// An audit context as it may be recorded: with an actor, and a reason of bounded length.
    fn checked(mut self) -> Result<Self, Problem> {
        for (field, text) in [("reason", &self.reason), ("actor", &self.actor)] {
            if text.chars().count() > TEXT_MAX {
                let why = format!("the {field} is longer than {TEXT_MAX} characters");
                return Err(Problem::new("usage", why)
                    .hint("say it in fewer words")
                    .at(field));
            }
        }
        if self.actor.trim().is_empty() {
            self.actor = "api".into();
        }
        Ok(self)
    }
}

impl Checked for PriorityRequest {
    fn checked(self) -> Result<Self, Problem> {
        Ok(PriorityRequest {
            audit: self.audit.checked()?,
            ..self
        })
    }
}

impl Checked for WaiveRequest {
    fn checked(self) -> Result<Self, Problem> {
        Ok(WaiveRequest {
            audit: self.audit.checked()?,
            ..self
        })
    }
}

impl Checked for TaskRequest {
    fn checked(self) -> Result<Self, Problem> {
        if self.checks.len() > CHECKS_MAX {
            let why = format!("{} checks in one request", self.checks.len());
            return Err(Problem::new("usage", why)
                .hint(format!("{CHECKS_MAX} at most"))
                .at("checks"));
        }
        Ok(TaskRequest {
            audit: self.audit.checked()?,
            ..self
        })
    }
}

/// Declares the requests of a file: method, name of the request, path, parameters, answer, and the function that answers.
/// The name in small letters is the handler's, and with the tag the id in the OpenAPI document. Handlers after `and` are
/// written by hand, because they need more than one transaction or headers of their own. The file imports the attributes
/// `get` and `post` that it uses: the OpenAPI document finds paths by them.
macro_rules! endpoints {
    (
        $tag:literal $(and [$($more:ident),+])?;
        $(
            $(#[doc = $doc:tt])+
            $method:ident $handler:ident $name:ident $path:tt
            $(path($($param:tt: $kind:ident),+))? $(query($query:ident))? $(body($body:ident))?
            -> $answer:ty = $call:expr;
        )+
    ) => {
        pub(super) fn routes(config: &mut utoipa_actix_web::service_config::ServiceConfig<'_>) {
            config$(.service($handler))+$($(.service($more))+)?;
        }
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl crate::http::endpoint::Endpoint for $name {
                type Path = ($($($kind,)+)?);
                type Query = crate::http::endpoint::endpoints!(@type $($query)?);
                type Body = crate::http::endpoint::endpoints!(@type $($body)?);
                type Answer = $answer;
                const PATH: &'static str = $path;
                const CHANGES: bool = crate::http::endpoint::endpoints!(@changes $method);

                fn answer(
                    tx: &mut dyn crate::store::Tx,
                    ask: &crate::http::endpoint::Ask<Self>,
                ) -> crate::error::Answer<$answer> {
                    let call: fn(&mut dyn crate::store::Tx, &crate::http::endpoint::Ask<Self>) -> _ = $call;
                    call(tx, ask)
                }
            }

            crate::http::endpoint::endpoints! {
                @handler $method $handler $name $path $tag
                [$($(($param = $kind, Path),)+)? $($query)?] [$($body)?] [$answer] $(#[doc = $doc])+
            }
        )+
    };
    (@type) => { crate::http::endpoint::Nothing };
    (@type $type:ident) => { $type };
    (@changes get) => { false };
    (@changes post) => { true };
    (
        @handler get $handler:ident $name:ident $path:tt $tag:tt [$($params:tt)*] [] [$answer:ty] $(#[doc = $doc:tt])+
    ) => {
        $(#[doc = $doc])+
        #[utoipa::path(
            tag = $tag, params($($params)*),
            responses((status = 200, body = $answer), crate::http::problem::Refused)
        )]
        #[get($path)]
        async fn $handler(
            state: actix_web::web::Data<crate::http::State>,
            path: actix_web::web::Path<<$name as crate::http::endpoint::Endpoint>::Path>,
            query: actix_web::web::Query<<$name as crate::http::endpoint::Endpoint>::Query>,
        ) -> Result<actix_web::web::Json<$answer>, crate::http::Problem> {
            state.ask::<$name>(path.into_inner(), query.into_inner()).await
        }
    };
    (
        @handler post $handler:ident $name:ident $path:tt $tag:tt
        [$($params:tt)*] [$body:ident] [$answer:ty] $(#[doc = $doc:tt])+
    ) => {
        $(#[doc = $doc])+
        #[utoipa::path(
            tag = $tag, params($($params)*), request_body = $body,
            responses((status = 200, body = $answer), crate::http::problem::Refused)
        )]
        #[post($path)]
        async fn $handler(
            state: actix_web::web::Data<crate::http::State>,
            request: actix_web::HttpRequest,
            path: actix_web::web::Path<<$name as crate::http::endpoint::Endpoint>::Path>,
            query: actix_web::web::Query<<$name as crate::http::endpoint::Endpoint>::Query>,
            crate::http::body::Asked(body): crate::http::body::Asked<$body>,
        ) -> Result<actix_web::web::Json<$answer>, crate::http::Problem> {
            state.change::<$name>(&request, path.into_inner(), query.into_inner(), body).await
        }
    };
}
pub(super) use endpoints;
