//! Public keys of those who may come in by SSH.

use data_encoding::{BASE64, BASE64_NOPAD};
use ring::digest::{SHA256, digest};

use super::ask::shown;

/// The most keys, and the most bytes of them; the box reads no more.
const MOST: usize = 20;
const LARGEST: usize = 16_000;

/// The fewest bits of an RSA key.
const RSA_BITS: usize = 3_072;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The line as the box keeps it.
    pub line: String,
    /// Its digest, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Whose it is, as the line says.
    pub comment: String,
}

/// Reads keys, one a line, as `ssh-keygen` writes them. Empty lines and comments are passed over.
///
/// # Errors
///
/// A sentence for the first line that is no such key, or is too weak.
pub fn public_keys(text: &str) -> Result<Vec<PublicKey>, String> {
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        keys.push(public_key(line).map_err(|why| format!("line {number}: {why}"))?);
    }
    if keys.len() > MOST || keys.iter().map(|key| key.line.len() + 1).sum::<usize>() > LARGEST {
        return Err(format!("that is too much: {MOST} keys at most"));
    }
    Ok(keys)
}

fn public_key(line: &str) -> Result<PublicKey, String> {
    let odd = || String::from("it is no public key as ssh-keygen makes them (the file id_ed25519.pub)");
    if line.contains("PRIVATE KEY") {
        return Err(String::from("this is a private key, which must never leave its owner's computer"));
    }
    let mut words = line.split_whitespace();
    let (kind, coded) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let comment = shown(&words.collect::<Vec<_>>().join(" "));
    let blob = BASE64.decode(coded.as_bytes()).map_err(|_| odd())?;
    let mut rest = blob.as_slice();
    let mut field = || -> Option<&[u8]> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, after) = after.split_at_checked(length)?;
        rest = after;
        Some(field)
    };
    if field().ok_or_else(odd)? != kind.as_bytes() {
        return Err(odd());
    }
    let is_sound = match kind {
        "ssh-ed25519" => field().is_some_and(|key| key.len() == 32),
        "sk-ssh-ed25519@openssh.com" => {
            field().is_some_and(|key| key.len() == 32) && field().is_some_and(|name| !name.is_empty())
        }
        "ecdsa-sha2-nistp256" => is_point(field(), field(), "nistp256", 65),
        "ecdsa-sha2-nistp384" => is_point(field(), field(), "nistp384", 97),
        "ecdsa-sha2-nistp521" => is_point(field(), field(), "nistp521", 133),
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            is_point(field(), field(), "nistp256", 65) && field().is_some_and(|name| !name.is_empty())
        }
        "ssh-rsa" => {
            let (exponent, modulus) = (field().ok_or_else(odd)?, field().ok_or_else(odd)?);
            let bits = bits(modulus);
            if bits < RSA_BITS {
                return Err(format!("an RSA key of {bits} bits is too weak, {RSA_BITS} are the least"));
            }
            bits <= 16_384 && (2..=64).contains(&self::bits(exponent))
        }
        "ssh-dss" => return Err(String::from("keys of this kind are not safe any more")),
        _ => return Err(odd()),
    };
    if !is_sound || !rest.is_empty() {
        return Err(odd());
    }
    let fingerprint = format!("SHA256:{}", BASE64_NOPAD.encode(digest(&SHA256, &blob).as_ref()));
    let line = format!("{kind} {coded} {comment}").trim_end().to_owned();
    Ok(PublicKey { line, fingerprint, comment })
}

fn is_point(curve: Option<&[u8]>, point: Option<&[u8]>, name: &str, length: usize) -> bool {
    curve == Some(name.as_bytes()) && point.is_some_and(|point| point.len() == length && point[0] == 4)
}

fn bits(number: &[u8]) -> usize {
    let number = number.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &number[at..]);
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line with a key of these fields.
    fn line(kind: &str, fields: &[&[u8]]) -> String {
        let mut blob = Vec::new();
        for field in [kind.as_bytes()].iter().chain(fields) {
            blob.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
            blob.extend_from_slice(field);
        }
        format!("{kind} {} ann@office", BASE64.encode(&blob))
    }

    #[test]
    fn keys_of_the_usual_kinds_are_taken_and_weak_ones_are_not() {
        let mut point = [7; 65];
        point[0] = 4;
        let text = [
            line("ssh-ed25519", &[&[7; 32]]),
            String::from("# of the supplier"),
            line("ecdsa-sha2-nistp256", &[b"nistp256", &point]),
            line("ssh-rsa", &[&[1, 0, 1], &[0x80; 384]]),
        ];
        let keys = public_keys(&text.join("\r\n")).unwrap();
        assert!(keys.len() == 3 && keys[0].comment == "ann@office");
        assert!(keys[0].fingerprint.starts_with("SHA256:") && keys[0].fingerprint.len() == 50);
        let weak = public_keys(&line("ssh-rsa", &[&[1, 0, 1], &[0x80; 256]])).unwrap_err();
        assert!(weak.contains("2048 bits is too weak"), "{weak}");
        for wrong in [
            line("ssh-ed25519", &[&[7; 31]]),
            line("ssh-ed25519", &[&[7; 32], b"more"]),
            line("ssh-dss", &[&[7; 32]]),
            format!("command=\"sh\" {}", line("ssh-ed25519", &[&[7; 32]])),
            line("ssh-ed25519", &[&[7; 32]]).replacen("ssh-ed25519", "ssh-rsa", 1),
            String::from("-----BEGIN OPENSSH PRIVATE KEY-----"),
            String::from("ssh-ed25519"),
        ] {
            assert!(public_keys(&wrong).is_err(), "{wrong}");
        }
        assert!(public_keys(&[line("ssh-ed25519", &[&[7; 32]]).as_str(); 21].join("\n")).is_err());
        assert!(public_keys("\n").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), blob in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = public_keys(&text);
            let _ = public_keys(&format!("ssh-rsa {}", BASE64.encode(&blob)));
        }
    }
}
