"""The request messages of the Gemini API as tables; a field that is not listed does not exist.

A type is a scalar, `json` (taken as it is), `data` and `signature` (long base64 strings), or the
name of a message or an enum of these tables; a leading `*` means repeated. Source: gemini-api.md
2.1 to 2.9 and the converters of google-genai 3.4.0.
"""

from collections.abc import Mapping

MESSAGES: Mapping[str, Mapping[str, str]] = {
    "GenerateContentRequest": {
        "model": "string",
        "contents": "*Content",
        "systemInstruction": "Content",
        "tools": "*Tool",
        "toolConfig": "json",
        "safetySettings": "*SafetySetting",
        "generationConfig": "GenerationConfig",
        "cachedContent": "string",
        "serviceTier": "ServiceTier",
        "store": "bool",
        "labels": "json",
    },
    "CountTokensRequest": {
        "model": "string",
        "contents": "*Content",
        "generateContentRequest": "GenerateContentRequest",
    },
    "CreateFileRequest": {"file": "File"},
    "File": {
        "name": "string",
        "displayName": "string",
        "mimeType": "string",
        "sizeBytes": "int64",
        "source": "string",
    },
    "Content": {"parts": "*Part", "role": "string"},
    "Part": {
        "text": "string",
        "inlineData": "Blob",
        "fileData": "FileData",
        "functionCall": "json",
        "functionResponse": "json",
        "executableCode": "json",
        "codeExecutionResult": "json",
        "toolCall": "json",
        "toolResponse": "json",
        "thought": "bool",
        "thoughtSignature": "signature",
        "videoMetadata": "json",
        "partMetadata": "json",
        "mediaResolution": "json",
    },
    "Blob": {"mimeType": "string", "data": "data"},
    "FileData": {"mimeType": "string", "fileUri": "string"},
    "Tool": {
        "functionDeclarations": "*json",
        "googleSearchRetrieval": "json",
        "codeExecution": "json",
        "googleSearch": "GoogleSearch",
        "computerUse": "json",
        "urlContext": "json",
        "fileSearch": "json",
        "googleMaps": "json",
        "mcpServers": "*json",
    },
    "GoogleSearch": {"timeRangeFilter": "json", "searchTypes": "SearchTypes"},
    "SearchTypes": {"webSearch": "json", "imageSearch": "json"},
    "SafetySetting": {"category": "HarmCategory", "threshold": "HarmBlockThreshold"},
    "GenerationConfig": {
        "candidateCount": "int32",
        "stopSequences": "*string",
        "maxOutputTokens": "int32",
        "temperature": "float",
        "topP": "float",
        "topK": "int32",
        "seed": "int32",
        "responseMimeType": "string",
        "responseSchema": "json",
        "responseJsonSchema": "json",
        "presencePenalty": "float",
        "frequencyPenalty": "float",
        "responseLogprobs": "bool",
        "logprobs": "int32",
        "enableEnhancedCivicAnswers": "bool",
        "responseModalities": "*GenerationConfig.Modality",
        "speechConfig": "json",
        "thinkingConfig": "ThinkingConfig",
        "imageConfig": "ImageConfig",
        "mediaResolution": "GenerationConfig.MediaResolution",
        "audioTranscriptionConfig": "json",
        "responseFormat": "ResponseFormat",
    },
    "ThinkingConfig": {
        "includeThoughts": "bool",
        "thinkingBudget": "int32",
        "thinkingLevel": "ThinkingConfig.ThinkingLevel",
    },
    "ImageConfig": {"aspectRatio": "string", "imageSize": "string"},
    "ResponseFormat": {"image": "ImageResponseFormat", "text": "json", "audio": "json"},
    "ImageResponseFormat": {
        "aspectRatio": "string",
        "imageSize": "string",
        "mimeType": "string",
        "delivery": "string",
    },
}

ENUMS: Mapping[str, tuple[str, ...]] = {
    "GenerationConfig.Modality": ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO"),
    "GenerationConfig.MediaResolution": (
        "MEDIA_RESOLUTION_UNSPECIFIED",
        "MEDIA_RESOLUTION_LOW",
        "MEDIA_RESOLUTION_MEDIUM",
        "MEDIA_RESOLUTION_HIGH",
    ),
    "ThinkingConfig.ThinkingLevel": (
        "THINKING_LEVEL_UNSPECIFIED",
        "MINIMAL",
        "LOW",
        "MEDIUM",
        "HIGH",
        "XHIGH",
    ),
    "ServiceTier": ("UNSPECIFIED", "STANDARD", "FLEX", "PRIORITY"),
    "HarmCategory": (
        "HARM_CATEGORY_UNSPECIFIED",
        "HARM_CATEGORY_HARASSMENT",
        "HARM_CATEGORY_HATE_SPEECH",
        "HARM_CATEGORY_SEXUALLY_EXPLICIT",
        "HARM_CATEGORY_DANGEROUS_CONTENT",
        "HARM_CATEGORY_CIVIC_INTEGRITY",
        "HARM_CATEGORY_JAILBREAK",
    ),
    "HarmBlockThreshold": (
        "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
        "BLOCK_LOW_AND_ABOVE",
        "BLOCK_MEDIUM_AND_ABOVE",
        "BLOCK_ONLY_HIGH",
        "BLOCK_NONE",
        "OFF",
    ),
}
ENUM_PREFIXES: Mapping[str, str] = {"ServiceTier": "SERVICE_TIER_"}

# the newer form of an image's shape (gemini-api.md 2.2): its names, and the words they stand for
RATIO_PREFIX, SIZE_PREFIX = "ASPECT_RATIO_", "IMAGE_SIZE_"
RATIOS: Mapping[str, str] = {
    f"{RATIO_PREFIX}{across}_BY_{down}": f"{left}:{right}"
    for across, down, left, right in (
        ("ONE", "ONE", 1, 1),
        ("TWO", "THREE", 2, 3),
        ("THREE", "TWO", 3, 2),
        ("THREE", "FOUR", 3, 4),
        ("FOUR", "THREE", 4, 3),
        ("FOUR", "FIVE", 4, 5),
        ("FIVE", "FOUR", 5, 4),
        ("NINE", "SIXTEEN", 9, 16),
        ("SIXTEEN", "NINE", 16, 9),
        ("TWENTY_ONE", "NINE", 21, 9),
        ("ONE", "FOUR", 1, 4),
        ("FOUR", "ONE", 4, 1),
        ("ONE", "EIGHT", 1, 8),
        ("EIGHT", "ONE", 8, 1),
    )
}
SIZES: Mapping[str, str] = {
    f"{SIZE_PREFIX}FIVE_TWELVE": "512",
    f"{SIZE_PREFIX}ONE_K": "1K",
    f"{SIZE_PREFIX}TWO_K": "2K",
    f"{SIZE_PREFIX}FOUR_K": "4K",
}
