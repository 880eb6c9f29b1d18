//! A security key in software, for tests: what a browser and a key do together, and what a thief would do.

use std::sync::atomic::{AtomicU32, Ordering};

use data_encoding::BASE64URL_NOPAD;
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

/// Somebody touched the key.
const PRESENT: u8 = 0x01;

/// A credential comes with it.
const HAS_CREDENTIAL: u8 = 0x40;

/// A key that knows one credential.
pub(crate) struct SoftKey {
    pair: EcdsaKeyPair,
    pub(crate) id: [u8; 32],
    /// How often it was used.
    pub(crate) counter: AtomicU32,
}

impl SoftKey {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let mut id = [0; 32];
        random.fill(&mut id).unwrap();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref(), &random).unwrap();
        Self { pair, id, counter: AtomicU32::new(0) }
    }

    /// The answer to what a page at this origin asks, of a key that is to be added.
    pub(crate) fn added(&self, asked: &str, origin: &str) -> String {
        let asked: Value = serde_json::from_str(asked).unwrap();
        let asked = &asked["publicKey"];
        let host = asked["rp"]["id"].as_str().unwrap();
        let mut data = self.data(host, PRESENT | HAS_CREDENTIAL);
        data.extend([0; 16]);
        data.extend((self.id.len() as u16).to_be_bytes());
        data.extend(self.id);
        data.extend(self.public_key());
        // {"fmt": "none", "attStmt": {}, "authData": …}
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        let client = client_data("webauthn.create", asked, origin);
        self.answer(&json!({
            "attestationObject": BASE64URL_NOPAD.encode(&object),
            "clientDataJSON": BASE64URL_NOPAD.encode(client.as_bytes()),
        }))
    }

    /// The answer to what a page at this origin asks of a key that is to sign somebody in.
    pub(crate) fn signed(&self, asked: &str, origin: &str) -> String {
        let asked: Value = serde_json::from_str(asked).unwrap();
        let host = asked["publicKey"]["rpId"].as_str().unwrap().to_owned();
        self.signed_for(&host, &asked, origin)
    }

    /// The same, for a host that need not be the one that was asked for.
    pub(crate) fn signed_for(&self, host: &str, asked: &Value, origin: &str) -> String {
        let data = self.data(host, PRESENT);
        let client = client_data("webauthn.get", &asked["publicKey"], origin);
        let mut signed = data.clone();
        signed.extend(digest(&SHA256, client.as_bytes()).as_ref());
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        self.answer(&json!({
            "authenticatorData": BASE64URL_NOPAD.encode(&data),
            "clientDataJSON": BASE64URL_NOPAD.encode(client.as_bytes()),
            "signature": BASE64URL_NOPAD.encode(signature.as_ref()),
            "userHandle": null,
        }))
    }

    fn data(&self, host: &str, flags: u8) -> Vec<u8> {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let mut data = digest(&SHA256, host.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(counter.to_be_bytes());
        data
    }

    /// As COSE has it: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
    fn public_key(&self) -> Vec<u8> {
        let point = self.pair.public_key().as_ref();
        let mut key = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20".to_vec();
        key.extend(&point[1..33]);
        key.extend(b"\x22\x58\x20");
        key.extend(&point[33..]);
        key
    }

    fn answer(&self, response: &Value) -> String {
        let id = BASE64URL_NOPAD.encode(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response }).to_string()
    }
}

/// What the browser says of the page.
fn client_data(kind: &str, asked: &Value, origin: &str) -> String {
    json!({ "type": kind, "challenge": asked["challenge"], "origin": origin, "crossOrigin": false })
        .to_string()
}
