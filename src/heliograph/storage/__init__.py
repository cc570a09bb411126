"""Image → Record: files, sidecars, records and the ledger, kept so that they survive.

Invariant: files are durable before their sidecar, the sidecar before the database row; each can
be re-made from the one before. What stands on SQL is in files of its own (`sql_books`,
`sql_journal`, `sql_cabinet`, `sql_accounts`, `sql_jobs`), so that this import stays light.
"""

from heliograph.storage.keep import keep, store, store_lines
from heliograph.storage.key import blob_key, sidecar_key
from heliograph.storage.local_blobs import LocalBlobs
from heliograph.storage.memory_accounts import MemoryAccounts
from heliograph.storage.memory_books import MemoryBooks
from heliograph.storage.memory_cabinet import MemoryCabinet
from heliograph.storage.memory_jobs import MemoryJobs
from heliograph.storage.memory_journal import MemoryJournal
from heliograph.storage.object_blobs import ObjectBlobs
from heliograph.storage.opening import Storage, blobs_at, open_storage
from heliograph.storage.plan_document import (
    plan_from_document,
    plan_to_document,
    request_from_document,
    request_to_document,
)
from heliograph.storage.rebuild import Damage, RebuildReport, rebuild
from heliograph.storage.sidecar import record_from_json, record_to_json
from heliograph.storage.verify import Condition, FileCheck, verify

__all__ = [
    "Condition",
    "Damage",
    "FileCheck",
    "LocalBlobs",
    "MemoryAccounts",
    "MemoryBooks",
    "MemoryCabinet",
    "MemoryJobs",
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
    "request_from_document",
    "request_to_document",
    "sidecar_key",
    "store",
    "store_lines",
    "verify",
]
