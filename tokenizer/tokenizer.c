// SPDX-License-Identifier: Apache-2.0
//
// Makes a tokenizer from the files of a model directory, and refuses what it cannot reproduce.
#include "tokenizer/tokenizer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tokenizer/maker.h"

enum {
    // The largest vocabularies of BERT models known (half a million tokens) take 10 MB.
    FILE_BYTES_MAX = 32 << 20,
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

static enum status make_char_maps(struct maker *maker) {
    struct tokenizer *tokenizer = maker->tokenizer;
    struct normalizer normalizer = maker->settings.normalizer;
    tokenizer->normalizer = normalizer;
    if (tokenizer->normalizes_first) {
        enum status status = char_map_make(&tokenizer->normal_chars, &normalizer, maker->error);
        if (status != STATUS_OK) return status;
        normalizer = (struct normalizer){0};
    }
    return char_map_make(&tokenizer->chars, &normalizer, maker->error);
}

static enum status make(struct maker *maker) {
    enum status status = read_files(maker);
    if (status != STATUS_OK) return status;
    status = added_collect(maker);
    if (status != STATUS_OK) return status;
    struct tokenizer *tokenizer = maker->tokenizer;
    tokenizer->max_word_chars = maker->settings.max_word_chars;
    tokenizer->unk_id = added_special_id(maker, SPECIAL_UNK);
    tokenizer->cls_id = added_special_id(maker, SPECIAL_CLS);
    tokenizer->sep_id = added_special_id(maker, SPECIAL_SEP);
    status = make_char_maps(maker);
    if (status == STATUS_OK) status = added_make_patterns(maker);
    if (status != STATUS_OK) return status;
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
    free(maker.patterns);
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
    if (files.json.name == NULL && (access(path, F_OK) == 0 || errno != ENOENT)) {
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
    char_map_free(&tokenizer->normal_chars);
    free(tokenizer);
}

int32_t tokenizer_vocab_size(const struct tokenizer *tokenizer) {
    return tokenizer->vocab_size;
}

int32_t tokenizer_unknown_id(const struct tokenizer *tokenizer) {
    return tokenizer->unk_id;
}
