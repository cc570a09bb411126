"""Google's Interactions API; invariant: the same models, pictures, prices and ledger as elsewhere.

Only the spelling differs: snake_case, steps in place of candidates, its own error envelope, and a
memory of what was answered. Shapes: SDK 3.4.0 (`google/genai/_gaos/types/interactions`) and shared
facts section 2.10. Texts and codes marked "seen" are quoted in public repositories of 2026.
"""

from heliograph.emulator.interactions.routes import add_routes, is_interaction

__all__ = ["add_routes", "is_interaction"]
