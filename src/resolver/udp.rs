//! One question over UDP, from a socket of its own.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use tokio::net::UdpSocket;

/// The time after which a question is sent again, since a packet may have been lost.
const RESEND: Duration = Duration::from_millis(700);
/// How many packets that are no answer to the question are passed over before it is given up.
const MAX_STRANGERS: usize = 16;
/// The longest answer that is read, in bytes; more than is ever asked for.
const MAX_PACKET: usize = 4_096;
/// A message without its header is nothing.
const HEADER: usize = 12;

/// What came back.
#[derive(Debug)]
pub(super) enum Reply {
    /// A readable answer to the question, name in the same case.
    Answer(Message),
    /// The answer does not fit into a packet; the question is to be asked over TCP.
    Truncated,
    /// The answer is to another case of the name: from somebody who guesses, or from a server that lowers names. TCP
    /// tells.
    OtherCase,
    /// The server can't read the question, perhaps for its EDNS (RFC 6891, section 7).
    FormErr,
    /// Nothing but packets that are no answer.
    Strangers,
}

/// Asks a question, and once more when nothing comes; has no time limit of its own.
pub(super) async fn exchange(server: SocketAddr, question: &[u8], asked: &Query) -> io::Result<Reply> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A socket for each question has a port that nobody can guess, and the kernel drops what others send.
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut resent = false;
    let mut packet = [0; MAX_PACKET];
    for _ in 0..MAX_STRANGERS {
        let received = loop {
            match tokio::time::timeout(RESEND, socket.recv(&mut packet)).await {
                Ok(received) => break received?,
                Err(_) if resent => break socket.recv(&mut packet).await?,
                Err(_) => {
                    resent = true;
                    socket.send(question).await?;
                }
            }
        };
        if let Some(reply) = read(&packet[..received], question, asked) {
            return Ok(reply);
        }
    }
    Ok(Reply::Strangers)
}

/// Makes sense of a packet; nothing when it is not an answer to the question.
fn read(packet: &[u8], question: &[u8], asked: &Query) -> Option<Reply> {
    if packet.len() < HEADER || packet.get(..2) != question.get(..2) || packet[2] & 0b1000_0000 == 0 {
        return None;
    }
    if packet[2] & 0b0000_0010 != 0 {
        // RFC 2181, section 9: what was cut off need not even be readable.
        return Some(Reply::Truncated);
    }
    if packet[3] & 0x0f == u16::from(ResponseCode::FormErr).to_be_bytes()[1] {
        return Some(Reply::FormErr);
    }
    let message = Message::from_vec(packet).ok()?;
    if !is_answer(&message, asked) {
        return None;
    }
    let same_case = message.queries[0].name().eq_case(asked.name());
    Some(if same_case { Reply::Answer(message) } else { Reply::OtherCase })
}

/// Whether a message is an answer to a question, whatever the case of its name.
pub(super) fn is_answer(message: &Message, asked: &Query) -> bool {
    message.metadata.message_type == MessageType::Response
        && message.metadata.op_code == OpCode::Query
        && matches!(message.queries.as_slice(), [query]
            if query.query_type() == asked.query_type()
                && query.query_class() == asked.query_class()
                && query.name() == asked.name())
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name, RecordType};
    use proptest::prelude::*;

    use super::*;

    fn asked() -> Query {
        Query::query(Name::from_ascii("wWw.example.").unwrap(), RecordType::A)
    }

    fn message(change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = 7;
        message.metadata.message_type = MessageType::Response;
        message.add_query(asked());
        change(&mut message);
        message.to_vec().unwrap()
    }

    fn read_reply(packet: &[u8]) -> Option<Reply> {
        let question = message(|message| message.metadata.message_type = MessageType::Query);
        read(packet, &question, &asked())
    }

    #[test]
    fn only_an_answer_to_the_question_counts() {
        assert!(matches!(read_reply(&message(|_| {})), Some(Reply::Answer(_))));
        assert!(read_reply(&message(|message| message.metadata.id = 8)).is_none());
        assert!(read_reply(&message(|message| message.metadata.message_type = MessageType::Query)).is_none());
        assert!(read_reply(&message(|message| message.queries.clear())).is_none());
        assert!(
            read_reply(&message(|message| {
                message.queries[0].set_query_type(RecordType::AAAA);
            }))
            .is_none()
        );
        assert!(
            read_reply(&message(|message| {
                message.queries[0].set_name(Name::from_ascii("www.other.").unwrap());
            }))
            .is_none()
        );
        let other_case = message(|message| {
            message.queries[0].set_name(Name::from_ascii("www.example.").unwrap());
        });
        assert!(matches!(read_reply(&other_case), Some(Reply::OtherCase)));
    }

    #[test]
    fn a_cut_answer_need_not_be_readable() {
        let mut packet = message(|message| message.metadata.truncation = true);
        packet.truncate(14);
        assert!(matches!(read_reply(&packet), Some(Reply::Truncated)));
    }

    #[test]
    fn a_format_error_may_be_a_header_alone() {
        let packet = [0, 7, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(read_reply(&packet), Some(Reply::FormErr)));
    }

    proptest! {
        #[test]
        fn any_packet_is_read_or_passed_over(mut packet in proptest::collection::vec(any::<u8>(), 0..300), ours: bool) {
            if ours && packet.len() > 2 {
                (packet[0], packet[1], packet[2]) = (0, 7, packet[2] | 0x80);
            }
            let _ = read_reply(&packet);
        }

        #[test]
        fn a_damaged_answer_is_read_or_passed_over(at in 0_usize..200, value: u8) {
            let mut packet = message(|message| {
                for n in 0..5 {
                    let name = Name::from_ascii("www.example.").unwrap();
                    let data = hickory_proto::rr::RData::A(hickory_proto::rr::rdata::A::new(192, 0, 2, n));
                    message.add_answer(hickory_proto::rr::Record::from_rdata(name, 60, data));
                }
            });
            let at = at % packet.len();
            packet[at] = value;
            let _ = read_reply(&packet);
        }
    }
}
