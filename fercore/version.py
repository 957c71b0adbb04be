"""The version of the whole project: the one place that names it.

`pyproject.toml` reads it from here; metrics, `/livez` and the client report it; a test holds
`docker-compose.yml` and `CHANGELOG.md` to it.
"""

VERSION = "0.2.0"
