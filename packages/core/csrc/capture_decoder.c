#include "capture_decoder.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "reader_memory.h"

/* 4 * 4 times this is the size of the buffer. */
enum { FIRST_CHUNK = DECODER_BUFFER_SIZE / 64 };

/* No record without a text is longer: it has up to two bytes, and three numbers of 64 bits. */
enum { LONGEST_WITHOUT_TEXT = 2 + 3 * 10 };

/* Reading bytes. A failed read leaves the decoder at the end of the data. */

static bool
fill(Decoder *decoder)
{
    decoder->offset += decoder->position;
    decoder->position = 0;
    decoder->length = 0;
    size_t wanted = decoder->chunk;
    if (wanted > decoder->limit - decoder->offset) {
        wanted = (size_t)(decoder->limit - decoder->offset);
    }
    ssize_t n;
    do {
        n = pread(decoder->fd, decoder->buffer, wanted, (off_t)decoder->offset);
    } while (n < 0 && errno == EINTR);
    if (decoder->chunk < DECODER_BUFFER_SIZE) {
        decoder->chunk *= 4;
    }
    if (n <= 0) {
        return false;
    }
    decoder->length = (size_t)n;
    return true;
}

static inline bool
read_byte(Decoder *decoder, unsigned char *byte)
{
    if (decoder->position == decoder->length && !fill(decoder)) {
        return false;
    }
    *byte = decoder->buffer[decoder->position++];
    return true;
}

static bool
read_bytes(Decoder *decoder, void *into, size_t n)
{
    unsigned char *bytes = into;
    while (n--) {
        if (!read_byte(decoder, bytes++)) {
            return false;
        }
    }
    return true;
}

static bool
skip_bytes(Decoder *decoder, uint64_t n)
{
    while (n) {
        if (decoder->position == decoder->length && !fill(decoder)) {
            return false;
        }
        size_t here = decoder->length - decoder->position;
        if (here > n) {
            here = (size_t)n;
        }
        decoder->position += here;
        n -= here;
    }
    return true;
}

/* Skip a string and its terminating zero; set whether it was empty. */
static bool
skip_string(Decoder *decoder, bool *empty)
{
    *empty = true;
    for (;;) {
        unsigned char byte;
        if (!read_byte(decoder, &byte)) {
            return false;
        }
        if (!byte) {
            return true;
        }
        *empty = false;
    }
}

static inline Decoded
read_varint(Decoder *decoder, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;
        if (!read_byte(decoder, &byte)) {
            return END_OF_DATA;
        }
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return DECODED;
        }
    }
    return DAMAGED;
}

static Decoded
skip_varints(Decoder *decoder, int n)
{
    uint64_t ignored;
    Decoded decoded = DECODED;
    while (n-- && decoded == DECODED) {
        decoded = read_varint(decoder, &ignored);
    }
    return decoded;
}

static Decoded
skip_strings(Decoder *decoder, int n)
{
    bool ignored;
    while (n--) {
        if (!skip_string(decoder, &ignored)) {
            return END_OF_DATA;
        }
    }
    return DECODED;
}

static inline uint64_t
unzigzag(uint64_t value)
{
    return (value >> 1) ^ (~(value & 1) + 1);
}

/* Records. */

/* Read a number that is written as the difference from the last one of its kind. */
static inline Decoded
read_delta(Decoder *decoder, uint64_t *last)
{
    uint64_t delta;
    Decoded decoded = read_varint(decoder, &delta);
    if (decoded == DECODED) {
        *last += unzigzag(delta);
    }
    return decoded;
}

static Decoded
read_native_frame(Decoder *decoder, Record *record)
{
    Decoded decoded = read_delta(decoder, &decoder->last_instruction);
    if (decoded == DECODED) {
        decoded = read_delta(decoder, &decoder->last_native);
    }
    record->kind = NATIVE_TRACE_INDEX;
    record->address = decoder->last_instruction;
    record->native = decoder->last_native;
    return decoded;
}

static Decoded
read_memory_record(Decoder *decoder, Record *record)
{
    record->kind = MEMORY_RECORD;
    return skip_varints(decoder, 2);
}

