"""Run a real Firefox once against a receiver: `firefox.py PLACE` leaves what it submitted in PLACE/spool.

To be run where there is no network but the loopback: it has a fresh profile and would ask other servers too.
"""

import functools
import http.server
import os
import pathlib
import subprocess
import sys
import threading
import time

from receiving import receiving

PREFS = {
    "toolkit.telemetry.server": '"http://localhost:{port}"',
    "datareporting.healthreport.uploadEnabled": "true",
    "datareporting.policy.dataSubmissionPolicyBypassNotification": "true",
    "toolkit.telemetry.shutdownPingSender.enabledFirstSession": "true",
    "toolkit.telemetry.initDelay": "1",
    "toolkit.telemetry.minSubsessionLength": "0",
}
WANTED = (b"/new-profile/", b"/first-shutdown/", b"/main/")


class Page(http.server.BaseHTTPRequestHandler):
    """A page to be seen."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>A page</h1>")

    def log_message(self, *words):
        pass


def browse(place, receiver, page):
    """Let Firefox start, see a page and end."""
    profile = place / "profile"
    profile.mkdir()
    lines = [f'user_pref("{name}", {value.format(port=receiver.port)});\n' for name, value in PREFS.items()]
    (profile / "user.js").write_text("".join(lines))
    words = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile)]
    words += ["--screenshot", str(place / "shot.png"), f"http://127.0.0.1:{page.server_port}/"]
    environment = {**os.environ, "HOME": str(place), "MOZ_HEADLESS": "1"}
    subprocess.run(words, env=environment, timeout=120, check=True, capture_output=True)


def arrived(spool):
    """Whether all pings that are waited for are in the spool."""
    found = b"".join(path.read_bytes() for path in spool.glob("current-*"))
    return all(path in found for path in WANTED)


def main(place):
    """Serve and browse; what is sent by another program may come after Firefox has ended."""
    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Page))
    threading.Thread(target=page.serve_forever, daemon=True).start()
    with receiving(place / "spool") as receiver:
        browse(place, receiver, page)
        end = time.monotonic() + 30
        while not arrived(receiver.spool) and time.monotonic() < end:
            time.sleep(0.1)
        receiver.end()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
