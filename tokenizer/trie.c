// SPDX-License-Identifier: Apache-2.0
//
// Builds the double array from sorted tokens, breadth first, so that the upper levels, which every
// word passes, lie together. The children of a node all lie in one block of 256 slots, and a block
// keeps two sets of bits: which slots are free, and which bases. Exclusive or by a label permutes
// such a set, so one intersection finds every base at which all labels of a node are free.
//
// A node with several children is tried in a few open blocks and else opens a fresh one; nodes with
// one child, nine in ten, fill what is left in the closed ones. That bounds the time of a build and
// leaves few gaps.
#include "tokenizer/trie.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_SLOTS = 256,
    OPEN_MAX = 16,              // blocks that nodes with several children are tried in
    SPARE_SLOTS_MAX = 1 << 20,  // slots allowed beyond SLOTS_PER_NODE_MAX for each node
    SLOTS_PER_NODE_MAX = 4,
    NO_BLOCK = UINT32_MAX >> 8,  // no index has as many blocks
};

struct bits {
    uint64_t word[BLOCK_SLOTS / 64];
};

struct block {
    struct bits free_slots;
    struct bits free_bases;
    uint32_t n_free;
    uint32_t too_many;  // as many labels did not fit when last tried, so more will not
    uint32_t below;     // the closed block under this one, or NO_BLOCK
};

// The keys [first, last) share their first `depth` bytes: the node at `slot`, or a root.
struct pending {
    uint32_t first, last;
    uint32_t depth;
    uint32_t slot;  // meaningless at depth 0
};

struct builder {
    struct trie *trie;
    const struct trie_key *keys;
    struct block *blocks;  // [blocks_cap], one for each 256 slots
    size_t blocks_cap, blocks_max;
    uint32_t open[OPEN_MAX];
    uint32_t n_open;
    uint32_t closed;        // the top of a stack of blocks, or NO_BLOCK
    struct pending *queue;  // [queue_cap], a ring: ranges of keys that do not overlap
    size_t queue_cap, queue_first, queue_len;
    const char *name;
    struct error *error;
};

static uint8_t key_byte(const struct trie_key *key, uint32_t at) {
    if (at < 8) return (uint8_t)(key->head >> (56 - 8 * at));
    return (uint8_t)key->bytes[at];
}

// The set { i ^ label : i in bits }.
static struct bits permute(const struct bits *bits, uint8_t label) {
    static const uint64_t low_half[6] = {0x5555555555555555, 0x3333333333333333,
                                         0x0F0F0F0F0F0F0F0F, 0x00FF00FF00FF00FF,
                                         0x0000FFFF0000FFFF, 0x00000000FFFFFFFF};
    struct bits out;
    for (unsigned i = 0; i < ARRAY_LEN(out.word); i++) out.word[i] = bits->word[i ^ label >> 6];
    for (unsigned bit = 0; bit < 6; bit++) {
        if ((label >> bit & 1) == 0) continue;
        unsigned shift = 1u << bit;
        for (unsigned i = 0; i < ARRAY_LEN(out.word); i++) {
            uint64_t word = out.word[i];
            out.word[i] = (word & low_half[bit]) << shift | (word >> shift & low_half[bit]);
        }
    }
    return out;
}

static void clear_bit(struct bits *bits, uint32_t i) {
    bits->word[i / 64] &= ~((uint64_t)1 << i % 64);
}

// A base in `block` (0 to 255) that is free and at which all labels find free slots, or -1.
static int base_in_block(const struct block *block, const uint8_t *labels, uint32_t n_labels) {
    struct bits fit = block->free_bases;
    for (uint32_t i = 0; i < n_labels; i++) {
        struct bits slots = permute(&block->free_slots, labels[i]);
        uint64_t any = 0;
        for (unsigned j = 0; j < ARRAY_LEN(fit.word); j++) any |= fit.word[j] &= slots.word[j];
        if (any == 0) return -1;
    }
    for (int j = 0; j < (int)ARRAY_LEN(fit.word); j++) {
        if (fit.word[j] != 0) return j * 64 + __builtin_ctzll(fit.word[j]);
    }
    return -1;
}

static enum status grow_arrays(struct builder *builder) {
    struct trie *trie = builder->trie;
    size_t cap = builder->blocks_cap > 0 ? builder->blocks_cap * 2 : 64;
    trie_node *nodes = realloc(trie->nodes, cap * BLOCK_SLOTS * sizeof *nodes);
    if (nodes != NULL) trie->nodes = nodes;
    int32_t *ids = realloc(trie->ids, cap * BLOCK_SLOTS * sizeof *ids);
    if (ids != NULL) trie->ids = ids;
    struct block *blocks = realloc(builder->blocks, cap * sizeof *blocks);
    if (blocks != NULL) builder->blocks = blocks;
    if (nodes == NULL || ids == NULL || blocks == NULL) {
        return error_set(builder->error, STATUS_IO, "%s: out of memory: %zu slots for its index",
                         builder->name, cap * BLOCK_SLOTS);
    }
    builder->blocks_cap = cap;
    return STATUS_OK;
}

