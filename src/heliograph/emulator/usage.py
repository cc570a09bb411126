"""usageMetadata of an answer; invariant: these numbers, and no others, are what the bill reads."""

from typing import Any

from heliograph.emulator.asking import Ask
from heliograph.emulator.scene import Scene, Words


def tally(scene: Scene) -> dict[str, Any]:
    """Count an answer: only images are in the details, text is the excess over them (2.3)."""
    ask = scene.ask
    image_tokens = sum(shot.tokens for shot in scene.shots)
    answer_tokens = image_tokens + sum(
        text_tokens(part.text)
        for part in scene.parts
        if isinstance(part, Words) and not part.thought
    )
    usage = prompt_usage(ask)
    if answer_tokens:
        usage["candidatesTokenCount"] = answer_tokens
    usage["totalTokenCount"] += answer_tokens + scene.thought_tokens
    if image_tokens:
        usage["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": image_tokens}]
    if scene.thought_tokens:
        usage["thoughtsTokenCount"] = scene.thought_tokens
    usage["serviceTier"] = ask.tier
    return usage


def prompt_usage(ask: Ask) -> dict[str, Any]:
    """The input half, which a blocked prompt has too."""
    details = [{"modality": "TEXT", "tokenCount": ask.text_tokens}]
    if ask.picture_tokens:
        details.append({"modality": "IMAGE", "tokenCount": ask.picture_tokens})
    prompt = ask.text_tokens + ask.picture_tokens
    return {
        "promptTokenCount": prompt,
        "totalTokenCount": prompt,
        "promptTokensDetails": details,
    }


def text_tokens(text: str) -> int:
    """Tokens of an answer text, at four characters each."""
    return -(-len(text) // 4)
