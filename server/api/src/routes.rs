//! Routes, and a list of their paths: axum keeps none that could be compared with the API's
//! description.

use axum::Router;
use axum::routing::MethodRouter;

use crate::Shared;

/// Routes that know their paths.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Shared>,
    paths: Vec<String>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn route(mut self, path: &str, methods: MethodRouter<Shared>) -> Self {
        self.paths.push(path.to_owned());
        self.router = self.router.route(path, methods);
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        self.router = self.router.merge(other.router);
        self
    }

    /// The router, and its paths.
    pub(crate) fn into_parts(self) -> (Router<Shared>, Vec<String>) {
        (self.router, self.paths)
    }
}
