"""A store that speaks the protocol of Amazon S3, as far as backups need it, and believes nobody.

It reckons each signature (AWS Signature Version 4) and each digest of a body by itself, and refuses what is not right.
Usage: s3_server.py FOLDER ACCESS_KEY SECRET REGION BUCKET; prints its port. Objects are files in FOLDER.
"""

import hashlib
import hmac
import http.server
import pathlib
import sys
import urllib.parse
from xml.sax.saxutils import escape

FOLDER, ACCESS_KEY, SECRET, REGION, BUCKET = pathlib.Path(sys.argv[1]), *sys.argv[2:6]


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text=b"", kind="application/xml"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, status, code):
        self.close_connection = True
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def is_signed(self):
        said = self.headers.get("authorization", "")
        scheme, _, rest = said.partition(" ")
        if scheme != "AWS4-HMAC-SHA256":
            return False
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        key, day, region, service, end = parts["Credential"].split("/")
        if (key, region, service, end) != (ACCESS_KEY, REGION, "s3", "aws4_request"):
            return False
        names = parts["SignedHeaders"].split(";")
        if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names) or names != sorted(names):
            return False
        url = urllib.parse.urlsplit(self.path)
        query = "&".join(sorted(url.query.split("&"))) if url.query else ""
        headers = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in names)
        payload = self.headers["x-amz-content-sha256"]
        canonical = "\n".join([self.command, url.path, query, headers, ";".join(names), payload])
        time = self.headers["x-amz-date"]
        if not time.startswith(day):
            return False
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{time}\n{day}/{region}/s3/aws4_request\n{digest}"
        signing = ("AWS4" + SECRET).encode()
        for part in (day, region, "s3", "aws4_request"):
            signing = mac(signing, part)
        return hmac.compare_digest(mac(signing, text).hex(), parts["Signature"])

    def handle_one(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if not self.is_signed():
            return self.refuse(403, "SignatureDoesNotMatch")
        if hashlib.sha256(body).hexdigest() != self.headers["x-amz-content-sha256"]:
            return self.refuse(400, "XAmzContentSHA256Mismatch")
        url = urllib.parse.urlsplit(self.path)
        bucket, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        if bucket != BUCKET:
            return self.refuse(404, "NoSuchBucket")
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        file = FOLDER / urllib.parse.quote(key, safe="")
        if self.command == "PUT":
            file.write_bytes(body)
            return self.answer(200)
        if self.command == "DELETE":
            file.unlink(missing_ok=True)
            self.send_response(204)
            self.end_headers()
            return None
        if key:
            if not file.is_file():
                return self.refuse(404, "NoSuchKey")
            return self.answer(200, file.read_bytes(), "application/octet-stream")
        # Two names an answer, so that who lists has to go on.
        prefix, after = query.get("prefix", ""), query.get("start-after", "")
        keys = sorted(urllib.parse.unquote(one.name) for one in FOLDER.iterdir())
        keys = [one for one in keys if one.startswith(prefix) and one > after]
        shown = "".join(f"<Contents><Key>{escape(one)}</Key></Contents>" for one in keys[:2])
        more = "true" if len(keys) > 2 else "false"
        text = f"<ListBucketResult><IsTruncated>{more}</IsTruncated>{shown}</ListBucketResult>"
        return self.answer(200, text.encode())

    do_GET = do_PUT = do_DELETE = handle_one


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
print(server.server_port, flush=True)
server.serve_forever()
