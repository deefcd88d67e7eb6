/* The line of an instruction, from the location table of its code object.
 *
 * The table of CPython 3.11 and later, co_linetable; CPython describes it in its
 * InternalDocs/code_objects.md. An entry begins with a byte: the highest bit is set, four bits are the
 * kind of the entry, and the rest is one less than its number of code units (of two bytes of code).
 * A varint here has six bits in each byte. Pure C; no Python.
 */
#ifndef MEMBUDGET_LINE_TABLE_H
#define MEMBUDGET_LINE_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* Return the line of the instruction at an offset in bytes, like memray: 0 for a negative offset, and
 * for an offset that the table does not have; for an instruction without a line, the line of the
 * previous one. */
int32_t line_of(const unsigned char *table, size_t n, int32_t first_line, int32_t offset);

#endif
