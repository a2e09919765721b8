// SPDX-License-Identifier: Apache-2.0
//
// A title's logits are the same bits alone and in any company: in every batch, at every place of
// it, with every batch size, slot and number of threads, in every precision that this processor
// has: test_encoder_invariance [SEED | --short]. Titles and batches are fresh in every run; the
// seed that is printed replays them. --short takes fewer sizes, threads and rounds, and leaves out
// fp32 and the largest model: with plain products, which are slow.
#include <pthread.h>
#include <time.h>

#include "host/encoder/encoder.h"
#include "tests/check.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

enum { N_TITLES = 70, MOST_TOKENS = 64, MOST_LABELS = 16, MOST_SLOTS = 8, N_CLIENTS = 4 };

struct title {
    int32_t n;
    int32_t ids[MOST_TOKENS];
    float logits[MOST_LABELS];  // those of the title alone
};

struct titles {
    struct title title[N_TITLES];  // the first few have two tokens
    size_t n_labels;
};

enum { N_SHORT = 5 };

static enum cpu_precision precision;  // of every encoder below
static bool is_short;
#ifdef __SANITIZE_THREAD__
static const bool slow = true;
#else
static const bool slow = false;
#endif

static struct encoder *open_encoder(const struct model *model, int32_t batch_tokens,
                                    int32_t n_threads, int32_t n_slots) {
    struct encoder *encoder;
    struct error error;
    const struct encoder_limits limits = {.batch_tokens = batch_tokens,
                                          .n_threads = n_threads,
                                          .n_slots = n_slots,
                                          .precision = precision};
    must(encoder_create_cpu(model, &limits, &encoder, &error), &error);
    CHECK(encoder->n_slots <= MOST_SLOTS && (n_slots == 0 || encoder->n_slots == n_slots));
    return encoder;
}

// ---- batches

// The titles of the batch in a slot, in order.
struct batch {
    int32_t *which;  // [titles_cap]
};

static struct batch batch_make(const struct encoder *encoder) {
    return (struct batch){.which = must_zeroed((size_t)encoder->titles_cap, sizeof(int32_t))};
}

static void put(struct encoder_slot *slot, struct batch *batch, const struct titles *titles,
                int32_t which) {
    const struct title *title = &titles->title[which];
    const int32_t first = slot->cu_seqlens[slot->n_titles];
    memcpy(slot->token_ids + first, title->ids, (size_t)title->n * sizeof *title->ids);
    batch->which[slot->n_titles++] = which;
    slot->cu_seqlens[slot->n_titles] = first + title->n;
}

// Fills a slot with random titles, up to `n_most`; the first `n_kinds` titles are drawn from.
static void fill_slot(struct encoder *encoder, int32_t i, struct batch *batch,
                      const struct titles *titles, unsigned n_kinds, unsigned n_most,
                      struct check_random *random) {
    struct encoder_slot *slot = encoder_slot(encoder, i);
    const size_t n_logits = (size_t)encoder->titles_cap * titles->n_labels;
    for (size_t l = 0; l < n_logits && l < 1000; l++) slot->logits[l] = NAN;
    slot->n_titles = 0;
    for (unsigned n = 0; n < n_most && slot->n_titles < encoder->titles_cap; n++) {
        const int32_t which = (int32_t)check_below(random, n_kinds);
        const int32_t n_tokens = slot->cu_seqlens[slot->n_titles] + titles->title[which].n;
        if (n_tokens > encoder->batch_tokens) continue;
        put(slot, batch, titles, which);
    }
}

static int n_wrong(struct encoder *encoder, int32_t i, const struct batch *batch,
                   const struct titles *titles) {
    const struct encoder_slot *slot = encoder_slot(encoder, i);
    const size_t k = titles->n_labels;
    int wrong = 0;
    for (int32_t t = 0; t < slot->n_titles; t++) {
        const float *want = titles->title[batch->which[t]].logits;
        wrong += memcmp(slot->logits + (size_t)t * k, want, k * sizeof *want) != 0;
    }
    return wrong;
}

// ---- the titles alone

static struct titles *make_titles(const struct model *model, struct check_random *random) {
    const struct bert_config *config = &model->config;
    const int32_t longest = config->max_positions;
    struct error error;
    struct titles *titles = must_zeroed(1, sizeof *titles);
    titles->n_labels = (size_t)config->n_labels;
    struct encoder *encoder = open_encoder(model, longest, 1, 1);
    struct batch batch = batch_make(encoder);
    struct encoder_slot *slot = encoder_slot(encoder, 0);
    for (int32_t i = 0; i < N_TITLES; i++) {
        struct title *title = &titles->title[i];
        title->n = i < N_SHORT             ? 2
                   : i - N_SHORT < longest ? i - N_SHORT + 1
                                           : 1 + (int32_t)check_below(random, (unsigned)longest);
        for (int32_t t = 0; t < title->n; t++) {
            title->ids[t] = (int32_t)check_below(random, (unsigned)config->vocab_size);
        }
        slot->n_titles = 0;
        put(slot, &batch, titles, i);
        encoder_submit(encoder, 0);
        must(encoder_wait(encoder, 0, &error), &error);
        memcpy(title->logits, slot->logits, titles->n_labels * sizeof *title->logits);
    }
    free(batch.which);
    encoder_destroy(encoder);
    return titles;
}

// Titles whose logits were all the same would make every batch right.
static void check_variety(const struct titles *titles) {
    int n_apart = 0;
    for (int i = 1; i < N_TITLES; i++) {
        n_apart += fabsf(titles->title[i].logits[0] - titles->title[0].logits[0]) > 1e-3F;
    }
    CHECK(n_apart > N_TITLES / 2);
}

// ---- in company

