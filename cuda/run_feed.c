// SPDX-License-Identifier: Apache-2.0
//
// What run_model.h says besides the pass itself: operations, rows, the host.
#include <math.h>

#include "cuda/run_model.h"

const char *run_bound_name(enum run_bound bound) {
    static const char *const names[] = {"tensor cores", "memory", "vector units", "launches"};
    return names[bound];
}

int32_t run_model_rows(int32_t n_multiprocessors) {
    const int32_t thirds = n_multiprocessors / 3;
    return 128 * (thirds > 0 ? thirds : 1) * 8;
}

double run_title_operations(const struct bert_config *config, int32_t title_tokens, bool all_rows) {
    const double h = config->hidden_size, f = config->intermediate_size, n = title_tokens;
    const double inner = config->n_layers - 1, rows = all_rows ? n : 1;
    const double layer = 2 * (4 * h * h + 2 * h * f);
    const double last = 2 * 2 * h * h * n + (2 * 2 * h * h + 2 * 2 * h * f) * rows;
    return inner * (n * layer + 4 * h * n * n) + last + 4 * h * n * rows +
           2 * (h * h + h * config->n_labels);
}

struct run_host run_host_measured(void) {
    return (struct run_host){.inflate = 1 / 2735398.0,
                             .pack = 1 / 142359334.0,
                             .write = 1 / 1165525.0,
                             .parse = 1 / 3771700.0,
                             .tokenize = 1 / 5682384.0,
                             .whole = 2 / 836152.0};  // two cores
}

struct run_feed run_feed_of(const struct run_host *host, double titles_per_s) {
    const struct {
        const char *name;
        double seconds;
    } alone[] = {{"inflate", host->inflate}, {"pack", host->pack}, {"write", host->write}};
    struct run_feed feed = {.most_titles_per_s = INFINITY};
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        if (!(alone[i].seconds > 0) || !(1 / alone[i].seconds < feed.most_titles_per_s)) continue;
        feed.most_titles_per_s = 1 / alone[i].seconds;
        feed.slowest = alone[i].name;
    }
    feed.titles_per_s = fmin(titles_per_s, feed.most_titles_per_s);
    const double stages = host->inflate + host->pack + host->write + host->parse + host->tokenize;
    feed.cores = feed.titles_per_s * stages;
    feed.cores_whole = feed.titles_per_s * host->whole;
    return feed;
}
