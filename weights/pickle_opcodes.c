// SPDX-License-Identifier: Apache-2.0
//
// Imports, calls and the machine's own opcodes, and the table of all of them.
#include <stdio.h>

#include "weights/pickle_machine.h"
#include "weights/quote.h"

// ---- imports and calls

static enum status import(struct pickle_machine *machine, struct span module, struct span name) {
    struct pickle_node node = {.kind = PICKLE_GLOBAL};
    node.as.global.import = machine->find(module, name, &node.as.global.number);
    if (node.as.global.import != PICKLE_REFUSED) return pickle_push_node(machine, node);
    char both[256];
    snprintf(both, sizeof both, "%.*s.%.*s", module.len < 128 ? (int)module.len : 127, module.ptr,
             name.len < 128 ? (int)name.len : 127, name.ptr);
    return error_set(machine->error, STATUS_MODEL,
                     "%s: loaded by Python, it would import and could run %s, which no tensor "
                     "needs: refused, and nothing of it was run. Where its origin is trusted, load "
                     "it in Python and save its state_dict alone, best as safetensors",
                     machine->path, quote(span_text(both)).text);
}

static enum status global(struct pickle_machine *machine, uint8_t code) {
    struct span module = {0}, name = {0};
    if (code == 'c') {
        enum status status = pickle_take_line(machine, &module);
        if (status == STATUS_OK) status = pickle_take_line(machine, &name);
        return status == STATUS_OK ? import(machine, module, name) : status;
    }
    pickle_ref first = 0, second = 0;
    enum status status = pickle_pop(machine, &second);
    if (status == STATUS_OK) status = pickle_pop(machine, &first);
    if (status != STATUS_OK) return status;
    const struct pickle_node *nodes = machine->out->nodes;
    if (nodes[first].kind != PICKLE_TEXT || nodes[second].kind != PICKLE_TEXT) {
        return pickle_broken(machine, "what is imported is no name");
    }
    return import(machine, nodes[first].as.text, nodes[second].as.text);
}

// dict(pairs): a list or tuple of lists or tuples of two, as Python 2 writes an OrderedDict.
static enum status mapping(struct pickle_machine *machine, pickle_ref args) {
    struct pickle *out = machine->out;
    pickle_ref dict = 0, pairs = args, pair[2];
    enum status status = pickle_new(machine, (struct pickle_node){.kind = PICKLE_DICT}, &dict);
    if (status != STATUS_OK) return status;
    uint32_t n_args = pickle_at(out, args)->n_items;
    if (n_args > 0) pickle_items(out, args, &pairs, 1);
    if (n_args > 1 || (n_args == 1 && pickle_at(out, pairs)->kind != PICKLE_LIST)) {
        return pickle_broken(machine, "a dict is made of what is no list of pairs");
    }
    for (struct pickle_walk walk = pickle_walk(out, pairs); pickle_next(&walk);) {
        const struct pickle_node *node = pickle_at(out, walk.item);
        if (node->n_items != 2 || (node->kind != PICKLE_LIST && node->kind != PICKLE_TUPLE)) {
            return pickle_broken(machine, "a dict is made of what is no list of pairs");
        }
        pickle_items(out, walk.item, pair, 2);
        status = pickle_append(machine, dict, pair[0]);
        if (status == STATUS_OK) status = pickle_append(machine, dict, pair[1]);
        if (status != STATUS_OK) return status;
    }
    return pickle_push(machine, dict);
}

static enum status call(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    pickle_ref callee = 0, args = 0;
    enum status status = pickle_pop(machine, &args);
    if (status == STATUS_OK) status = pickle_pop(machine, &callee);
    if (status != STATUS_OK) return status;
    const struct pickle_node *nodes = machine->out->nodes;
    if (nodes[callee].kind != PICKLE_GLOBAL || nodes[args].kind != PICKLE_TUPLE) {
        return pickle_broken(machine, "a call of what is no function");
    }
    enum pickle_import import = nodes[callee].as.global.import;
    if (import == PICKLE_MAPPING) return mapping(machine, args);
    if (import != PICKLE_FUNCTION) return pickle_broken(machine, "a call of what is no function");
    return pickle_push_node(machine, (struct pickle_node){PICKLE_CALL, .as.call = {callee, args}});
}

// The state of an object is passed over: an OrderedDict's is torch's _metadata.
static enum status build(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    pickle_ref state = 0, object = 0;
    enum status status = pickle_pop(machine, &state);
    if (status == STATUS_OK) status = pickle_top(machine, &object);
    if (status != STATUS_OK) return status;
    enum pickle_kind kind = pickle_at(machine->out, object)->kind;
    if (kind == PICKLE_DICT || kind == PICKLE_CALL) return STATUS_OK;
    return pickle_broken(machine, "a state is set of what is no object");
}

static enum status persistent(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    pickle_ref id = 0;
    enum status status = pickle_pop(machine, &id);
    if (status != STATUS_OK) return status;
    return pickle_push_node(machine, (struct pickle_node){PICKLE_PERSISTENT, .as.id = id});
}

// ---- the machine itself

static enum status mark(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    return pickle_push(machine, PICKLE_NOTHING);
}

static enum status pop(struct pickle_machine *machine, uint8_t code) {
    size_t first, n;
    pickle_ref item = 0;
    // POP takes a mark off too.
    bool marked = machine->n_stack > 0 && machine->stack[machine->n_stack - 1] == PICKLE_NOTHING;
    if (code == '1' || marked) return pickle_pop_mark(machine, &first, &n);
    return pickle_pop(machine, &item);
}