static inline Decoded
read_pointer(Decoder *decoder, unsigned recent, uint64_t *address)
{
    if (recent != NOT_RECENT) {
        /* 0 is the last added pointer. */
        *address = decoder->pointers[(decoder->oldest_pointer + N_RECENT_POINTERS - 1 - recent)
                                     % N_RECENT_POINTERS];
        return DECODED;
    }
    Decoded decoded = read_delta(decoder, &decoder->last_pointer);
    if (decoded != DECODED) {
        return decoded;
    }
    *address = decoder->last_pointer << POINTER_ALIGNMENT_BITS;
    decoder->pointers[decoder->oldest_pointer] = *address;
    decoder->oldest_pointer = (decoder->oldest_pointer + 1) % N_RECENT_POINTERS;
    return DECODED;
}

static inline Decoded
read_allocation(Decoder *decoder, unsigned char token, Record *record)
{
    Decoded decoded = read_pointer(decoder, (token >> 3) & POINTER_BITS, &record->address);
    if (decoded != DECODED) {
        return decoded;
    }
    record->allocator = token & ALLOCATOR_BITS;
    if (!record->allocator && !read_byte(decoder, &record->allocator)) {
        return END_OF_DATA;
    }
    if (!record->allocator || record->allocator > LAST_ALLOCATOR || !decoder->has_tid) {
        return DAMAGED;
    }
    record->size = 0;
    if (!frees(record->allocator)) {
        if (decoder->native_traces) {
            record->native_offset = decoder_offset(decoder);
            decoded = read_delta(decoder, &decoder->last_native);
            record->native = decoder->last_native;
        }
        if (decoded == DECODED) {
            decoded = read_varint(decoder, &record->size);
        }
    }
    record->kind = ALLOCATION;
    record->index = decoder->next_index++;
    return decoded;
}

static inline Decoded
read_frame_push(Decoder *decoder, unsigned char token, Record *record)
{
    uint64_t code;
    uint64_t instruction = 0;
    Decoded decoded = read_varint(decoder, &code);
    if (decoded == DECODED) {
        decoded = read_varint(decoder, &instruction);
    }
    if (decoded != DECODED) {
        return decoded;
    }
    if (code > UINT32_MAX || instruction > UINT32_MAX || !decoder->has_tid) {
        return DAMAGED;
    }
    record->kind = FRAME_PUSH;
    record->is_entry = token & 1;
    record->code = (uint32_t)code;
    record->number = (int32_t)unzigzag(instruction);
    return DECODED;
}

static Decoded
read_object(Decoder *decoder, unsigned char token, Record *record)
{
    Decoded decoded = read_pointer(decoder, (token >> 1) & POINTER_BITS, &record->address);
    record->kind = OBJECT_RECORD;
    record->created = token & 1;
    if (decoded == DECODED && record->created && decoder->native_traces) {
        decoded = read_delta(decoder, &decoder->last_native);
    }
    return decoded;
}

static Decoded
read_code_object(Decoder *decoder, Record *record)
{
    uint64_t code;
    uint64_t delta = 0;
    uint64_t length = 0;
    Decoded decoded = read_varint(decoder, &code);
    if (decoded == DECODED) {
        decoded = skip_strings(decoder, 2);
    }
    if (decoded == DECODED) {
        decoded = read_varint(decoder, &delta);
    }
    if (decoded == DECODED) {
        decoded = read_varint(decoder, &length);
    }
    if (decoded != DECODED) {
        return decoded;
    }
    if (code > UINT32_MAX) {
        return DAMAGED;
    }
    if (!skip_bytes(decoder, length)) {
        return END_OF_DATA;
    }
    decoder->first_line = (int32_t)((uint32_t)decoder->first_line + (uint32_t)unzigzag(delta));
    record->kind = CODE_OBJECT;
    record->code = (uint32_t)code;
    record->number = decoder->first_line;
    return DECODED;
}

static Decoded
read_thread_name(Decoder *decoder, Record *record)
{
    bool empty;
    if (!skip_string(decoder, &empty)) {
        return END_OF_DATA;
    }
    record->kind = THREAD_RECORD;
    record->named = !empty;
    return decoder->has_tid ? DECODED : DAMAGED;
}

