//! Transfers that are signed with a key of both sides (TSIG).

use super::*;

/// The same, each message signed that `which` says is.
fn signs(key: &TsigKey, messages: Vec<Vec<Record>>, which: fn(usize) -> bool) -> Step {
    let key = key.clone();
    Box::new(move |question| {
        let mut signer = tsig::stream::Signer::new(&key, &tsig::stream::mac(question));
        let mut signed = Vec::new();
        for (place, records) in messages.iter().enumerate() {
            let mut bytes = answer(question, records);
            if which(place) {
                signer.sign(&mut bytes, NOW as u64);
            } else {
                signer.leave_unsigned(&bytes);
            }
            signed.push(bytes);
        }
        signed
    })
}

#[test]
fn a_signed_transfer_may_leave_messages_between_unsigned() {
    let subscriber = Subscriber::signed();
    let zone = || vec![vec![soa(7)], vec![block("a.example")], vec![block("b.example")], vec![soa(7)]];
    for which in [|_| true, |place| place != 1 && place != 2] {
        let script = vec![signs(&key(1), vec![vec![soa(7)]], |_| true), signs(&key(1), zone(), which)];
        assert_eq!(new(&subscriber.from(script).unwrap()), (7, 2, false));
    }
    for (which, told) in [
        ((|place| place != 0) as fn(usize) -> bool, "without a signature"),
        (|place| place != 3, "without a signature"),
    ] {
        let script = vec![signs(&key(1), vec![vec![soa(7)]], |_| true), signs(&key(1), zone(), which)];
        let failure = subscriber.failure(script);
        assert!(failure.contains(told), "{failure}");
    }
}

#[test]
fn answers_must_be_signed_by_the_key_that_asks() {
    let failure = Subscriber::signed().failure(vec![says(vec![soa(7)])]);
    assert!(failure.contains("answered without a signature"), "{failure}");
    let failure = Subscriber::signed().failure(vec![signs(&key(2), vec![vec![soa(7)]], |_| true)]);
    assert!(failure.contains("a signature that does not fit"), "{failure}");
    let other = TsigKey::new("other", KeyAlgorithm::HmacSha256, &[1; 32]).unwrap();
    let failure = Subscriber::signed().failure(vec![signs(&other, vec![vec![soa(7)]], |_| true)]);
    assert!(failure.contains("the signature of another key"), "{failure}");
    let changed = signs(&key(1), vec![vec![soa(7)], vec![block("a.example"), soa(7)]], |_| true);
    let changed = Box::new(move |question: &[u8]| {
        let mut messages = changed(question);
        // The target of the block: the root becomes one byte of something else's time to live.
        let at = messages[1].len() - 150;
        messages[1][at] ^= 1;
        messages
    });
    let failure = Subscriber::signed().failure(vec![signs(&key(1), vec![vec![soa(7)]], |_| true), changed]);
    assert!(failure.contains("does not fit") || failure.contains("can't be read"), "{failure}");
}

#[test]
fn what_a_primary_says_about_our_signature_is_told_in_words() {
    for (error, told) in [
        (tsig::error::BADKEY, "does not know our key (BADKEY)"),
        (tsig::error::BADSIG, "does not accept our signature (BADSIG)"),
    ] {
        let step: Step = Box::new(move |question| {
            let mut bytes = refusal(question, ResponseCode::NotAuth);
            let asked = wire::Message::read(question).unwrap();
            let signature = tsig::Signature::of(&asked).unwrap().unwrap();
            tsig::say(&mut bytes, &signature, error, NOW as u64);
            vec![bytes]
        });
        let failure = Subscriber::signed().failure(vec![step]);
        assert!(failure.contains(told), "{failure}");
    }
    let step: Step = Box::new(|question| {
        let mut bytes = refusal(question, ResponseCode::NotAuth);
        let asked = wire::Message::read(question).unwrap();
        let signature = tsig::Signature::of(&asked).unwrap().unwrap();
        tsig::sign_bad_time(&mut bytes, &key(1), &signature, NOW as u64 + 3600);
        vec![bytes]
    });
    let failure = Subscriber::signed().failure(vec![step]);
    assert!(failure.contains("a clock that is 60 minutes ahead of this box's"), "{failure}");
}
