// SPDX-License-Identifier: Apache-2.0
#include "host/cli/eval_report.h"

#include <stdio.h>
#include <utf8proc.h>

#include "host/base/utf8.h"

struct eval_calibration eval_calibration_of(const struct measures *measures) {
    struct eval_calibration calibration = {""};
    if (measures->place == TEMPERATURE_INSIDE) {
        snprintf(calibration.text, sizeof calibration.text, "{\"temperature\": %.6g}",
                 measures->temperature);
    }
    return calibration;
}

int32_t eval_most_confused(const struct measures *measures, struct confused *out, int32_t cap) {
    const int32_t n_labels = measures->model.n_labels;
    int32_t n = 0;
    for (int32_t gold = 0; measures->confusion != NULL && gold < n_labels; gold++) {
        for (int32_t predicted = 0; predicted < n_labels; predicted++) {
            const uint32_t count =
                measures->confusion[(size_t)gold * (size_t)n_labels + (size_t)predicted];
            if (count == 0 || gold == predicted || (n == cap && count <= out[n - 1].n)) continue;
            int32_t at = n < cap ? n++ : n - 1;
            for (; at > 0 && out[at - 1].n < count; at--) out[at] = out[at - 1];
            out[at] = (struct confused){gold, predicted, count};
        }
    }
    return n;
}

// The next character of `text`, `*len` bytes of it, as it is shown: itself, or "?". NULL at the
// end. Marks that turn the direction of the text around it would turn the rest of a line too.
static const char *next_shown(struct span text, size_t at, size_t *len, size_t *columns) {
    if (at >= text.len) return NULL;
    const char *c = text.ptr + at;
    utf8proc_int32_t code = 0;
    *columns = 1;
    if (!utf8_sequence(c, text.len - at, len)) return "?";
    (void)utf8proc_iterate((const utf8proc_uint8_t *)c, (utf8proc_ssize_t)*len, &code);
    const bool is_control = code < 0x20 || (code >= 0x7F && code < 0xA0);
    const bool is_mark = (code >= 0x200E && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
                         (code >= 0x2066 && code <= 0x2069) || (code & 0xFFFE) == 0xFFFE;
    if (is_control || is_mark) return "?";
    const int width = utf8proc_charwidth(code);
    *columns = width > 0 ? (size_t)width : 0;
    return c;
}

size_t eval_columns(struct span text) {
    size_t sum = 0, len, columns;
    for (size_t at = 0; next_shown(text, at, &len, &columns) != NULL; at += len) sum += columns;
    return sum;
}

size_t eval_add_cut(struct buffer *out, struct span text, size_t columns) {
    const bool fits = eval_columns(text) <= columns;
    const size_t room = fits ? columns : columns - 1;
    size_t taken = 0, len, width;
    const char *shown;
    for (size_t at = 0; (shown = next_shown(text, at, &len, &width)) != NULL; at += len) {
        if (taken + width > room) break;
        buffer_add(out, shown, shown == text.ptr + at ? len : 1);
        taken += width;
    }
    if (!fits) buffer_add_text(out, "\xe2\x80\xa6");
    return fits ? taken : taken + 1;
}
