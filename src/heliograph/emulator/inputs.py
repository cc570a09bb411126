"""Pictures that a request brings; invariant: nothing is accepted that the model could not see.

Input kinds: shared facts section 2.2. HEIC and HEIF are recognised by their container only, since
the picture library has no decoder for them.
"""

from heliograph.emulator.envelope import invalid

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
DOCUMENT_TYPES = ("application/pdf",)
VIDEO_TYPES = ("video/mp4", "video/webm", "video/quicktime", "video/mpeg")

_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"hevc")


def check_type(mime: str, *, video: bool) -> None:
    """Raise the 400 for a MIME type the model cannot read."""
    if mime in IMAGE_TYPES or mime in DOCUMENT_TYPES or (video and mime in VIDEO_TYPES):
        return
    raise invalid(f"Unsupported MIME type: {mime}")


def measure(data: bytes, *, decode: bool) -> tuple[int, int] | None:
    """Width and height; None for HEIF, whose pixels stay unread. `decode` finds cut files too."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return None
    if not _known_magic(data):
        raise invalid("Provided image is not valid.")
    import pyvips

    try:
        image = pyvips.Image.new_from_buffer(data, "", access="sequential", fail_on="truncated")
        if decode:
            # Reads every pixel: a thumbnail load lets cut PNG and JPEG files pass, fail_on or not.
            image.avg()
    except pyvips.Error:
        raise invalid(
            "Unable to process input image. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting"
        ) from None
    return int(image.width), int(image.height)


def _known_magic(data: bytes) -> bool:
    return data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (
        data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    )
