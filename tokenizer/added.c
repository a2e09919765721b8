// SPDX-License-Identifier: Apache-2.0
//
// The added tokens of a tokenizer: which there are, with what ids, and how they are looked for.
// Hugging Face (tokenizer/added_vocabulary.rs) finds those that are not normalized in the raw text.
// What lies between them is normalized, a piece as a whole, and in that the others are found, each
// as what normalizing makes of it. Versions 0.14 to 0.23.3 agree in all that is taken here; before,
// what was already in the vocabulary and not special was not looked for.
#include <assert.h>
#include <string.h>

#include "tokenizer/decode.h"
#include "tokenizer/maker.h"
#include "tokenizer/normalize.h"

// Gives a row its id. Hugging Face takes the id of the vocabulary where the token is in it, and the
// next free one otherwise (tokenizer/added_vocabulary.rs): `*next`. A file that says another id
// than it would get is refused.
static enum status resolve_row(const struct maker *maker, struct added_token *row, int32_t *next) {
    int32_t known = vocab_id(&maker->vocab, (struct span){row->text, row->len});
    if (known >= 0) {
        if (row->id >= 0 && row->id != known) {
            return error_set(maker->error, STATUS_MODEL,
                             "%s: the id of \"%s\" is %d here and %d in the vocabulary", row->file,
                             row->text, row->id, known);
        }
        row->id = known;
        return STATUS_OK;
    }
    if (row->id < 0) return STATUS_OK;
    if ((size_t)maker->vocab.size != maker->vocab.n_tokens) {
        return error_set(
            maker->error, STATUS_MODEL,
            "%s: the added token \"%s\" is not in the vocabulary, which has %zu tokens "
            "but ids up to %d: no telling what id it should have",
            row->file, row->text, maker->vocab.n_tokens, maker->vocab.size - 1);
    }
    if (row->id < maker->vocab.size || row->id > *next) {
        return error_set(
            maker->error, STATUS_MODEL,
            "%s: the added token \"%s\" has the id %d; not being in the vocabulary, it "
            "should have %d",
            row->file, row->text, row->id, *next);
    }
    if (row->id == *next) (*next)++;
    return STATUS_OK;
}

