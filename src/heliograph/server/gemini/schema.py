"""The messages of Google's API as far as they are served here, in Google's own notation.

Source: gemini-api.md 2.2 to 2.9; what google-genai 3.4.0 sends in its Gemini API mode; the
published google/ai/generativelanguage/v1beta/*.proto for the numbers of enums. Field names stand
in their JSON spelling. An enum value without a number has none that is published, so it is taken
by name alone; `or` names another spelling that clients send, which never goes on.

Invariant: what is passed on to Google is declared to its last field. `Unserved` is an object that
no image model takes: its name is known, so that it is refused for what it is, and its inside is
never read and never sent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_PROTO = """
message GenerateContentRequest {
  string model
  repeated Content contents
  Content systemInstruction
  repeated Tool tools
  ToolConfig toolConfig
  repeated SafetySetting safetySettings
  GenerationConfig generationConfig
  string cachedContent
  ServiceTier serviceTier
  bool store
  bytes continuationToken
  map string labels
}

message CountTokensRequest {
  string model
  repeated Content contents
  GenerateContentRequest generateContentRequest
}

message CreateFileRequest {
  File file
}

message Content {
  repeated Part parts
  string role
}

message Part {
  oneof data {
    string text
    Blob inlineData
    FileData fileData
    Unserved functionCall
    Unserved functionResponse
    Unserved toolCall
    Unserved toolResponse
    Unserved executableCode
    Unserved codeExecutionResult
  }
  bool thought
  bytes thoughtSignature
  VideoMetadata videoMetadata
  Struct partMetadata
  MediaResolution mediaResolution
  MediaProcessing mediaProcessing
  Transcription audioTranscription
  SpeechMetadata speechMetadata
  DocumentMetadata documentMetadata
  SpreadsheetMetadata spreadsheetMetadata
  AudioMetadata audioMetadata
}

message Blob {
  string mimeType
  bytes data
  string displayName
}

message FileData {
  string mimeType
  string fileUri
  string displayName
}

message VideoMetadata {
  Duration startOffset
  Duration endOffset
  double fps
  repeated VideoMetadata.ContentLayer contentLayers
}

enum VideoMetadata.ContentLayer {
  CONTENT_LAYER_UNSPECIFIED = 0
  FRAMES
  AUDIO
  TRANSCRIPT
}

message MediaResolution {
  MediaResolution.Level level
  int32 numTokens
}

enum MediaResolution.Level {
  MEDIA_RESOLUTION_UNSPECIFIED = 0
  MEDIA_RESOLUTION_LOW
  MEDIA_RESOLUTION_MEDIUM
  MEDIA_RESOLUTION_HIGH
  MEDIA_RESOLUTION_ULTRA_HIGH
}

enum MediaProcessing {
  MEDIA_PROCESSING_UNSPECIFIED = 0
  STATIC
  AGENTIC
}

message Transcription {
  string text
  bool finished
  string languageCode
  string speakerLabel
  repeated WordInfo words
  Duration startOffset
  Duration endOffset
}

message WordInfo {
  string word
  Duration startOffset
  Duration endOffset
}

message SpeechMetadata {
  string speaker
  string style
}

message DocumentMetadata {
  int32 startPage
  int32 endPage
  repeated DocumentMetadata.ContentLayer contentLayers
}

enum DocumentMetadata.ContentLayer {
  CONTENT_LAYER_UNSPECIFIED = 0
  PAGE_IMAGE
  PAGE_TEXT
}

message SpreadsheetMetadata {
  string visibleCells
  int32 sheetIndex
  repeated SpreadsheetMetadata.ContentLayer contentLayers
}

enum SpreadsheetMetadata.ContentLayer {
  CONTENT_LAYER_UNSPECIFIED = 0
  DATA
  FORMULAS
  VISUAL
}

message AudioMetadata {
  Duration startOffset
  Duration endOffset
}

message Tool {
  GoogleSearch googleSearch
  repeated Unserved functionDeclarations
  Unserved googleSearchRetrieval
  Unserved codeExecution
  Unserved computerUse
  Unserved fileSearch
  Unserved googleMaps
  Unserved urlContext
  repeated Unserved mcpServers
}

