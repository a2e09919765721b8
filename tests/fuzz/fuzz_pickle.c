// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a pickle: what is accepted has references that lead to nodes and text that lies in
// the bytes, and takes memory in proportion to them.
#include <assert.h>

#include "weights/torch_globals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_node(const struct pickle *pickle, pickle_ref ref, struct span bytes) {
    const struct pickle_node *node = pickle_at(pickle, ref);
    switch (node->kind) {
        case PICKLE_TEXT:
        case PICKLE_LONG:
            assert(node->as.text.ptr >= bytes.ptr);
            assert(node->as.text.ptr + node->as.text.len <= bytes.ptr + pickle->nbytes);
            break;
        case PICKLE_CALL:
            assert(pickle_at(pickle, node->as.call.callee)->kind == PICKLE_GLOBAL);
            assert(pickle_at(pickle, node->as.call.args)->kind == PICKLE_TUPLE);
            (void)torch_callee(pickle, ref);
            break;
        case PICKLE_PERSISTENT:
            assert(node->as.id < pickle->n_nodes);
            break;
        case PICKLE_GLOBAL:
            assert(torch_global_of(pickle, ref) != NULL);
            break;
        case PICKLE_DICT:
            assert(node->n_items % 2 == 0);
            break;
        default:
            break;
    }
    size_t n = 0;
    for (struct pickle_walk walk = pickle_walk(pickle, ref); pickle_next(&walk); n++) {
        assert(walk.item < pickle->n_nodes);
    }
    assert(n == 0 || n == node->n_items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span bytes = {(const char *)data, size};
    struct pickle pickle;
    struct error error = {""};
    if (pickle_read(bytes, torch_find, "x", &pickle, &error) != STATUS_OK) {
        assert(error.text[0] != '\0' && pickle.nodes == NULL && pickle.cells == NULL);
        return 0;
    }
    assert(pickle.nbytes <= size && pickle.root < pickle.n_nodes && pickle.n_nodes <= size);
    for (size_t i = 0; i < pickle.n_nodes; i++) check_node(&pickle, (pickle_ref)i, bytes);
    pickle_free(&pickle);
    return 0;
}
