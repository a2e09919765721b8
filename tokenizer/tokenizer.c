// SPDX-License-Identifier: Apache-2.0
//
// Makes a tokenizer from the files of a model directory, and refuses what it cannot reproduce.
#include "tokenizer/tokenizer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tokenizer/vocab.h"
#include "tokenizer/wordpiece.h"

enum {
    // The largest vocabularies of BERT models known (half a million tokens) take 10 MB.
    FILE_BYTES_MAX = 32 << 20,
};

// What is known while a tokenizer is made.
struct maker {
    const struct tokenizer_files *files;
    struct settings settings;
    struct vocab vocab;
    struct trie_key *keys;     // [n_keys], those of the vocabulary, which owns them, then of `rows`
    struct added_token *rows;  // [n_rows], the five special tokens and then the other added ones
    size_t n_keys, n_rows;
    struct tokenizer *tokenizer;
    struct error *error;
};

static enum status parse_json(const struct tokenizer_file *file, struct json_value *root,
                              struct error *error) {
    struct json_fault fault;
    if (json_parse(file->text, root, &fault)) return STATUS_OK;
    return error_set(error, STATUS_MODEL, "%s: not JSON: %s at byte %zu", file->name, fault.what,
                     fault.offset);
}

static enum status read_vocabulary(struct maker *maker) {
    const struct tokenizer_files *files = maker->files;
    const struct settings *settings = &maker->settings;
    struct vocab_source source = {.prefix = {settings->prefix, settings->prefix_len},
                                  .json_name = files->json.name,
                                  .json = settings->vocab,
                                  .text_name = files->vocab.name,
                                  .text = files->vocab.text};
    return vocab_read(&maker->vocab, &source, maker->error);
}

static enum status read_files(struct maker *maker) {
    const struct tokenizer_files *files = maker->files;
    const struct tokenizer_file *inputs[] = {&files->vocab, &files->json, &files->config};
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        if (inputs[i]->name != NULL && inputs[i]->text.len > FILE_BYTES_MAX) {
            return error_set(maker->error, STATUS_MODEL,
                             "%s: %zu bytes; at most %d are supported, three times the largest "
                             "vocabularies of BERT models",
                             inputs[i]->name, inputs[i]->text.len, FILE_BYTES_MAX);
        }
    }
    struct json_value root;
    enum status status = STATUS_OK;
    if (files->json.name != NULL) {
        status = parse_json(&files->json, &root, maker->error);
        if (status != STATUS_OK) return status;
        status = settings_read_tokenizer(&maker->settings, root, files->json.name, maker->error);
        if (status != STATUS_OK) return status;
    }
    if (files->config.name != NULL) {
        status = parse_json(&files->config, &root, maker->error);
        if (status != STATUS_OK) return status;
        status = settings_read_config(&maker->settings, root, files->config.name, maker->error);
        if (status != STATUS_OK) return status;
    }
    status = read_vocabulary(maker);
    if (status == STATUS_OK) settings_finish(&maker->settings, maker->vocab.has_upper);
    return status;
}

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

