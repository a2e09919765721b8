// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/utf8.h"

static const char continuing_prefix[] = "##";
enum { PREFIX_LEN = sizeof continuing_prefix - 1 };

// A token as its file writes it, to root and bytes. "##" alone is a token that can never match, for
// nothing is left of it; as a start token it keeps its bytes.
static enum trie_root split_root(struct span *token) {
    if (token->len <= PREFIX_LEN || memcmp(token->ptr, continuing_prefix, PREFIX_LEN) != 0) {
        return TRIE_START;
    }
    token->ptr += PREFIX_LEN;
    token->len -= PREFIX_LEN;
    return TRIE_CONTINUE;
}

static void add_key(struct vocab *vocab, struct span token, int32_t id, uint32_t order) {
    if (token.len == 0) return;
    if (!vocab->has_upper && token.ptr[0] != '[') {
        for (size_t i = 0; i < token.len && !vocab->has_upper; i++) {
            vocab->has_upper = token.ptr[i] >= 'A' && token.ptr[i] <= 'Z';
        }
    }
    enum trie_root root = split_root(&token);
    vocab->keys[vocab->n_keys++] = trie_key_make(root, token, id, order);
}

// Sorts, keeps the last of each token, and knows then which id is the largest.
static void finish(struct vocab *vocab) {
    trie_sort(vocab->keys, vocab->n_keys);
    size_t n = 0;
    for (size_t i = 0; i < vocab->n_keys; i++) {
        struct trie_key key = vocab->keys[i];
        bool same = n > 0 && vocab->keys[n - 1].root == key.root &&
                    vocab->keys[n - 1].len == key.len &&
                    memcmp(vocab->keys[n - 1].bytes, key.bytes, key.len) == 0;
        vocab->keys[same ? n - 1 : n++] = key;
    }
    vocab->n_keys = n;
    for (size_t i = 0; i < n; i++) {
        if (vocab->keys[i].id >= vocab->size) vocab->size = vocab->keys[i].id + 1;
    }
}

static enum status check_token(struct span token, size_t number, const char *unit, const char *name,
                               struct error *error) {
    if (utf8_check(token.ptr, token.len) != token.len) {
        return error_set(error, STATUS_MODEL, "%s: %s %zu is not UTF-8", name, unit, number);
    }
    return STATUS_OK;
}

static enum status too_many(size_t n, const char *name, struct error *error) {
    return error_set(error, STATUS_MODEL, "%s: %zu tokens; at most %d are supported", name, n,
                     TRIE_NO_ID);
}

static size_t count_lines(struct span text) {
    size_t n = text.len > 0 && text.ptr[text.len - 1] != '\n' ? 1 : 0;
    for (size_t i = 0; i < text.len; i++) n += text.ptr[i] == '\n';
    return n;
}

