"""Whether what runs in this container answers, for its health check: `python healthy.py [PORT [PATH]]`, Python alone.

Without a port it asks the platform whether requests can be served. A refusal counts as an answer: a worker's metrics are there
for who has their token alone.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request

READY = "/api/v1/health/ready"
TIMEOUT_S = 4


def main(arguments: list[str]) -> int:
    """0 where it answers, else 1."""
    port = arguments[0] if arguments else os.environ.get("GENAI_PORT") or "8000"
    path = arguments[1] if len(arguments) > 1 else READY
    tls = not arguments and bool(os.environ.get("GENAI_TLS__CERTIFICATE_FILE"))
    # the certificate is for the name that callers use; what is asked here is this process, over the loopback interface
    context = ssl._create_unverified_context() if tls else None  # noqa: S323, SLF001
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}{path}"
    asking = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with asking.open(url, timeout=TIMEOUT_S):
            return 0
    except urllib.error.HTTPError as error:
        return 0 if error.code in (401, 403) else 1
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