static enum status duplicate(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    pickle_ref item = 0;
    enum status status = pickle_top(machine, &item);
    return status == STATUS_OK ? pickle_push(machine, item) : status;
}

// PUT and GET, with an index of 1 or 4 bytes, or the next one.
static enum status memo(struct pickle_machine *machine, uint8_t code) {
    if (code == 0x94) return pickle_put(machine, machine->n_memo);
    uint64_t index = 0;
    enum status status = pickle_take_uint(machine, code == 'q' || code == 'h' ? 1 : 4, &index);
    if (status != STATUS_OK) return status;
    return code == 'q' || code == 'r' ? pickle_put(machine, index) : pickle_get(machine, index);
}

static enum status protocol(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    uint64_t version = 0;
    enum status status = pickle_take_uint(machine, 1, &version);
    if (status != STATUS_OK || version <= 5) return status;
    return pickle_broken(machine, "a protocol later than 5");
}

// Frames say how much to read at once, which says nothing to who has all of it.
static enum status frame(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    uint64_t nbytes = 0;
    return pickle_take_uint(machine, 8, &nbytes);
}

static enum status stop(struct pickle_machine *machine, uint8_t code) {
    (void)code;
    machine->stopped = true;
    return STATUS_OK;
}

// Without a function: what torch does not write, or what could run something.
static const struct {
    const char *name;
    pickle_opcode *run;
} opcodes[256] = {
    ['('] = {"MARK", mark},
    ['.'] = {"STOP", stop},
    ['0'] = {"POP", pop},
    ['1'] = {"POP_MARK", pop},
    ['2'] = {"DUP", duplicate},
    ['B'] = {"BINBYTES", pickle_text},
    ['C'] = {"SHORT_BINBYTES", pickle_text},
    ['F'] = {"FLOAT", NULL},
    ['G'] = {"BINFLOAT", pickle_binary_float},
    ['I'] = {"INT", pickle_text_int},
    ['J'] = {"BININT", pickle_binary_int},
    ['K'] = {"BININT1", pickle_binary_int},
    ['L'] = {"LONG", pickle_text_int},
    ['M'] = {"BININT2", pickle_binary_int},
    ['N'] = {"NONE", pickle_none},
    ['P'] = {"PERSID", NULL},
    ['Q'] = {"BINPERSID", persistent},
    ['R'] = {"REDUCE", call},
    ['S'] = {"STRING", NULL},
    ['T'] = {"BINSTRING", pickle_text},
    ['U'] = {"SHORT_BINSTRING", pickle_text},
    ['V'] = {"UNICODE", NULL},
    ['X'] = {"BINUNICODE", pickle_text},
    [']'] = {"EMPTY_LIST", pickle_empty},
    ['a'] = {"APPEND", pickle_extend},
    ['b'] = {"BUILD", build},
    ['c'] = {"GLOBAL", global},
    ['d'] = {"DICT", pickle_collect},
    ['e'] = {"APPENDS", pickle_extend},
    ['g'] = {"GET", NULL},
    ['h'] = {"BINGET", memo},
    ['i'] = {"INST", NULL},
    ['j'] = {"LONG_BINGET", memo},
    ['l'] = {"LIST", pickle_collect},
    ['o'] = {"OBJ", NULL},
    ['p'] = {"PUT", NULL},
    ['q'] = {"BINPUT", memo},
    ['r'] = {"LONG_BINPUT", memo},
    ['s'] = {"SETITEM", pickle_extend},
    ['t'] = {"TUPLE", pickle_collect},
    ['u'] = {"SETITEMS", pickle_extend},
    ['}'] = {"EMPTY_DICT", pickle_empty},
    [')'] = {"EMPTY_TUPLE", pickle_empty},
    [0x80] = {"PROTO", protocol},
    [0x81] = {"NEWOBJ", call},
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x85] = {"TUPLE1", pickle_collect},
    [0x86] = {"TUPLE2", pickle_collect},
    [0x87] = {"TUPLE3", pickle_collect},
    [0x88] = {"NEWTRUE", pickle_boolean},
    [0x89] = {"NEWFALSE", pickle_boolean},
    [0x8a] = {"LONG1", pickle_binary_long},
    [0x8b] = {"LONG4", pickle_binary_long},
    [0x8c] = {"SHORT_BINUNICODE", pickle_text},
    [0x8d] = {"BINUNICODE8", pickle_text},
    [0x8e] = {"BINBYTES8", pickle_text},
    [0x8f] = {"EMPTY_SET", NULL},
    [0x90] = {"ADDITEMS", NULL},
    [0x91] = {"FROZENSET", NULL},
    [0x92] = {"NEWOBJ_EX", NULL},
    [0x93] = {"STACK_GLOBAL", global},
    [0x94] = {"MEMOIZE", memo},
    [0x95] = {"FRAME", frame},
    [0x96] = {"BYTEARRAY8", NULL},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};

enum status pickle_run(struct pickle_machine *machine, uint8_t code) {
    if (opcodes[code].run != NULL) return opcodes[code].run(machine, code);
    if (opcodes[code].name == NULL) return pickle_broken(machine, "no opcode of a pickle");
    return error_set(machine->error, STATUS_MODEL,
                     "%s: byte %zu of its pickle: the opcode %s, which no tensor needs: refused, "
                     "and nothing of it was run",
                     machine->path, machine->opcode_at, opcodes[code].name);
}
