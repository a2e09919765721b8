// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the metrics of an earlier run: a moment that can be, or none.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/run_metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size > 0 ? size : 1);
    if (text == NULL) abort();
    if (size > 0) memcpy(text, data, size);
    const double when = metrics_last_success((struct span){text, size});
    assert(when >= 0.0 && when < 1e11);
    free(text);
    return 0;
}