static bool same_text(const struct trie_key *a, const struct trie_key *b) {
    return a->root == b->root && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

// Adds what `row` says of its token to `known`, which is of the same.
static enum status merge_flags(const struct maker *maker, struct added_token *known,
                               const struct added_token *row) {
    if (row->normalized == SAYS_NOTHING) return STATUS_OK;
    if (known->normalized == SAYS_NOTHING) known->normalized = row->normalized;
    if (known->normalized == row->normalized) return STATUS_OK;
    return error_set(maker->error, STATUS_MODEL,
                     "%s: the added token \"%s\" is normalized: %s; elsewhere: %s", row->file,
                     row->text, row->normalized == SAYS_TRUE ? "true" : "false",
                     known->normalized == SAYS_TRUE ? "true" : "false");
}

// Sorts the keys of the added tokens and drops repetitions. `n_new` ids lie beyond the vocabulary,
// and as many tokens must.
static enum status drop_repetitions(struct maker *maker, int32_t n_new) {
    const size_t first = maker->first_added;
    trie_sort(maker->keys + first, maker->n_keys - first);
    size_t n = first;
    for (size_t i = first; i < maker->n_keys; i++) {
        struct trie_key key = maker->keys[i];
        const struct trie_key *last = n > first ? &maker->keys[n - 1] : NULL;
        if (last == NULL || !same_text(last, &key)) {
            maker->keys[n++] = key;
            if (key.id >= maker->vocab.size) n_new--;
            continue;
        }
        const struct added_token *row = &maker->rows[key.order];
        if (last->id != key.id) {
            return error_set(maker->error, STATUS_MODEL,
                             "%s: the added token \"%s\" has the id %d here and %d elsewhere",
                             row->file, row->text, key.id, last->id);
        }
        enum status status = merge_flags(maker, &maker->rows[last->order], row);
        if (status != STATUS_OK) return status;
    }
    maker->n_keys = n;
    if (n_new != 0) {
        return error_set(
            maker->error, STATUS_MODEL,
            "%s: two added tokens share an id beyond the vocabulary's %d",
            maker->files->json.name != NULL ? maker->files->json.name : maker->files->config.name,
            maker->vocab.size);
    }
    return STATUS_OK;
}

static enum status collect_rows(struct maker *maker) {
    const struct settings *settings = &maker->settings;
    maker->n_rows = SPECIALS + settings->n_added;
    void *rows = NULL;
    enum status status =
        alloc_array(&rows, maker->n_rows, sizeof *maker->rows, "added tokens", maker->error);
    if (status != STATUS_OK) return status;
    maker->rows = rows;
    memcpy(rows, settings->special, sizeof settings->special);
    if (settings->n_added > 0) {
        memcpy(maker->rows + SPECIALS, settings->added, settings->n_added * sizeof *maker->rows);
    }
    status = vocab_reserve(&maker->vocab, maker->n_rows, maker->error);
    maker->keys = maker->vocab.keys;
    maker->n_keys = maker->vocab.n_keys;
    return status;
}

// Tokens named without an id, and not in the vocabulary, must be among those that were added; only
// [PAD] and [MASK] may be lacking.
static enum status check_named(const struct maker *maker) {
    for (size_t i = 0; i < maker->n_rows; i++) {
        const struct added_token *row = &maker->rows[i];
        if (row->id >= 0) continue;
        struct span token = {row->text, row->len};
        const struct trie_key *key = trie_find(maker->keys, maker->n_keys, TRIE_ADDED, token);
        if (key != NULL && i != SPECIAL_UNK) {
            enum status status = merge_flags(maker, &maker->rows[key->order], row);
            if (status != STATUS_OK) return status;
            continue;
        }
        if (i == SPECIAL_PAD || i == SPECIAL_MASK) continue;
        const struct tokenizer_files *files = maker->files;
        return error_set(maker->error, STATUS_MODEL,
                         "%s: \"%s\" is not among its %zu tokens; %s %s",
                         files->json.name != NULL ? files->json.name : files->vocab.name, row->text,
                         maker->vocab.n_tokens,
                         i < SPECIALS ? "a BERT vocabulary has it, unless this file names another:"
                                      : "it is named in",
                         i < SPECIALS ? "tokenizer_config.json" : row->file);
    }
    return STATUS_OK;
}

enum status added_collect(struct maker *maker) {
    enum status status = collect_rows(maker);
    if (status != STATUS_OK) return status;
    maker->first_added = maker->n_keys;
    int32_t next = maker->vocab.size;
    for (size_t i = 0; i < maker->n_rows; i++) {
        // The special tokens last: a file lists them among the others where they are new ids.
        size_t at = (i + SPECIALS) % maker->n_rows;
        struct added_token *row = &maker->rows[at];
        status = resolve_row(maker, row, &next);
        if (status != STATUS_OK) return status;
        if (row->id < 0) continue;
        struct span token = {row->text, row->len};
        maker->keys[maker->n_keys++] = trie_key_make(TRIE_ADDED, token, row->id, (uint32_t)at);
    }
    status = drop_repetitions(maker, next - maker->vocab.size);
    if (status == STATUS_OK) status = check_named(maker);
    maker->tokenizer->vocab_size = next;
    for (size_t i = maker->first_added; i < maker->n_keys; i++) {
        const struct added_token *row = &maker->rows[maker->keys[i].order];
        if (row->normalized == SAYS_TRUE) maker->tokenizer->normalizes_first = true;
    }
    return status;
}

int32_t added_special_id(const struct maker *maker, enum special special) {
    const struct added_token *row = &maker->rows[special];
    if (row->id >= 0) return row->id;
    const struct trie_key *key =
        trie_find(maker->keys, maker->n_keys, TRIE_ADDED, (struct span){row->text, row->len});
    assert(key != NULL);
    return key->id;
}

// Whether the first or the last character of a token is white space, or vanishes.
static bool has_blank_edge(const struct char_map *chars, const struct added_token *row) {
    const uint8_t *first = (const uint8_t *)row->text, *end = first + row->len, *last = end - 1;
    while (last > first && utf8_continues(*last)) last--;
    const uint8_t *const edges[] = {first, last};
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        size_t len;
        const enum char_kind kind = char_kind(char_map_at(chars, utf8_decode(edges[i], end, &len)));
        if (kind == CHAR_SPACE || kind == CHAR_DELETE || kind == CHAR_BLOCK) return true;
    }
    return false;
}

