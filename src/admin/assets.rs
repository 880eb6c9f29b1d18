//! Style sheets, scripts and icons: embedded in the program, and served with an address that changes when they do.

use std::{collections::BTreeMap, io::Write, sync::LazyLock};

use axum::{
    body::Bytes,
    extract::{Path, RawQuery},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use rust_embed::Embed;

#[derive(Embed)]
#[folder = "web-admin/static"]
struct Static;

/// One file, ready to be sent.
struct Asset {
    plain: Bytes,
    /// Compressed, where that is smaller.
    gzip: Option<Bytes>,
    kind: &'static str,
    /// The beginning of its digest, in hexadecimal.
    digest: String,
}

static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
    // What is written about the files is for who reads the source.
    let files = Static::iter().filter(|name| !name.ends_with(".md")).filter_map(|name| {
        let file = Static::get(&name)?;
        let digest: String =
            file.metadata.sha256_hash()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let plain = Bytes::from(file.data.into_owned());
        let gzip = compressed(&plain).filter(|gzip| gzip.len() < plain.len());
        Some((name.to_string(), Asset { gzip, plain, kind: kind(&name), digest }))
    });
    files.collect()
});

fn compressed(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The address of a file, which is another when the file is: `/static/app.css?v=0123456789ab`.
pub(super) fn address(name: &str) -> String {
    let digest = ASSETS.get(name).map_or("", |asset| asset.digest.as_str());
    format!("/static/{name}?v={digest}")
}

/// `GET /static/{name}`.
pub(super) async fn serve(
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(asset) = ASSETS.get(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let tag = format!("\"{}\"", asset.digest);
    let is_current = query.is_some_and(|query| query.strip_prefix("v=") == Some(&asset.digest));
    let fresh = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let common = [(header::CACHE_CONTROL, fresh.to_owned()), (header::ETAG, tag.clone())];
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let takes_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|coding| coding.trim().split(';').next() == Some("gzip")));
    let mut response = (common, [(header::CONTENT_TYPE, asset.kind)]).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let body = match &asset.gzip {
        Some(gzip) if takes_gzip => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            gzip
        }
        _ => &asset.plain,
    };
    *response.body_mut() = body.clone().into();
    response
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    #[test]
    fn vendored_files_are_those_that_the_list_names() {
        let list = include_str!("../../web-admin/static/vendor/README.md");
        let mut checked = 0;
        for (name, asset) in ASSETS.iter().filter(|(name, _)| name.starts_with("vendor/")) {
            if name.ends_with(".txt") {
                continue;
            }
            let digest = BASE64.encode(ring::digest::digest(&ring::digest::SHA384, &asset.plain).as_ref());
            let file = name.trim_start_matches("vendor/");
            let row = list.lines().find(|line| line.starts_with(&format!("| `{file}` |")));
            assert!(row.is_some_and(|row| row.contains(&digest)), "{name} has the digest {digest}");
            checked += 1;
        }
        assert!(checked >= 5);
    }

    #[test]
    fn no_asset_loads_anything_from_elsewhere() {
        let own = ASSETS.iter().filter(|(name, _)| !name.starts_with("vendor/"));
        for (name, asset) in own {
            let text = String::from_utf8_lossy(&asset.plain);
            let outside = text.replace("http://www.w3.org/", "").replace("https://www.w3.org/", "");
            assert!(!outside.contains("http://") && !outside.contains("https://"), "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_is_kept_by_browsers_as_long_as_it_is_the_same() {
        let current = address("app.css");
        let (path, query) = current.trim_start_matches("/static/").split_once('?').unwrap();
        let ask = |query: Option<&str>, headers| {
            serve(Path(path.to_owned()), RawQuery(query.map(str::to_owned)), headers)
        };
        let sent = ask(Some(query), HeaderMap::new()).await;
        assert_eq!(sent.status(), StatusCode::OK);
        assert!(sent.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert!(!sent.headers().contains_key(header::CONTENT_ENCODING));
        let old = ask(Some("v=other"), HeaderMap::new()).await;
        assert_eq!(old.headers()[header::CACHE_CONTROL], "no-cache");
        let known = HeaderMap::from_iter([
            (header::IF_NONE_MATCH, sent.headers()[header::ETAG].clone()),
            (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
        ]);
        assert_eq!(ask(None, known).await.status(), StatusCode::NOT_MODIFIED);
        for name in ["../Cargo.toml", "vendor/README.md", "", "..%2f..%2fCargo.toml"] {
            let missing = serve(Path(name.to_owned()), RawQuery(None), HeaderMap::new()).await;
            assert_eq!(missing.status(), StatusCode::NOT_FOUND, "{name}");
        }
    }
}
