"""Name servers with a temper: they drop, dawdle, truncate, lie.

    behave.py BACKSTAGE  TEMPER=ADDRESS...

A server that needs real answers asks the NSD at the address BACKSTAGE, and spoils them. All
sockets are bound before the first question is answered.
"""

import asyncio
import random
import struct
import sys

FORMERR, SERVFAIL, NXDOMAIN, REFUSED = 1, 2, 3, 5
A, NS, OPT = 1, 2, 41


def question_end(message):
    """Where the only question ends."""
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


def question_name(message):
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", "replace").lower())
        at += 1 + message[at]
    return ".".join(labels)


def reply(query, rcode=0, sections=((), (), ()), truncated=False, authoritative=True):
    """A message that answers `query`; the records are bytes already."""
    flags = 0x8000 | (query[2] & 0x79) << 8 | rcode
    flags |= authoritative << 10 | truncated << 9
    counts = [len(section) for section in sections]
    head = query[:2] + struct.pack("!HHHHH", flags, 1, *counts)
    return head + query[12 : question_end(query)] + b"".join(sum(map(list, sections), []))


def record(owner, kind, data, ttl=300):
    return wire(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def wire(name):
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


class Server:
    """One temper. `answers` gives what is sent for a question, one message after another."""

    def __init__(self, temper, backstage):
        self.temper, _, setting = temper.partition("=")
        self.delay = int(setting or 0) / 1000
        self.backstage = backstage

    async def answers(self, query, udp):
        match self.temper:
            case "drop":
                return
            case "refuse":
                yield reply(query, REFUSED, authoritative=False)
            case "servfail":
                yield reply(query, SERVFAIL, authoritative=False)
            case "slow":
                answer = await self.ask(query, udp)
                await asyncio.sleep(self.delay)
                yield answer
            case "truncate" if udp:
                yield reply(query, truncated=True)
            # An old server that takes any additional record for an error.
            case "formerr" if struct.unpack_from("!H", query, 10)[0]:
                yield query[:2] + struct.pack("!HHHHH", 0x8000 | FORMERR, 0, 0, 0, 0)
            case "lower" if udp:
                end = question_end(query)
                yield await self.ask(query[:12] + query[12:end].lower() + query[end:], udp)
            case "garbage" if udp:
                answer = await self.ask(query, udp)
                yield random.randbytes(40)
                yield struct.pack("!H", struct.unpack_from("!H", query)[0] ^ 0x5555) + answer[2:]
                await asyncio.sleep(0.02)
                yield answer
            case "entnx":
                answer = await self.ask(query, udp)
                flags, _, answered = struct.unpack_from("!HHH", answer, 2)
                if not flags & 0xF and not answered:
                    answer = answer[:2] + struct.pack("!H", flags | NXDOMAIN) + answer[4:]
                yield answer
            case "poison":
                yield poison(query)
            case _:
                yield await self.ask(query, udp)

    async def ask(self, query, udp):
        """What the honest server behind says."""
        if udp:
            done = asyncio.get_running_loop().create_future()
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: OneAnswer(done), remote_addr=(self.backstage, 53)
            )
            try:
                transport.sendto(query)
                return await asyncio.wait_for(done, 5)
            finally:
                transport.close()
        reader, writer = await asyncio.open_connection(self.backstage, 53)
        try:
            writer.write(struct.pack("!H", len(query)) + query)
            return await read_message(reader)
        finally:
            writer.close()


def poison(query):
    """Answers the question, and claims unsigned.test for itself in every section."""
    name = question_name(query)
    kind = struct.unpack_from("!H", query, question_end(query) - 4)[0]
    own, stolen = bytes([80, 64, 43, 80]), bytes([80, 64, 43, 66])
    if name == "poison.test" and kind == NS:
        return reply(query, sections=([record(name, NS, wire("ns1.poison.test"))], (), ()))
    if kind != A:
        soa = wire("ns1.poison.test") + wire("hostmaster.poison.test") + struct.pack("!5I", 1, 2, 3, 4, 5)
        return reply(query, sections=((), [record("poison.test", 6, soa)], ()))
    address = stolen if name.endswith("unsigned.test") else own
    return reply(
        query,
        sections=(
            [record(name, A, address), record("www.unsigned.test", A, stolen)],
            [record("unsigned.test", NS, wire("ns1.poison.test"))],
            [record("ns1.poison.test", A, bytes([80, 64, 43, 1])), record("ns1.unsigned.test", A, stolen)],
        ),
    )


class OneAnswer(asyncio.DatagramProtocol):
    def __init__(self, done):
        self.done = done

    def datagram_received(self, data, _):
        if not self.done.done():
            self.done.set_result(data)

    def error_received(self, error):
        if not self.done.done():
            self.done.set_exception(error)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server):
        self.server, self.tasks = server, set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        task = asyncio.ensure_future(self.answer(data, peer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer(self, query, peer):
        try:
            async for message in self.server.answers(query, udp=True):
                self.transport.sendto(message, peer)
        except (OSError, IndexError, struct.error, TimeoutError, asyncio.TimeoutError):
            pass  # Not a question, or nobody backstage: stay silent, as the asker asks again.


def serve_stream(server):
    async def serve(reader, writer):
        try:
            while True:
                query = await read_message(reader)
                async for message in server.answers(query, udp=False):
                    writer.write(struct.pack("!H", len(message)) + message)
        except (OSError, EOFError, IndexError, struct.error):
            pass
        finally:
            writer.close()

    return serve


async def read_message(reader):
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(length)


async def main(backstage, *servers):
    loop, streams = asyncio.get_running_loop(), []
    for word in servers:
        temper, _, address = word.rpartition("=")
        server = Server(temper, backstage)
        streams.append(await asyncio.start_server(serve_stream(server), address, 53, start_serving=False))
        await loop.create_datagram_endpoint(lambda: Datagrams(server), local_addr=(address, 53))
    await asyncio.gather(*(stream.serve_forever() for stream in streams))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
