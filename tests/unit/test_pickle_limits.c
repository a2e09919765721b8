// SPDX-License-Identifier: Apache-2.0
//
// Pickles that would have a reader take all memory or time, or recurse without end.
#include "tests/check.h"
#include "weights/pickle.h"

static enum pickle_import find(struct span module, struct span name, uint32_t *number) {
    (void)module;
    (void)name;
    *number = 0;
    return PICKLE_MAPPING;
}

static enum status read_bytes(const char *bytes, size_t n, struct pickle *pickle,
                              struct error *error) {
    error->text[0] = '\0';
    return pickle_read((struct span){bytes, n}, find, "x.bin", pickle, error);
}

// `n` times `part`, between a beginning and an end.
static char *repeated(const char *head, const char *part, size_t n, const char *tail, size_t *len) {
    const size_t n_head = strlen(head), n_part = strlen(part), n_tail = strlen(tail);
    *len = n_head + n * n_part + n_tail;
    char *out = malloc(*len + 1);
    memcpy(out, head, n_head);
    for (size_t i = 0; i < n; i++) memcpy(out + n_head + i * n_part, part, n_part);
    memcpy(out + n_head + n * n_part, tail, n_tail + 1);
    return out;
}

static void limits(void) {
    static const struct {
        const char *head, *part, *tail;
        size_t n;
        const char *message;  // NULL: it is read
    } cases[] = {
        {"]", "]", "a.", 1, NULL},
        {"", "]", "0.", 1, "missing on the stack"},
        {"]", "(l2a", ".", 200000, "left on the stack"},
        {"", "N", ".", PICKLE_VALUES_MAX + 1, "more than 1048576 values"},
        {"](", "2", "e.", 10, "missing on the stack"},
        {"]q\1(", "h\1", "e.", PICKLE_VALUES_MAX, NULL},
        {"]q\1(", "h\1", "e.", PICKLE_VALUES_MAX + 1, "more than 1048576 values"},
        {"", "(", ".", PICKLE_NBYTES_MAX, "longer than 16 MiB"},
        {"", "N0", "N.", PICKLE_NBYTES_MAX / 2, "more than 1048576 values"},
        {"N", "20", ".", PICKLE_NBYTES_MAX / 2 - 1, NULL},
        {"N", "20", ".", PICKLE_NBYTES_MAX / 2, "longer than 16 MiB"},
        {"", "q\1", "", 3, "missing on the stack"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pickle pickle;
        struct error error;
        size_t len;
        char *bytes = repeated(cases[i].head, cases[i].part, cases[i].n, cases[i].tail, &len);
        enum status status = read_bytes(bytes, len, &pickle, &error);
        free(bytes);
        if (cases[i].message == NULL) {
            CHECK_STR(error.text, "");
            if (status == STATUS_OK) pickle_free(&pickle);
        } else {
            CHECK_INT(status, STATUS_MODEL);
            CHECK_CONTAINS(error.text, cases[i].message);
        }
    }
}

// Lists of lists of lists ..., ten of the one before in each: 10^n values if anybody counted them;
// and a list in a list, a hundred thousand deep.
static void laughs(void) {
    char bytes[1000], *deep;
    size_t len = 0, n;
    struct pickle pickle;
    struct error error;
    memcpy(bytes,
           "]q\0"
           "0",
           4);
    len = 4;
    for (char i = 1; i <= 30; i++) {
        bytes[len++] = ']';
        bytes[len++] = '(';
        for (int j = 0; j < 10; j++) {
            bytes[len++] = 'h';
            bytes[len++] = (char)(i - 1);
        }
        memcpy(bytes + len, "eq", 2);
        bytes[len + 2] = i;
        bytes[len + 3] = i < 30 ? '0' : '.';
        len += 4;
    }
    CHECK_INT(read_bytes(bytes, len, &pickle, &error), STATUS_OK);
    CHECK(pickle.n_nodes == 31 && pickle.n_cells == 300);
    pickle_free(&pickle);

    deep = repeated("]", "\x85", 100000, ".", &n);
    CHECK_INT(read_bytes(deep, n, &pickle, &error), STATUS_OK);
    pickle_free(&pickle);
    free(deep);

    // One that holds itself, as a memo can make it.
    static const char cycle[] = "]q\1h\1a.";
    CHECK_INT(read_bytes(cycle, sizeof cycle - 1, &pickle, &error), STATUS_OK);
    pickle_ref item = UINT32_MAX;
    pickle_items(&pickle, pickle.root, &item, 1);
    CHECK(item == pickle.root);
    pickle_free(&pickle);
}

// Dicts made of one list of pairs again and again: each copies it.
static void copies(void) {
    size_t n;
    struct pickle pickle;
    struct error error;
    char *pairs = repeated("](", "NN\x86", 1000,
                           "eq\1"
                           "0cm\nDict\nq\2"
                           "0(",
                           &n);
    char *bytes = repeated(pairs, "h\2h\1\x85R", 600, "t.", &n);
    CHECK_INT(read_bytes(bytes, n, &pickle, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "more than 1048576 values");
    free(bytes);
    bytes = repeated(pairs, "h\2h\1\x85R", 500, "t.", &n);
    CHECK_INT(read_bytes(bytes, n, &pickle, &error), STATUS_OK);
    CHECK(pickle.n_cells < PICKLE_VALUES_MAX);
    pickle_free(&pickle);
    free(bytes);
    free(pairs);
}

int main(void) {
    limits();
    laughs();
    copies();
    return check_result();
}
