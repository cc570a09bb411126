"""The steps that make a finished file from an original, one file each.

Every step between `load` and `encode` takes a picture and an `Order` and returns a picture; the
list of them is in `finishing.py`. Invariant: this package runs in the worker process, or in
`DirectImager`; nothing else may import it, because it loads libvips.
"""
