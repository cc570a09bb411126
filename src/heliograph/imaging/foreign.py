"""Names for files that are refused: the known picture formats, documents and markup.

Invariant: looks at the first 1,024 bytes only and never parses them.
"""

PROBE = 1024

_SIGNATURES = (
    (0, b"GIF8", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "BigTIFF"),
    (0, b"MM\x00+", "BigTIFF"),
    (0, b"BM", "BMP"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"\x00\x00\x02\x00", "CUR"),
    (0, b"8BPS", "PSD"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"%!PS", "EPS"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"qoif", "QOI"),
    (0, b"\x8aMNG\r\n\x1a\n", "MNG"),
    (8, b"AVI ", "AVI video"),
    (8, b"WAVE", "WAV sound"),
    (0, b"PK\x03\x04", "ZIP archive"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"\x7fELF", "program"),
    (0, b"MZ", "program"),
)
_BRANDS = {  # the word behind `ftyp` in ISO media files
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"heim": "HEIC",
    b"mif1": "HEIC or AVIF",
    b"msf1": "HEIC or AVIF",
}


def name_foreign(start: bytes) -> str | None:
    """What a file that begins with `start` is, or None when that is not known."""
    start = start[:PROBE]
    if not start:
        return "empty file"
    for offset, signature, name in _SIGNATURES:
        if start.startswith(signature, offset):
            return name
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], "video")
    if b"%PDF-" in start:
        return "PDF"
    return _name_text(start)


def _name_text(start: bytes) -> str | None:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<"):
        if b"<svg" in text:
            return "SVG"
        if any(tag in text for tag in (b"<html", b"<!doctype html", b"<script", b"<body")):
            return "HTML page"
        return "XML document"
    if text.startswith((b"{", b"[")):
        return "JSON document"
    printable = all(byte >= 0x20 or byte in b"\t\r\n" for byte in text)
    return "text" if printable and text else None
