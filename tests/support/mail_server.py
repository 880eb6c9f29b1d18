"""A mail server that tells what it was sent: aiosmtpd. Arguments: plain, starttls or tls; certificate; key."""
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

MODE, CERTIFICATE, KEY = sys.argv[1:4]
USER, PASSWORD = b"filter", b"seven green bottles"


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 there is nobody of that name here"
        if address.startswith("later@"):
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("forged@"):
            return "550 5.7.60 you may not send as this address"
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        said = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "message": envelope.content.decode("ascii"),
            "tls": session.ssl is not None or MODE == "tls",
            "user": (session.auth_data or b"").decode(),
            "hello": session.host_name,
        }
        print(json.dumps(said), flush=True)
        return "250 taken"


def check(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER, PASSWORD)
    if right:
        return AuthResult(success=True, auth_data=data.login)
    # As careless servers do, it repeats what it was sent.
    return AuthResult(success=False, handled=False, message="535 5.7.8 no: " + data.password.decode())


async def main():
    tls = None
    if MODE != "plain":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATE, KEY)

    def session():
        return SMTP(
            Handler(),
            hostname="mail.school.example",
            tls_context=tls if MODE == "starttls" else None,
            require_starttls=MODE == "starttls",
            auth_required=MODE != "plain",
            auth_require_tls=MODE == "starttls",
            authenticator=check if MODE != "plain" else None,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=tls if MODE == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