// Sorts the keys of the added tokens, which start at `first`, and drops repetitions. `n_new` ids
// lie beyond the vocabulary, and as many tokens must.
static enum status finish_added(struct maker *maker, size_t first, int32_t n_new) {
    trie_sort(maker->keys + first, maker->n_keys - first);
    size_t n = first;
    for (size_t i = first; i < maker->n_keys; i++) {
        struct trie_key key = maker->keys[i];
        const struct trie_key *last = n > first ? &maker->keys[n - 1] : NULL;
        if (last == NULL || last->len != key.len || memcmp(last->bytes, key.bytes, key.len) != 0) {
            maker->keys[n++] = key;
            if (key.id >= maker->vocab.size) n_new--;
        } else if (last->id != key.id) {
            return error_set(maker->error, STATUS_MODEL,
                             "%s: the added token \"%.*s\" has the id %d here and %d elsewhere",
                             maker->rows[key.order].file, (int)key.len, key.bytes, key.id,
                             last->id);
        }
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

// Puts the added tokens behind the vocabulary's keys.
static enum status add_rows(struct maker *maker) {
    enum status status = collect_rows(maker);
    if (status != STATUS_OK) return status;
    size_t first = maker->n_keys;
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
        uint8_t byte = (uint8_t)row->text[0];
        maker->tokenizer->added_first[byte] = true;
    }
    status = finish_added(maker, first, next - maker->vocab.size);
    if (status != STATUS_OK) return status;
    maker->tokenizer->vocab_size = next;
    // Tokens named without an id, and not in the vocabulary, must be among those that were added;
    // only [PAD] and [MASK] may be lacking.
    for (size_t i = 0; i < maker->n_rows; i++) {
        const struct added_token *row = &maker->rows[i];
        if (row->id >= 0 || i == SPECIAL_PAD || i == SPECIAL_MASK) continue;
        struct span token = {row->text, row->len};
        if (i != SPECIAL_UNK && trie_find(maker->keys, maker->n_keys, TRIE_ADDED, token) != NULL) {
            continue;
        }
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

static int32_t special_id(const struct maker *maker, enum special special) {
    const struct added_token *row = &maker->rows[special];
    if (row->id >= 0) return row->id;
    const struct trie_key *key =
        trie_find(maker->keys, maker->n_keys, TRIE_ADDED, (struct span){row->text, row->len});
    assert(key != NULL);
    return key->id;
}

static enum status make(struct maker *maker) {
    enum status status = read_files(maker);
    if (status != STATUS_OK) return status;
    struct tokenizer *tokenizer = maker->tokenizer;
    status = add_rows(maker);
    if (status != STATUS_OK) return status;
    tokenizer->normalizer = maker->settings.normalizer;
    status = char_map_make(&tokenizer->chars, &tokenizer->normalizer, maker->error);
    if (status != STATUS_OK) return status;
    tokenizer->max_word_chars = maker->settings.max_word_chars;
    tokenizer->unk_id = special_id(maker, SPECIAL_UNK);
    tokenizer->cls_id = special_id(maker, SPECIAL_CLS);
    tokenizer->sep_id = special_id(maker, SPECIAL_SEP);
    tokenizer->added_lead = -1;
    int n_first = 0;
    for (int byte = 0; byte < 256; byte++) {
        if (!tokenizer->added_first[byte]) continue;
        tokenizer->added_lead = n_first++ == 0 ? byte : -1;
    }
    const struct tokenizer_files *files = maker->files;
    status =
        trie_build(&tokenizer->trie, maker->keys, maker->n_keys,
                   files->json.name != NULL ? files->json.name : files->vocab.name, maker->error);
    if (status == STATUS_OK) wordpiece_resolve_lone_chars(tokenizer);
    return status;
}

enum status tokenizer_make(const struct tokenizer_files *files, struct tokenizer **out,
                           struct error *error) {
    assert(files->vocab.name != NULL || files->json.name != NULL);
    *out = NULL;
    void *memory;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a tokenizer", error);
    if (status != STATUS_OK) return status;
    struct maker maker = {.files = files, .tokenizer = memory, .error = error};
    settings_init(&maker.settings);
    status = make(&maker);
    settings_free(&maker.settings);
    vocab_free(&maker.vocab);
    free(maker.rows);
    if (status == STATUS_OK) {
        *out = maker.tokenizer;
    } else {
        tokenizer_close(maker.tokenizer);
    }
    return status;
}

// Maps `dir`/`name`, or leaves `file->name` NULL where there is none.
static enum status map_file(const char *dir, const char *name, char *path, struct file_map *map,
                            struct tokenizer_file *file, struct error *error) {
    enum status status = path_join(path, PATH_NBYTES_MAX, dir, name, error);
    if (status != STATUS_OK) return status;
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return STATUS_OK;
    status = file_map_open(path, map, error);
    if (status == STATUS_OK) {
        *file = (struct tokenizer_file){.name = path, .text = {map->bytes, map->nbytes}};
    }
    return status;
}

enum status tokenizer_open(const char *model_dir, struct tokenizer **out, struct error *error) {
    *out = NULL;
    char paths[3][PATH_NBYTES_MAX], path[PATH_NBYTES_MAX];
    struct file_map maps[3] = {0};
    struct tokenizer_files files = {0};
    enum status status = map_file(model_dir, "vocab.txt", paths[0], &maps[0], &files.vocab, error);
    if (status != STATUS_OK) goto out_unmap;
    status = map_file(model_dir, "tokenizer.json", paths[1], &maps[1], &files.json, error);
    if (status != STATUS_OK) goto out_unmap;
    status = map_file(model_dir, "tokenizer_config.json", paths[2], &maps[2], &files.config, error);
    if (status != STATUS_OK) goto out_unmap;
    if (files.vocab.name == NULL && files.json.name == NULL) {
        status = error_set(error, STATUS_MODEL,
                           "%s: neither vocab.txt nor tokenizer.json is there: not a model "
                           "directory, or one without its tokenizer",
                           model_dir);
        goto out_unmap;
    }
    // Versions of transformers before tokenizer.json was usual kept added tokens there.
    status = path_join(path, sizeof path, model_dir, "added_tokens.json", error);
    if (status != STATUS_OK) goto out_unmap;
    if (files.json.name == NULL && access(path, F_OK) == 0) {
        status = error_set(error, STATUS_MODEL,
                           "%s: supported only beside a tokenizer.json, which says how its tokens "
                           "are matched; save the tokenizer anew with a current transformers",
                           path);
        goto out_unmap;
    }
    status = tokenizer_make(&files, out, error);
out_unmap:
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) file_map_close(&maps[i]);
    return status;
}

void tokenizer_close(struct tokenizer *tokenizer) {
    if (tokenizer == NULL) return;
    trie_free(&tokenizer->trie);
    char_map_free(&tokenizer->chars);
    free(tokenizer);
}

int32_t tokenizer_vocab_size(const struct tokenizer *tokenizer) {
    return tokenizer->vocab_size;
}