// Closes the fullest of the open blocks: it goes to the nodes with one child.
static void close_fullest(struct builder *builder) {
    uint32_t fullest = 0;
    for (uint32_t i = 1; i < builder->n_open; i++) {
        uint32_t n_free = builder->blocks[builder->open[i]].n_free;
        if (n_free < builder->blocks[builder->open[fullest]].n_free) fullest = i;
    }
    uint32_t block = builder->open[fullest];
    builder->open[fullest] = builder->open[--builder->n_open];
    builder->blocks[block].below = builder->closed;
    builder->closed = block;
}

// Adds an open block of free slots at the end.
static enum status add_block(struct builder *builder) {
    struct trie *trie = builder->trie;
    size_t index = trie->n_slots / BLOCK_SLOTS;
    if (index == builder->blocks_max) {
        return error_set(builder->error, STATUS_MODEL,
                         "%s: its tokens would spread over more than %zu slots of the index, the "
                         "most allowed for that many: this is no WordPiece vocabulary",
                         builder->name, trie->n_slots);
    }
    if (index == builder->blocks_cap) {
        enum status status = grow_arrays(builder);
        if (status != STATUS_OK) return status;
    }
    memset(trie->nodes + trie->n_slots, 0, BLOCK_SLOTS * sizeof *trie->nodes);
    memset(trie->ids + trie->n_slots, 0, BLOCK_SLOTS * sizeof *trie->ids);
    trie->n_slots += BLOCK_SLOTS;
    struct block *block = &builder->blocks[index];
    *block = (struct block){.n_free = BLOCK_SLOTS, .too_many = BLOCK_SLOTS + 1, .below = NO_BLOCK};
    memset(&block->free_slots, 0xFF, sizeof block->free_slots);
    memset(&block->free_bases, 0xFF, sizeof block->free_bases);
    if (index == 0) {
        clear_bit(&block->free_bases, 0);  // base 0 means no children
        clear_bit(&block->free_slots, 0);  // slot 0 means no token
        block->n_free--;
    }
    if (builder->n_open == OPEN_MAX) close_fullest(builder);
    builder->open[builder->n_open++] = (uint32_t)index;
    return STATUS_OK;
}

// A base for a node with one child: in a closed block while one has room.
static bool find_closed(struct builder *builder, uint8_t label, uint32_t *base) {
    while (builder->closed != NO_BLOCK) {
        const struct block *block = &builder->blocks[builder->closed];
        int at = block->n_free > 0 ? base_in_block(block, &label, 1) : -1;
        if (at >= 0) {
            *base = builder->closed * BLOCK_SLOTS + (uint32_t)at;
            return true;
        }
        builder->closed = block->below;
    }
    return false;
}

// A base under which every label finds a free slot.
static enum status find_base(struct builder *builder, const uint8_t *labels, uint32_t n_labels,
                             uint32_t *base) {
    if (n_labels == 1 && find_closed(builder, labels[0], base)) return STATUS_OK;
    for (uint32_t i = builder->n_open; i-- > 0;) {
        struct block *block = &builder->blocks[builder->open[i]];
        if (n_labels > block->n_free || n_labels >= block->too_many) continue;
        int at = base_in_block(block, labels, n_labels);
        if (at >= 0) {
            *base = builder->open[i] * BLOCK_SLOTS + (uint32_t)at;
            return STATUS_OK;
        }
        block->too_many = n_labels;
    }
    *base = (uint32_t)builder->trie->n_slots;
    return add_block(builder);
}

static void take_slot(struct builder *builder, uint32_t slot, uint8_t label) {
    struct block *block = &builder->blocks[slot / BLOCK_SLOTS];
    clear_bit(&block->free_slots, slot % BLOCK_SLOTS);
    block->n_free--;
    builder->trie->nodes[slot] = label;
}

static void enqueue(struct builder *builder, struct pending range) {
    assert(builder->queue_len < builder->queue_cap);
    size_t at = (builder->queue_first + builder->queue_len++) % builder->queue_cap;
    builder->queue[at] = range;
}

