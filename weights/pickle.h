// SPDX-License-Identifier: Apache-2.0
//
// What a Python pickle describes, read by a machine that runs nothing. A pickle is a program for a
// stack machine which may import and call anything; here a list says what may be imported, a call
// becomes a node that says what would have been called, and every other opcode builds plain data or
// is refused by name. Opcodes are those of protocols 1 to 5 (CPython, Lib/pickletools.py).
//
// Memory and time are in proportion to the bytes read: nodes are not copied however often the memo
// repeats them, nothing recurses, and nothing here walks into a node's items. They may be cyclic.
#ifndef WADER_WEIGHTS_PICKLE_H
#define WADER_WEIGHTS_PICKLE_H

#include "host/base/base.h"

// A pickle longer than this, or of more values, is refused. The one of a BERT has 40 kB.
enum { PICKLE_NBYTES_MAX = 16 << 20, PICKLE_VALUES_MAX = 1 << 20 };

// What may be imported: `*number` is then whatever its reader knows it by.
enum pickle_import {
    PICKLE_REFUSED,
    PICKLE_NAME,      // that and no more: no call of it is read
    PICKLE_FUNCTION,  // a call of it is a node of kind PICKLE_CALL
    PICKLE_MAPPING,   // a call of it, without an argument or with a list of pairs, is a new dict
};
typedef enum pickle_import pickle_find(struct span module, struct span name, uint32_t *number);

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_LONG,   // an integer beyond int64_t: its bytes, little-endian
    PICKLE_FLOAT,  // its value is not kept
    PICKLE_TEXT,   // a string or bytes
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_GLOBAL,
    PICKLE_CALL,
    PICKLE_PERSISTENT,  // something outside the pickle, by an id
};

typedef uint32_t pickle_ref;  // of a node

struct pickle_node {
    enum pickle_kind kind;
    uint32_t n_items;  // of a tuple or list; of a dict keys and values, one after the other
    union {
        int64_t integer;   // PICKLE_BOOL, PICKLE_INT
        struct span text;  // PICKLE_TEXT, PICKLE_LONG, inside the pickle
        struct {
            uint32_t first, last;  // cells
        } items;
        struct {
            enum pickle_import import;
            uint32_t number;
        } global;
        struct {
            pickle_ref callee, args;  // a PICKLE_GLOBAL and a PICKLE_TUPLE
        } call;
        pickle_ref id;  // PICKLE_PERSISTENT
    } as;
};

struct pickle {
    struct pickle_node *nodes;
    size_t n_nodes, nodes_cap;
    struct pickle_cell *cells;
    size_t n_cells, cells_cap;
    pickle_ref root;
    size_t nbytes;  // up to and with the opcode that ends it
};

// Reads the pickle that `bytes` begin with; they must outlive `*pickle`. STATUS_MODEL where it is
// ill-formed, too long, or uses what is not allowed; `path` is for the message. pickle_free
// releases the nodes.
enum status pickle_read(struct span bytes, pickle_find *find, const char *path,
                        struct pickle *pickle, struct error *error);
void pickle_free(struct pickle *pickle);

static inline const struct pickle_node *pickle_at(const struct pickle *pickle, pickle_ref ref) {
    return &pickle->nodes[ref];
}

// Walks the items of a tuple, list or dict in order.
//   for (struct pickle_walk walk = pickle_walk(pickle, ref); pickle_next(&walk);) use(walk.item);
struct pickle_walk {
    pickle_ref item;
    // private
    const struct pickle *pickle;
    uint32_t cell, n_left;
};
struct pickle_walk pickle_walk(const struct pickle *pickle, pickle_ref ref);
bool pickle_next(struct pickle_walk *walk);

// The first items of a tuple, list or dict, as many of `n` as there are.
void pickle_items(const struct pickle *pickle, pickle_ref ref, pickle_ref *items, size_t n);

bool pickle_is_text(const struct pickle *pickle, pickle_ref ref, const char *text);

#endif
