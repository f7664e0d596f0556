"""A machine's screen: QEMU's picture of it, read back as rows of text with their colours.

The picture is VGA's text mode or a framebuffer, cells of one size each with two colours. Their shapes are compared with
the font that draws them: in text mode that of the machine's video BIOS, on a framebuffer that in the kernel.
"""

import functools
import re
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import images
import speed
from console import Unmet
from machine import VirtualMachine

# A standard display, as the firmware of nearly every machine shows one.
DISPLAY = ["-device", "VGA"]
VIDEO_BIOS = Path("/usr/share/seabios/vgabios-stdvga.bin")
HEIGHT = 16  # lines of a cell
LETTER_A = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")
COLUMNS = 80

GREY, RED, YELLOW, WHITE = (170, 170, 170), (255, 85, 85), (255, 255, 85), (255, 255, 255)
POLL = 0.3  # seconds
# What is typed otherwise than by the key of its own name.
KEYS = {" ": ["spc"], "\n": ["ret"], "/": ["slash"], ".": ["dot"], "-": ["minus"], "|": ["shift", "backslash"]}


@dataclass
class Row:
    text: str
    colours: "list[tuple]"  # of each cell; `None` where it is blank

    @property
    def colour(self) -> "tuple | None":
        """The one colour of all its letters; `None` where there are several, or none."""
        found = {colour for colour in self.colours if colour}
        return found.pop() if len(found) == 1 else None


@functools.cache
def font(file: Path) -> "dict[bytes, str]":
    """The characters of code page 437 by their shapes, as a video BIOS or an unpacked kernel has them."""
    rom = file.read_bytes()
    start = rom.find(LETTER_A) - ord("A") * HEIGHT
    if start < 0:
        raise Unmet(f"a font of {HEIGHT} lines in {file}", "none")
    shapes = {}
    # The plain letters go before others of the same shape.
    for code in [*range(0x20, 0x7f), *range(0x20), *range(0x7f, 0x100)]:
        shape = rom[start + code * HEIGHT:start + (code + 1) * HEIGHT]
        shapes.setdefault(shape, bytes([code]).decode("cp437") if code >= 0x20 else "\ufffd")
    return shapes


def rows(picture: bytes, is_framebuffer: bool = False) -> "list[Row]":
    """The rows of a picture in the form of PPM."""
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", picture)
    width, height = int(head[1]), int(head[2])
    cell = 8 if is_framebuffer else width // COLUMNS
    if not is_framebuffer and (cell not in (8, 9) or width % COLUMNS or height % HEIGHT):
        raise Unmet(f"a screen in text mode, {COLUMNS} columns wide", f"{width} by {height} dots")
    data, shapes = picture[head.end():], font(images.unpacked_kernel() if is_framebuffer else VIDEO_BIOS)
    found = []
    for top in range(0, height - height % HEIGHT, HEIGHT):
        text, colours = "", []
        for left in range(0, width - width % cell, cell):
            lines = [data[((top + line) * width + left) * 3:((top + line) * width + left + 8) * 3]
                     for line in range(HEIGHT)]
            character, colour = _cell(lines, shapes)
            text += character
            colours.append(colour)
        found.append(Row(text.rstrip(), colours))
    while found and not found[-1].text:
        found.pop()
    return found


def _cell(lines: "list[bytes]", shapes: "dict[bytes, str]") -> "tuple[str, tuple | None]":
    blank = b"\0" * 24
    if all(line == blank for line in lines):
        return " ", None
    shape, colour = bytearray(), None
    for line in lines:
        bits = 0
        for dot in range(8):
            value = line[dot * 3:dot * 3 + 3]
            if value != b"\0\0\0":
                bits |= 0x80 >> dot
                # The display's converter has six bits.
                colour = tuple(round(part / 85) * 85 for part in value)
        shape.append(bits)
    shape = bytes(shape)
    if shape in shapes:
        return shapes[shape], colour
    # The cursor lies over the last lines.
    without = next((character for known, character in shapes.items() if known[:13] == shape[:13] and not any(known[13:])),
                   None)
    return without or "\ufffd", colour if without and without != " " else None


class Screen:
    """The screen of one machine, which has a DISPLAY; a framebuffer where UEFI firmware has set that up."""

    def __init__(self, machine: VirtualMachine, is_framebuffer: bool = False) -> None:
        self.machine, self.is_framebuffer = machine, is_framebuffer
        self.rows: "list[Row]" = []

    def look(self) -> "list[Row]":
        """What it shows now."""
        file = self.machine.folder / "screen.ppm"
        self.machine.control("screendump", filename=str(file))
        self.picture = file.read_bytes()
        try:
            self.rows = rows(self.picture, self.is_framebuffer)
        except Unmet:
            # The firmware and the kernel's start switch modes.
            self.rows = []
        return self.rows

    @property
    def text(self) -> str:
        return "\n".join(row.text for row in self.rows)

    def expect(self, pattern: str, timeout: float) -> "list[Row]":
        """Waits until it shows that pattern; all that it shows then."""
        deadline = speed.Deadline(timeout)
        while True:
            self.look()
            if re.search(pattern, self.text, re.MULTILINE):
                return self.rows
            if not deadline.rest():
                raise Unmet(f"the screen to show {pattern!r}", f"{self.text}\nand not within {speed.told(timeout)}")
            time.sleep(POLL)

    def type(self, text: str) -> None:
        """Types on the machine's keyboard."""
        for character in text:
            keys = KEYS.get(character, [character])
            self.machine.control("send-key", keys=[{"type": "qcode", "data": key} for key in keys])
            time.sleep(0.1)

    def save(self, file: Path) -> None:
        """Leaves the picture that was looked at last, for people, as PNG."""
        head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", self.picture)
        width, height = int(head[1]), int(head[2])
        data = self.picture[head.end():]
        lines = b"".join(b"\0" + data[row * width * 3:(row + 1) * width * 3] for row in range(height))

        def chunk(kind: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                         + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))
