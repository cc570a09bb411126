"""The request messages of the Gemini API as tables; invariant: a field not listed does not exist.

A field type is a scalar name, `json` (taken as it is), or the name of a message or an enum below;
a leading `*` means repeated. Source: shared facts sections 2.1 to 2.9, SDK 3.4.0 converters and
types; oneofs and enum numbers: the published protos of google.ai.generativelanguage.v1beta
(content, safety, generative_service).
"""

from collections.abc import Mapping

MESSAGES: Mapping[str, Mapping[str, str]] = {
    "GenerateContentRequest": {
        "model": "string",
        "contents": "*Content",
        "system_instruction": "Content",
        "tools": "*Tool",
        "tool_config": "json",
        "safety_settings": "*SafetySetting",
        "generation_config": "GenerationConfig",
        "cached_content": "string",
        "service_tier": "ServiceTier",
        "store": "bool",
        "labels": "json",
        "continuation_token": "bytes",
    },
    "CountTokensRequest": {
        "model": "string",
        "contents": "*Content",
        "generate_content_request": "GenerateContentRequest",
    },
    "CreateFileRequest": {"file": "File"},
    "File": {
        "name": "string",
        "display_name": "string",
        "mime_type": "string",
        "size_bytes": "int64",
        "source": "string",
    },
    "Content": {"parts": "*Part", "role": "string"},
    "Part": {
        "text": "string",
        "inline_data": "Blob",
        "file_data": "FileData",
        "function_call": "json",
        "function_response": "json",
        "executable_code": "json",
        "code_execution_result": "json",
        "tool_call": "json",
        "tool_response": "json",
        "thought": "bool",
        "thought_signature": "bytes",
        "video_metadata": "json",
        "part_metadata": "json",
        "media_resolution": "json",
        "media_processing": "MediaProcessing",
        "audio_transcription": "Transcription",
        "speech_metadata": "SpeechMetadata",
        "document_metadata": "DocumentMetadata",
        "spreadsheet_metadata": "SpreadsheetMetadata",
        "audio_metadata": "AudioMetadata",
    },
    "Blob": {"mime_type": "string", "data": "bytes", "display_name": "string"},
    "FileData": {"mime_type": "string", "file_uri": "string", "display_name": "string"},
    "Transcription": {
        "text": "string",
        "finished": "bool",
        "language_code": "string",
        "speaker_label": "string",
        "words": "*WordInfo",
        "start_offset": "duration",
        "end_offset": "duration",
    },
    "WordInfo": {"word": "string", "start_offset": "duration", "end_offset": "duration"},
    "SpeechMetadata": {"speaker": "string", "style": "string"},
    "DocumentMetadata": {
        "start_page": "int32",
        "end_page": "int32",
        "content_layers": "*DocumentMetadata.ContentLayer",
    },
    "SpreadsheetMetadata": {
        "visible_cells": "string",
        "sheet_index": "int32",
        "content_layers": "*SpreadsheetMetadata.ContentLayer",
    },
    "AudioMetadata": {"start_offset": "duration", "end_offset": "duration"},
    "Tool": {
        "function_declarations": "*json",
        "google_search_retrieval": "json",
        "code_execution": "json",
        "google_search": "GoogleSearch",
        "computer_use": "json",
        "url_context": "json",
        "file_search": "json",
        "google_maps": "json",
        "mcp_servers": "*json",
    },
    "GoogleSearch": {"time_range_filter": "json", "search_types": "SearchTypes"},
    "SearchTypes": {"web_search": "json", "image_search": "json"},
    "SafetySetting": {"category": "HarmCategory", "threshold": "HarmBlockThreshold"},
    "GenerationConfig": {
        "candidate_count": "int32",
        "stop_sequences": "*string",
        "max_output_tokens": "int32",
        "temperature": "float",
        "top_p": "float",
        "top_k": "int32",
        "seed": "int32",
        "response_mime_type": "string",
        "response_schema": "json",
        "response_json_schema": "json",
        "presence_penalty": "float",
        "frequency_penalty": "float",
        "response_logprobs": "bool",
        "logprobs": "int32",
        "enable_enhanced_civic_answers": "bool",
        "response_modalities": "*GenerationConfig.Modality",
        "speech_config": "json",
        "thinking_config": "ThinkingConfig",
        "image_config": "ImageConfig",
        "media_resolution": "GenerationConfig.MediaResolution",
        "audio_transcription_config": "json",
        "response_format": "ResponseFormat",
    },
    "ThinkingConfig": {
        "include_thoughts": "bool",
        "thinking_budget": "int32",
        "thinking_level": "ThinkingConfig.ThinkingLevel",
    },
    "ImageConfig": {"aspect_ratio": "string", "image_size": "string"},
    "ResponseFormat": {"image": "ImageResponseFormat", "text": "json", "audio": "json"},
    "ImageResponseFormat": {
        "aspect_ratio": "ImageResponseFormat.AspectRatio",
        "image_size": "ImageResponseFormat.ImageSize",
        "mime_type": "string",
        "delivery": "string",
    },
}