message GoogleSearch {
  SearchTypes searchTypes
  Interval timeRangeFilter
}

message SearchTypes {
  WebSearch webSearch
  ImageSearch imageSearch
}

message WebSearch {
}

message ImageSearch {
}

message Interval {
  Timestamp startTime
  Timestamp endTime
}

message ToolConfig {
  FunctionCallingConfig functionCallingConfig
  RetrievalConfig retrievalConfig
  bool includeServerSideToolInvocations
}

message FunctionCallingConfig {
  FunctionCallingConfig.Mode mode
  repeated string allowedFunctionNames
}

enum FunctionCallingConfig.Mode {
  MODE_UNSPECIFIED = 0
  AUTO = 1
  ANY = 2
  NONE = 3
  VALIDATED = 4
}

message RetrievalConfig {
  LatLng latLng
  string languageCode
}

message LatLng {
  double latitude
  double longitude
}

message SafetySetting {
  HarmCategory category
  SafetySetting.HarmBlockThreshold threshold
}

enum HarmCategory {
  HARM_CATEGORY_UNSPECIFIED = 0
  HARM_CATEGORY_HARASSMENT = 7
  HARM_CATEGORY_HATE_SPEECH = 8
  HARM_CATEGORY_SEXUALLY_EXPLICIT = 9
  HARM_CATEGORY_DANGEROUS_CONTENT = 10
  HARM_CATEGORY_CIVIC_INTEGRITY = 11
  HARM_CATEGORY_JAILBREAK
}

enum SafetySetting.HarmBlockThreshold {
  HARM_BLOCK_THRESHOLD_UNSPECIFIED = 0
  BLOCK_LOW_AND_ABOVE = 1
  BLOCK_MEDIUM_AND_ABOVE = 2
  BLOCK_ONLY_HIGH = 3
  BLOCK_NONE = 4
  OFF = 5
}

enum ServiceTier {
  unspecified or SERVICE_TIER_UNSPECIFIED = 0
  standard or SERVICE_TIER_STANDARD
  flex or SERVICE_TIER_FLEX
  priority or SERVICE_TIER_PRIORITY
}

message GenerationConfig {
  int32 candidateCount
  repeated string stopSequences
  int32 maxOutputTokens
  float temperature
  float topP
  int32 topK
  int32 seed
  float presencePenalty
  float frequencyPenalty
  bool responseLogprobs
  int32 logprobs
  bool enableEnhancedCivicAnswers
  repeated GenerationConfig.Modality responseModalities
  GenerationConfig.MediaResolution mediaResolution
  ThinkingConfig thinkingConfig
  ImageConfig imageConfig
  ResponseFormat responseFormat
  string responseMimeType
  Unserved responseSchema
  Value responseJsonSchema
  Unserved speechConfig
  Unserved audioTranscriptionConfig
}

enum GenerationConfig.Modality {
  MODALITY_UNSPECIFIED = 0
  TEXT = 1
  IMAGE = 2
  AUDIO = 3
}

enum GenerationConfig.MediaResolution {
  MEDIA_RESOLUTION_UNSPECIFIED = 0
  MEDIA_RESOLUTION_LOW = 1
  MEDIA_RESOLUTION_MEDIUM = 2
  MEDIA_RESOLUTION_HIGH = 3
}

message ThinkingConfig {
  bool includeThoughts
  int32 thinkingBudget
  ThinkingConfig.ThinkingLevel thinkingLevel
}

enum ThinkingConfig.ThinkingLevel {
  THINKING_LEVEL_UNSPECIFIED = 0
  MINIMAL
  LOW
  MEDIUM
  HIGH
  XHIGH
}

message ImageConfig {
  string aspectRatio
  string imageSize
}

message ResponseFormat {
  Unserved text
  Unserved audio
  ImageResponseFormat image
}

message ImageResponseFormat {
  string aspectRatio
  string imageSize
  string mimeType
  Delivery delivery
}

enum Delivery {
  DELIVERY_UNSPECIFIED = 0
  INLINE
  URI
}

