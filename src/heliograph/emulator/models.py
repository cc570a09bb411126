"""Live Gemini image models as the emulator serves them; invariant: rows only, no behaviour by name.

Source: shared facts of 2026-11-22, sections 1.1 to 1.4 and 1.8. Retired ids have no row: to the
API they are unknown, and get the same 404.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

TEN_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
FOURTEEN_RATIOS = (*TEN_RATIOS, "1:4", "4:1", "1:8", "8:1")

# Ratio -> (width, height) at 1K, 2K, 4K. Panoramas are the measured sizes, not the docs' (1.3).
PIXELS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "1:1": {"1K": (1024, 1024), "2K": (2048, 2048), "4K": (4096, 4096)},
    "2:3": {"1K": (848, 1264), "2K": (1696, 2528), "4K": (3392, 5056)},
    "3:2": {"1K": (1264, 848), "2K": (2528, 1696), "4K": (5056, 3392)},
    "3:4": {"1K": (896, 1200), "2K": (1792, 2400), "4K": (3584, 4800)},
    "4:3": {"1K": (1200, 896), "2K": (2400, 1792), "4K": (4800, 3584)},
    "4:5": {"1K": (928, 1152), "2K": (1856, 2304), "4K": (3712, 4608)},
    "5:4": {"1K": (1152, 928), "2K": (2304, 1856), "4K": (4608, 3712)},
    "9:16": {"1K": (768, 1376), "2K": (1536, 2752), "4K": (3072, 5504)},
    "16:9": {"1K": (1376, 768), "2K": (2752, 1536), "4K": (5504, 3072)},
    "21:9": {"1K": (1584, 672), "2K": (3168, 1344), "4K": (6336, 2688)},
    "1:4": {"1K": (512, 2064), "2K": (1024, 4128), "4K": (2048, 8256)},
    "4:1": {"1K": (2064, 512), "2K": (4128, 1024), "4K": (8256, 2048)},
    "1:8": {"1K": (352, 2928), "2K": (704, 5856), "4K": (1408, 11712)},
    "8:1": {"1K": (2928, 352), "2K": (5856, 704), "4K": (11712, 1408)},
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """What one model can do and how it counts."""

    id: str
    display_name: str
    description: str
    image_tokens: Mapping[str, int]
    """Output tokens per image, by size; the keys are the sizes the model accepts."""
    ratios: tuple[str, ...]
    input_image_tokens: int
    input_limit: int
    output_limit: int
    thinking_levels: tuple[str, ...]
    """Levels answered without a 400."""
    web_search: bool
    image_search: bool
    video: bool
    """Whether video is an input kind."""
    seconds: Mapping[str, tuple[float, float]]
    """Typical server time by size, for `--latency realistic`."""
    reference_images: int = 14

    def sheet(self) -> dict[str, object]:
        """The entry of models.list and models.get."""
        return {
            "name": f"models/{self.id}",
            "version": "3.0",
            "displayName": self.display_name,
            "description": self.description,
            "inputTokenLimit": self.input_limit,
            "outputTokenLimit": self.output_limit,
            "supportedGenerationMethods": [
                "generateContent",
                "countTokens",
                "batchGenerateContent",
            ],
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "maxTemperature": 1,
            "thinking": True,
        }


MODELS: Mapping[str, Model] = {
    row.id: row
    for row in (
        Model(
            id="gemini-3-pro-image",
            display_name="Nano Banana Pro",
            description="Gemini 3 Pro Image",
            image_tokens={"1K": 1120, "2K": 1120, "4K": 2000},
            ratios=TEN_RATIOS,
            input_image_tokens=560,
            input_limit=131072,
            output_limit=32768,
            # Accepted without effect on Pro (1.2).
            thinking_levels=("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"),
            web_search=True,
            image_search=False,
            video=False,
            seconds={"1K": (16.8, 29.2), "2K": (22.0, 38.0), "4K": (35.0, 70.0)},
        ),
        Model(
            id="gemini-nano-banana-2.1",
            display_name="Nano Banana 2.1",
            description="Gemini Nano Banana 2.1",
            image_tokens={"1K": 1120, "2K": 1680, "4K": 3780},
            ratios=FOURTEEN_RATIOS,
            input_image_tokens=1120,
            input_limit=131072,
            output_limit=32768,
            thinking_levels=("MINIMAL", "MEDIUM", "HIGH"),
            web_search=True,
            image_search=True,
            video=True,
            seconds={"1K": (8.0, 16.0), "2K": (11.0, 22.0), "4K": (18.0, 40.0)},
        ),
        Model(
            id="gemini-3.1-flash-lite-image",
            display_name="Nano Banana 2 Lite",
            description="Gemini 3.1 Flash-Lite Image",
            image_tokens={"1K": 1120},
            ratios=TEN_RATIOS,
            input_image_tokens=1120,
            input_limit=65536,
            output_limit=4096,
            thinking_levels=("MINIMAL", "HIGH"),
            web_search=False,
            image_search=False,
            video=False,
            seconds={"1K": (4.0, 8.0)},
        ),
    )
}


def nearest_ratio(width: int, height: int, ratios: tuple[str, ...]) -> str:
    """The offered ratio closest to an input picture."""

    def distance(ratio: str) -> float:
        across, down = ratio.split(":")
        return abs(math.log(width / height) - math.log(int(across) / int(down)))

    return min(ratios, key=distance)