PART_DATA = frozenset(
    {
        "text",
        "inline_data",
        "file_data",
        "function_call",
        "function_response",
        "executable_code",
        "code_execution_result",
        "tool_call",
        "tool_response",
    }
)

# At most one field of each set may stand in a message.
ONEOFS: Mapping[str, Mapping[str, frozenset[str]]] = {"Part": {"data": PART_DATA}}

ASPECT_RATIOS: Mapping[str, str] = {
    "ASPECT_RATIO_ONE_BY_ONE": "1:1",
    "ASPECT_RATIO_TWO_BY_THREE": "2:3",
    "ASPECT_RATIO_THREE_BY_TWO": "3:2",
    "ASPECT_RATIO_THREE_BY_FOUR": "3:4",
    "ASPECT_RATIO_FOUR_BY_THREE": "4:3",
    "ASPECT_RATIO_FOUR_BY_FIVE": "4:5",
    "ASPECT_RATIO_FIVE_BY_FOUR": "5:4",
    "ASPECT_RATIO_NINE_BY_SIXTEEN": "9:16",
    "ASPECT_RATIO_SIXTEEN_BY_NINE": "16:9",
    "ASPECT_RATIO_TWENTY_ONE_BY_NINE": "21:9",
    "ASPECT_RATIO_ONE_BY_FOUR": "1:4",
    "ASPECT_RATIO_FOUR_BY_ONE": "4:1",
    "ASPECT_RATIO_ONE_BY_EIGHT": "1:8",
    "ASPECT_RATIO_EIGHT_BY_ONE": "8:1",
}

IMAGE_SIZES: Mapping[str, str] = {
    "IMAGE_SIZE_FIVE_TWELVE": "512",
    "IMAGE_SIZE_ONE_K": "1K",
    "IMAGE_SIZE_TWO_K": "2K",
    "IMAGE_SIZE_FOUR_K": "4K",
}


def _unnumbered(*names: str) -> dict[str, int | None]:
    """An enum that no published proto has: proto3 makes the first value 0, no more is known."""
    return {**dict.fromkeys(names), names[0]: 0}


# Names with their numbers; None where the number is not published.
ENUMS: Mapping[str, Mapping[str, int | None]] = {
    "GenerationConfig.Modality": {"MODALITY_UNSPECIFIED": 0, "TEXT": 1, "IMAGE": 2, "AUDIO": 3},
    "GenerationConfig.MediaResolution": {
        "MEDIA_RESOLUTION_UNSPECIFIED": 0,
        "MEDIA_RESOLUTION_LOW": 1,
        "MEDIA_RESOLUTION_MEDIUM": 2,
        "MEDIA_RESOLUTION_HIGH": 3,
    },
    "ThinkingConfig.ThinkingLevel": _unnumbered(
        "THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"
    ),
    "ServiceTier": _unnumbered("UNSPECIFIED", "STANDARD", "FLEX", "PRIORITY"),
    "MediaProcessing": _unnumbered("MEDIA_PROCESSING_UNSPECIFIED", "STATIC", "AGENTIC"),
    "DocumentMetadata.ContentLayer": _unnumbered(
        "CONTENT_LAYER_UNSPECIFIED", "PAGE_IMAGE", "PAGE_TEXT"
    ),
    "SpreadsheetMetadata.ContentLayer": _unnumbered(
        "CONTENT_LAYER_UNSPECIFIED", "DATA", "FORMULAS", "VISUAL"
    ),
    "HarmCategory": {
        "HARM_CATEGORY_UNSPECIFIED": 0,
        "HARM_CATEGORY_DEROGATORY": 1,
        "HARM_CATEGORY_TOXICITY": 2,
        "HARM_CATEGORY_VIOLENCE": 3,
        "HARM_CATEGORY_SEXUAL": 4,
        "HARM_CATEGORY_MEDICAL": 5,
        "HARM_CATEGORY_DANGEROUS": 6,
        "HARM_CATEGORY_HARASSMENT": 7,
        "HARM_CATEGORY_HATE_SPEECH": 8,
        "HARM_CATEGORY_SEXUALLY_EXPLICIT": 9,
        "HARM_CATEGORY_DANGEROUS_CONTENT": 10,
        "HARM_CATEGORY_CIVIC_INTEGRITY": 11,
        "HARM_CATEGORY_JAILBREAK": None,
    },
    "HarmBlockThreshold": {
        "HARM_BLOCK_THRESHOLD_UNSPECIFIED": 0,
        "BLOCK_LOW_AND_ABOVE": 1,
        "BLOCK_MEDIUM_AND_ABOVE": 2,
        "BLOCK_ONLY_HIGH": 3,
        "BLOCK_NONE": 4,
        "OFF": 5,
    },
    "ImageResponseFormat.AspectRatio": _unnumbered("ASPECT_RATIO_UNSPECIFIED", *ASPECT_RATIOS),
    "ImageResponseFormat.ImageSize": _unnumbered("IMAGE_SIZE_UNSPECIFIED", *IMAGE_SIZES),
}

# SDK 3.4.0 spells the tiers bare and in lower case; the proto prefix is accepted too.
ENUM_PREFIXES: Mapping[str, str] = {"ServiceTier": "SERVICE_TIER_"}
