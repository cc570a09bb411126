"""Image → Record: files, sidecars, records and the ledger, kept so that they survive.

Invariant: files are durable before their sidecar, the sidecar before the database row; each can
be re-made from the one before. `SqlBooks`, `SqlJournal` and `SqlCabinet` are in files of their
own (`sql_books` …), so that this import stays light.
"""

from heliograph.storage.keep import keep, store, store_lines
from heliograph.storage.key import blob_key, sidecar_key
from heliograph.storage.local_blobs import LocalBlobs
from heliograph.storage.memory_books import MemoryBooks
from heliograph.storage.memory_cabinet import MemoryCabinet
from heliograph.storage.memory_journal import MemoryJournal
from heliograph.storage.object_blobs import ObjectBlobs
from heliograph.storage.opening import Storage, blobs_at, open_storage
from heliograph.storage.plan_document import plan_from_document, plan_to_document
from heliograph.storage.rebuild import Damage, RebuildReport, rebuild
from heliograph.storage.sidecar import record_from_json, record_to_json
from heliograph.storage.verify import Condition, FileCheck, verify

__all__ = [
    "Condition",
    "Damage",
    "FileCheck",
    "LocalBlobs",
    "MemoryBooks",
    "MemoryCabinet",
    "MemoryJournal",
    "ObjectBlobs",
    "RebuildReport",
    "Storage",
    "blob_key",
    "blobs_at",
    "keep",
    "open_storage",
    "plan_from_document",
    "plan_to_document",
    "rebuild",
    "record_from_json",
    "record_to_json",
    "sidecar_key",
    "store",
    "store_lines",
    "verify",
]
