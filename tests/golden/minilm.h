// SPDX-License-Identifier: Apache-2.0
//
// What the tests on the real encoder share: where its models and golden figures are.
#ifndef WADER_TESTS_GOLDEN_MINILM_H
#define WADER_TESTS_GOLDEN_MINILM_H

#include "tests/check.h"
#include "tests/support/fixture.h"

// The directories under the one that WADER_MINILM names (make_minilm.py made them): "classifier",
// and "hidden_N", the encoder cut off behind layer N.
enum { MINILM_LAYERS = 6 };

// What test_*minilm [DIR] does: both checks on the golden figures in DIR, the second for each layer
// from 1. Skips where there are no models.
static inline int minilm_main(int argc, char **argv,
                              void (*classifier)(const char *models, const struct fixture *golden),
                              void (*layer)(const char *models, int32_t n_layers,
                                            const struct fixture *golden)) {
    char path[PATH_NBYTES_MAX];
    struct error error = {""};
    struct fixture *golden = NULL;
    const char *models = getenv("WADER_MINILM");
    if (models == NULL || models[0] == '\0') {
        return check_skip("WADER_MINILM does not name the directory that make_minilm.py made");
    }
    if (path_join(path, sizeof path, argc > 1 ? argv[1] : "tests/golden", "minilm.json.gz",
                  &error) != STATUS_OK ||
        fixture_read(path, &golden, &error) != STATUS_OK) {
        CHECK_FAIL("%s", error.text);
        return check_result();
    }
    classifier(models, golden);
    for (int32_t n_layers = 1; n_layers <= MINILM_LAYERS; n_layers++) {
        layer(models, n_layers, golden);
    }
    fixture_close(golden);
    return check_result();
}

#endif
