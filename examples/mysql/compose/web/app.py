"""Notes in MySQL: GET / lists them, POST / adds one, GET /health asks the database."""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pymysql


def ask(statement, *values):
    env = os.environ
    connection = pymysql.connect(host=env["DB_HOST"], user=env["DB_USER"], password=env["DB_PASSWORD"],
                                 database=env["DB_NAME"], autocommit=True, connect_timeout=3,
                                 ssl_ca=env["DB_CA"], ssl_verify_cert=True, ssl_verify_identity=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


class Notes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health":
            ask("SELECT 1")
            return self.answer(200, "ok\n")
        rows = ask("SELECT id, text FROM notes ORDER BY id")
        self.answer(200, "".join(f"{number} {text}\n" for number, text in rows))

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        ask("INSERT INTO notes (text) VALUES (%s)", text)
        self.answer(201, "")


ThreadingHTTPServer(("", 8080), Notes).serve_forever()
