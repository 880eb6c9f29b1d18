//! Signing requests to S3-compatible stores (AWS Signature Version 4).

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use ring::{digest, hmac};

/// Who signs.
pub(super) struct Signer<'a> {
    pub(super) access_key: &'a str,
    pub(super) secret: &'a str,
    pub(super) region: &'a str,
}

/// What is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// The path, encoded as [`encoded`] does, its slashes left alone.
    pub(super) path: &'a str,
    /// The parameters of the query, as they are meant, in any order.
    pub(super) query: &'a [(&'a str, &'a str)],
    /// The headers, names in lower case, `host` among them.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The SHA-256 of the body, in hex.
    pub(super) payload: &'a str,
}

impl Signer<'_> {
    /// The value of the header `authorization`. The headers must have `x-amz-date` as [`date`] gives it for the time.
    pub(super) fn authorization(&self, signed: &Signed<'_>, at: Timestamp) -> String {
        let time = date(at);
        let day = &time[..8];
        let mut headers: Vec<_> = signed.headers.to_vec();
        headers.sort_unstable();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut canonical = format!("{}\n{}\n{}\n", signed.method, signed.path, query(signed.query));
        for (name, value) in &headers {
            // Writing to a string does not fail.
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let _ = write!(canonical, "\n{names}\n{}", signed.payload);
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let digest = digest::digest(&digest::SHA256, canonical.as_bytes());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", HEXLOWER.encode(digest.as_ref()));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, self.region, "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = HEXLOWER.encode(&mac(&key, &text));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.access_key
        )
    }
}

/// The time as requests say it.
pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A query as it is signed, and as it is sent.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    let mut all: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    all.sort_unstable();
    all.join("&")
}

/// A text in which everything is encoded but letters, digits and `-._~`.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A path: each part encoded, the slashes left alone.
pub(super) fn path(text: &str) -> String {
    text.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn signature(signed: &Signed<'_>) -> String {
        let signer = Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
        };
        let said = signer.authorization(signed, "2013-05-24T00:00:00Z".parse().unwrap());
        said.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// The examples of "Signature Calculations for the Authorization Header" in the documentation of Amazon S3.
    #[test]
    fn the_published_examples_are_signed_as_they_say() {
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let time = ("x-amz-date", "20130524T000000Z");
        let get = Signed {
            method: "GET",
            path: "/test.txt",
            query: &[],
            headers: &[host, ("range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY), time],
            payload: EMPTY,
        };
        assert_eq!(signature(&get), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
        let payload = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
        let put = Signed {
            method: "PUT",
            path: &path("/test$file.text"),
            query: &[],
            headers: &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                host,
                ("x-amz-content-sha256", payload),
                time,
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payload,
        };
        assert_eq!(signature(&put), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
        let headers = [host, ("x-amz-content-sha256", EMPTY), time];
        let lifecycle = Signed {
            method: "GET",
            path: "/",
            query: &[("lifecycle", "")],
            headers: &headers,
            payload: EMPTY,
        };
        assert_eq!(signature(&lifecycle), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
        let list = Signed { query: &[("prefix", "J"), ("max-keys", "2")], ..lifecycle };
        assert_eq!(signature(&list), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }

    #[test]
    fn what_a_path_can_have_is_encoded_and_its_slashes_are_not() {
        assert_eq!(path("/a b/c+d/é"), "/a%20b/c%2Bd/%C3%A9");
        assert_eq!(query(&[("b", "1/2"), ("a", "~")]), "a=~&b=1%2F2");
    }
}
