//! Bodies of requests that have to come at a pace, so that nobody holds a connection by sending next to nothing.

use std::time::Duration;

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

/// How many bytes buy another second: the slowest wireless network of a school is faster.
const PACE: u64 = 16 * 1024;

/// A body that ends with an error where it comes too slowly: `patience` from when it is first read, and one second more
/// for each [`PACE`] bytes that have come.
pub(super) fn paced<B>(body: B, patience: Duration) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Body::empty();
    }
    let begin = (Body::new(body).into_data_stream(), None, 0_u64);
    Body::from_stream(stream::try_unfold(begin, move |(mut pieces, begun, had)| async move {
        let begun = begun.unwrap_or_else(Instant::now);
        let until = begun + patience + Duration::from_secs(had / PACE);
        match timeout_at(until, pieces.next()).await {
            Ok(Some(piece)) => {
                let piece = piece?;
                let had = had + piece.len() as u64;
                Ok(Some((piece, (pieces, Some(begun), had))))
            }
            Ok(None) => Ok(None),
            Err(_) => Err(axum::Error::new("the body of the request comes too slowly")),
        }
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A body of so many pieces, each of so many bytes, with a pause before each.
    fn body(pieces: usize, bytes: usize, pause: Duration) -> Body {
        Body::from_stream(stream::unfold(0, move |number| async move {
            if number == pieces {
                return None;
            }
            tokio::time::sleep(pause).await;
            Some((Ok::<_, axum::Error>(Bytes::from(vec![b'x'; bytes])), number + 1))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_long_that_keeps_coming() {
        let half_a_minute = body(60, 16 * 1024, Duration::from_millis(500));
        let whole = to_bytes(paced(half_a_minute, PATIENCE), usize::MAX).await.unwrap();
        assert_eq!(whole.len(), 60 * 16 * 1024);
        assert!(to_bytes(paced(Body::empty(), PATIENCE), 1).await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_an_error_and_no_shorter_body() {
        let drips = body(60, 1, Duration::from_millis(500));
        let begun = Instant::now();
        let error = to_bytes(paced(drips, PATIENCE), usize::MAX).await.unwrap_err();
        assert!(error.to_string().contains("too slowly"), "{error}");
        assert_eq!(begun.elapsed(), PATIENCE);
        let silent = Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
        to_bytes(paced(silent, PATIENCE), usize::MAX).await.unwrap_err();
    }
}
