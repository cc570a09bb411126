"""Chaos: faults and crashes injected into real runs, and both ledgers compared afterwards.

A row is one promise that can be tried again by anybody: `heliograph chaos run F18`. The emulator
misbehaves as the row says, the client makes its calls in processes of their own, some of which are
killed, and what our books say is held against the emulator's own ledger.

Invariant: the client that is tried is the one that ships. Nothing here replaces a part of it; only
what surrounds it is made to fail: the upstream, the connection, the process, the disk.
"""
