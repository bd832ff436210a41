"""Puts eBPF programs together, instruction by instruction."""

from __future__ import annotations

import struct

# Codes of instructions (the kernel's instruction-set.rst, linux/bpf_common.h).
LOAD_WORD, LOAD_HALF, LOAD_BYTE = 0x61, 0x69, 0x71
COPY, SET = 0xBF, 0xB7
ADD, AND, SHIFT_RIGHT = 0x07, 0x57, 0x77
JUMP, IF_DIFFERENT = 0x05, 0x55
IF_EQUAL_32, IF_DIFFERENT_32 = 0x16, 0x56  # these compare 32 bits
CALL, EXIT = 0x85, 0x95
# Registers: what a program answers, what it is given, and where its memory ends.
ANSWER, CONTEXT, FRAME_POINTER = 0, 1, 10


class Assembler:
    """Collects the instructions of one program, whose jumps lead forward, to labels."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int, int, str]] = []
        self._labels: dict[str, int] = {}

    def add(
        self,
        code: int,
        target: int = 0,
        source: int = 0,
        *,
        offset: int = 0,
        value: int = 0,
    ) -> None:
        """
        Add an instruction.

        @param code: one of the codes above.
        @param target: the register that it changes.
        @param source: the register that it reads.
        @param offset: where to read, from the address in C{source}.
        @param value: a constant.
        """
        self._code.append((code, target, source, offset, value, ""))

    def jump(self, code: int, register: int, value: int, label: str) -> None:
        """Add a jump to a label that comes later."""
        self._code.append((code, register, 0, 0, value, label))

    def label(self, name: str) -> None:
        """Give the next instruction a name."""
        self._labels[name] = len(self._code)

    def answer(self, value: int) -> None:
        """End the program here, with an answer."""
        self.add(SET, ANSWER, value=value)
        self.add(EXIT)

    def assemble(self) -> bytes:
        """Return the program, with each jump by its distance from the next instruction."""
        return b"".join(
            struct.pack(
                "<BBhi",
                code,
                source << 4 | target,
                self._labels[to] - here - 1 if to else offset,
                value,
            )
            for here, (code, target, source, offset, value, to) in enumerate(self._code)
        )
