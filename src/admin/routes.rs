//! Every address that the box answers, each with the right that it needs. A route can't be added without one.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    http::Method,
    middleware::{Next, from_fn},
    response::IntoResponse,
    routing::{MethodFilter, MethodRouter, on},
};

use super::{
    Admin,
    access::Right,
    api::{Call, Doc},
    visit,
};

/// The largest form, in bytes, that is taken of somebody who is not signed in: they may send many at one time.
const LARGEST_OPEN_FORM: usize = 64 << 10;

/// A router that knows what it routes.
pub(super) struct Routes {
    router: Router<Arc<Admin>>,
    entries: Vec<Entry>,
}

/// One route.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) right: Right,
    /// What the description of the HTTP API says of it; none for pages.
    pub(super) doc: Option<Doc>,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self { router: Router::new(), entries: Vec::new() }
    }

    /// A page, or a part of one, that is read.
    pub(super) fn get<H, T>(self, path: &'static str, right: Right, handler: H) -> Self
    where
        H: Handler<T, Arc<Admin>>,
        T: 'static,
    {
        self.on(Method::GET, path, right, handler)
    }

    /// A form that is sent.
    pub(super) fn post<H, T>(self, path: &'static str, right: Right, handler: H) -> Self
    where
        H: Handler<T, Arc<Admin>>,
        T: 'static,
    {
        self.on(Method::POST, path, right, handler)
    }

    /// A call of the HTTP API; what it takes and gives is described by its types.
    pub(super) fn api<C>(self, method: Method, path: &'static str, right: Right, doc: Doc, call: C) -> Self
    where
        C: Call,
    {
        let doc = doc.of(&call);
        let is_conditional = doc.is_conditional();
        let mut routes =
            self.on(method, path, right, move |visit, request| call.run(visit, request, is_conditional));
        if let Some(entry) = routes.entries.last_mut() {
            entry.doc = Some(doc);
        }
        routes
    }

    /// A route of any method.
    pub(super) fn on<H, T>(mut self, method: Method, path: &'static str, right: Right, handler: H) -> Self
    where
        H: Handler<T, Arc<Admin>>,
        T: 'static,
    {
        // GET takes HEAD too. There is no route of a method that axum doesn't know.
        let Ok(filter) = MethodFilter::try_from(method.clone()) else { return self };
        let mut guarded: MethodRouter<Arc<Admin>, Infallible> =
            on(filter, handler).layer(from_fn(move |request: Request, next: Next| async move {
                visit::guard(right, request, next).await.into_response()
            }));
        if right == Right::Open {
            guarded = guarded.layer(DefaultBodyLimit::max(LARGEST_OPEN_FORM));
        }
        self.router = self.router.route(path, guarded);
        self.entries.push(Entry { method, path, right, doc: None });
        self
    }

    /// Everything of another part.
    pub(super) fn with(self, part: impl FnOnce(Self) -> Self) -> Self {
        part(self)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn into_router(self) -> Router<Arc<Admin>> {
        self.router
    }
}