message File {
  string name
  string displayName
  string mimeType
  int64 sizeBytes
  Timestamp createTime
  Timestamp updateTime
  Timestamp expirationTime
  bytes sha256Hash
  string uri
  string downloadUri
  File.State state
  File.Source source
  Struct videoMetadata
  Struct error
}

enum File.State {
  STATE_UNSPECIFIED = 0
  PROCESSING = 1
  ACTIVE = 2
  FAILED = 10
}

enum File.Source {
  SOURCE_UNSPECIFIED = 0
  UPLOADED = 1
  GENERATED = 2
  REGISTERED
}
"""

# what Google takes as an enum in `responseFormat`, and as a word in `imageConfig`
_WORDS = {1: "ONE", 2: "TWO", 3: "THREE", 4: "FOUR", 5: "FIVE", 8: "EIGHT", 9: "NINE"} | {
    16: "SIXTEEN",
    21: "TWENTY_ONE",
}
_RATIOS = "1:1 1:4 1:8 2:3 3:2 3:4 4:1 4:3 4:5 5:4 8:1 9:16 16:9 21:9"


Form = Literal["single", "repeated", "map"]
_FORMS: Mapping[str | None, Form] = {None: "single", "repeated": "repeated", "map": "map"}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a message."""

    kind: str  # a scalar of proto3, a message, an enum, or `Unserved`
    form: Form = "single"
    oneof: str | None = None  # of the fields with the same word here only one may be set


# fields by JSON name, by message
Messages = Mapping[str, Mapping[str, Field]]
# what counts as a value, names in lower case, by value, by enum; the first is "not specified"
Enums = Mapping[str, Mapping[str, frozenset[str | int]]]
_LINE = re.compile(
    r"(?P<block>message|enum|oneof) (?P<name>[\w.]+) \{"
    r"|(?P<end>\})"
    r"|(?P<value>\w+)(?: or (?P<other>\w+))?(?: = (?P<number>\d+))?"
    r"|(?:(?P<form>repeated|map) )?(?P<kind>[\w.]+) (?P<field>\w+)"
)


def _declared(text: str) -> tuple[Messages, Enums]:
    """The messages and enums of a text like the one above."""
    messages: dict[str, dict[str, Field]] = {}
    enums: dict[str, dict[str, frozenset[str | int]]] = {}
    fields: dict[str, Field] = {}
    values: dict[str, frozenset[str | int]] = {}
    oneof = None
    for line in filter(None, map(str.strip, text.splitlines())):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"no declaration: {line}")
        match found["block"]:
            case "message":
                fields = messages[found["name"]] = {}
            case "enum":
                values = enums[found["name"]] = {}
            case "oneof":
                oneof = found["name"]
        if found["end"]:
            oneof = None  # it ends before its message does
        elif found["value"]:
            names = {found[name].lower() for name in ("value", "other") if found[name]}
            number = {int(found["number"])} if found["number"] else set()
            values[found["value"]] = frozenset(names | number)
        elif found["field"]:
            form = _FORMS[found["form"]]
            fields[found["field"]] = Field(kind=found["kind"], form=form, oneof=oneof)
    return messages, enums


def _ratio_name(ratio: str) -> str:
    across, down = map(int, ratio.split(":"))
    return f"ASPECT_RATIO_{_WORDS[across]}_BY_{_WORDS[down]}"


MESSAGES, ENUMS = _declared(_PROTO)
# the word by the name of the enum value; None is for "not specified"
RATIOS: Mapping[str, str | None] = {"ASPECT_RATIO_UNSPECIFIED": None} | {
    _ratio_name(ratio): ratio for ratio in _RATIOS.split()
}
SIZES: Mapping[str, str | None] = {
    "IMAGE_SIZE_UNSPECIFIED": None,
    "IMAGE_SIZE_FIVE_TWELVE": "512",
    "IMAGE_SIZE_ONE_K": "1K",
    "IMAGE_SIZE_TWO_K": "2K",
    "IMAGE_SIZE_FOUR_K": "4K",
}
