"""What requests and answers of the native face look like, one file a subject.

Invariant: what is asked is checked strictly and has no unknown fields; what is answered has every
field, always.
"""
