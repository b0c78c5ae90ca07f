"""atheris against the photo decoder: `make fuzz`. A finding is kept as a file; put it among the seeds with its repair."""

import struct
import sys
import zlib

import atheris

with atheris.instrument_imports(include=["PIL", "retrieval"]):
    from tests.fuzz.photo_rules import judge_photo

PNG_START = b"\x89PNG\r\n\x1a\n"


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's own changes; a PNG's checksums are put right after most, or hardly one would be decoded."""
    changed: bytes = atheris.Mutate(data, max_size)
    return with_right_checksums(changed) if changed.startswith(PNG_START) and seed % 8 else changed


def with_right_checksums(data: bytes) -> bytes:
    """Chunk by chunk, as far as their lengths lead."""
    whole, place = bytearray(data), len(PNG_START)
    while place + 12 <= len(whole):
        end = place + 8 + struct.unpack_from(">I", whole, place)[0]
        if end + 4 > len(whole):
            break
        struct.pack_into(">I", whole, end, zlib.crc32(whole[place + 4 : end]))
        place = end + 4
    return bytes(whole)


def main() -> None:
    atheris.Setup(sys.argv, judge_photo, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
