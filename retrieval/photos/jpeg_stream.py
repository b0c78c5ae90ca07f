"""A JPEG without its metadata, its compressed pixels untouched.

Encoding a photo anew costs a generation of quality and, at a quality that hides it, a third more bytes. Where a file is
as plain as we would write it ourselves, dropping what is not picture does as well.
"""

import re

_START, _END = b"\xff\xd8", b"\xff\xd9"
# JFIF 1.1, no density, no preview: says that the three components are YCbCr.
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_BASELINE, _SCAN, _ADOBE = 0xC0, 0xDA, 0xEE
_TABLES = (0xDB, 0xC4, 0xDD)  # quantisation, Huffman, restart interval
_METADATA = (*range(0xE0, 0xF0), 0xFE)
_COLOUR_IDS = b"\x01\x02\x03"
# Within a scan FF is followed by 00, by a restart mark, or by more FF.
_MARK_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# TEM, restart marks and a second start have no length.
_SEGMENT_OR_END = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")

SCAN_MARK = bytes([0xFF, _SCAN])


def bare_jpeg(data: bytes) -> bytes | None:
    """The same pixels without application segments, comments, or anything after the end.

    None where the file is no plain JPEG: not baseline with 8 bits and one interleaved scan, or neither grey nor YCbCr
    by the usual numbers, or cut short. Metadata that changes how pixels are shown (orientation) is the caller's affair.
    """
    if not data.startswith(_START):
        return None
    kept, place, components = [_START, _JFIF], 2, 0
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return None
        mark = data[place + 1]
        if mark == 0xFF:  # padding
            place += 1
            continue
        stop = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        segment, body = data[place:stop], data[place + 4 : stop]
        if stop > len(data):
            return None
        if mark == _SCAN:
            return _with_scan(kept, segment, data, stop) if components and body[:1] == bytes([components]) else None
        if mark == _BASELINE:
            components = 0 if components else _component_count(body)
            if not components:
                return None
        elif mark == _ADOBE and _is_other_colour(body):
            return None
        if mark in _TABLES or mark == _BASELINE:
            kept.append(segment)
        elif mark not in _METADATA:
            return None
        place = stop
    return None


def has_more_scans(data: bytes, limit: int) -> bool:
    """Whether a JPEG has more scans than `limit`, as libjpeg walks it: up to its end. Behind that phones put films, in
    which anything may stand."""
    place, scans = len(_START), 0
    while scans <= limit and (found := _SEGMENT_OR_END.search(data, place)):
        mark, place = data[found.end() - 1], found.end()
        if mark == _END[1]:
            return False
        scans += mark == _SCAN
        place += max(2, int.from_bytes(data[place : place + 2], "big"))
    return scans > limit


def _component_count(frame: bytes) -> int:
    """1 for grey, 3 for YCbCr, 0 for what is not plain."""
    if len(frame) < 6 or frame[0] != 8 or len(frame) != 6 + 3 * frame[5]:
        return 0
    if frame[5] == 1:
        return 1
    return 3 if frame[5] == 3 and frame[6::3] == _COLOUR_IDS else 0


def _is_other_colour(body: bytes) -> bool:
    """Whether Adobe's segment says that the components are not YCbCr (its transform 1)."""
    return body.startswith(b"Adobe") and (len(body) < 12 or body[11] != 1)


def _with_scan(kept: list[bytes], header: bytes, data: bytes, start: int) -> bytes | None:
    found = _MARK_IN_SCAN.search(data, start)
    if found is None or found.group() != _END:
        return None
    return b"".join([*kept, header, data[start : found.end()]])