// Takes the next line off `rest`, without its end.
static struct span take_line(struct span *rest) {
    const char *newline = memchr(rest->ptr, '\n', rest->len);
    struct span line = {rest->ptr, newline != NULL ? (size_t)(newline - rest->ptr) : rest->len};
    size_t taken = line.len + (newline != NULL ? 1 : 0);
    rest->ptr += taken;
    rest->len -= taken;
    if (newline != NULL && line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    return line;
}

enum status vocab_from_text(struct vocab *vocab, struct span text, const char *name,
                            struct error *error) {
    *vocab = (struct vocab){0};
    size_t n_lines = count_lines(text);
    if (n_lines > TRIE_NO_ID) return too_many(n_lines, name, error);
    void *keys;
    enum status status = alloc_array(&keys, n_lines, sizeof *vocab->keys, name, error);
    if (status != STATUS_OK) return status;
    vocab->keys = keys;
    struct span rest = text;
    for (uint32_t i = 0; rest.len > 0; i++) {
        struct span line = take_line(&rest);
        status = check_token(line, i + 1, "line", name, error);
        if (status != STATUS_OK) return status;
        if (line.len > 0 && memchr(line.ptr, '\r', line.len) != NULL) {
            return error_set(error, STATUS_MODEL,
                             "%s: line %u has a carriage return inside, which some programs take "
                             "for the end of a line: ids would be in doubt",
                             name, i + 1);
        }
        add_key(vocab, line, (int32_t)i, i);
    }
    finish(vocab);
    return STATUS_OK;
}

static enum status read_member(struct vocab *vocab, const struct json_walk *walk, char **arena,
                               uint32_t order, const char *name, struct error *error) {
    struct span token = {*arena, json_string(walk->key, *arena)};
    *arena += token.len;
    enum status status =
        check_token(token, (size_t)order + 1, "the token of model.vocab, entry", name, error);
    if (status != STATUS_OK) return status;
    int64_t id;
    if (!json_int64(walk->value, &id) || id < 0 || id >= TRIE_NO_ID) {
        int shown = (int)(walk->value.raw.len < 40 ? walk->value.raw.len : 40);
        return error_set(
            error, STATUS_MODEL,
            "%s: model.vocab gives \"%.*s\" the id %.*s; an id is an integer from 0 to "
            "%d",
            name, (int)(token.len < 100 ? token.len : 100), token.ptr, shown, walk->value.raw.ptr,
            TRIE_NO_ID - 1);
    }
    add_key(vocab, token, (int32_t)id, order);
    return STATUS_OK;
}

enum status vocab_from_json(struct vocab *vocab, struct json_value object, const char *name,
                            struct error *error) {
    *vocab = (struct vocab){0};
    if (object.type != JSON_OBJECT) {
        return error_set(error, STATUS_MODEL, "%s: model.vocab is %s, should be an object", name,
                         json_type_name(object.type));
    }
    size_t n = 0;
    for (struct json_walk walk = json_walk(object); json_next(&walk);) n++;
    if (n > TRIE_NO_ID) return too_many(n, name, error);
    void *keys = NULL, *arena = NULL;
    enum status status = alloc_array(&keys, n, sizeof *vocab->keys, name, error);
    if (status != STATUS_OK) return status;
    vocab->keys = keys;
    status = alloc_array(&arena, object.raw.len, 1, name, error);
    if (status != STATUS_OK) return status;
    vocab->arena = arena;
    char *at = arena;
    uint32_t order = 0;
    for (struct json_walk walk = json_walk(object); json_next(&walk); order++) {
        status = read_member(vocab, &walk, &at, order, name, error);
        if (status != STATUS_OK) return status;
    }
    finish(vocab);
    return STATUS_OK;
}

void vocab_free(struct vocab *vocab) {
    free(vocab->keys);
    free(vocab->arena);
    *vocab = (struct vocab){0};
}

int32_t vocab_id(const struct vocab *vocab, struct span token) {
    if (token.len == 0 || token.len > UINT32_MAX) return -1;
    enum trie_root root = split_root(&token);
    const struct trie_key *key = trie_find(vocab->keys, vocab->n_keys, root, token);
    return key != NULL ? key->id : -1;
}

enum status vocab_agree(const struct vocab *a, const char *a_name, const struct vocab *b,
                        const char *b_name, struct error *error) {
    for (size_t i = 0; i < a->n_keys; i++) {
        const struct trie_key *key = &a->keys[i];
        const char *prefix = key->root == TRIE_CONTINUE ? continuing_prefix : "";
        int shown = (int)(key->len < 100 ? key->len : 100);
        struct span token = {key->bytes, key->len};
        const struct trie_key *other = trie_find(b->keys, b->n_keys, key->root, token);
        if (other == NULL) {
            return error_set(
                error, STATUS_MODEL,
                "%s (%zu tokens) and %s (%zu tokens) contradict each other: \"%s%.*s\" "
                "is only in the first; remove the wrong file",
                a_name, a->n_keys, b_name, b->n_keys, prefix, shown, key->bytes);
        }
        if (other->id != key->id) {
            return error_set(
                error, STATUS_MODEL,
                "%s and %s contradict each other: \"%s%.*s\" is %d in the first and %d "
                "in the second; remove the wrong file",
                a_name, b_name, prefix, shown, key->bytes, key->id, other->id);
        }
    }
    if (a->n_keys != b->n_keys) {
        return error_set(error, STATUS_MODEL,
                         "%s has %zu tokens, %s has %zu: they contradict each other; remove the "
                         "wrong file",
                         a_name, a->n_keys, b_name, b->n_keys);
    }
    return STATUS_OK;
}