// Places the children of one node and queues those that have children themselves.
static enum status add_children(struct builder *builder, struct pending range,
                                uint32_t *node_base) {
    uint8_t labels[BLOCK_SLOTS];
    uint32_t starts[BLOCK_SLOTS + 1];
    uint32_t n_labels = 0;
    for (uint32_t i = range.first; i < range.last; i++) {
        uint8_t byte = key_byte(&builder->keys[i], range.depth);
        if (n_labels > 0 && labels[n_labels - 1] == byte) continue;
        starts[n_labels] = i;
        labels[n_labels++] = byte;
    }
    starts[n_labels] = range.last;
    uint32_t base;
    enum status status = find_base(builder, labels, n_labels, &base);
    if (status != STATUS_OK) return status;
    clear_bit(&builder->blocks[base / BLOCK_SLOTS].free_bases, base % BLOCK_SLOTS);
    *node_base = base;
    for (uint32_t i = 0; i < n_labels; i++) {
        struct pending child = {.first = starts[i],
                                .last = starts[i + 1],
                                .depth = range.depth + 1,
                                .slot = base ^ labels[i]};
        take_slot(builder, child.slot, labels[i]);
        // The token that ends here comes first: a prefix sorts before what it begins.
        if (builder->keys[child.first].len == child.depth) {
            builder->trie->nodes[child.slot] |= TRIE_END_BIT;
            builder->trie->ids[child.slot] = builder->keys[child.first++].id;
        }
        if (child.first < child.last) enqueue(builder, child);
    }
    return STATUS_OK;
}

static enum status build(struct builder *builder, size_t n) {
    enum status status = add_block(builder);
    uint32_t at = 0;
    for (int root = 0; root < TRIE_ROOTS && status == STATUS_OK; root++) {
        struct pending range = {.first = at};
        while (at < n && (int)builder->keys[at].root == root) at++;
        range.last = at;
        if (range.first == range.last) continue;
        status = add_children(builder, range, &builder->trie->root_base[root]);
    }
    while (status == STATUS_OK && builder->queue_len > 0) {
        struct pending range = builder->queue[builder->queue_first];
        builder->queue_first = (builder->queue_first + 1) % builder->queue_cap;
        builder->queue_len--;
        uint32_t base = 0;
        status = add_children(builder, range, &base);
        builder->trie->nodes[range.slot] |= base << TRIE_BASE_SHIFT;
    }
    return status;
}

static uint32_t common_prefix(const struct trie_key *a, const struct trie_key *b) {
    if (a->root != b->root) return 0;
    uint32_t shorter = a->len < b->len ? a->len : b->len;
    uint32_t n = 0;
    while (n < shorter && key_byte(a, n) == key_byte(b, n)) n++;
    return n;
}

// Copies the keys that can match and counts their nodes.
static size_t keep_usable(const struct trie_key *keys, size_t n, struct trie_key *kept,
                          size_t *n_nodes) {
    size_t n_kept = 0;
    *n_nodes = 0;
    for (size_t i = 0; i < n; i++) {
        if (keys[i].len > TRIE_TOKEN_BYTES_MAX) continue;
        kept[n_kept] = keys[i];
        *n_nodes += keys[i].len;
        if (n_kept > 0) *n_nodes -= common_prefix(&kept[n_kept - 1], &kept[n_kept]);
        n_kept++;
    }
    return n_kept;
}

enum status trie_build(struct trie *trie, const struct trie_key *keys, size_t n, const char *name,
                       struct error *error) {
    assert(n < UINT32_MAX);
    *trie = (struct trie){0};
    struct builder builder = {.trie = trie,
                              .closed = NO_BLOCK,
                              .name = name,
                              .error = error,
                              .queue_cap = n + TRIE_ROOTS};
    void *kept = NULL, *queue = NULL;
    enum status status = alloc_array(&kept, n, sizeof(struct trie_key), "the vocabulary", error);
    if (status != STATUS_OK) goto out;
    size_t n_nodes;
    size_t n_kept = keep_usable(keys, n, kept, &n_nodes);
    status = alloc_array(&queue, builder.queue_cap, sizeof(struct pending), "its index", error);
    if (status != STATUS_OK) goto out;
    builder.keys = kept;
    builder.queue = queue;
    builder.blocks_max = (n_nodes * SLOTS_PER_NODE_MAX + SPARE_SLOTS_MAX) / BLOCK_SLOTS;
    if (builder.blocks_max > TRIE_SLOTS_MAX / BLOCK_SLOTS) {
        builder.blocks_max = TRIE_SLOTS_MAX / BLOCK_SLOTS;
    }
    status = build(&builder, n_kept);
out:
    free(kept);
    free(queue);
    free(builder.blocks);
    if (status != STATUS_OK) trie_free(trie);
    return status;
}

void trie_free(struct trie *trie) {
    free(trie->nodes);
    free(trie->ids);
    *trie = (struct trie){0};
}
