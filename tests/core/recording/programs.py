"""Random programs whose memory is known: a simple and slow model of the heap.

A program is a list of operations of a few threads; running it gives the records that memray would
write and, for every block, the figures by the book: every counted byte is in a dictionary, and the
peak is the largest size that it ever had.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from membudget.recording.marks import FREE, MMAP, MUNMAP, Alphabet, Kind

MALLOC, REALLOC = 6, 7
PAGE = 16  # small, so that random ranges meet
ALPHABET = Alphabet((9001, 9500, 8777))
OVERHEAD = 33


@dataclass(frozen=True, slots=True)
class FakeRecord:
    tid: int
    address: int
    size: int
    allocator: int
    stack_id: int = 0


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """An object is made or destroyed, before the record ``before``."""

    before: int
    tid: int
    address: int
    is_created: bool


@dataclass
class Block:
    """A block of the model."""

    tid: int
    thread_only: bool
    heap: dict[int, int] = field(default_factory=dict)
    pages: set[int] = field(default_factory=set)
    peak: int = 0
    total: int = 0
    count: int = 0
    sizes: list[int] = field(default_factory=list)
    peak_heap: dict[int, int] = field(default_factory=dict)
    objects: set[int] = field(default_factory=set)
    open: bool = True
    interrupted: bool = False
    n_suspended: int = 0

    @property
    def alive(self) -> int:
        return sum(self.heap.values()) + PAGE * len(self.pages)

    def counts(self, tid: int) -> bool:
        return not self.n_suspended and (tid == self.tid or not self.thread_only)

    def gain(self, size: int) -> None:
        self.total += size
        self.count += 1
        self.sizes.append(size)
        if self.alive >= self.peak:
            self.peak = self.alive
            self.peak_heap = dict(self.heap)


Operation = tuple[str, int, int, int]

operations = st.lists(
    st.tuples(
        st.sampled_from(
            ["malloc"] * 4
            + ["free"] * 3
            + ["realloc_large", "realloc", "race", "race", "mmap", "munmap", "lookalike"]
            + ["open", "open_thread_only", "close", "work", "suspend", "go_on"]
            + ["break_off"]
            + ["make", "unmake"]
        ),
        st.integers(1, 3),
        st.integers(0, 40),
        st.integers(0, 8),
    ),
    max_size=60,
)


class Machine:
    """Runs a program: makes its records, and computes the figures of its blocks."""

    def __init__(self) -> None:
        self.records: list[FakeRecord] = []
        self.events: list[ObjectEvent] = []
        self.living: list[int] = []
        self.blocks: list[Block] = []
        self.at_work: set[int] = set()
        self.heap: dict[int, int] = {}
        self.known: set[int] = set()  # what was allocated since a block runs without a break
        self.next_address = 1 << 20

    def run(self, program: list[Operation]) -> None:
        for name, tid, a, b in program:
            getattr(self, name)(tid, a, b)
        for serial, block in enumerate(self.blocks):
            if block.open:
                self._close(serial, block.tid)

    def _counting(self, tid: int) -> list[Block]:
        if tid in self.at_work:
            return []
        return [block for block in self.blocks if block.open and block.counts(tid)]

    def _record(self, tid: int, address: int, size: int, allocator: int) -> None:
        self.records.append(FakeRecord(tid, address, size, allocator))

    def malloc(
        self, tid: int, size: int, _: int, allocator: int = MALLOC, at: int | None = None
    ) -> None:
        address, self.next_address = self.next_address, self.next_address + 64
        if at is not None:
            address = at
        self.heap[address] = size
        if any(block.open for block in self.blocks):
            self.known.add(address)
        else:
            self.known.clear()
        self._record(tid, address, size, allocator)
        for block in self._counting(tid):
            block.heap[address] = size
            block.gain(size)

    def realloc_large(self, tid: int, which: int, less: int) -> None:
        """Reallocate to about 4 GiB: larger sizes are in another place of the scanner."""
        address = list(self.heap)[which % len(self.heap)] if self.heap else None
        self.free(tid, which, 0)
        self.malloc(tid, (1 << 32) - 3 + less, 0, REALLOC, at=address)

    def free(self, tid: int, which: int, _: int) -> None:
        if not self.heap:
            # Memory from before the recording.
            self._record(tid, 64 * which, 0, FREE)
            return
        address = list(self.heap)[which % len(self.heap)]
        self._record(tid, address, 0, FREE)
        self._let_go(address)

    def _let_go(self, address: int) -> None:
        del self.heap[address]
        for block in self.blocks:
            if block.open:
                block.heap.pop(address, None)

    def realloc(self, tid: int, which: int, size: int) -> None:
        self.free(tid, which, 0)
        self.malloc(tid, 5 * size, 0, REALLOC)

    def race(self, tid: int, which: int, n_faster: int) -> None:
        """Reallocate, while other threads get the old address before the free is in the stream.

        Each but the last of these frees it again, or reallocates it, and is late itself.
        """
        known = [address for address in self.heap if address in self.known]
        if not known:
            return
        address = known[which % len(known)]
        late = [tid]
        for n in range(1 + n_faster % 3):
            if address in self.heap:
                self._let_go(address)
            self.malloc(10 + n, which, 0, at=address)
            if n_faster > 5:
                late.append(10 + n)
            elif n < n_faster % 3:
                self.free(10 + n, list(self.heap).index(address), 0)
        for thread in late[:-1] if n_faster > 5 else late:
            self._record(thread, address, 0, FREE)
            self.malloc(thread, 5 * n_faster, 0, REALLOC)

    def mmap(self, tid: int, page: int, n_pages: int) -> None:
        self._record(tid, PAGE * page, PAGE * n_pages, MMAP)
        mapped = set(range(page, page + n_pages))
        counting = self._counting(tid)
        for block in self.blocks:
            if block.open:
                block.pages -= mapped
        for block in counting:
            block.pages |= mapped
            block.gain(PAGE * n_pages)

    def munmap(self, tid: int, page: int, n_pages: int) -> None:
        self._record(tid, PAGE * page, PAGE * n_pages, MUNMAP)
        for block in self.blocks:
            if block.open:
                block.pages -= set(range(page, page + n_pages))

    def lookalike(self, tid: int, n: int, _: int) -> None:
        """Allocate what begins like a mark and goes on differently."""
        for length in [*ALPHABET.signature, 9999, 8192][: n % 6]:
            self.malloc(tid, length + OVERHEAD, 0)
            self.free(tid, len(self.heap) - 1, 0)

    def open(self, tid: int, interruption: int, _: int, thread_only: bool = False) -> None:
        if any(block.open for block in self.blocks):
            self._turn_to_work(tid)
            self._mark(tid, Kind.PAUSE, 0, interruption)
            self.malloc(tid, 7, 0)
        self._mark(tid, Kind.START, len(self.blocks), interruption)
        self.at_work.discard(tid)
        self.blocks.append(Block(tid, thread_only))

    def open_thread_only(self, tid: int, interruption: int, _: int) -> None:
        self.open(tid, interruption, 0, thread_only=True)

    def close(self, tid: int, which: int, interruption: int) -> None:
        serials = [serial for serial, block in enumerate(self.blocks) if block.open]
        if serials:
            self._close(serials[which % len(serials)], tid, interruption)

    def _close(self, serial: int, tid: int, interruption: int = 0) -> None:
        self._turn_to_work(tid)
        self.blocks[serial].open = False
        self._mark(tid, Kind.END, serial, interruption)
        self.malloc(tid, 9, 0)
        self._mark(tid, Kind.RESUME, 0, interruption)
        self.at_work.discard(tid)

    def make(self, tid: int, _: int, __: int) -> None:
        """Make an object; at an address that was an object's before, perhaps."""
        address = 64 * (len(self.events) % 7 + 1)
        if address in self.living:
            return
        self.living.append(address)
        self.events.append(ObjectEvent(len(self.records), tid, address, True))
        for block in self._counting(tid):
            block.objects.add(address)

    def unmake(self, tid: int, which: int, _: int) -> None:
        """Destroy an object; or one that was made before the recording."""
        address = self.living.pop(which % len(self.living)) if self.living else 64 * 99
        self.events.append(ObjectEvent(len(self.records), tid, address, False))
        for block in self.blocks:
            if block.open:
                block.objects.discard(address)

    def suspend(self, tid: int, which: int, interruption: int) -> None:
        """Let a block count nothing, once more."""
        serials = [serial for serial, block in enumerate(self.blocks) if block.open]
        if serials:
            serial = serials[which % len(serials)]
            self.blocks[serial].n_suspended += 1
            self._mark(tid, Kind.SUSPEND, serial, interruption)

    def go_on(self, tid: int, which: int, interruption: int) -> None:
        """Let a block count again, once less."""
        serials = [n for n, block in enumerate(self.blocks) if block.open and block.n_suspended]
        if serials:
            serial = serials[which % len(serials)]
            self._mark(tid, Kind.CONTINUE, serial, interruption)
            self.blocks[serial].n_suspended -= 1

    def work(self, tid: int, size: int, _: int) -> None:
        """Pause a thread, allocate, and resume it."""
        self._turn_to_work(tid)
        self._mark(tid, Kind.PAUSE, 0, 0)
        self.malloc(tid, size, 0)
        self._mark(tid, Kind.RESUME, 0, 0)
        self.at_work.discard(tid)

    def break_off(self, tid: int, size: int, is_over: int) -> None:
        """Pause a thread, and never say that it is back; now and then, though, it does."""
        self._turn_to_work(tid)
        self._mark(tid, Kind.PAUSE, 0, 0)
        self.malloc(tid, size, 0)
        if is_over % 3 == 0:
            self._mark(tid, Kind.RESUME, 0, 0)
            self.at_work.discard(tid)

    def _turn_to_work(self, tid: int) -> None:
        """Let a thread be at work; if it is already, something has interrupted it."""
        if tid in self.at_work:
            for block in self.blocks:
                block.interrupted |= block.open
        self.at_work.add(tid)

    def _mark(self, tid: int, kind: Kind, serial: int, interruption: int) -> None:
        """Write a mark; another thread may come between."""
        for position, length in enumerate(ALPHABET.spell(kind, serial)):
            self._record(tid, 32, length + OVERHEAD, MALLOC)
            if position == interruption:
                self.malloc(4, 1000, 0)
            self._record(tid, 32, 0, FREE)
