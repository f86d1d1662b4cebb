"""A web server for tests: web_server.py DIRECTORY PORT [CERTIFICATE KEY], over TLS with these.

Serves DIRECTORY with ETags and byte ranges on that port of 127.0.0.1, or with 0 on a free one, and prints it. DIRECTORY/../cut, if there, holds a
number: no answer brings more bytes of a body than that, then the connection is closed. DIRECTORY/../requests gets a line per
request: path, Range header or -, status.
"""
import hashlib
import http.server
import os
import re
import ssl
import sys

root = os.path.realpath(sys.argv[1])
beside = os.path.dirname(root)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = os.path.realpath(os.path.join(root, self.path.lstrip("/")))
        if not path.startswith(root + "/") or not os.path.isfile(path):
            return self.answer(404, b"", {})
        with open(path, "rb") as file:
            body = file.read()
        tag = '"%s"' % hashlib.md5(body).hexdigest()
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not wanted or self.headers.get("If-Range", tag) != tag:
            return self.answer(200, body, {"ETag": tag})
        first = int(wanted.group(1))
        if first >= len(body):
            return self.answer(416, b"", {"Content-Range": "bytes */%d" % len(body)})
        span = "bytes %d-%d/%d" % (first, len(body) - 1, len(body))
        return self.answer(206, body[first:], {"ETag": tag, "Content-Range": span})

    def answer(self, status, body, headers):
        with open(beside + "/requests", "a") as log:
            log.write("%s %s %d\n" % (self.path, self.headers.get("Range", "-"), status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            with open(beside + "/cut") as file:
                most = int(file.read())
        except OSError:
            most = len(body)
        self.wfile.write(body[:most])
        self.close_connection = True

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
