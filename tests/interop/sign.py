"""Signs requests by the MAC drafts with oauthlib: a line of JSON in, a header out.

A line has `draft`, `token`, `key`, `algorithm`, `method`, `url`, `nonce`, and perhaps `ts`, `body`
and `ext`.
"""

import json
import sys
from unittest import mock

from oauthlib.oauth2.rfc6749 import tokens


def sign(line):
    # By revision 01 it takes no nonce, and makes one of its own.
    with mock.patch.multiple(
        tokens.common,
        generate_nonce=lambda: line["nonce"],
        generate_timestamp=lambda: line["ts"],
    ):
        headers = tokens.prepare_mac_header(
            line["token"],
            line["url"],
            line["key"],
            line["method"],
            nonce=line["nonce"],
            body=line["body"],
            ext=line["ext"],
            hash_algorithm=line["algorithm"],
            draft=line["draft"],
        )
    return headers["Authorization"]


for line in sys.stdin:
    print(sign(json.loads(line)))
