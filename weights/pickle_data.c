// SPDX-License-Identifier: Apache-2.0
//
// The opcodes that push plain values and build containers.
#include <stdlib.h>
#include <string.h>

#include "weights/pickle_machine.h"

// ---- plain values

static enum status push_integer(struct pickle_machine *machine, enum pickle_kind kind,
                                int64_t value) {
    return pickle_push_node(machine, (struct pickle_node){.kind = kind, .as.integer = value});
}

enum status pickle_none(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    return push_integer(machine, PICKLE_NONE, 0);
}

enum status pickle_boolean(struct pickle_machine *machine, uint8_t code) {
    return push_integer(machine, PICKLE_BOOL, code == 0x88);
}

enum status pickle_binary_int(struct pickle_machine *machine, uint8_t code) {
    uint64_t value = 0;
    size_t nbytes = code == 'J' ? 4 : code == 'M' ? 2 : 1;
    enum status status = pickle_take_uint(machine, nbytes, &value);
    if (status != STATUS_OK) return status;
    int64_t number = (int64_t)value;
    if (code == 'J' && number > INT32_MAX) number -= INT64_C(1) << 32;
    return push_integer(machine, PICKLE_INT, number);
}

// Of protocol 1: the digits of an int, or 00 and 01 for a bool; of a long, with an L behind them.
enum status pickle_text_int(struct pickle_machine *machine, uint8_t code) {
    struct span line = {0};
    enum status status = pickle_take_line(machine, &line);
    if (status != STATUS_OK) return status;
    if (code == 'I' && (span_equal(line, "00") || span_equal(line, "01"))) {
        return push_integer(machine, PICKLE_BOOL, line.ptr[1] == '1');
    }
    char digits[24];
    if (code == 'L' && span_ends_in(line, "L")) line.len--;
    if (line.len == 0) return pickle_broken(machine, "a number has no digits");
    struct pickle_node node = {.kind = PICKLE_LONG, .as.text = line};
    if (line.len < sizeof digits) {
        char *end;
        memcpy(digits, line.ptr, line.len);
        digits[line.len] = '\0';
        long long value = strtoll(digits, &end, 10);
        if (end != digits + line.len) return pickle_broken(machine, "a number has other digits");
        if (value > INT64_MIN && value < INT64_MAX) {
            node = (struct pickle_node){.kind = PICKLE_INT, .as.integer = value};
        }
    }
    return pickle_push_node(machine, node);
}

// Two's complement, little-endian, of as many bytes as it takes.
enum status pickle_binary_long(struct pickle_machine *machine, uint8_t code) {
    uint64_t nbytes = 0;
    struct span bytes = {0};
    enum status status = pickle_take_uint(machine, code == 0x8a ? 1 : 4, &nbytes);
    if (status == STATUS_OK) status = pickle_take(machine, (size_t)nbytes, &bytes);
    if (status != STATUS_OK) return status;
    if (bytes.len > 8) {
        return pickle_push_node(machine,
                                (struct pickle_node){.kind = PICKLE_LONG, .as.text = bytes});
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        value |= (uint64_t)(unsigned char)bytes.ptr[i] << 8 * i;
    }
    if (bytes.len > 0 && bytes.len < 8 && (bytes.ptr[bytes.len - 1] & 0x80) != 0) {
        value |= UINT64_MAX << 8 * bytes.len;
    }
    int64_t number;
    memcpy(&number, &value, sizeof number);
    return push_integer(machine, PICKLE_INT, number);
}

enum status pickle_binary_float(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    struct span bytes = {0};
    enum status status = pickle_take(machine, 8, &bytes);
    return status == STATUS_OK ? push_integer(machine, PICKLE_FLOAT, 0) : status;
}

// A string or bytes behind its length of 1, 4 or 8 bytes.
enum status pickle_text(struct pickle_machine *machine, uint8_t code) {
    size_t size = 4;
    if (code == 'U' || code == 'C' || code == 0x8c) size = 1;
    if (code == 0x8d || code == 0x8e) size = 8;
    uint64_t nbytes = 0;
    struct pickle_node node = {.kind = PICKLE_TEXT};
    enum status status = pickle_take_uint(machine, size, &nbytes);
    if (status == STATUS_OK) status = pickle_take(machine, (size_t)nbytes, &node.as.text);
    return status == STATUS_OK ? pickle_push_node(machine, node) : status;
}

// ---- containers

enum status pickle_empty(struct pickle_machine *machine, uint8_t code) {
    enum pickle_kind kind = code == '}' ? PICKLE_DICT : code == ']' ? PICKLE_LIST : PICKLE_TUPLE;
    return pickle_push_node(machine, (struct pickle_node){.kind = kind});
}

// Adds items that were popped: they are still in the stack's memory, from `first` on.
static enum status add_items(struct pickle_machine *machine, pickle_ref container, size_t first,
                             size_t n) {
    if (pickle_at(machine->out, container)->kind == PICKLE_DICT && n % 2 != 0) {
        return pickle_broken(machine, "a key has no value");
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        status = pickle_append(machine, container, machine->stack[first + i]);
    }
    return status;
}

// A tuple, list or dict of what stands above the mark, or of the last one, two or three.
enum status pickle_collect(struct pickle_machine *machine, uint8_t code) {
    size_t first = 0, n = 0;
    enum status status = STATUS_OK;
    if (code >= 0x85) {
        pickle_ref item = 0;
        n = (size_t)code - 0x84;
        for (size_t i = 0; status == STATUS_OK && i < n; i++) status = pickle_pop(machine, &item);
        first = machine->n_stack;
    } else {
        status = pickle_pop_mark(machine, &first, &n);
    }
    pickle_ref container = 0;
    enum pickle_kind kind = code == 'd' ? PICKLE_DICT : code == 'l' ? PICKLE_LIST : PICKLE_TUPLE;
    if (status == STATUS_OK) {
        status = pickle_new(machine, (struct pickle_node){.kind = kind}, &container);
    }
    if (status == STATUS_OK) status = add_items(machine, container, first, n);
    return status == STATUS_OK ? pickle_push(machine, container) : status;
}

// APPEND, APPENDS to a list; SETITEM, SETITEMS to a dict.
enum status pickle_extend(struct pickle_machine *machine, uint8_t code) {
    size_t first = 0, n = code == 'a' ? 1 : 2;
    enum status status = STATUS_OK;
    if (code == 'e' || code == 'u') {
        status = pickle_pop_mark(machine, &first, &n);
    } else {
        pickle_ref item = 0;
        for (size_t i = 0; status == STATUS_OK && i < n; i++) status = pickle_pop(machine, &item);
        first = machine->n_stack;
    }
    pickle_ref container = 0;
    if (status == STATUS_OK) status = pickle_top(machine, &container);
    if (status != STATUS_OK) return status;
    enum pickle_kind want = code == 'a' || code == 'e' ? PICKLE_LIST : PICKLE_DICT;
    if (pickle_at(machine->out, container)->kind != want) {
        return pickle_broken(machine, want == PICKLE_LIST ? "items are added to what is no list"
                                                          : "items are set of what is no dict");
    }
    return add_items(machine, container, first, n);
}
