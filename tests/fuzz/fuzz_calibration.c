// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as calibration.json: what is accepted keeps its bounds, and says the same when it is
// written out anew and read again.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/buffer.h"
#include "weights/calibration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_LABELS = 4 };

static char *const labels[N_LABELS] = {"art", "b \"quoted\"\t", "\xc3\xa9", "a"};

static void check_again(const struct calibration *first) {
    struct buffer text = {0};
    struct calibration again;
    buffer_add_format(&text, "{\"thresholds\":{");
    for (int k = 0; k < N_LABELS; k++) {
        if (k > 0) buffer_add_text(&text, ",");
        buffer_add_json_string(&text, span_text(labels[k]));
        buffer_add_format(&text, ":%.9g", first->thresholds != NULL ? first->thresholds[k] : 0.0);
    }
    // 9 digits tell floats apart, but the least temperature is a float a little above 0.001.
    const double temperature = first->temperature;
    buffer_add_format(&text, "},\"temperature\":%.9g}", temperature);
    assert(!text.failed);
    assert(calibration_parse((struct span){text.bytes, text.len}, "x", labels, N_LABELS, &again,
                             NULL) == STATUS_OK);
    assert(again.temperature == first->temperature);
    for (int k = 0; k < N_LABELS && first->thresholds != NULL; k++) {
        assert(again.thresholds[k] == first->thresholds[k]);
    }
    free(again.thresholds);
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct span text = {(const char *)data, size};
    const struct calibration untouched = {.temperature = -7};
    struct calibration calibration = untouched;
    struct error error = {""};
    const enum status status = calibration_parse(text, "x", labels, N_LABELS, &calibration, &error);
    if (status != STATUS_OK) {
        assert(status == STATUS_MODEL && error.text[0] != '\0');
        assert(calibration.temperature == untouched.temperature && calibration.thresholds == NULL);
        return 0;
    }
    assert(calibration.temperature >= 0.001f && calibration.temperature <= 1000.0f);
    for (int k = 0; k < N_LABELS && calibration.thresholds != NULL; k++) {
        assert(calibration.thresholds[k] >= 0.0f && calibration.thresholds[k] <= 1.0f);
    }
    check_again(&calibration);
    free(calibration.thresholds);
    return 0;
}
