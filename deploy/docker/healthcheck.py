"""Fail unless this container's service lives; says nothing of what it depends on."""

import os
import urllib.request

urllib.request.urlopen(f"http://127.0.0.1:{os.environ['FER_PORT']}/livez", timeout=2).close()
