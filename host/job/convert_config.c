// SPDX-License-Identifier: Apache-2.0
#include "host/job/convert_config.h"

#include <assert.h>
#include <string.h>

#include "host/base/json.h"

// How the members are set out, each on a line of its own or not: what json.dumps writes with an
// indent and without one.
struct style {
    bool has_lines;
    struct span indent;  // of a member
};

static struct style style_of(struct json_value object) {
    const char *at = object.raw.ptr + 1, *line = NULL;
    for (; *at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'; at++) {
        if (*at == '\n') line = at + 1;
    }
    if (line == NULL) return (struct style){.has_lines = false};
    return (struct style){true, {line, (size_t)(at - line)}};
}

// Ends a line and indents the next one by `depth` levels; where there are no lines, nothing.
static void add_line(struct buffer *out, const struct style *style, int depth) {
    if (!style->has_lines) return;
    buffer_add_text(out, "\n");
    for (int i = 0; i < depth; i++) buffer_add(out, style->indent.ptr, style->indent.len);
}

static void add_comma(struct buffer *out, const struct style *style) {
    buffer_add_text(out, style->has_lines ? "," : ", ");
}

// ---- values

static void add_architectures(struct buffer *out, const struct style *style, const char *name) {
    buffer_add_text(out, "[");
    add_line(out, style, 2);
    buffer_add_json_string(out, span_text(name));
    add_line(out, style, 1);
    buffer_add_text(out, "]");
}

// {"0": "business", ...}, or the other way round.
static void add_labels(struct buffer *out, const struct style *style,
                       const struct config_changes *changes, bool by_name) {
    buffer_add_text(out, "{");
    for (size_t k = 0; k < changes->n_labels; k++) {
        if (k > 0) add_comma(out, style);
        add_line(out, style, 2);
        if (by_name) {
            buffer_add_json_string(out, span_text(changes->labels[k]));
            buffer_add_format(out, ": %zu", k);
        } else {
            buffer_add_format(out, "\"%zu\": ", k);
            buffer_add_json_string(out, span_text(changes->labels[k]));
        }
    }
    add_line(out, style, 1);
    buffer_add_text(out, "}");
}

// ---- putting them in

// `text` is one JSON object, from begin to end.
struct editor {
    struct buffer text;
    struct buffer value;  // for the next set_member
    struct style style;
};

static struct json_value parse(struct span text) {
    struct json_value object = {.type = JSON_NULL};
    struct json_fault fault;
    const bool good = json_parse(text, &object, &fault);
    assert(good && object.type == JSON_OBJECT);
    return object;
}

// The member `key` becomes what is in `value`, and that is emptied.
static void set_member(struct editor *editor, const char *key) {
    struct buffer *text = &editor->text, *value = &editor->value, out = {0};
    text->failed = text->failed || value->failed;
    if (text->failed) return;
    const char *end = text->bytes + text->len, *rest;
    struct json_value object = parse((struct span){text->bytes, text->len}), old;
    if (json_member(object, key, &old)) {
        buffer_add(&out, text->bytes, (size_t)(old.raw.ptr - text->bytes));
        rest = old.raw.ptr + old.raw.len;
    } else {
        rest = object.raw.ptr + 1;
        for (struct json_walk walk = json_walk(object); json_next(&walk);) {
            rest = walk.value.raw.ptr + walk.value.raw.len;
        }
        buffer_add(&out, text->bytes, (size_t)(rest - text->bytes));
        add_comma(&out, &editor->style);
        add_line(&out, &editor->style, 1);
        buffer_add_json_string(&out, span_text(key));
        buffer_add_text(&out, ": ");
    }
    buffer_add(&out, value->bytes, value->len);
    buffer_add(&out, rest, (size_t)(end - rest));
    buffer_clear(value);
    buffer_free(text);
    *text = out;
}

// Transformers wrote torch_dtype up to version 4, writes dtype, and reads both.
static void set_dtype(struct editor *editor, struct json_value object, const char *name) {
    static const char *const keys[] = {"dtype", "torch_dtype"};
    struct json_value value;
    bool is_named = false;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const bool is_last = i + 1 == ARRAY_LEN(keys);
        const bool found = json_member(object, keys[i], &value);
        if (found || (is_last && !is_named)) {
            is_named = true;
            if (found && json_string_equal(value, name)) continue;
            buffer_add_json_string(&editor->value, span_text(name));
            set_member(editor, keys[i]);
        }
    }
}

enum status convert_config(struct span text, const struct config_changes *changes,
                           struct buffer *out, struct error *error) {
    struct json_value object = parse(text), value;
    struct editor editor = {.style = style_of(object)};
    buffer_add(&editor.text, text.ptr, text.len);
    // Null is as good as absent, for transformers too.
    const bool has_class = json_member(object, "architectures", &value) && value.type != JSON_NULL;
    if (changes->architecture != NULL && !has_class) {
        add_architectures(&editor.value, &editor.style, changes->architecture);
        set_member(&editor, "architectures");
    }
    if (changes->dtype != NULL) set_dtype(&editor, object, changes->dtype);
    if (changes->labels != NULL) {
        add_labels(&editor.value, &editor.style, changes, false);
        set_member(&editor, "id2label");
        add_labels(&editor.value, &editor.style, changes, true);
        set_member(&editor, "label2id");
    }
    enum status status = buffer_check(&editor.text, error);
    if (status == STATUS_OK) {
        buffer_add(out, editor.text.bytes, editor.text.len);
        status = buffer_check(out, error);
    }
    buffer_free(&editor.text);
    buffer_free(&editor.value);
    return status;
}
