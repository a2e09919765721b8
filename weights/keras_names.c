// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_names.h"

#include <string.h>

static const char *const parts[] = {"bert", "distilbert", "pre_classifier", "classifier"};

// The last component: what a Keras layer calls its variables.
static const struct {
    const char *keras, *torch;
} variables[] = {
    {"kernel", "weight"}, {"bias", "bias"},         {"gamma", "weight"},
    {"beta", "bias"},     {"embeddings", "weight"}, {"weight", "weight"},
};

// Takes the next component off the front of `path`: false when there is none. Slashes side by side
// count as one.
static bool next_component(struct span *path, struct span *component) {
    while (path->len > 0 && path->ptr[0] == '/') {
        path->ptr++;
        path->len--;
    }
    if (path->len == 0) return false;  // and perhaps no pointer to add to
    size_t len = 0;
    while (len < path->len && path->ptr[len] != '/') len++;
    *component = (struct span){path->ptr, len};
    path->ptr += len;
    path->len -= len;
    return true;
}

static bool is_part(struct span component) {
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (span_equal(component, parts[i])) return true;
    }
    return false;
}

static bool all_digits(struct span text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
    }
    return text.len > 0;
}

// TensorFlow ends a variable's name in the number of the output that gives it, ":0".
static struct span without_output(struct span component) {
    size_t at = component.len;
    while (at > 0 && component.ptr[at - 1] != ':') at--;
    if (at == 0 || !all_digits((struct span){component.ptr + at, component.len - at})) {
        return component;
    }
    return (struct span){component.ptr, at - 1};
}

static bool append(struct keras_name *out, size_t *len, const char *text, size_t n) {
    if (n >= sizeof out->text - *len) return false;
    memcpy(out->text + *len, text, n);
    *len += n;
    out->text[*len] = '\0';
    return true;
}

// A component between the part and the variable, with the point that follows it. A list of layers
// is "layer_._7" in Keras, "layer.7" in PyTorch.
static bool append_scope(struct keras_name *out, size_t *len, struct span component) {
    static const char listed[] = "layer_._";
    const size_t n_listed = sizeof listed - 1;
    if (component.len > n_listed && memcmp(component.ptr, listed, n_listed) == 0 &&
        all_digits((struct span){component.ptr + n_listed, component.len - n_listed})) {
        if (!append(out, len, "layer.", strlen("layer."))) return false;
        component.ptr += n_listed;
        component.len -= n_listed;
    }
    return append(out, len, component.ptr, component.len) && append(out, len, ".", 1);
}

static bool append_variable(struct keras_name *out, size_t *len, struct span component) {
    const struct span variable = without_output(component);
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        if (!span_equal(variable, variables[i].keras)) continue;
        out->kernel = i == 0;
        return append(out, len, variables[i].torch, strlen(variables[i].torch));
    }
    return false;
}

bool keras_name(struct span path, struct keras_name *out) {
    *out = (struct keras_name){.kernel = false};
    if (path.len == 0 || memchr(path.ptr, '\0', path.len) != NULL) return false;
    struct span component, rest = path, from = {NULL, 0};
    for (bool first = true; next_component(&rest, &component); first = false) {
        // A whole model saved by Keras: its optimizer's state has the names of the weights in it.
        if (first && span_equal(component, "optimizer_weights")) return false;
        if (is_part(component)) {
            from = (struct span){component.ptr, (size_t)(path.ptr + path.len - component.ptr)};
        }
    }
    size_t len = 0;
    rest = from;
    for (bool more = next_component(&rest, &component); more;) {
        const struct span this = component;
        more = next_component(&rest, &component);
        if (!more) return len > 0 && append_variable(out, &len, this);
        if (!append_scope(out, &len, this)) return false;
    }
    return false;
}
