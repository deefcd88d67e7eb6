#include "line_table.h"

/* Kinds of entries; those below ONE_LINE stay on the line. */
enum { ONE_LINE = 10, NO_COLUMNS = 13, LONG = 14, NO_LINE = 15 };

enum { CODE_UNIT = 2 };

typedef struct {
    const unsigned char *next;
    const unsigned char *end;
} Bytes;

static unsigned char
next_byte(Bytes *bytes)
{
    return bytes->next < bytes->end ? *bytes->next++ : 0;
}

static uint32_t
next_varint(Bytes *bytes)
{
    uint32_t value = 0;
    unsigned char byte;
    unsigned shift = 0;
    do {
        byte = next_byte(bytes);
        value |= shift < 32 ? (uint32_t)(byte & 63) << shift : 0;
        shift += 6;
    } while (byte & 64);
    return value;
}

/* Lines as unsigned numbers: a damaged table makes them wrap around. */
static uint32_t
next_line_delta(Bytes *bytes)
{
    uint32_t value = next_varint(bytes);
    return value & 1 ? 0 - (value >> 1) : value >> 1;
}

/* Skip the content of an entry of this kind; return by how much it changes the line. */
static uint32_t
next_entry(Bytes *bytes, int kind)
{
    uint32_t delta = 0;
    switch (kind) {
        case NO_LINE:
            break;
        case LONG:
            delta = next_line_delta(bytes);
            for (int i = 0; i < 3; i++) { /* the last line, and two columns */
                next_varint(bytes);
            }
            break;
        case NO_COLUMNS:
            delta = next_line_delta(bytes);
            break;
        default:
            delta = kind >= ONE_LINE ? (uint32_t)(kind - ONE_LINE) : 0;
            next_byte(bytes);
            if (kind >= ONE_LINE) {
                next_byte(bytes);
            }
    }
    return delta;
}

int32_t
line_of(const unsigned char *table, size_t n, int32_t first_line, int32_t offset)
{
    Bytes bytes = {table, table + n};
    uint32_t line = (uint32_t)first_line;
    int64_t behind = 0; /* the first byte of code after the entry */
    if (offset < 0) {
        return 0;
    }
    while (bytes.next < bytes.end) {
        unsigned char entry = next_byte(&bytes);
        line += next_entry(&bytes, entry >> 3 & 15);
        behind += ((entry & 7) + 1) * CODE_UNIT;
        if (offset < behind) {
            return (int32_t)line;
        }
    }
    return 0;
}