static Decoded
skip_segment_header(Decoder *decoder)
{
    Decoded decoded = skip_strings(decoder, 1);
    if (decoded == DECODED) {
        decoded = skip_varints(decoder, 1);
    }
    if (decoded != DECODED) {
        return decoded;
    }
    return skip_bytes(decoder, sizeof(uintptr_t)) ? DECODED : END_OF_DATA;
}

static Decoded
skip_segment(Decoder *decoder)
{
    return skip_bytes(decoder, sizeof(uintptr_t)) ? skip_varints(decoder, 1) : END_OF_DATA;
}

/* Skip a record of the loaded shared libraries, and remember where it is. */
static Decoded
skip_map(Decoder *decoder, unsigned char token)
{
    Decoded decoded = DECODED;
    if (token == MEMORY_MAP_START) {
        decoder->map_begin = decoder_offset(decoder) - 1;
    } else {
        decoded = token == SEGMENT ? skip_segment(decoder) : skip_segment_header(decoder);
    }
    decoder->map_end = decoder_offset(decoder);
    return decoded;
}

static Decoded
read_context_switch(Decoder *decoder)
{
    unsigned long tid;
    if (!read_bytes(decoder, &tid, sizeof(tid))) {
        return END_OF_DATA;
    }
    decoder->tid = tid;
    decoder->has_tid = true;
    return DECODED;
}

static Decoded
read_frame_pop(const Decoder *decoder, unsigned char token, Record *record)
{
    record->kind = FRAME_POP;
    record->n_frames = (token & POPPED_BITS) + 1u;
    return decoder->has_tid ? DECODED : DAMAGED;
}

/* Read a record that is no allocation and no pushed frame. FILLER: Record has no kind for it. */
static Decoded
read_other(Decoder *decoder, unsigned char token, Record *record)
{
    if (token >= OBJECT_RECORD) {
        return read_object(decoder, token, record);
    }
    if (token >= FRAME_POP) {
        return read_frame_pop(decoder, token, record);
    }
    record->kind = FILLER;
    switch (token) {
        case MEMORY_RECORD:
            return read_memory_record(decoder, record);
        case NATIVE_TRACE_INDEX:
            return read_native_frame(decoder, record);
        case MEMORY_MAP_START:
        case SEGMENT_HEADER:
        case SEGMENT:
            return skip_map(decoder, token);
        case THREAD_RECORD:
            return read_thread_name(decoder, record);
        case CONTEXT_SWITCH:
            return read_context_switch(decoder);
        case CODE_OBJECT:
            return read_code_object(decoder, record);
        default:
            return DAMAGED;
    }
}

/* Go back to the beginning of a record that is not complete. */
static Decoded
go_back(Decoder *decoder, const Record *record)
{
    decoder->offset = record->offset;
    decoder->position = 0;
    decoder->length = 0;
    return END_OF_DATA;
}

Decoded
decoder_next(Decoder *decoder, Record *record)
{
    for (;;) {
        unsigned char token;
        /* So only records with a text can pass the limit. These change nothing until they are read. */
        if (decoder->limit - decoder_offset(decoder) < LONGEST_WITHOUT_TEXT) {
            return END_OF_DATA;
        }
        if (!read_byte(decoder, &token)) {
            return END_OF_DATA;
        }
        record->offset = decoder_offset(decoder) - 1;
        record->tid = decoder->tid;
        if (token >= ALLOCATION) {
            return read_allocation(decoder, token, record);
        }
        if (token >= FRAME_PUSH) {
            return read_frame_push(decoder, token, record);
        }
        if (token == FILLER || token == TRAILER) {
            decoder->position--;
            return END_OF_DATA;
        }
        Decoded decoded = read_other(decoder, token, record);
        if (decoded == END_OF_DATA) {
            return go_back(decoder, record);
        }
        if (decoded != DECODED || record->kind != FILLER) {
            return decoded;
        }
    }
}

Decoded
decoder_next_allocation(Decoder *decoder, Record *record)
{
    Decoded decoded;
    do {
        decoded = decoder_next(decoder, record);
    } while (decoded == DECODED && record->kind != ALLOCATION);
    return decoded;
}