// Four rounds over all slots, all in flight together: usual batches, one title, as many titles as
// fit, as many of two tokens as there may be.
static void check_company(const struct model *model, const struct titles *titles,
                          int32_t batch_tokens, int32_t n_threads, struct check_random *random) {
    struct encoder *encoder = open_encoder(model, batch_tokens, n_threads, 0);
    struct batch batches[MOST_SLOTS];
    struct error error;
    int wrong = 0;
    for (int32_t i = 0; i < encoder->n_slots; i++) batches[i] = batch_make(encoder);
    for (int round = 0; round < 4; round++) {
        const int32_t turn = (int32_t)check_below(random, (unsigned)encoder->n_slots);
        const unsigned n_most = round == 0 ? N_TITLES : round == 1 ? 1 : 10000;
        for (int32_t n = 0; n < encoder->n_slots; n++) {
            const int32_t i = (n + turn) % encoder->n_slots;
            fill_slot(encoder, i, &batches[i], titles, round < 3 ? N_TITLES : N_SHORT, n_most,
                      random);
            if (round == 3) CHECK_INT(encoder_slot(encoder, i)->n_titles, encoder->titles_cap);
            encoder_submit(encoder, i);
        }
        for (int32_t i = 0; i < encoder->n_slots; i++) {
            must(encoder_wait(encoder, i, &error), &error);
            wrong += n_wrong(encoder, i, &batches[i], titles);
        }
    }
    CHECK_INT(wrong, 0);
    if (wrong > 0) fprintf(stderr, "  %d tokens, %d threads\n", batch_tokens, n_threads);
    for (int32_t i = 0; i < encoder->n_slots; i++) free(batches[i].which);
    encoder_destroy(encoder);
}

// ---- clients on several threads

struct client {
    struct encoder *encoder;
    const struct titles *titles;
    struct check_random random;
    int32_t slot;
    int n_rounds, wrong;
    enum status status;
    pthread_t thread;
};

static void *use_slot(void *argument) {
    struct client *client = argument;
    struct error error;
    struct batch batch = batch_make(client->encoder);
    for (int n = 0; n < client->n_rounds && client->status == STATUS_OK; n++) {
        fill_slot(client->encoder, client->slot, &batch, client->titles, N_TITLES,
                  1 + check_below(&client->random, 6), &client->random);
        encoder_submit(client->encoder, client->slot);
        client->status = encoder_wait(client->encoder, client->slot, &error);
        client->wrong += n_wrong(client->encoder, client->slot, &batch, client->titles);
    }
    free(batch.which);
    return NULL;
}

// Each client has a slot of its own and goes round with it.
static void check_clients(const struct model *model, const struct titles *titles, int32_t n_clients,
                          int32_t n_threads, int n_rounds, struct check_random *random) {
    struct encoder *encoder = open_encoder(model, 150, n_threads, n_clients);
    struct client clients[N_CLIENTS] = {0};
    for (int32_t c = 0; c < n_clients; c++) {
        clients[c] = (struct client){.encoder = encoder,
                                     .titles = titles,
                                     .random = {check_next(random)},
                                     .slot = c,
                                     .n_rounds = n_rounds};
        CHECK_INT(pthread_create(&clients[c].thread, NULL, use_slot, &clients[c]), 0);
    }
    for (int32_t c = 0; c < n_clients; c++) {
        pthread_join(clients[c].thread, NULL);
        CHECK_INT(clients[c].status, STATUS_OK);
        CHECK_INT(clients[c].wrong, 0);
    }
    encoder_destroy(encoder);
}

static void check_model(const struct tiny_model_spec *spec, struct check_random *random) {
    struct model *model = tiny_model_open(spec);
    struct titles *titles = make_titles(model, random);
    check_variety(titles);
    const int32_t sizes[] = {model->config.max_positions, 127, 128, 129, 192, 193, 1000, 5000};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s += is_short || slow ? 3 : 1) {
        for (int32_t n_threads = 1; n_threads <= 5; n_threads += is_short || slow ? 2 : 1) {
            check_company(model, titles, sizes[s], n_threads, random);
        }
    }
    const int n_rounds = is_short ? 10 : slow ? 30 : 500;
    check_clients(model, titles, 1, 1, 4 * n_rounds, random);
    check_clients(model, titles, N_CLIENTS, 3, n_rounds, random);
    check_clients(model, titles, 2, 5, n_rounds, random);
    free(titles);
    model_close(model);
}

static void check_precision(struct check_random *random) {
    struct tiny_model_spec spec = tiny_model_default();
    check_model(&spec, random);
    spec.config.hidden_size = 45;  // 5 heads of 9: no whole vectors anywhere
    spec.config.n_heads = 5;
    spec.config.intermediate_size = 77;
    spec.config.n_layers = 1;
    spec.config.n_labels = 9;
    spec.config.max_positions = MOST_TOKENS;
    spec.dtype = DTYPE_F16;
    check_model(&spec, random);
    if (is_short) return;
    spec.config.n_layers = 2;
    spec.config.intermediate_size = 1536;  // in parts
    check_model(&spec, random);
}

int main(int argc, char **argv) {
    is_short = argc > 1 && strcmp(argv[1], "--short") == 0;
    struct check_random random = {argc > 1 && !is_short ? strtoull(argv[1], NULL, 0)
                                                        : (unsigned long long)time(NULL)};
    printf("seed %llu\n", random.state);
    fflush(stdout);
    for (int p = is_short ? CPU_BF16 : CPU_FP32; p <= CPU_INT8; p++) {
        struct error error;
        precision = (enum cpu_precision)p;
        if (encoder_cpu_check(precision, &error) == STATUS_OK) {
            check_precision(&random);
        } else {
            printf("not in precision %d: %s\n", p, error.text);
        }
    }
    return check_result();
}