// lstrip and rstrip take white space away from the text beside a token, and that has no ids: they
// change nothing unless it could be part of another match, that is, of a token with white space at
// its border. The spaces that normalizing puts around ideographs are no such white space: they are
// put around those of the text just the same, within what is taken.
static enum status check_strips(const struct maker *maker, const struct char_map *chars) {
    bool strips = false;
    for (size_t i = 0; i < maker->n_rows; i++) strips = strips || maker->rows[i].strips;
    for (size_t i = 0; i < maker->n_rows && strips; i++) {
        const struct added_token *row = &maker->rows[i];
        if (!has_blank_edge(chars, row)) continue;
        return error_set(maker->error, STATUS_MODEL,
                         "%s: the added token \"%s\" begins or ends with a character that is white "
                         "space or vanishes: not supported where some have lstrip or rstrip",
                         row->file, row->text);
    }
    return STATUS_OK;
}

// The key of a normalized token. Moves `*to` behind its bytes.
static enum status normalize_key(const struct maker *maker, struct trie_key *key, uint8_t **to) {
    const struct tokenizer *tokenizer = maker->tokenizer;
    const struct added_token *row = &maker->rows[key->order];
    const uint8_t *at = (const uint8_t *)row->text;
    const struct span text = {
        (const char *)*to,
        normalize(&tokenizer->normal_chars, &tokenizer->normalizer, at, at + row->len, *to)};
    if (text.len == 0) {
        return error_set(maker->error, STATUS_MODEL,
                         "%s: the added token \"%s\" is normalized, and nothing is left of it",
                         row->file, row->text);
    }
    *key = trie_key_make(TRIE_ADDED_NORMAL, text, key->id, key->order);
    *to += text.len;
    return STATUS_OK;
}

static enum status normalize_keys(struct maker *maker) {
    size_t nbytes = 0;
    for (size_t i = 0; i < maker->n_rows; i++) nbytes += normalize_nbytes(maker->rows[i].len);
    void *memory;
    enum status status = alloc_array(&memory, nbytes, 1, "added tokens", maker->error);
    if (status != STATUS_OK) return status;
    uint8_t *to = maker->patterns = memory;
    struct trie_key *keys = maker->keys + maker->first_added;
    const size_t n = maker->n_keys - maker->first_added;
    for (size_t i = 0; i < n; i++) {
        if (maker->rows[keys[i].order].normalized != SAYS_TRUE) continue;
        status = normalize_key(maker, &keys[i], &to);
        if (status != STATUS_OK) return status;
    }
    trie_sort(keys, n);
    for (size_t i = 1; i < n; i++) {
        if (!same_text(&keys[i - 1], &keys[i])) continue;
        const struct added_token *row = &maker->rows[keys[i].order];
        return error_set(maker->error, STATUS_MODEL,
                         "%s: the added tokens \"%s\" and \"%s\" are the same once they are "
                         "normalized: versions of tokenizers differ in which one they find",
                         row->file, maker->rows[keys[i - 1].order].text, row->text);
    }
    return STATUS_OK;
}

enum status added_make_patterns(struct maker *maker) {
    struct tokenizer *tokenizer = maker->tokenizer;
    enum status status = check_strips(
        maker, tokenizer->normalizes_first ? &tokenizer->normal_chars : &tokenizer->chars);
    if (status == STATUS_OK && tokenizer->normalizes_first) status = normalize_keys(maker);
    if (status != STATUS_OK) return status;
    for (size_t i = maker->first_added; i < maker->n_keys; i++) {
        const struct trie_key *key = &maker->keys[i];
        const bool raw = key->root == TRIE_ADDED;
        (raw ? tokenizer->added_first : tokenizer->normal_first)[(uint8_t)key->bytes[0]] = true;
    }
    tokenizer->added_lead = -1;
    int n_first = 0;
    for (int byte = 0; byte < 256; byte++) {
        if (!tokenizer->added_first[byte]) continue;
        tokenizer->added_lead = n_first++ == 0 ? byte : -1;
    }
    return STATUS_OK;
}
