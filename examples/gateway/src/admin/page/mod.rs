//! The page for people: three files, and nothing from elsewhere.

use axum::response::{Html, IntoResponse};
use http::header::CONTENT_TYPE;

pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

pub(super) async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript")], include_str!("page.js"))
}

pub(super) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css")], include_str!("page.css"))
}
