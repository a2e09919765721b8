// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/utf8.h"

static bool is_punctuation(char c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

// Punctuation is a word of its own, so a longer token that begins with some matches only behind the
// start of a word, where the prefix is put before what is looked up.
static bool prefix_starts_words(struct span prefix) {
    return prefix.len == 0 || !is_punctuation(prefix.ptr[0]);
}

// Whether `part`, a token without its prefix, has a capital letter and could be a part of a word.
// [CLS] could not, nor could <S> of bert-base-multilingual-uncased.
static bool is_capital(struct span part) {
    bool upper = false;
    for (size_t i = 0; i < part.len; i++) {
        if (is_punctuation(part.ptr[i])) return false;
        upper = upper || (part.ptr[i] >= 'A' && part.ptr[i] <= 'Z');
    }
    return upper;
}

// Whether `token` can match behind the start of a word. The prefix alone cannot, for nothing is
// left of it.
static bool continues(const struct vocab *vocab, struct span token) {
    struct span prefix = vocab->prefix;
    return token.len > prefix.len &&
           (prefix.len == 0 || memcmp(token.ptr, prefix.ptr, prefix.len) == 0);
}

static struct span behind_prefix(const struct vocab *vocab, struct span token) {
    return (struct span){token.ptr + vocab->prefix.len, token.len - vocab->prefix.len};
}

enum status vocab_reserve(struct vocab *vocab, size_t n, struct error *error) {
    if (vocab->keys_cap - vocab->n_keys >= n) return STATUS_OK;
    size_t cap = vocab->keys_cap + (n > vocab->keys_cap ? n : vocab->keys_cap);
    struct trie_key *keys = realloc(vocab->keys, cap * sizeof *keys);
    if (keys == NULL) return error_set(error, STATUS_IO, "out of memory: %zu tokens", cap);
    vocab->keys = keys;
    vocab->keys_cap = cap;
    return STATUS_OK;
}

static enum status add_token(struct vocab *vocab, struct span token, int32_t id, uint32_t order,
                             const char *name, struct error *error) {
    if (token.len == 0) return STATUS_OK;
    if (order >= TRIE_NO_ID) {
        return error_set(error, STATUS_MODEL, "%s: more than %d tokens are not supported", name,
                         TRIE_NO_ID);
    }
    // A token takes two keys at most.
    enum status status = vocab_reserve(vocab, 2, error);
    if (status != STATUS_OK) return status;
    bool continuing = continues(vocab, token);
    struct span part = continuing ? behind_prefix(vocab, token) : token;
    if (!vocab->has_upper) vocab->has_upper = is_capital(part);
    if (continuing) vocab->keys[vocab->n_keys++] = trie_key_make(TRIE_CONTINUE, part, id, order);
    if (!continuing || vocab->starts_too) {
        vocab->keys[vocab->n_keys++] = trie_key_make(TRIE_START, token, id, order);
    }
    if (id >= vocab->size) vocab->size = id + 1;
    return STATUS_OK;
}

static bool same_token(const struct trie_key *a, const struct trie_key *b) {
    return a->head == b->head && a->len == b->len && a->root == b->root &&
           memcmp(a->bytes, b->bytes, a->len) == 0;
}

// Sorts, and keeps the last of each token.
static void finish(struct vocab *vocab) {
    struct trie_key *keys = vocab->keys;
    size_t n_all = vocab->n_keys, n = 0, n_start = 0;
    trie_sort(keys, n_all);
    for (size_t i = 0; i < n_all; i++) {
        bool same = n > 0 && same_token(&keys[n - 1], &keys[i]);
        if (!same && keys[i].root == TRIE_START) n_start++;
        keys[same ? n - 1 : n++] = keys[i];
    }
    vocab->n_keys = n;
    vocab->n_tokens = vocab->starts_too ? n_start : n;
    if (n == n_all) return;
    vocab->size = 0;
    for (size_t i = 0; i < n; i++) {
        if (keys[i].id >= vocab->size) vocab->size = keys[i].id + 1;
    }
}

static enum status check_token(struct span token, size_t number, const char *unit, const char *name,
                               struct error *error) {
    if (utf8_check(token.ptr, token.len) == token.len) return STATUS_OK;
    return error_set(error, STATUS_MODEL, "%s: %s %zu is not UTF-8", name, unit, number);
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

static void start(struct vocab *vocab, struct span prefix) {
    *vocab = (struct vocab){.prefix = prefix, .starts_too = prefix_starts_words(prefix)};
}

static enum status read_text(struct vocab *vocab, const struct vocab_source *source,
                             struct error *error) {
    const char *name = source->text_name;
    struct span rest = source->text;
    start(vocab, source->prefix);
    bool is_utf8 = utf8_check(rest.ptr, rest.len) == rest.len;
    bool has_return = rest.len > 0 && memchr(rest.ptr, '\r', rest.len) != NULL;
    for (uint32_t i = 0; rest.len > 0; i++) {
        struct span line = take_line(&rest);
        enum status status = is_utf8 ? STATUS_OK : check_token(line, i + 1, "line", name, error);
        if (status != STATUS_OK) return status;
        if (has_return && line.len > 0 && memchr(line.ptr, '\r', line.len) != NULL) {
            return error_set(error, STATUS_MODEL,
                             "%s: line %u has a carriage return inside, which some programs take "
                             "for the end of a line: ids would be in doubt",
                             name, i + 1);
        }
        status = add_token(vocab, line, (int32_t)i, i, name, error);
        if (status != STATUS_OK) return status;
    }
    finish(vocab);
    return STATUS_OK;
}

// The bytes of a member's name: those of the file, or unescaped ones at `*arena`.
static struct span member_token(struct json_value key, char **arena) {
    struct span token = {key.raw.ptr + 1, key.raw.len - 2};
    if (*arena == NULL || memchr(token.ptr, '\\', token.len) == NULL) return token;
    token = (struct span){*arena, json_string(key, *arena)};
    *arena += token.len;
    return token;
}

static enum status read_id(int32_t *id, struct json_value value, struct span token,
                           const char *name, struct error *error) {
    int64_t number;
    if (json_int64(value, &number) && number >= 0 && number < TRIE_NO_ID) {
        *id = (int32_t)number;
        return STATUS_OK;
    }
    int shown = (int)(value.raw.len < 40 ? value.raw.len : 40);
    return error_set(error, STATUS_MODEL,
                     "%s: model.vocab gives \"%.*s\" the id %.*s; an id is an integer from 0 to %d",
                     name, (int)(token.len < 100 ? token.len : 100), token.ptr, shown,
                     value.raw.ptr, TRIE_NO_ID - 1);
}

// `*same_lines` tells whether source->text has the very tokens in the very order, their ids being
// the numbers of the lines, which spares reading and sorting it.
static enum status read_json(struct vocab *vocab, const struct vocab_source *source,
                             bool *same_lines, struct error *error) {
    const char *name = source->json_name;
    struct span raw = source->json.raw;
    start(vocab, source->prefix);
    bool is_utf8 = utf8_check(raw.ptr, raw.len) == raw.len;
    if (memchr(raw.ptr, '\\', raw.len) != NULL) {
        void *arena;
        enum status status = alloc_array(&arena, raw.len, 1, name, error);
        if (status != STATUS_OK) return status;
        vocab->arena = arena;
    }
    char *arena = vocab->arena;
    struct span lines = source->text;
    bool same = lines.len > 0 && memchr(lines.ptr, '\r', lines.len) == NULL;
    uint32_t order = 0;
    for (struct json_walk walk = json_walk(source->json); json_next(&walk); order++) {
        struct span token = member_token(walk.key, &arena);
        int32_t id = 0;
        enum status status = is_utf8 ? STATUS_OK
                                     : check_token(token, (size_t)order + 1,
                                                   "the token of model.vocab, entry", name, error);
        if (status == STATUS_OK) status = read_id(&id, walk.value, token, name, error);
        if (status == STATUS_OK) status = add_token(vocab, token, id, order, name, error);
        if (status != STATUS_OK) return status;
        if (same && lines.len > 0) {
            struct span line = take_line(&lines);
            same = id == (int32_t)order && line.len == token.len &&
                   memcmp(line.ptr, token.ptr, token.len) == 0;
        } else {
            same = false;
        }
    }
    *same_lines = same && lines.len == 0;
    finish(vocab);
    return STATUS_OK;
}

// A token as its file writes it, for a message, cut to fit. The bytes of a continuing token stand
// behind those of its prefix.
static struct span show(const struct vocab *vocab, const struct trie_key *key) {
    size_t before = key->root == TRIE_CONTINUE ? vocab->prefix.len : 0, len = before + key->len;
    return (struct span){key->bytes - before, len < 100 ? len : 100};
}

// STATUS_MODEL, with both figures, unless both hold the same tokens with the same ids.
static enum status agree(const struct vocab *a, const char *a_name, const struct vocab *b,
                         const char *b_name, struct error *error) {
    for (size_t i = 0; i < a->n_tokens; i++) {
        const struct trie_key *key = &a->keys[i];
        struct span token = {key->bytes, key->len};
        const struct trie_key *other = i < b->n_tokens && same_token(key, &b->keys[i])
                                           ? &b->keys[i]
                                           : trie_find(b->keys, b->n_keys, key->root, token);
        struct span shown = show(a, key);
        int len = (int)shown.len;
        if (other == NULL) {
            return error_set(error, STATUS_MODEL,
                             "%s (%zu tokens) and %s (%zu tokens) contradict each other: \"%.*s\" "
                             "is only in the first; remove the wrong file",
                             a_name, a->n_tokens, b_name, b->n_tokens, len, shown.ptr);
        }
        if (other->id != key->id) {
            return error_set(error, STATUS_MODEL,
                             "%s and %s contradict each other: \"%.*s\" is %d in the first and %d "
                             "in the second; remove the wrong file",
                             a_name, b_name, len, shown.ptr, key->id, other->id);
        }
    }
    if (a->n_tokens != b->n_tokens) {
        return error_set(error, STATUS_MODEL,
                         "%s has %zu tokens, %s has %zu: they contradict each other; remove the "
                         "wrong file",
                         a_name, a->n_tokens, b_name, b->n_tokens);
    }
    return STATUS_OK;
}

enum status vocab_read(struct vocab *vocab, const struct vocab_source *source,
                       struct error *error) {
    *vocab = (struct vocab){0};
    if (source->json_name == NULL) return read_text(vocab, source, error);
    if (source->json.type != JSON_OBJECT) {
        return error_set(error, STATUS_MODEL, "%s: model.vocab is %s, should be an object",
                         source->json_name, json_type_name(source->json.type));
    }
    bool same_lines;
    enum status status = read_json(vocab, source, &same_lines, error);
    if (status != STATUS_OK || source->text_name == NULL || same_lines) return status;
    struct vocab text;
    status = read_text(&text, source, error);
    if (status == STATUS_OK) {
        status = agree(&text, source->text_name, vocab, source->json_name, error);
    }
    vocab_free(&text);
    return status;
}

void vocab_free(struct vocab *vocab) {
    free(vocab->keys);
    free(vocab->arena);
    *vocab = (struct vocab){0};
}

int32_t vocab_id(const struct vocab *vocab, struct span token) {
    if (token.len == 0 || token.len > UINT32_MAX) return -1;
    enum trie_root root = TRIE_START;
    if (!vocab->starts_too && continues(vocab, token)) {
        root = TRIE_CONTINUE;
        token = behind_prefix(vocab, token);
    }
    const struct trie_key *key = trie_find(vocab->keys, vocab->n_keys, root, token);
    return key != NULL ? key->id : -1;
}
