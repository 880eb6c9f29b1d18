//! Whatever arrives: no panic, and what is answered is an answer to it.

use proptest::prelude::*;

use super::*;

fn handle(packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let config = Config::default();
    let policy = Arc::new(ArcSwap::from_pointee(Rules { strip_ech: true, ..Rules::default() }));
    let clock = Clock::held_at(Timestamp::UNIX_EPOCH);
    let handler = Handler::new(&config, policy, Arc::new(Internet::default()), clock);
    let asked = Asked { from: "127.0.0.1:9".parse().unwrap(), at: "127.0.0.1".parse().unwrap(), transport };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Not `handle`, which would turn a panic into an answer.
    runtime.block_on(handler.answer(packet, asked)).reply
}

fn holds(packet: &[u8], transport: Transport) -> Result<(), TestCaseError> {
    let reply = handle(packet, transport);
    let is_question = packet.len() >= 12 && packet[2] & 0x80 == 0;
    prop_assert_eq!(reply.is_some(), is_question, "questions are answered, nothing else is");
    if let Some(reply) = reply {
        let message = Message::from_vec(&reply).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&reply[..2], &packet[..2], "the id comes back");
        prop_assert_eq!(message.metadata.message_type, MessageType::Response);
        if transport == Transport::Udp {
            prop_assert!(reply.len() <= 1232);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
        holds(&packet, Transport::Udp)?;
    }

    #[test]
    fn a_damaged_question_is_survived(
        kind in any::<u16>(),
        which in 0usize..5,
        edns in any::<bool>(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        stream in any::<bool>(),
    ) {
        let asked = ["a.test.", "page.blocked.test.", "search.test.", "big.test.", "."][which];
        let kind = RecordType::from(kind);
        let message = if edns { edns_query(asked, kind) } else { query(asked, kind) };
        let mut packet = message.to_vec().unwrap();
        for (at, byte) in damage {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        // The policy of these tests panics and the resolver waits for ever at these names; neither is asked.
        let text = String::from_utf8_lossy(&packet).to_lowercase();
        prop_assume!(!text.contains("panic") && !text.contains("slow"));
        holds(&packet, if stream { Transport::Tcp } else { Transport::Udp })?;
    }
}
