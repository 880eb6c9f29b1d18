//! Encrypted DNS over real sockets, with clients that are not ours.

mod https;
mod quic;
mod tls;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::{querylog::Event, tls::Certificates};

/// A front end that serves all kinds of encrypted DNS, with a certificate.
struct Secure {
    school: School,
    certificates: Arc<Certificates>,
    log: Arc<Heard>,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Secure {
    type Target = School;

    fn deref(&self) -> &School {
        &self.school
    }
}

/// What was recorded: name and transport.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<(String, Transport)>>);

impl crate::dns::Record<Rules> for Heard {
    fn record(&self, _: &Arc<Rules>, event: &Event<'_>) {
        self.0.lock().unwrap().push((event.name.to_string(), event.fate.transport));
    }
}

fn any() -> Vec<SocketAddr> {
    vec!["127.0.0.1:0".parse().unwrap()]
}

fn secure(change: impl FnOnce(&mut Config)) -> Secure {
    let log = Arc::new(Heard::default());
    let own = Arc::clone(&log);
    let school = school_with(
        Rules::default(),
        |config| {
            (config.tls, config.https, config.quic) = (any(), any(), any());
            change(config);
        },
        |handler| handler.with_log(own),
    );
    let folder = tempfile::tempdir().unwrap();
    let certificates = Arc::new(Certificates::open(folder.path(), &[], &Clock::system()).unwrap());
    school.shown.set(Arc::clone(&certificates));
    Secure { school, certificates, log, _folder: folder }
}

impl Secure {
    fn client(&self, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let ca = self.certificates.ca_pem();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    async fn handshake(&self, at: SocketAddr, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(at).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(self.client(protocols))).connect(name, stream).await
    }

    fn heard(&self) -> Vec<(String, Transport)> {
        self.log.0.lock().unwrap().clone()
    }

    /// That it answers as ever, after whatever was done to it.
    async fn answers(&self) {
        let mut stream = Stream(self.handshake(self.encrypted.tls[0], &[]).await.unwrap());
        let question = query("after.test.", RecordType::A);
        stream.send(&question).await;
        assert_eq!(stream.receive().await.metadata.id, question.metadata.id);
        https::Client::open(self).await.ask("after.test.").await;
        quic::Client::open(self).await.ask("after.test.").await.unwrap();
    }
}

/// Waits until the other side has closed, with an error or without.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it closes");
}
