"""The one way in which pictures leave the gateway.

    routes     the paths: who asks, which record, which variant
    variant    what a path can ask for
    shelf      variants and tiles on disk: made once, bounded, made again when gone
    links      signed addresses that need no key
    serve      bytes as an HTTP answer
    naming     the file name of a download

Invariant: nothing is sent but pictures whose own bytes say that they are, and descriptions that
are written here; whoever may not see a record learns nothing of it.
"""

from heliograph.server.pictures.links import signed_url
from heliograph.server.pictures.routes import routes
from heliograph.server.pictures.serve import Shown, serve

__all__ = ["Shown", "routes", "serve", "signed_url"]