void
decoder_resume(Decoder *decoder)
{
    decoder->offset += decoder->position;
    decoder->position = 0;
    decoder->length = 0;
    decoder->chunk = FIRST_CHUNK;
}

Decoder
decoder_fork(const Decoder *decoder, unsigned char *buffer)
{
    Decoder fork = *decoder;
    fork.buffer = buffer;
    decoder_resume(&fork);
    return fork;
}

Decoded
decoder_begin(Decoder *decoder, int fd, unsigned char *buffer)
{
    memset(decoder, 0, sizeof(*decoder));
    decoder->fd = fd;
    decoder->buffer = buffer;
    decoder->limit = NO_LIMIT;
    decoder->chunk = FIRST_CHUNK;
    char magic[MAGIC_LENGTH];
    int version;
    unsigned char native_traces;
    unsigned char format;
    unsigned char object_lifetimes;
    bool empty;
    if (!read_bytes(decoder, magic, sizeof(magic)) || memcmp(magic, "memray", sizeof(magic)) != 0
        || !read_bytes(decoder, &version, sizeof(version)) || version != CAPTURE_VERSION
        || !skip_bytes(decoder, sizeof(int)) /* Python's version */
        || !read_bytes(decoder, &native_traces, 1) || !read_bytes(decoder, &format, 1)
        || format != ALL_ALLOCATIONS || !skip_bytes(decoder, 2 * sizeof(size_t) + 2 * sizeof(long long))
        || !skip_string(decoder, &empty) /* the command line */
        || !skip_bytes(decoder, sizeof(int)) /* the process */)
    {
        return DAMAGED;
    }
    decoder->main_tid_offset = decoder_offset(decoder);
    if (!skip_bytes(decoder, sizeof(unsigned long) + sizeof(size_t) + 2)
        || !read_bytes(decoder, &object_lifetimes, 1)
        || !skip_string(decoder, &empty)) /* the standard library */
    {
        return DAMAGED;
    }
    decoder->native_traces = native_traces;
    decoder->object_lifetimes = object_lifetimes;
    for (int lists = 2; lists;) { /* site-packages and sys.path, each ended by an empty string */
        if (!skip_string(decoder, &empty)) {
            return DAMAGED;
        }
        lists -= empty;
    }
    decoder->header_end = decoder_offset(decoder);
    return DECODED;
}

bool
read_at(int fd, void *bytes, size_t n, uint64_t offset, size_t *n_read)
{
    *n_read = 0;
    while (*n_read < n) {
        ssize_t here = pread(fd, (char *)bytes + *n_read, n - *n_read, (off_t)(offset + *n_read));
        if (here > 0) {
            *n_read += (size_t)here;
        } else if (!(here < 0 && errno == EINTR)) {
            return here == 0;
        }
    }
    return true;
}

Decoded
decoder_read_code(int fd, uint64_t begin, uint64_t end, CodeText *text)
{
    size_t n = (size_t)(end - begin);
    size_t n_read;
    text->bytes = reader_malloc(n);
    if (!text->bytes || !read_at(fd, text->bytes, n, begin, &n_read) || n_read < n) {
        return DAMAGED;
    }
    Decoder decoder = {.fd = -1, .buffer = text->bytes, .length = n, .limit = NO_LIMIT};
    unsigned char token;
    uint64_t n_lines = 0;
    if (!read_byte(&decoder, &token) || token != CODE_OBJECT || skip_varints(&decoder, 1) != DECODED) {
        return DAMAGED;
    }
    text->function = (const char *)text->bytes + decoder.position;
    if (skip_strings(&decoder, 1) != DECODED) {
        return DAMAGED;
    }
    text->filename = (const char *)text->bytes + decoder.position;
    if (skip_strings(&decoder, 1) != DECODED || skip_varints(&decoder, 1) != DECODED
        || read_varint(&decoder, &n_lines) != DECODED || n_lines > decoder.length - decoder.position)
    {
        return DAMAGED;
    }
    text->lines = text->bytes + decoder.position;
    text->n_lines = n_lines;
    return DECODED;
}
