//! Whether the server in this container answers: asks it for `localhost`, which it knows by itself, over UDP and TCP.
//! Ends with 0 when it does. For container images, where there is no shell and no `dig`; `packaging/oci` compiles it.

use std::{
    env,
    error::Error,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    process::ExitCode,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(2);

/// A question for the address of `localhost`.
const QUESTION: [u8; 27] = *b"\x53\x53\x01\x00\0\x01\0\0\0\0\0\0\x09localhost\0\0\x01\0\x01";

fn main() -> ExitCode {
    let server = env::args().nth(1).unwrap_or_else(|| String::from("127.0.0.1:53"));
    match ask(&server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{server} does not answer as it should: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(server: &str) -> Result<(), Box<dyn Error>> {
    let server: SocketAddr = server.parse()?;
    let mut buffer = [0; 1500];

    let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(&QUESTION)?;
    let length = socket.recv(&mut buffer)?;
    look(&buffer[..length])?;

    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = u16::try_from(QUESTION.len())?.to_be_bytes();
    stream.write_all(&[length.as_slice(), QUESTION.as_slice()].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let length = usize::from(u16::from_be_bytes(length)).min(buffer.len());
    stream.read_exact(&mut buffer[..length])?;
    look(&buffer[..length])
}

/// An answer to the question, without an error, with an address in it.
fn look(answer: &[u8]) -> Result<(), Box<dyn Error>> {
    let [a, b, flags, code, _, _, _, answers, ..] = answer else { return Err("too short".into()) };
    if [*a, *b] != QUESTION[..2] || flags & 0x80 == 0 {
        return Err("not an answer to what was asked".into());
    }
    match (code & 0x0f, answers) {
        (0, 1..) => Ok(()),
        (code, _) => Err(format!("response code {code}, {answers} answers").into()),
    }
}
